/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/audit.h"

#include <string.h>

#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/word.h"
#include "shared/config/config.h"
#include "shared/process/process.h"
#include "shared/registry/registry_audit.h"
#include "shared/shm/segment.h"

/* Counters only rise, so their sum tells whether anybody wished for an audit since it was read. */
static uint64_t wishes(const struct audit *a)
{
	const struct segment_header *header = a->reg->seg->header;

	return word_load(&header->audit_wanted) + word_load(&header->corrupt);
}

static void begin_pass(struct audit *a)
{
	ROSTER_ASSERT(a->fiber == NULL); /* that of the pass before is over */
	a->wishes = wishes(a);
	/* What is condemned already is not looked at again: it is served until the master has let
	 * everybody leave. */
	a->running = word_load(&a->reg->seg->header->damaged_ms) == 0;
	a->waiting = false;
	memset(a->left, true, sizeof(a->left));
	a->shard = a->done = 0;
	a->tries = a->steps = a->broken = a->lines = 0;
	a->again_ms = 0;
	a->began_us = clock_mono_us();
	__atomic_store_n(&a->reg->seg->header->audit_shard, 0, __ATOMIC_RELAXED);
}

void audit_init(struct audit *a, struct registry *reg, const struct config *config, int master_fd,
                uint64_t mono_ms)
{
	*a = (struct audit){ .reg = reg, .master_fd = master_fd };
	audit_configure(a, config, mono_ms);
	begin_pass(a);
}

void audit_configure(struct audit *a, const struct config *config, uint64_t mono_ms)
{
	/* Only another period moves the next pass; frequent reloads must not put it off for
	 * ever. */
	if (a->period_ms != config->segment_check_ms)
		a->next_ms = mono_ms + config->segment_check_ms;
	a->period_ms = config->segment_check_ms;
}

void audit_tick(struct audit *a, uint64_t mono_ms)
{
	bool due = a->period_ms != 0 && mono_ms >= a->next_ms;

	a->waiting = false;
	if (due)
		a->next_ms = mono_ms + a->period_ms;
	due = due || (a->again_ms != 0 && mono_ms >= a->again_ms);
	if (!a->running && (due || wishes(a) != a->wishes))
		begin_pass(a);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static void report_broken(const char *text, void *arg)
{
	struct audit *a = arg;

	if (a->lines++ < AUDIT_LINES)
		log_error("op=check-segment broken=\"%s\"", text);
}

/* The segment is condemned at the first finding, so that the master knows even if this process dies
 * at the next one. */
static void note_broken(struct audit *a, unsigned broken)
{
	struct segment *seg = a->reg->seg;

	if (broken == 0)
		return;
	a->broken += broken;
	__atomic_fetch_add(&seg->header->audit_broken, broken, __ATOMIC_RELAXED);
	segment_condemn(seg);
}

/* Finds what can be found in a shard that is written to all the time. The shard still counts as
 * left out. */
static void audit_beside_writers(struct audit *a, uint32_t slice)
{
	int ret = registry_audit_busy(a->reg, a->shard, slice, report_broken, a);

	if (ret > 0)
		note_broken(a, (unsigned)ret);
}

static void audit_shard(struct audit *a)
{
	uint32_t slice = a->tries == 0 ? AUDIT_SLICE : 2 * AUDIT_SLICE;
	int ret = registry_audit_shard(a->reg, a->shard, slice, report_broken, a);

	if (ret == ERR_AGAIN) {
		if (a->tries + 1 == AUDIT_TRIES)
			audit_beside_writers(a, slice);
		return;
	}
	if (ret == ERR_CORRUPT)
		report_broken("a shard's lock is lost", a);
	else if (ret < 0) /* no memory, or its holder is stuck: the next pass looks again */
		log_warning("op=check-segment shard=%u err=\"%s\"", a->shard, err_str(ret));
	note_broken(a, ret == ERR_CORRUPT ? 1 : ret > 0 ? (unsigned)ret : 0);
	ROSTER_ASSERT(a->left[a->shard] && a->done < SHARDS_ALL);
	a->left[a->shard] = false;
	a->done++;
}

/* Another pass begins in a while. It looks at all shards again, since what this one found of the
 * others is a minute old by then. */
static void leave_out_shards(struct audit *a)
{
	ROSTER_ASSERT(a->done < SHARDS_ALL);
	log_info("op=check-segment result=incomplete left=%u note=\"written to all the time\"",
	         SHARDS_ALL - a->done);
	a->again_ms = clock_mono_ms() + AUDIT_AGAIN_MS;
}

static void finish_pass(struct audit *a)
{
	struct segment *seg = a->reg->seg;
	unsigned long long us = clock_mono_us() - a->began_us;

	ROSTER_ASSERT(a->running && !a->waiting);
	note_broken(a, registry_audit_rest(a->reg, report_broken, a));
	a->running = false;
	/* What the audit itself ran into is no reason for another one. */
	if (a->broken > 0)
		a->wishes = wishes(a);
	__atomic_fetch_add(&seg->header->audit_passes, 1, __ATOMIC_RELAXED);
	if (a->broken == 0 && a->done < SHARDS_ALL)
		leave_out_shards(a);
	else if (a->broken == 0)
		log_debug("op=check-segment result=clean steps=%u us=%llu", a->steps, us);
	if (a->broken == 0)
		return;
	log_error("op=check-segment result=damaged broken=%u steps=%u us=%llu", a->broken, a->steps,
	          us);
	process_wake(a->master_fd);
}

/* What the fiber does: one sweep through the shards that are left. */
static void sweep(void *arg)
{
	struct audit *a = arg;

	ROSTER_ASSERT(a->tries < AUDIT_TRIES);
	for (a->shard = 0; a->shard < SHARDS_ALL; a->shard++) {
		if (!a->left[a->shard])
			continue;
		audit_shard(a);
		if (fiber_pause() < 0)
			return;
	}
	a->waiting = a->done < SHARDS_ALL && ++a->tries < AUDIT_TRIES;
	if (!a->waiting)
		finish_pass(a);
}

bool audit_step(struct audit *a, struct slice *slice)
{
	if (!a->running || a->waiting)
		return false;
	a->steps++;
	slice->kind = "audit";
	/* Without memory for the fiber it is tried again with the next tick. */
	if (a->fiber == NULL && (a->fiber = fiber_new(sweep, a)) == NULL)
		a->waiting = true;
	else if (fiber_run(a->fiber, SLICE_US, false))
		a->fiber = NULL;
	(void)slice_spent(slice, a->shard, 0);
	/* What belongs to no shard is one part more. */
	__atomic_store_n(&a->reg->seg->header->audit_shard, a->done + !a->running,
	                 __ATOMIC_RELAXED);
	return a->running && !a->waiting;
}

void audit_free(struct audit *a)
{
	fiber_end(&a->fiber);
}
