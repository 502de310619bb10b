/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/cleanup.h"

#include "shared/base/assert.h"
#include "shared/base/log.h"
#include "shared/metrics/metrics.h"

void cleanup_init(struct cleanup *c, struct registry *reg, const struct config *config,
                  uint64_t mono_ms)
{
	*c = (struct cleanup){ .reg = reg, .next_run_ms = mono_ms + config->empty_delay_ms };
	c->enabled = config->empty_clean;
	c->period_ms = config->empty_period_ms;
}

void cleanup_configure(struct cleanup *c, const struct config *config, uint64_t mono_ms)
{
	c->enabled = config->empty_clean;
	if (c->period_ms != config->empty_period_ms &&
	    c->next_run_ms > mono_ms + config->empty_period_ms)
		c->next_run_ms = mono_ms + config->empty_period_ms;
	c->period_ms = config->empty_period_ms;
}

/* ---- empty services -------------------------------------------------------------------------- */

bool cleanup_begin_run(struct cleanup *c, uint64_t mono_ms)
{
	if (mono_ms < c->next_run_ms)
		return false;
	/* Runs come at a fixed rate; those missed while the process stood still are not made up
	 * for. */
	c->next_run_ms += c->period_ms;
	if (c->next_run_ms <= mono_ms)
		c->next_run_ms = mono_ms + c->period_ms;
	/* The rate goes on while cleaning is switched off. */
	if (!c->enabled)
		return false;
	c->run++;
	return true;
}

static bool remove_empty(struct cleanup *c, uint32_t shard, struct keeper_entry service)
{
	const struct origin origin = { .writer = WRITER_CLIENT,
		                       .node = c->reg->node,
		                       .cause = CAUSE_EMPTY };
	int ret = registry_remove_empty(c->reg, origin, shard, service);

	if (ret == 0)
		metric_add(METRIC_EMPTY_SERVICES_REMOVED, 1);
	else if (ret != ERR_AGAIN && ret != ERR_NOT_FOUND)
		log_warning("op=remove-empty shard=%u service=%#llx err=\"%s\"", shard,
		            (unsigned long long)service.id, err_str(ret));
	/* With ERR_AGAIN an instance came in since the look. Whoever else removed it, it is
	 * gone. */
	return ret == 0 || ret == ERR_NOT_FOUND;
}

bool cleanup_judge(struct cleanup *c, uint32_t shard, struct keeper_entry service,
                   struct cleanup_mark *mark, uint32_t instances)
{
	/* A service that is visited twice in a run is judged by the first visit. */
	if (mark->run == c->run)
		return false;
	ROSTER_ASSERT(mark->empty_runs < CLEANUP_EMPTY_RUNS);
	mark->run = c->run;
	if (instances > 0) {
		mark->empty_runs = 0;
		return false;
	}
	if (++mark->empty_runs < CLEANUP_EMPTY_RUNS)
		return false;
	/* The removal may be refused, because an instance came in since the look. The count begins
	 * anew then. */
	mark->empty_runs = 0;
	return remove_empty(c, shard, service);
}

/* ---- steps over all shards ------------------------------------------------------------------- */

typedef int shard_fn(struct cleanup *c, uint32_t shard);

/* Goes through each shard to its end before the next one, since a walk knows a place in one shard
 * only. After an error the shard is left alone until its bit is set again. */
static bool step_shards(struct cleanup *c, uint64_t *bits, shard_fn *fn, const char *what,
                        struct slice *slice)
{
	slice->kind = what;
	while (*bits != 0) {
		uint32_t shard = (uint32_t)__builtin_ctzll(*bits);
		int left = fn(c, shard);

		if (left < 0)
			log_warning("op=%s shard=%u err=\"%s\"", what, shard, err_str(left));
		/* The lowest bit is that of this shard, which is done or has failed. */
		if (left <= 0)
			*bits &= *bits - 1;
		if (slice_spent(slice, shard, 0))
			break;
	}
	return *bits != 0;
}

void cleanup_begin_drain(struct cleanup *c)
{
	c->draining = UINT64_MAX;
}

static int drain_shard(struct cleanup *c, uint32_t shard)
{
	return registry_drain(c->reg, shard, CLEANUP_BUDGET);
}

bool cleanup_drain_step(struct cleanup *c, struct slice *slice)
{
	return step_shards(c, &c->draining, drain_shard, "drain", slice);
}

void cleanup_begin_compact(struct cleanup *c, uint64_t mono_ms)
{
	if (mono_ms < c->compact_ms)
		return;
	c->compact_ms = mono_ms + CLEANUP_COMPACT_MS;
	for (uint32_t shard = 0; shard < SHARDS; shard++)
		/* A shard that is still in work keeps its bit. */
		c->wasteful |= (uint64_t)registry_wasteful(c->reg, shard) << shard;
}

static int compact_shard(struct cleanup *c, uint32_t shard)
{
	uint32_t moved;
	int ret = registry_compact(c->reg, &c->walks, shard, CLEANUP_BUDGET, &moved);

	metric_add(METRIC_COMPACT_MOVED, moved);
	return ret;
}

bool cleanup_compact_step(struct cleanup *c, struct slice *slice)
{
	return step_shards(c, &c->wasteful, compact_shard, "compact", slice);
}

static uint64_t ephemeral_count(struct cleanup *c)
{
	struct registry_stats stats;

	registry_stats(c->reg, &stats);
	return stats.ephemeral;
}

void cleanup_begin_stale(struct cleanup *c)
{
	c->stale = UINT64_MAX;
	c->ephemeral_before = ephemeral_count(c);
}

static int drop_stale_shard(struct cleanup *c, uint32_t shard)
{
	return registry_drop_stale(c->reg, &c->walks, shard, CLEANUP_BUDGET);
}

bool cleanup_stale_step(struct cleanup *c, struct slice *slice)
{
	uint64_t left;

	if (step_shards(c, &c->stale, drop_stale_shard, "drop-stale", slice))
		return true;
	left = ephemeral_count(c);
	/* What clients registered meanwhile cannot be told apart: the number is for people. */
	if (c->ephemeral_before > left)
		metric_add(METRIC_STALE_DROPPED, c->ephemeral_before - left);
	log_info("op=drop-stale before=%llu left=%llu", (unsigned long long)c->ephemeral_before,
	         (unsigned long long)left);
	return false;
}
