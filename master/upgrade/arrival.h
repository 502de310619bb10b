/* SPDX-License-Identifier: Apache-2.0 */
/* arrival.h - the new image of the master, from its first statement until the old image's children
 * have left.
 *
 * It finds the old children running and serving, adopts sockets, segment and descriptors, and
 * starts its own workers beside them (in the other bank of slots). When these are ready, the one
 * pusher and the one keeper of the old image are told to stop, and each is followed by its
 * successor as soon as it has left: never two of them, and what they owe stands in the segment.
 * When all are ready and the image has lived for ARRIVAL_PROVE_MS, the way back is given up and the
 * old workers are told to leave. Until then anything unexpected calls the old binary back
 * (fallback.h).
 *
 * The image that was called back goes the same way with the roles changed: its own children are
 * there, those of the failed image are told to leave. */
#ifndef MASTER_UPGRADE_ARRIVAL_H
#define MASTER_UPGRADE_ARRIVAL_H

#include <signal.h>
#include <stdbool.h>

#include "shared/base/err.h"

struct child;
struct master;

#define ARRIVAL_PROVE_MS 1000U

/* Is called before the configuration is read. Returns ERR_SYNTAX when the option was given by hand,
 * and why says so. */
int arrival_begin(struct master *m, char *why, unsigned why_size) MUST_CHECK;
/* For the image that was called back: takes the configuration it served with, whatever the file
 * says by now. */
int arrival_read_config(struct master *m) MUST_CHECK;
/* Adopts segment, sockets and descriptors, and logs what failed. */
int arrival_adopt(struct master *m) MUST_CHECK;
/* Adopts the tables of children, after spawn_init() and with the loop made, and begins what comes
 * next. */
void arrival_adopt_children(struct master *m);

/* Returns false while this image has to prove itself. */
bool arrival_is_proven(const struct master *m);
/* Everybody serves, and there is no way back from here. */
void arrival_confirm(struct master *m);
/* This image cannot serve. Does not return while there is a way back. */
void arrival_failed(struct master *m, const char *why);

/* Hooks of the plan. */
void arrival_advance(struct master *m);
/* When one of our own died this does not return while there is a way back. */
void arrival_child_died(struct master *m, const struct child *child, const siginfo_t *info);
/* Returns true for a role of one process while that of the other image is still there. */
bool arrival_blocks(const struct master *m, const struct child *child);
/* Keeps the handover page true. */
void arrival_record(struct master *m);

#endif
