/* SPDX-License-Identifier: Apache-2.0 */
/* plan.h - a plan of the master is a row of hooks, and what happens to a child is told to all rows.
 *
 * A plan is something that takes its time and goes on whenever something changed among the
 * children: a start, a stop, an upgrade, a conversion. The modules that see the changes (reap,
 * watch, spawn, stop) know no plan by name; they call plan_*(), which walk the rows of m->plans in
 * their order and call the hook of each row that has it. The rows stand in plans.c.
 *
 * A hook looks at m->state itself: one before it in the same walk may have begun the stop. Walks of
 * different hooks nest (a death makes a plan begin the stop), those of the same hook do not. A
 * master without rows (NULL) has no plans; unit tests make such ones. */
#ifndef MASTER_PLAN_H
#define MASTER_PLAN_H

#include <signal.h>
#include <stdbool.h>

struct child;
struct master;
struct process;

struct plan {
	const char *name; /* NULL: the end of the rows */
	/* Something changed: a child rang, one died or was stopped, or the watch made its turn. */
	void (*advance)(struct master *m);
	/* A child said for the first time that it serves. */
	void (*child_ready)(struct master *m, const struct child *child);
	/* A child was reaped and its slot is free; whether it is replaced is decided after all rows
	 * have been asked. */
	void (*child_died)(struct master *m, const struct child *child, const siginfo_t *info);
	/* Returns true if the child shall not be forked now. Who blocks calls spawn_wanted() when
	 * that is over. */
	bool (*blocks)(const struct master *m, const struct child *child);
	/* In the master right after a fork; a late way back waits until all rows have been called
	 * (fallback_hold()). */
	void (*child_forked)(struct master *m);
	/* In the child before it enters its role: closes what the plan holds and the child has no
	 * use for. */
	void (*in_child)(struct master *m, const struct child *self);
	/* In the child too, behind all rows of in_child: puts into proc what the plan has for the
	 * role. */
	void (*lend)(const struct master *m, const struct child *self, struct process *proc);
	/* The server is about to stop, and m->state does not say so yet: the plan ends, whatever it
	 * was doing. */
	void (*stop)(struct master *m);
};

void plan_advance(struct master *m);
void plan_child_ready(struct master *m, const struct child *child);
void plan_child_died(struct master *m, const struct child *child, const siginfo_t *info);
bool plan_blocks(const struct master *m, const struct child *child);
void plan_child_forked(struct master *m);
void plan_in_child(struct master *m, const struct child *self);
void plan_lend(const struct master *m, const struct child *self, struct process *proc);
void plan_stop(struct master *m);

#endif
