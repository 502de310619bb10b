/* SPDX-License-Identifier: Apache-2.0 */
/* start.h - the plan of the start: when all children that are wanted are ready, the server serves.
 *
 * A start is given up when a child dies START_TRIES times in a row before it was ready. Of an image
 * that came by an upgrade, and of the segment of another layout, this is the moment in which they
 * take the place of the old ones. */
#ifndef MASTER_START_H
#define MASTER_START_H

#include <signal.h>

struct child;
struct master;

#define START_TRIES 6U /* deaths before ready in a row that end a start */

/* Hooks of the plan. */
void start_advance(struct master *m);
void start_child_died(struct master *m, const struct child *child, const siginfo_t *info);

#endif
