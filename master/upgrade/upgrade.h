/* SPDX-License-Identifier: Apache-2.0 */
/* upgrade.h - SIGUSR2: the same process goes on as another binary, and no client notices.
 *
 *     old image   begin -> trial (trial.h) -> fill the handover page -> exec in place
 *     new image   arrival.h: takes over, starts its own children beside the old ones, proves
 *                 itself, dismisses the old ones
 *     another layout: between trial and exec everybody stands still and the registry goes into a
 *     snapshot (convert.h)
 *     on failure  before the exec: refused, nothing has changed; after it: the old binary is called
 *                 back (fallback.h)
 *
 * The binary is the path the first image was started by, looked up again; it is opened once, so
 * that what was tried is what runs. One upgrade at a time: until the children of the former image
 * have left, the next is refused. */
#ifndef MASTER_UPGRADE_UPGRADE_H
#define MASTER_UPGRADE_UPGRADE_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "master/upgrade/trial.h"

struct child;
struct handover;
struct master;

enum upgrade_step {
	UPGRADE_NONE,
	UPGRADE_TRYING,   /* old image: the trial runs */
	UPGRADE_ARRIVING, /* new image: may still be taken back */
	UPGRADE_LEAVING   /* either image: the other's children have been told to leave */
};

struct upgrade {
	enum upgrade_step step;
	struct handover *page;
	int page_fd, next_fd;
	uint64_t begun_ms;
	bool back;      /* this image was called back */
	bool converted; /* the handover has a snapshot: the images have different segments */
	bool proven;    /* it has lived for ARRIVAL_PROVE_MS */
	struct trial trial;
	ev_timer prove, drain;
	unsigned drain_round;
};

/* SIGUSR2 */
void upgrade_begin(struct master *m);
/* Gives back the page and its descriptors, which are no longer needed. */
void upgrade_release(struct master *m);

/* Hooks of the plan. */
/* Looks whether the trial has ended, and goes on by its result. */
void upgrade_advance(struct master *m);
void upgrade_in_child(struct master *m, const struct child *self);
/* From here on there is no way forward or back. */
void upgrade_stop(struct master *m);

#endif
