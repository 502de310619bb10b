/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/audit.h"

#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/config/config.h"
#include "shared/process/process.h"
#include "shared/shm/segment.h"

static uint64_t peek(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static uint64_t wishes(const struct audit *a)
{
	const struct segment_header *header = a->reg->seg->header;

	return peek(&header->check_wanted) + peek(&header->corrupt);
}

static void begin(struct audit *a)
{
	a->wishes = wishes(a);
	a->running = peek(&a->reg->seg->header->damaged_ms) == 0;
	a->shard = a->tries = a->steps = a->broken = a->lines = 0;
	a->began_us = clock_mono_us();
	__atomic_store_n(&a->reg->seg->header->check_shard, 0, __ATOMIC_RELAXED);
}

void audit_init(struct audit *a, struct registry *reg, const struct config *config, int master_fd, uint64_t mono_ms)
{
	*a = (struct audit){ .reg = reg, .master_fd = master_fd };
	audit_configure(a, config, mono_ms);
	begin(a);
}

void audit_configure(struct audit *a, const struct config *config, uint64_t mono_ms)
{
	if (a->period_ms != config->segment_check_ms)
		a->next_ms = mono_ms + config->segment_check_ms;
	a->period_ms = config->segment_check_ms;
}

void audit_tick(struct audit *a, uint64_t mono_ms)
{
	bool due = a->period_ms != 0 && mono_ms >= a->next_ms;

	if (due)
		a->next_ms = mono_ms + a->period_ms;
	if (!a->running && (due || wishes(a) != a->wishes))
		begin(a);
}

/* ---- steps ------------------------------------------------------------------- */

static void say(const char *text, void *arg)
{
	struct audit *a = arg;

	if (a->lines++ < AUDIT_LINES)
		log_error("op=check-segment broken=\"%s\"", text);
}

/* Condemned at the first finding: if this process died at the next one, the master would know. */
static void found(struct audit *a, unsigned broken)
{
	struct segment *seg = a->reg->seg;

	if (broken == 0)
		return;
	a->broken += broken;
	__atomic_fetch_add(&seg->header->check_broken, broken, __ATOMIC_RELAXED);
	segment_condemn(seg);
}

/* The slice for the next try; the last one cannot be disturbed. */
static uint32_t slice_of(const struct audit *a)
{
	return a->tries + 1 >= AUDIT_TRIES ? UINT32_MAX : AUDIT_SLICE << 2 * a->tries;
}

static void check_shard(struct audit *a)
{
	int ret = registry_check_shard(a->reg, a->shard, slice_of(a), say, a);

	if (ret == ERR_AGAIN) {
		a->tries++;
		return;
	}
	if (ret == ERR_CORRUPT)
		say("a shard's lock is lost", a);
	else if (ret < 0) /* no memory, or its holder is stuck: the next pass looks again */
		log_warning("op=check-segment shard=%u err=\"%s\"", a->shard, err_str(ret));
	found(a, ret == ERR_CORRUPT ? 1 : ret > 0 ? (unsigned)ret : 0);
	a->tries = 0;
	a->shard++;
}

static void finish(struct audit *a)
{
	struct segment *seg = a->reg->seg;
	unsigned long long us = clock_mono_us() - a->began_us;

	found(a, registry_check_rest(a->reg, say, a));
	a->running = false;
	/* What the check itself ran into is no reason for another one. */
	if (a->broken > 0)
		a->wishes = wishes(a);
	__atomic_fetch_add(&seg->header->check_passes, 1, __ATOMIC_RELAXED);
	if (a->broken == 0) {
		log_debug("op=check-segment result=clean steps=%u us=%llu", a->steps, us);
		return;
	}
	log_error("op=check-segment result=damaged broken=%u steps=%u us=%llu", a->broken, a->steps, us);
	process_wake(a->master_fd);
}

bool audit_step(struct audit *a)
{
	if (!a->running)
		return false;
	a->steps++;
	if (a->shard < SHARDS_ALL)
		check_shard(a);
	else
		finish(a);
	__atomic_store_n(&a->reg->seg->header->check_shard, a->shard + !a->running, __ATOMIC_RELAXED);
	return a->running;
}
