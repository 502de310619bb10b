/* SPDX-License-Identifier: Apache-2.0 */
/* work.h - what the ticks of the keeper leave to do, in steps of one slice (slice.h).
 *
 * A tick only notes what is to be done. Each kind of work is a job. The jobs that have something
 * left in this tick take turns, with one step each time the loop has no other event. So whatever is
 * stored, the next tick is late by one step at most. After a start over a segment that was too old,
 * dropping its ephemeral instances is the only job, and the child is ready when that is done. */
#ifndef KEEPER_WORK_H
#define KEEPER_WORK_H

#include <ev.h>
#include <stdbool.h>

struct keeper;
struct slice;

struct work {
	bool stale;    /* old ephemeral instances are still being dropped */
	unsigned todo; /* a bit for each job that has work left in this tick */
	unsigned last; /* the job whose step was the last one */
	ev_idle idle;  /* runs while a tick has work left */
};

/* keeper->proc, loop, cleanup and expiry are there already. */
void work_init(struct keeper *keeper);
/* To be called at each tick. */
void work_begin(struct keeper *keeper);
/* Ends the turn that was about this slice. */
void work_end_turn(struct keeper *keeper, const struct slice *slice);

#endif
