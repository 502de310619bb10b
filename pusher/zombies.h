/* SPDX-License-Identifier: Apache-2.0 */
/* zombies.h - subscribers to be dropped: neither polled nor acknowledged for push.subscriber_life.
 *
 * They are collected while a list of subscribers is read and dropped one batch later, so that the
 * cursor never stands on one that is gone. Nobody is dropped who has a push in flight or is owed a
 * resend.
 *
 * A poll that comes between the look and the drop saves its subscriber: the time is compared again
 * under the lock (Java clients poll some ms after their 10 s, so this does happen). */
#ifndef PUSHER_ZOMBIES_H
#define PUSHER_ZOMBIES_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/registry/registry.h"

#define ZOMBIES_BATCH 64U

struct deliver;
struct subscriber_view;

struct zombies {
	uint32_t count;
	struct keeper_entry list[ZOMBIES_BATCH];
};

bool zombies_is_one(const struct subscriber_view *sub, uint64_t health_ms, uint64_t life_ms);
/* May the zombie be dropped now? */
bool zombies_may_drop(struct deliver *deliver, uint8_t shard, const struct subscriber_view *sub);
/* Notes one that is to be dropped, at most ZOMBIES_BATCH of them between two drops. */
void zombies_add(struct zombies *zombies, const struct subscriber_view *sub);
void zombies_drop(struct zombies *zombies, struct registry *reg, uint32_t shard, uint64_t life_ms);

#endif
