/* SPDX-License-Identifier: Apache-2.0 */
/* children.h - the table of children: what the master knows of each process it forked.
 *
 * The table is private memory of the master (struct master): CHILDREN places of this image and, in
 * an upgrade, as many of the other image, the elders. It is the only source of pids to signal.
 * Everybody may read a struct child; only this module writes one. It knows the processes and their
 * descriptors, but not why one is forked, told to leave or killed: that is for the plans (plan.h).
 *
 * The functions named children_* take the whole table. Times are CLOCK_MONOTONIC in milliseconds.
 * No lock is needed: the master has one thread, and a child that was forked has a copy which it
 * only reads. */
#ifndef MASTER_CHILDREN_H
#define MASTER_CHILDREN_H

#include <ev.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "master/backoff.h"
#include "master/roles.h"

struct child {
	const struct role_row *role;
	unsigned place;      /* in the table of its image */
	unsigned slot;       /* of the segment */
	unsigned index;      /* among its role */
	bool elder;          /* upgrade: of the other image; leaves and is not replaced */
	char name[32];       /* "worker/0" */
	pid_t pid;           /* 0: not running */
	uint32_t generation; /* forks so far, in this master; one that failed is none */
	bool ready;
	bool stopped;  /* SIGSTOP */
	bool busy;     /* one turn of its loop takes over WATCH_BUSY_MS */
	bool told;     /* to leave, and how it leaves is no surprise; until the next fork */
	bool killed;   /* SIGKILL sent by us; until the next fork */
	bool asserted; /* it ended by an assert, as its last words say; until the next fork */
	bool modules;  /* one of them left with EXIT_MODULES */
	uint64_t forked_ms;
	uint64_t resumed_ms; /* continued after a stop; turns begin anew */
	struct backoff backoff;
	ev_timer respawn; /* runs while its successor waits to be forked */
	int notice_fd;    /* eventfd, made at the first fork, kept for successors */
	int migrate_fd;   /* worker: our end of a pair (worker/http/migrate.h); -1: none */
	int migrate_end;  /* the other, between the pair and the fork */
};

typedef void child_due_fn(struct ev_loop *loop, ev_timer *timer, int revents);

/* Makes the table anew: nobody runs. bank is that of the slots of our own workers, and the elders
 * have the other. due is called, with timer->data set to data, when a child has waited for long
 * enough (child_wait()). */
void children_init(struct child *children, unsigned bank, child_due_fn *due, void *data);
unsigned children_running(const struct child *children);
/* Returns NULL if that is no child of ours. */
struct child *children_of_pid(struct child *children, pid_t pid);
void children_signal(const struct child *children, int signal_number);
/* Ends the wait of a child's loop, so that it looks at the board: of every worker of both images,
 * or of all our own children. */
void children_wake_workers(const struct child *children);
void children_wake_own(const struct child *children);
/* In a child: closes what belongs to the others, and our ends of all pairs. */
void children_close_in_child(const struct child *children, const struct child *self);

/* ---- from one fork to the next */

/* Makes the descriptor for the next fork if it is missing. Returns false with errno. */
bool child_open_notice(struct child *child);
/* Makes a new pair each time, because a successor must not read what was meant for the one before.
 * Returns false with errno. */
bool child_open_migrate(struct child *child);
/* After the fork the master closes the other end of the pair, which is the child's. */
void child_close_migrate_end(struct child *child);
void child_close_notice(struct child *child);
/* Returns like fork(); in the master the table then says that the child runs. A fork that failed
 * leaves the table as it was. */
pid_t child_fork(struct child *child);
/* The child could not be forked. Returns how long the next try has to wait. */
uint32_t child_not_forked(struct child *child);
/* Takes over what another image knew of a child that it forked: pid, generation, descriptor of the
 * notices, times and states. */
void child_adopt(struct child *child, const struct child *known);
void child_adopt_migrate(struct child *child, int migrate_fd);
/* The child says that it can serve, so the next delay is the shortest again. */
void child_set_ready(struct child *child);
/* Writes down what SIGCHLD said. Returns false if that was known already. */
bool child_set_stopped(struct child *child, bool stopped);
void child_set_busy(struct child *child, bool busy);
/* Its last words are those of an assert. Is called before child_died(). */
void child_set_asserted(struct child *child);
/* The child has been waited for. Returns how long its successor has to wait. An end that had a
 * reason (it was ready, told to leave, or asked for its modules) is no sign that the successor
 * fails too. */
uint32_t child_died(struct child *child, const siginfo_t *info);
/* Its successor waits for that long, and with 0 for the next turn of the loop. */
void child_wait(struct child *child, struct ev_loop *loop, uint32_t delay_ms);
void child_cancel_wait(struct child *child, struct ev_loop *loop);

/* ---- how it is made to leave; nothing happens to one that does not run */

/* Asks it to leave by that signal. One that is stopped goes on, because it would never see the
 * signal otherwise. */
void child_tell(struct child *child, int signal_number);
/* What it was told no longer counts: the stop will tell it again, in its turn. */
void child_untell(struct child *child);
/* Kills it because something is wrong with it, and logs why, and for how many ms already. A second
 * call does nothing. */
void child_kill(struct child *child, const char *why, uint64_t ms);
/* Kills it because its time to leave is over; the caller has logged that. */
void child_end(struct child *child);

#endif
