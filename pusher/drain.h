/* SPDX-License-Identifier: Apache-2.0 */
/* drain.h - takes changed services off the change queue when their merge delay is over.
 *
 * A private word remembers which shards may have some (all of them at start: a predecessor may have taken
 * the shared word and died), and per shard when its oldest change is due; lists are first in, first out, so a
 * later change never is due earlier. Shards take turns.
 *
 * A wake-up that comes without a bit means "somebody died, look everywhere": a writer may die between its
 * commit and its announcement, and the master rings on every SIGCHLD. */
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
	uint64_t dirty;
	uint64_t due_ms[SHARDS]; /* CLOCK_MONOTONIC; 0: look */
	unsigned turn;
	unsigned streak; /* services taken since none was due */
};

/* Zero before, as the whole schedule is (schedule.h). */
void drain_init(struct drain *drain, struct registry *reg, const struct config *config);
/* rings: what was read from the eventfd. */
void drain_wake(struct drain *drain, uint64_t rings);
/* push.delay changed. */
void drain_reload(struct drain *drain);
/* A service whose delay is over: true. */
bool drain_next(struct drain *drain, struct changed_service *changed_r, uint8_t *shard_r);
/* CLOCK_MONOTONIC ms of the next one, UINT64_MAX: none is queued. */
uint64_t drain_due(const struct drain *drain);
/* Shards with queued services; exact after drain_next() returned false. */
uint64_t drain_pending(const struct drain *drain);
/* So many wait that packing quickly matters more than packing well. */
bool drain_is_long(const struct drain *drain);

#endif
