/* SPDX-License-Identifier: Apache-2.0 */
/* master.h - the master's context: everything hangs from here.
 *
 * The master never takes a lock of the segment, never reads client bytes and, once it serves, never
 * waits anywhere but in its loop. */
#ifndef MASTER_MASTER_H
#define MASTER_MASTER_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "master/activation.h"
#include "master/children.h"
#include "master/upgrade/convert.h"
#include "master/upgrade/freeze.h"
#include "master/options.h"
#include "master/privileges.h"
#include "master/sockets.h"
#include "master/upgrade/upgrade.h"
#include "shared/config/config.h"
#include "shared/shm/segment.h"

struct plan;
struct signal_row;

enum master_state { MASTER_STARTING, MASTER_SERVING, MASTER_STOPPING };

struct master {
	const struct plan *plans;         /* plan.h; NULL: none */
	const struct signal_row *signals; /* signals.h */
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

	struct child children[CHILDREN_ALL]; /* ours, then the elders (children.h) */
};

/* The whole life. Returns the exit code. */
int master_run(struct options *options, char **args);

#endif
