/* SPDX-License-Identifier: Apache-2.0 */
/* master.h - the master's context: everything hangs from here.
 *
 * The table of children is private memory: CHILDREN places of this image and, in an upgrade, as many of the
 * image before; it is the only source of pids to signal. The master never takes a lock of the segment, never reads client bytes
 * and, once it serves, never waits anywhere but in its loop. */
#ifndef MASTER_MASTER_H
#define MASTER_MASTER_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "master/activation.h"
#include "master/backoff.h"
#include "master/upgrade/convert.h"
#include "master/upgrade/freeze.h"
#include "master/options.h"
#include "master/privileges.h"
#include "master/roles.h"
#include "master/sockets.h"
#include "master/upgrade/upgrade.h"
#include "shared/config/config.h"
#include "shared/shm/segment.h"

struct master;

struct child {
	struct master *master;
	const struct role_row *role;
	unsigned place;      /* in the table of its image */
	unsigned slot;       /* of the segment */
	unsigned index;      /* among its role */
	bool elder;          /* upgrade: of the other image; leaves and is not replaced */
	char name[32];       /* "worker/0" */
	pid_t pid;           /* 0: not running */
	uint32_t generation; /* forks so far, in this master */
	bool ready;
	bool stopped; /* SIGSTOP */
	bool busy;    /* one turn of its loop takes over BUSY_MS */
	bool told;    /* to leave, and how it leaves is no surprise */
	bool killed;  /* SIGKILL sent by us */
	bool modules; /* one of them left with EXIT_MODULES */
	uint64_t forked_ms;
	uint64_t resumed_ms; /* continued after a stop; turns begin anew */
	struct backoff backoff;
	ev_timer respawn;
	int notice_fd;    /* eventfd, made at the first fork, kept for successors */
	int handover_fd;  /* worker: our end of a pair, a new one for each fork (worker/http/migrate.h); -1: none */
	int handover_end; /* the other, between the pair and the fork */
};

enum master_state { MASTER_STARTING, MASTER_SERVING, MASTER_STOPPING };

struct master {
	struct options *options;
	char **args; /* for exec of ourselves */
	enum master_state state;
	uint64_t started_ms;
	bool failed; /* exit code */
	bool renew;  /* exec ourselves when all have left */

	struct config config;
	struct config_shared *config_shared;
	int config_fd;           /* memfd behind it: an image that is called back maps it again */
	struct sources *sources; /* what each source address has: the workers of this image count */
	unsigned workers;        /* wanted now */
	struct privileges privileges;
	struct activation activation;
	struct sockets sockets;
	struct segment *seg;
	enum segment_origin origin;
	bool stale;       /* until the first keeper is ready */
	unsigned crashes; /* of children, since an attach (damage.h) */
	bool condemned;   /* the segment is, and waits until it is old enough */

	struct ev_loop *loop;
	int signal_fd;
	int ready_fd;     /* eventfd: children wake us */
	int alive_fds[2]; /* the write end stays with us alone */
	int daemon_fd;    /* the waiting parent in the terminal, -1: none */
	ev_io signal_io, ready_io;
	ev_timer watch, watchdog, kill;
	uint64_t watch_ms;   /* last turn of watch */
	uint64_t resumed_ms; /* we stood still until then: nobody else is to blame */
	bool bounded;        /* stop has a time limit */
	int stop_signal;

	char path[1024]; /* of the binary, as the first image was started */
	unsigned bank;   /* of the slots of our workers */
	struct upgrade upgrade;
	struct freeze freeze;
	struct convert convert;

	struct child children[CHILDREN_ALL]; /* ours, then the elders */
};

/* start.c: the whole life. Returns the exit code. */
int master_run(struct options *options, char **args);

#endif
