/* SPDX-License-Identifier: Apache-2.0 */
/* stop.h - the end: all children leave in order, then the loop ends.
 *
 * Bounded (SIGTERM, SIGINT): who has not left after STOP_LIMIT_MS is killed. Not bounded (SIGQUIT):
 * they get the time they need; a SIGTERM later still bounds it.
 *
 * First every plan ends what it was doing (the hook `stop` of plan.h): children leave in order,
 * with what they have in hand. A plan may begin the stop; it goes on where it was, with m->state
 * changed. */
#ifndef MASTER_STOP_H
#define MASTER_STOP_H

struct master;

#define STOP_LIMIT_MS 10000U

/* SIGTERM, SIGINT; SIGQUIT. */
void stop_bounded(struct master *m);
void stop_unbounded(struct master *m);
/* The server cannot be started: everybody leaves, and the exit code is 1. */
void stop_failed(struct master *m, const char *why);
/* The segment is given up (damage.h): everybody leaves, and the master execs itself and sets the
 * segment aside. */
void stop_for_new_segment(struct master *m, const char *who);
/* The hook of the plan: tells the next ones to leave; when nobody runs any more, the loop ends. */
void stop_advance(struct master *m);

#endif
