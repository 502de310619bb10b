/* SPDX-License-Identifier: Apache-2.0 */
#include "pusher/zombies.h"

#include "pusher/deliver.h"
#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/config/config.h"
#include "shared/metrics/metrics.h"
#include "shared/registry/registry_pusher.h"
#include "shared/registry/subscribers.h"
#include "shared/shm/health.h"

/* A resend that the segment says is owed, but that is not in flight, is made by a tour within
 * seconds. After so many waits it will not come any more: its mark could not be written. */
#define RESEND_WAITS 4U

bool zombies_is_one(const struct subscriber_view *sub, uint64_t health_ms, uint64_t life_ms)
{
	/* A poll may be later than the time that was read before it; then the difference would
	 * wrap. */
	return health_ms > sub->seen_ms && health_ms - sub->seen_ms > life_ms;
}

bool zombies_may_drop(struct deliver *deliver, uint8_t shard, const struct subscriber_view *sub)
{
	uint64_t now_ms = clock_mono_ms();

	if (inflight_find(deliver->inflight, shard, sub->id) != NULL)
		return false;
	return !deliver_resend_owed(sub) ||
	       now_ms - sub->sent_at_ms > RESEND_WAITS * deliver->config->push_ack_wait_ms;
}

void zombies_add(struct zombies *zombies, const struct subscriber_view *sub)
{
	/* One too many is found again by the next look. */
	if (zombies->count < ZOMBIES_BATCH)
		zombies->list[zombies->count++] = (struct keeper_entry){ sub->id, sub->off };
}

void zombies_drop(struct zombies *zombies, struct registry *reg, uint32_t shard, uint64_t life_ms)
{
	uint32_t count = zombies->count;
	uint64_t health_ms = health_now(reg->seg);
	int ret;

	ROSTER_ASSERT(count <= ZOMBIES_BATCH);
	zombies->count = 0;
	/* A clock that has not come that far has no zombies. */
	if (count == 0 || health_ms <= life_ms)
		return;
	ret = registry_unsubscribe_silent(reg, shard, zombies->list, count, health_ms - life_ms);
	if (ret < 0)
		log_warning("op=unsubscribe shard=%u count=%u err=\"%s\"", shard, count,
		            err_str(ret));
	else
		metric_add(METRIC_PUSH_ZOMBIES, (uint64_t)ret);
}
