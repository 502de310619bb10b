/* SPDX-License-Identifier: Apache-2.0 */
/* reap.h - what SIGCHLD says: who left, who was stopped, who goes on.
 *
 * What that means for a plan is the plan's business (plan.h): here the death is logged, the slot is
 * freed, and whoever is still wanted gets a successor. */
#ifndef MASTER_REAP_H
#define MASTER_REAP_H

struct master;

/* Waits for each child of the table by its pid, so that the status of a helper (a trial, a
 * snapshot) stays for whoever started it. One that the table has and the kernel does not was waited
 * for by an image that failed before it could write that down: it counts as dead, with an exit code
 * of -1. */
void reap_children(struct master *m);

#endif
