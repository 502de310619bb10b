/* SPDX-License-Identifier: Apache-2.0 */
/* drain.h - takes changed services off the change queue when their merge delay is over.
 *
 * A private word remembers which shards may have changed services: all of them at the start, since
 * a predecessor may have taken the shared word and died. For each shard it is known when its oldest
 * change is due; lists are first in, first out, so a later change is never due earlier. Shards take
 * turns.
 *
 * A wake-up that comes without a bit means "somebody died, look everywhere": a writer may die
 * between its commit and its announcement, and the master rings on every SIGCHLD. */
#ifndef PUSHER_DRAIN_H
#define PUSHER_DRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/registry/registry.h"

struct changed_service;
struct config;

struct drain {
	struct registry *reg;
	const struct config *config;
	uint64_t dirty;          /* a bit for each shard that may have some */
	uint64_t due_ms[SHARDS]; /* CLOCK_MONOTONIC; 0: look */
	unsigned turn;
	unsigned streak; /* services taken since none was due */
};

/* *drain is zero before, as the whole schedule is (schedule.h). */
void drain_init(struct drain *drain, struct registry *reg, const struct config *config);
/* To be called after a wake-up; `rings` is what was read from the eventfd. */
void drain_wake(struct drain *drain, uint64_t rings);
/* To be called when push.delay may have changed: every shard is looked at again. */
void drain_reload(struct drain *drain);
/* Takes the next service whose delay is over off its queue. Returns false when there is none, or
 * when the locks of those shards could not be had; they are tried again soon. */
bool drain_next(struct drain *drain, struct changed_service *changed_r, uint8_t *shard_r);
/* When the next one is due, in ms of CLOCK_MONOTONIC; UINT64_MAX when none is queued. */
uint64_t drain_due(const struct drain *drain);
/* A bit for each shard with queued services; exact after drain_next() returned false. */
uint64_t drain_pending(const struct drain *drain);
/* Do so many wait that packing quickly matters more than packing well? */
bool drain_is_long(const struct drain *drain);

#endif
