/* SPDX-License-Identifier: Apache-2.0 */
/* watch.h - who is ready and who is stuck.
 *
 * A child whose loop turns too long is killed; so is one that is not ready in time, and the owner
 * of a lock others wait for, when it is our own child and really holds the lock. */
#ifndef MASTER_WATCH_H
#define MASTER_WATCH_H

struct master;

#define WATCH_PERIOD_MS 1000U
#define WATCH_BUSY_MS 1000U   /* then it counts as busy, and siblings accept for it (orphans.h) */
#define WATCH_START_MS 30000U /* a child that is not ready by then is killed */

void watch_start(struct master *m);
/* A child rang: its state changed, or a lock is stuck. */
void watch_ring(struct master *m);

#endif
