/* SPDX-License-Identifier: Apache-2.0 */
/* watch.h - who is ready, who is stuck, and whose socket needs a sitter.
 *
 * A listening socket without a ready, running and moving worker is an orphan: its bit on
 * the board is set and every worker gets a notice, so siblings accept from it until the
 * successor is ready; that of a worker that was taken away, until there is one more again.
 *
 * A child whose loop turns too long is killed; so is the owner of a lock others wait for, when it is our own child and
 * really holds the lock. */
#ifndef MASTER_WATCH_H
#define MASTER_WATCH_H

struct master;

#define WATCH_PERIOD_MS 1000U
#define WATCH_BUSY_MS 1000U
#define WATCH_START_MS 30000U /* a child that is not ready by then is killed */

void watch_start(struct master *m);
void watch_stop(struct master *m);
/* A child rang: its state changed, or a lock is stuck. */
void watch_ring(struct master *m);
void watch_update_orphans(struct master *m);

#endif
