/* SPDX-License-Identifier: Apache-2.0 */
/* registry_pusher.h - what the pusher does to the registry: it takes changed services off the
 * queue, notes what became of datagrams, and drops subscribers.
 *
 * Rules of locks, errors and deaths are those of registry.h. The pusher alone calls these, so it
 * may keep the reference of a subscriber beside its id. */
#ifndef REGISTRY_PUSHER_H
#define REGISTRY_PUSHER_H

#include "shared/registry/registry.h"

struct changed_service {
	struct name_copy name;
	uint64_t id;
	uint64_t changed; /* its revision at the take */
	uint64_t changed_at_ms;
	uint32_t change; /* enum change bits */
};

/* Takes the oldest changed service of the shard if its first change is at least min_age_ms old.
 * 1: taken; 0: none due, *wait_ms_r is the time until the next (UINT64_MAX: list empty). */
int registry_take_changed(struct registry *reg, uint32_t shard, uint32_t consumer, uint64_t now_ms,
                          uint64_t min_age_ms, struct changed_service *changed_r,
                          uint64_t *wait_ms_r) MUST_CHECK;

/* What became of datagrams. Unlogged words. */
struct delivery {
	uint64_t id;
	uint32_t off;
	uint64_t revision; /* SENT: service->changed that was sent */
	uint64_t key;      /* lastRefTime */
	uint64_t at_ms;
	uint32_t tries;
};
int registry_mark_sent(struct registry *reg, uint32_t shard, const struct delivery *d,
                       uint32_t count) MUST_CHECK;
/* Also renews the subscriber (seen = now of the health clock). */
int registry_mark_acked(struct registry *reg, uint32_t shard, const struct delivery *d,
                        uint32_t count) MUST_CHECK;
/* Drops subscribers (pusher only), each in a transaction of its own. An audience without
 * subscribers goes with the last one. */
int registry_unsubscribe(struct registry *reg, uint32_t shard, const struct keeper_entry *subs,
                         uint32_t count) MUST_CHECK;
/* The same, but leaves those alone that polled or acknowledged at or after `since_ms` (health
 * clock), as the lock sees it. Returns how many were dropped. */
int registry_unsubscribe_silent(struct registry *reg, uint32_t shard,
                                const struct keeper_entry *subs, uint32_t count,
                                uint64_t since_ms) MUST_CHECK;

#endif
