/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/registry/registry_internal.h"

#include "shared/registry/office.h"
#include "shared/shm/health.h"
#include "shared/shm/shard.h"

void registry_init(struct registry *reg, struct segment *seg)
{
	/* What has not beaten since began_ms is old after a long stop (registry_drop_stale()). */
	*reg = (struct registry){
		.seg = seg,
		.node = (uint8_t)seg->header->node,
		.began_ms = health_now(seg),
	};
}

/* Plain stores will do: nobody else maps the segment yet. */
int registry_format(struct segment *seg)
{
	ROSTER_ASSERT(seg->held == NULL);
	for (uint32_t shard = 0; shard < SHARDS; shard++) {
		struct registry_root *root = (struct registry_root *)seg->shards[shard].root;

		*root = (struct registry_root){ .first_service = 0 };
		table_init(&root->services, SLAB_SERVICE);
		table_init(&root->instances, SLAB_INSTANCE);
		table_init(&root->audiences, SLAB_AUDIENCE);
		table_init(&root->subscribers, SLAB_SUBSCRIBER);
	}
	office_format(seg);
	return 0;
}

/* The counters are read without the locks, so their sum was true at no one moment. */
static uint64_t stat_of(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

void registry_stats(struct registry *reg, struct registry_stats *stats_r)
{
	*stats_r = (struct registry_stats){ .services = 0 };
	for (uint32_t shard = 0; shard < SHARDS; shard++) {
		const struct registry_root *root =
		        (const struct registry_root *)reg->seg->shards[shard].root;

		stats_r->services += stat_of(&root->service_count);
		stats_r->instances += stat_of(&root->instance_count);
		stats_r->ephemeral += stat_of(&root->ephemeral_count);
		stats_r->healthy += stat_of(&root->healthy_count);
		stats_r->subscribers += stat_of(&root->subscriber_count);
		stats_r->waiting += stat_of(&root->waiting_count);
		stats_r->draining += stat_of(&root->drain_count);
		stats_r->bytes += stat_of(&root->bytes);
		stats_r->subscriber_bytes += stat_of(&root->subscriber_bytes);
		stats_r->queued += stat_of(&root->queue[QUEUE_PUSHER].count);
	}
}
