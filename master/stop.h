/* SPDX-License-Identifier: Apache-2.0 */
/* stop.h - the end: all children leave in order, then the loop ends.
 *
 * Bounded (SIGTERM, SIGINT): who has not left after STOP_LIMIT_MS is killed. Not bounded
 * (SIGQUIT): they get the time they need; a SIGTERM later still bounds it. */
#ifndef MASTER_STOP_H
#define MASTER_STOP_H

#include <stdbool.h>

struct master;

#define STOP_LIMIT_MS 10000U

void stop_begin(struct master *m, int signal_number, bool bounded);
/* The server cannot be started: everybody leaves, exit code 1. */
void stop_failed(struct master *m, const char *why);
/* The segment is given up (damage.h): everybody leaves, it is set aside, exec of ourselves. */
void stop_for_new_segment(struct master *m, const char *who);
/* After each change among the children. */
void stop_advance(struct master *m);

#endif
