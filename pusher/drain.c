/* SPDX-License-Identifier: Apache-2.0 */
#include "pusher/drain.h"

#include <string.h>

#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/config/config.h"
#include "shared/registry/registry_pusher.h"

#define LONG_STREAK 32U /* services in a row make a long queue */
#define RETRY_MS 100U   /* after a lock that could not be had */

void drain_init(struct drain *drain, struct registry *reg, const struct config *config)
{
	drain->reg = reg;
	drain->config = config;
	drain->dirty = UINT64_MAX; /* a predecessor may have taken the word and died */
}

void drain_wake(struct drain *drain, uint64_t rings)
{
	uint64_t bits = queue_take_dirty(drain->reg->seg, QUEUE_PUSHER);

	/* Each writer that sets a bit rings once. More rings than bits came from somebody else: the
	 * master, after the death of a child. */
	if (rings > (uint64_t)__builtin_popcountll(bits)) {
		bits = UINT64_MAX;
		drain_reload(drain);
	}
	drain->dirty |= bits;
}

void drain_reload(struct drain *drain)
{
	memset(drain->due_ms, 0, sizeof drain->due_ms);
}

/* Takes one service of the shard, or notes when there may be one. */
static bool take_from_shard(struct drain *drain, unsigned shard, uint64_t now_ms,
                            struct changed_service *changed_r)
{
	uint64_t wait_ms = UINT64_MAX;
	int ret = registry_take_changed(drain->reg, shard, QUEUE_PUSHER, now_ms,
	                                drain->config->push_delay_ms, changed_r, &wait_ms);

	ROSTER_ASSERT(shard < SHARDS && (drain->dirty >> shard & 1) != 0);
	if (ret > 0)
		return true;
	if (ret < 0) {
		log_warning("op=push-take shard=%u err=\"%s\"", shard, err_str(ret));
		drain->due_ms[shard] = now_ms + RETRY_MS;
	} else if (wait_ms == UINT64_MAX) {
		drain->dirty &= ~(1ULL << shard);
		drain->due_ms[shard] = 0;
	} else {
		drain->due_ms[shard] = now_ms + wait_ms;
	}
	return false;
}

/* The shard behind the one that gave a service is asked first the next time, so that a shard with a
 * long queue does not keep the others waiting. */
bool drain_next(struct drain *drain, struct changed_service *changed_r, uint8_t *shard_r)
{
	uint64_t now_ms = clock_mono_ms();
	unsigned n, shard;

	ROSTER_ASSERT(drain->turn <= SHARDS);
	if (drain->dirty == 0) {
		drain->streak = 0;
		return false;
	}
	for (n = 0; n < SHARDS; n++) {
		shard = (drain->turn + n) % SHARDS;
		if ((drain->dirty >> shard & 1) == 0 || drain->due_ms[shard] > now_ms)
			continue;
		if (take_from_shard(drain, shard, now_ms, changed_r)) {
			*shard_r = (uint8_t)shard;
			drain->turn = shard + 1;
			drain->streak++;
			return true;
		}
	}
	drain->streak = 0;
	return false;
}

uint64_t drain_due(const struct drain *drain)
{
	uint64_t due_ms = UINT64_MAX, left = drain->dirty;
	unsigned shard;

	for (; left != 0; left &= left - 1) {
		shard = (unsigned)__builtin_ctzll(left);
		if (drain->due_ms[shard] < due_ms)
			due_ms = drain->due_ms[shard];
	}
	return due_ms;
}

uint64_t drain_pending(const struct drain *drain)
{
	return drain->dirty;
}

bool drain_is_long(const struct drain *drain)
{
	return drain->streak > LONG_STREAK;
}
