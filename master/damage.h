/* SPDX-License-Identifier: Apache-2.0 */
/* damage.h - when the segment is given up.
 *
 * Two ways lead there: the keeper's check condemns it in the header (keeper/audit.h); or children
 * crash one after the other right after an attach: DAMAGE_CRASHES of them within DAMAGE_WINDOW_MS
 * of the start, however they came back. A crash is a death by one of the signals of a fault.
 *
 * All other deaths without a reason only ask for a check: later crashes, a child that we killed
 * because it hung, and at any time one that ended by an assert, which is never about what the
 * segment holds (assert.h). Neither a request that breaks a rule of this program nor a slow machine
 * must be able to throw the registry away.
 *
 * Then everybody leaves, and the next image of the master (exec) sets the file aside and makes a
 * new one; clients come back by their beats (20404). Not more than once in DAMAGE_GAP_MS: a segment
 * made by this image is kept until it is that old, condemned or not, so a machine with bad memory
 * does not restart all the time. */
#ifndef MASTER_DAMAGE_H
#define MASTER_DAMAGE_H

#include <signal.h>
#include <stdbool.h>

struct master;
struct child;

#define DAMAGE_CRASHES 4U /* fewer than the deaths that end a start (START_TRIES) */
#define DAMAGE_WINDOW_MS 60000U
#define DAMAGE_GAP_MS 60000U

/* Hooks of the plan. */
void damage_advance(struct master *m);
void damage_child_died(struct master *m, const struct child *child, const siginfo_t *info);

#endif
