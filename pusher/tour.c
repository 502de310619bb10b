/* SPDX-License-Identifier: Apache-2.0 */
#include "pusher/tour.h"

#include <string.h>

#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/config/config.h"
#include "shared/registry/layout.h"
#include "shared/registry/subscribers.h"
#include "shared/shm/health.h"

/* A push of the predecessor that had both its datagrams comes back into flight if they were sent
 * less than so many waits ago: its ACK may still come. */
#define RECENT_WAITS 2U

void tour_init(struct tour *tour, struct rounds *rounds)
{
	tour->reg = rounds->tools.reg;
	tour->deliver = rounds->tools.deliver;
	tour->config = rounds->tools.config;
	tour->rounds = rounds;
}

/* Shards that are left stand in a word; the lowest bit is the next one. */
static void next_shard(struct tour *tour)
{
	tour->after = 0;
	tour->active = tour->shards != 0;
	if (tour->active)
		tour->shard = (uint32_t)__builtin_ctzll(tour->shards);
	tour->shards &= tour->shards - 1;
}

void tour_begin(struct tour *tour, bool owed, uint64_t shards)
{
	tour->owed = owed;
	tour->inside = false;
	tour->shards = shards;
	tour->subscribers = 0;
	next_shard(tour);
}

static void next_audience(struct tour *tour)
{
	int ret = registry_audience_after(tour->reg, tour->shard, tour->after, &tour->audience);

	ROSTER_ASSERT(tour->active && tour->shard < SHARDS);
	if (ret < 0)
		log_warning("op=push-tour shard=%u err=\"%s\"", tour->shard, err_str(ret));
	if (ret > 0) {
		tour->after = tour->audience.id;
		tour->inside = true;
		memset(&tour->cursor, 0, sizeof tour->cursor);
		return;
	}
	next_shard(tour);
}

/* Returns how many were read; 0 at the end of the audience, or when it cannot be read. */
static int read_audience_batch(struct tour *tour)
{
	struct service_key key = name_copy_key(&tour->audience.name);
	int n = 0;

	ROSTER_ASSERT(tour->inside);
	if (!tour->cursor.end)
		n = registry_subscribers(tour->reg, &key, &tour->cursor, tour->batch, ROUND_BATCH);
	if (n < 0)
		log_warning("op=push-tour shard=%u err=\"%s\"", tour->shard, err_str(n));
	ROSTER_ASSERT(n <= (int)ROUND_BATCH);
	return n < 0 ? 0 : n;
}

static void begin_owed_round(struct tour *tour)
{
	struct round_start start = {
		.name = &tour->audience.name,
		.shard = (uint8_t)tour->shard,
		.changed = tour->audience.service_changed,
		.owed = true,
		.fast = true,
	};

	ROSTER_ASSERT(tour->owed); /* a sweep begins none */
	/* The round looks at the whole audience, so the tour goes on behind it. */
	tour->inside = false;
	rounds_begin(tour->rounds, &start);
}

/* Who has the state in flight already is not behind: its ACK or its resend is still to come. */
static bool needs_round(const struct tour *tour, const struct subscriber_view *sub, bool zombie)
{
	uint64_t changed = tour->audience.service_changed;
	const struct inflight_entry *entry;

	if (!tour->owed || changed == 0 || !round_owes(sub, changed) ||
	    (zombie && !deliver_resend_owed(sub)))
		return false;
	entry = inflight_find(tour->deliver->inflight, (uint8_t)tour->shard, sub->id);
	return entry == NULL || entry->revision < changed;
}

/* Returns true when a round was begun, which looks at the whole audience itself. */
static bool visit_subscriber(struct tour *tour, const struct subscriber_view *sub,
                             uint64_t health_ms)
{
	bool zombie = zombies_is_one(sub, health_ms, tour->config->push_subscriber_life_ms);

	tour->subscribers++;
	if (needs_round(tour, sub, zombie)) {
		begin_owed_round(tour);
		return true;
	}
	if (zombie && zombies_may_drop(tour->deliver, (uint8_t)tour->shard, sub)) {
		zombies_add(&tour->zombies, sub);
		tour->subscribers--;
	}
	return false;
}

bool tour_may_go_on(const struct tour *tour)
{
	return tour->active && (!tour->owed || rounds_have_room_for_owed(tour->rounds));
}

void tour_step(struct tour *tour)
{
	uint64_t health_ms = health_now(tour->reg->seg);
	int i, n;

	if (!tour_may_go_on(tour))
		return;
	if (!tour->inside) {
		next_audience(tour);
		return;
	}
	n = read_audience_batch(tour);
	/* Zombies of the batch before are dropped now that the cursor has left them. */
	zombies_drop(&tour->zombies, tour->reg, tour->shard, tour->config->push_subscriber_life_ms);
	for (i = 0; i < n; i++) {
		if (visit_subscriber(tour, &tour->batch[i], health_ms))
			break;
	}
	/* The cursor is not used again after a round was begun, so nothing has to wait for the next
	 * batch. */
	if (i < n)
		zombies_drop(&tour->zombies, tour->reg, tour->shard,
		             tour->config->push_subscriber_life_ms);
	if (n == 0)
		tour->inside = false;
}

/* Says whether an ACK or a resend of the predecessor is still to be waited for. */
static bool recoverable(const struct tour *tour, const struct subscriber_view *sub)
{
	if ((sub->flags & SUBSCRIBER_PUSH) == 0 || sub->push_key == 0 ||
	    sub->sent_revision <= sub->acked_revision)
		return false;
	return sub->tries < 2 ||
	       (sub->tries == 2 &&
	        clock_mono_ms() - sub->sent_at_ms < RECENT_WAITS * tour->config->push_ack_wait_ms);
}

void tour_recover(struct tour *tour)
{
	int i, n;

	ROSTER_ASSERT(!tour->owed);
	if (!tour->inside) {
		next_audience(tour);
		return;
	}
	n = read_audience_batch(tour);
	for (i = 0; i < n; i++) {
		if (recoverable(tour, &tour->batch[i]))
			deliver_recover(tour->deliver, (uint8_t)tour->shard, &tour->batch[i]);
	}
	tour->subscribers += (uint64_t)n;
	tour->inside = n > 0;
}
