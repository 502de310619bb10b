/* SPDX-License-Identifier: Apache-2.0 */
/* process.h - what the master and a child agree on.
 *
 * The master opens sockets and the segment, forks, and the child enters its role with
 * one struct process. Everything in it was made before the fork (or in the first lines
 * of the child); a child never opens a listening socket itself.
 *
 * A child stands on the skeleton of child.h, which makes its loop after the fork, and leaves
 * with EXIT_SUCCESS, EXIT_FAILURE or an EXIT_* below. It ends when alive_fd reads end-of-file
 * (the master died), and PR_SET_PDEATHSIG is set after setuid. */
#ifndef PROCESS_PROCESS_H
#define PROCESS_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/log.h"
#include "shared/config/config.h"
#include "shared/shm/segment.h"
#include "shared/shm/slot.h"

enum role { ROLE_MASTER, ROLE_WORKER, ROLE_PUSHER, ROLE_KEEPER, ROLES };

/* Returns the name by which logs, metrics and the process list know a role. */
const char *role_name(enum role role);

#define EXIT_MODULES 66 /* start me again, with the modules of my role */

struct listen_set {
	int fds[WORKERS_MAX]; /* SO_REUSEPORT socket of worker n, -1: none */
	uint16_t port;        /* the real one, also when 0 was configured */
};

/* Where a new image's workers ask those of the old one for their connections
 * (worker/http/migrate.h): worker n asks n, n + workers, and so on. */
struct adopt_set {
	int fds[WORKERS_MAX]; /* -1: none */
	unsigned workers;     /* of the new image, at least 1 */
};

struct process {
	enum role role;
	unsigned index;
	unsigned bank;        /* worker: which of its two places (slot.h) */
	struct config config; /* a copy; process_reload() brings it up to date */
	const struct config_shared *config_shared;
	struct sources *sources; /* sources.h */
	struct segment *seg;
	struct slot *slot; /* own */
	struct listen_set *listen;
	int udp_fd; /* pusher: bound to push.port */
	uint16_t udp_port;
	int alive_fd;  /* reads EOF when the master dies */
	int notice_fd; /* eventfd: the master changed the board (orphans, frozen) */
	/* worker: a successor may ask here for the connections (worker/http/migrate.h); -1:
	 * nobody */
	int migrate_fd;
	const struct adopt_set *adopt; /* worker: NULL, or whose connections to take over first */
	/* eventfd of the master: a slot's state changed, a lock is stuck; -1: nobody */
	int ready_fd;
	bool stale;              /* keeper: the segment was older than segment.max_age */
	char name[32];           /* "worker/0" */
	uint64_t log_level_seen; /* board->log_level */
	uint64_t woke_us;        /* CLOCK_MONOTONIC of the last process_busy() */
};

/* The roles' entrances. They return an exit code. */
int worker_main(struct process *proc);
int pusher_main(struct process *proc);
int keeper_main(struct process *proc);
/* Is called before the filter in a keeper whose predecessor left with EXIT_MODULES: loads what it
 * uses and may not map itself behind the filter. */
void keeper_load_modules(void);

/* The first call of a child that the master forked. It says where last words, counters and reports
 * of stuck locks go, and names the process in the log. proc must outlive everything. */
void process_enter(struct process *proc);
/* Adds one to an eventfd. It never blocks, and -1 is nobody. */
void process_wake(int fd);

/* signalfd for: SIGTERM, SIGINT (stop, bounded), SIGQUIT (stop, unbounded), SIGHUP (new
 * configuration: call process_reload()), SIGUSR1 (log_reopen()), SIGUSR2 (a successor serves: leave
 * as soon as no client notices; who has no clients stops). All blocked otherwise; SIGPIPE
 * ignored. */
int process_signal_fd(void);
/* Returns one signal number from it, or 0 when there is none. */
int process_next_signal(int fd);
void process_ready(struct process *proc);
void process_stopping(struct process *proc);
/* Every process but the master takes this level with its next wake-up or connection, until the
 * configuration is read again. */
void process_ask_log_level(struct process *proc, enum log_level level);
/* Copies the newest configuration of the master. */
void process_reload(struct process *proc);

/* These two enclose the loop's wait. By them the master sees who is stuck, and the slot has how
 * long a turn takes; an idle process has no need of a timer for that. */
void process_busy(struct process *proc);
/* The part of process_busy() that takes up what an operator asked of all processes. It is called
 * for each new connection too: one that was opened after the operator's answer may be accepted in a
 * turn that began before it. */
void process_follow(struct process *proc);
void process_idle(struct process *proc);

#endif
