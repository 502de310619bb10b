/* SPDX-License-Identifier: Apache-2.0 */
/* The order and the bounds of visits, against a registry that is only a table here. */
#include "keeper/brake.h"
#include "keeper/expiry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/registry/registry_keeper.h"
#include "shared/shm/brake_state.h"

#define FAKES 3000

struct fake {
	uint64_t id, due_ms;
	uint32_t shard, instances, size; /* size: instances to look at, for the budget */
	bool gone;
	int error;
	unsigned visits, holds;
	uint64_t last_now_ms;
	uint32_t overdue; /* instances that a visit removes, or holds */
	uint32_t heard;
	/* of the first of them, each following one of the next; 0: none has ever beaten */
	uint32_t source;
	bool together; /* all of that source */
};

static struct fake fakes[FAKES];
static unsigned fake_count, holds, longest_hold;
static uint64_t lowered[SHARDS];
static uint32_t order[100000];
static unsigned pulls, stop_at_hold;
static uint64_t now, ephemeral;

static struct fake *fake_add(uint32_t shard, uint64_t due_ms)
{
	struct fake *f = &fakes[fake_count++];

	*f = (struct fake){
		.id = fake_count, .shard = shard, .due_ms = due_ms, .instances = 1, .size = 1
	};
	return f;
}

uint64_t registry_last_id(struct registry *reg, uint32_t shard)
{
	uint64_t last = 0;

	(void)reg;
	for (unsigned i = 0; i < fake_count; i++)
		last = fakes[i].shard == shard ? fakes[i].id : last;
	return last;
}

uint64_t registry_due_lowered(struct registry *reg, uint32_t shard)
{
	(void)reg;
	return lowered[shard];
}

int registry_services_after(struct registry *reg, struct keeper_walks *walks, uint32_t shard,
                            uint64_t after, struct keeper_entry *out, uint32_t max)
{
	uint32_t n = 0;

	(void)reg, (void)walks;
	pulls++;
	for (unsigned i = 0; i < fake_count && n < max; i++) {
		if (fakes[i].shard == shard && fakes[i].id > after && !fakes[i].gone)
			out[n++] = (struct keeper_entry){ .id = fakes[i].id, .off = 1 };
	}
	return (int)n;
}

static void put_signs(const struct fake *f, struct expire_visit *visit)
{
	enum expire_state state = visit->hold_removals ? EXPIRE_LOST : EXPIRE_REMOVED;

	visit->sign_count = 0;
	if (visit->signs == NULL || f->source == 0 || f->gone)
		return;
	assert_true(f->overdue + f->heard <= visit->budget);
	for (uint32_t i = 0; i < f->overdue + f->heard; i++) {
		struct expire_sign *sign = &visit->signs[visit->sign_count++];

		sign->source = f->source + (f->together ? 0 : i);
		sign->state = (uint32_t)(i < f->overdue ? state : EXPIRE_HEARD);
	}
	visit->lost = f->overdue;
	visit->beating = f->overdue + f->heard;
}

int registry_expire(struct registry *reg, uint32_t shard, struct expire_visit *visit)
{
	struct fake *f = &fakes[visit->service.id - 1];
	uint32_t left = f->size - visit->resume_off,
	         n = left < visit->budget ? left : visit->budget;

	(void)reg;
	assert_int_equal(f->shard, shard);
	order[holds++ % 100000] = shard;
	if (holds == stop_at_hold)
		clock_set_for_test(1000 + SLICE_US, 1000);
	f->holds++;
	f->last_now_ms = visit->now_ms;
	if (f->error != 0)
		return f->error;
	longest_hold = n > longest_hold ? n : longest_hold;
	visit->gone = f->gone;
	visit->instances = f->instances;
	visit->resume_off += n;
	visit->resume_id = visit->resume_off;
	visit->done = visit->resume_off == f->size;
	visit->sign_count = 0;
	if (visit->done) {
		f->visits++;
		visit->due_ms = f->due_ms;
		visit->held = f->overdue;
		put_signs(f, visit);
	}
	if (visit->done && f->overdue > 0 && !visit->hold_removals) {
		visit->removed = f->overdue;
		visit->beating -= visit->lost;
		visit->lost = visit->held = f->overdue = 0;
		visit->due_ms = f->due_ms = UINT64_MAX;
	}
	return 0;
}

int registry_remove_empty(struct registry *reg, struct origin origin, uint32_t shard,
                          struct keeper_entry service)
{
	(void)reg;
	assert_int_equal(origin.cause, CAUSE_EMPTY);
	assert_int_equal(fakes[service.id - 1].shard, shard);
	fakes[service.id - 1].gone = true;
	return 0;
}

int registry_drain(struct registry *reg, uint32_t shard, uint32_t budget)
{
	(void)reg, (void)shard, (void)budget;
	return 0;
}

int registry_drop_stale(struct registry *reg, struct keeper_walks *walks, uint32_t shard,
                        uint32_t budget)
{
	(void)reg, (void)walks, (void)shard, (void)budget;
	return 0;
}

void registry_stats(struct registry *reg, struct registry_stats *stats_r)
{
	(void)reg;
	memset(stats_r, 0, sizeof(*stats_r));
	stats_r->ephemeral = ephemeral;
}

/* ---- the node under test --------------------------------------------------------------------- */

static struct registry reg;
static struct cleanup cleanup;
static struct expiry expiry;

static int setup(void **state)
{
	struct config config = { .empty_clean = true,
		                 .empty_delay_ms = 50000,
		                 .empty_period_ms = 30000 };

	(void)state;
	memset(fakes, 0, sizeof(fakes));
	memset(lowered, 0, sizeof(lowered));
	fake_count = holds = longest_hold = pulls = stop_at_hold = 0;
	now = 100000;
	clock_set_for_test(1000, 1000); /* stands still: a step ends when there is nothing left */
	cleanup_init(&cleanup, &reg, &config, 0);
	expiry_init(&expiry, &reg, &cleanup);
	log_set_level(LOG_LEVEL_ERROR);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	expiry_free(&expiry);
	clock_set_for_test(0, 0);
	return 0;
}

/* One slice of it. */
static bool step(void)
{
	struct slice slice;

	slice_begin(&slice, "test");
	return expiry_step(&expiry, &slice);
}

/* The first pass, up to the judgement. The clock stands still, so that is one slice. */
static void first_pass(void)
{
	assert_true(step());
	assert_int_equal(expiry.quiet, SHARDS);
}

/* Without a brake there is nothing to be judged. */
static void only_pass(void)
{
	first_pass();
	assert_false(step());
}

static void tick(uint64_t ms)
{
	now += ms;
	expiry_begin(&expiry, now, true);
	only_pass();
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_visits_when_due(void **state)
{
	struct fake *soon = fake_add(3, 103000), *never = fake_add(3, UINT64_MAX);

	(void)state;
	tick(0);
	assert_int_equal(expiry_count(&expiry), 2);
	assert_int_equal(soon->visits, 1); /* a new service at once */
	assert_int_equal(never->visits, 1);
	tick(1000);
	tick(1000);
	assert_int_equal(soon->visits, 1);
	tick(1000);
	assert_int_equal(soon->visits, 2);
	/* Still due: again at the next tick, not within this one. */
	tick(1000);
	assert_int_equal(soon->visits, 3);
	assert_int_equal(never->visits, 1);
	tick(5999);
	assert_int_equal(never->visits, 1);
	tick(1);
	assert_int_equal(never->visits, 2);
}

static void test_idle_tick_takes_no_lock(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < SHARDS; i++)
		fake_add(i, UINT64_MAX);
	tick(0);
	holds = pulls = 0;
	tick(1000);
	assert_int_equal(holds, 0);
	assert_int_equal(pulls, 0);
}

static void test_lowered_bound_visits_the_shard(void **state)
{
	struct fake *here = fake_add(5, UINT64_MAX), *there = fake_add(6, UINT64_MAX);

	(void)state;
	tick(0);
	lowered[5]++;
	tick(1000);
	assert_int_equal(here->visits, 2);
	assert_int_equal(there->visits, 1);
	tick(1000);
	assert_int_equal(here->visits, 2);
}

static void test_many_services_in_order(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2000; i++)
		fake_add(7, 101000 + (i * 7919) % 9000);
	tick(0);
	assert_int_equal(expiry_count(&expiry), 2000);
	for (unsigned i = 0; i < 2000; i++)
		assert_int_equal(fakes[i].visits, 1);
	tick(5000);
	for (unsigned i = 0; i < 2000; i++)
		assert_int_equal(fakes[i].visits, fakes[i].due_ms <= now ? 2 : 1);
}

static void test_gone_services_are_forgotten(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		fake_add(9, UINT64_MAX);
	tick(0);
	for (unsigned i = 0; i < 999; i++)
		fakes[i].gone = true;
	tick(10000);
	assert_int_equal(expiry_count(&expiry), 1);
	assert_true(expiry.shards[9].cap < 1000);
	fake_add(9, UINT64_MAX);
	tick(1000);
	assert_int_equal(expiry_count(&expiry), 2);
}

static void test_large_service_is_done_in_holds(void **state)
{
	struct fake *large = fake_add(1, UINT64_MAX), *other = fake_add(2, UINT64_MAX);
	unsigned before_other = 0;

	(void)state;
	large->size = 100 * EXPIRY_BUDGET + 1;
	tick(0);
	assert_int_equal(large->visits, 1);
	assert_int_equal(large->holds, 101);
	assert_int_equal(longest_hold, EXPIRY_BUDGET);
	assert_int_equal(other->visits, 1);
	while (order[before_other] != 2)
		before_other++;
	assert_true(before_other <= EXPIRY_TURN_HOLDS);
}

/* A bound that falls while its service is being visited is not lost. */
static void test_lowered_during_a_visit(void **state)
{
	struct fake *large = fake_add(1, UINT64_MAX);

	(void)state;
	large->size = 2 * EXPIRY_TURN_HOLDS * EXPIRY_BUDGET;
	stop_at_hold = 3;
	expiry_begin(&expiry, now, true);
	assert_true(step());
	assert_int_equal(large->holds, 3); /* the clock is looked at after each hold */
	lowered[1]++;
	tick(1000);
	assert_int_equal(large->visits, 1);
	tick(1000);
	assert_int_equal(large->visits, 2);
	tick(1000);
	assert_int_equal(large->visits, 2);
}

static void test_starting_shard_moves(void **state)
{
	uint32_t first[3];

	(void)state;
	for (uint32_t i = 0; i < SHARDS; i++)
		fake_add(i, 0);
	tick(0);
	for (unsigned i = 0; i < 3; i++) {
		holds = 0;
		tick(1000);
		first[i] = order[0];
		assert_int_equal(holds, SHARDS);
	}
	assert_int_not_equal(first[0], first[1]);
	assert_int_not_equal(first[1], first[2]);
}

static void test_error_spares_the_neighbours(void **state)
{
	struct fake *bad = fake_add(4, 0), *good = fake_add(4, 0), *other = fake_add(5, 0);

	(void)state;
	tick(0);
	bad->error = ERR_CORRUPT;
	tick(1000);
	assert_int_equal(bad->visits, 1);
	assert_int_equal(other->visits, 2);
	tick(1000);
	/* Its shard was left alone for one tick; the bad one is, for longer. */
	assert_true(good->visits >= 2);
	assert_int_equal(bad->holds, 2);
	assert_int_equal(other->visits, 3);
	bad->error = 0;
	tick(EXPIRY_VISIT_MAX_MS);
	assert_int_equal(bad->visits, 2);
}

static void test_switched_off(void **state)
{
	struct fake *f = fake_add(1, 0);

	(void)state;
	expiry_begin(&expiry, now, false);
	only_pass();
	assert_int_equal(f->visits, 1);
	assert_int_equal(f->last_now_ms, 0);
	now += 1000;
	expiry_begin(&expiry, now, false);
	only_pass();
	assert_int_equal(f->visits, 1);
}

/* ---- with a brake ---------------------------------------------------------------------------- */

static struct segment *seg;
static struct config config;
static struct brake brake;

static int setup_brake(void **state)
{
	if (setup(state) < 0 || segment_open_anonymous(16 << 20, &seg) < 0)
		return -1;
	config_defaults(&config);
	brake_init(&brake, seg, &config);
	expiry.brake = &brake;
	ephemeral = 1000;
	return 0;
}

static int teardown_brake(void **state)
{
	segment_close_for_test(&seg);
	return teardown(state);
}

/* To the end of the tick: both passes. */
static void whole_tick(uint64_t ms)
{
	now += ms;
	expiry_begin(&expiry, now, true);
	while (step())
		;
}

/* A service of instances that have beaten, each from a source of its own. */
static struct fake *fake_beating(uint32_t shard, uint32_t overdue, uint32_t heard)
{
	static uint32_t source = 1;
	struct fake *f = fake_add(shard, 0);

	f->overdue = overdue;
	f->heard = heard;
	f->source = source;
	source += overdue + heard;
	return f;
}

static void test_removes_in_a_second_pass(void **state)
{
	struct fake *some = fake_beating(1, 100, 0), *others = fake_beating(2, 0, 200);

	(void)state;
	expiry_begin(&expiry, now, true);
	first_pass();
	assert_int_equal(some->overdue, 100);
	assert_int_equal(others->visits, 1);
	assert_int_equal(expiry.lost, 100);
	assert_int_equal(expiry.beating, 300);
	assert_true(step()); /* the judgement */
	assert_true(expiry.removing);
	assert_int_equal(some->overdue, 100);
	first_pass();
	assert_int_equal(some->overdue, 0);
	assert_false(step());
	assert_int_equal(expiry.lost, 0);
	assert_int_equal(expiry.beating, 200);
	assert_int_equal(brake_window(&brake, now), 100);
	/* Over is over. */
	holds = 0;
	assert_false(step());
	assert_int_equal(holds, 0);
}

/* Each service alone is little; nothing goes before all are counted. */
static void test_holds_when_the_sum_is_too_much(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	for (uint32_t i = 0; i < 60; i++)
		fake_beating(i, 10, 0);
	whole_tick(0);
	for (uint32_t i = 0; i < 60; i++)
		assert_int_equal(fakes[i].overdue, 10);
	assert_int_equal(expiry.lost, 600);
	assert_true(brake_holds(&brake));
	assert_int_equal(fakes[0].visits, 2); /* once more to count its sources */
	/* Held services are looked at in each tick; sources are not counted again while nothing
	 * changes. */
	whole_tick(1000);
	assert_int_equal(fakes[0].visits, 3);
	/* Beats return in all but 15 services: a quarter is silent. */
	for (uint32_t i = 15; i < 60; i++) {
		fakes[i].overdue = 0;
		fakes[i].heard = 10;
	}
	whole_tick(1000);
	assert_false(brake_holds(&brake));
	assert_int_equal(fakes[0].overdue, 0);
	assert_int_equal(expiry.lost, 0);
	assert_int_equal(brake_window(&brake, now), 0);
}

static void test_gone_services_are_not_lost(void **state)
{
	struct fake *f = fake_beating(1, 200, 0);

	(void)state;
	whole_tick(0);
	assert_int_equal(expiry.lost, 200);
	assert_true(brake_holds(&brake));
	f->gone = true;
	whole_tick(1000);
	assert_int_equal(expiry.lost, 0);
	assert_int_equal(expiry.beating, 0);
	assert_false(brake_holds(&brake));
}

/* A shard that cannot be locked may hide beats, or their absence: it does not let go. */
static void test_a_partial_view_does_not_let_go(void **state)
{
	struct fake *f = fake_beating(1, 200, 0), *locked = fake_add(2, 0);

	(void)state;
	whole_tick(0);
	assert_true(brake_holds(&brake));
	f->heard = f->overdue;
	f->overdue = 0;
	locked->error = ERR_LOCK;
	whole_tick(1000);
	assert_true(brake_holds(&brake));
	locked->error = 0;
	whole_tick(1000);
	assert_false(brake_holds(&brake));
}

static void test_one_source_is_no_evidence(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		struct fake *f = fake_beating(i, 200, 0);

		f->together = true;
		f->source = 1000000;
	}
	fake_beating(10, 0, 200);
	whole_tick(0);
	assert_false(brake_holds(&brake));
	assert_int_equal(seg->brake->silent, 1);
	assert_int_equal(seg->brake->sources, 201);
	assert_int_equal(seg->brake->carried, 1000);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(fakes[i].overdue, 0);
	assert_int_equal(brake_window(&brake, now), 1000);
	/* Removed or there, it is one source. */
	whole_tick(1000);
	assert_int_equal(seg->brake->silent, 1);
	assert_int_equal(seg->brake->sources, 201);
	assert_int_equal(seg->brake->carried, 1000);
	assert_false(brake_holds(&brake));
}

/* One of its instances is heard: so is the source. */
static void test_a_source_is_silent_when_all_of_it_is(void **state)
{
	struct fake *f[30];

	(void)state;
	for (unsigned i = 0; i < 30; i++) {
		f[i] = fake_beating(i, 9, 1);
		f[i]->together = true;
	}
	whole_tick(0);
	assert_int_equal(expiry.lost + brake_window(&brake, now), 270);
	assert_false(brake_holds(&brake));
	assert_int_equal(seg->brake->silent, 0);
	assert_int_equal(f[0]->overdue, 0);
	assert_false(brake_holds(&brake));
	/* The last instance of each follows: with what was removed it is all of the source. */
	for (unsigned i = 0; i < 30; i++) {
		f[i]->overdue = 1;
		f[i]->heard = 0;
		f[i]->due_ms = 0;
	}
	whole_tick(EXPIRY_VISIT_MAX_MS);
	assert_true(brake_holds(&brake));
	assert_int_equal(seg->brake->silent, 30);
	assert_int_equal(seg->brake->carried, 300);
	assert_int_equal(f[0]->overdue, 1);
}

static void test_what_never_beat_is_removed_in_time(void **state)
{
	struct fake *script = fake_add(1, 0), *dead = fake_beating(2, 5, 0);

	(void)state;
	script->overdue = 1000;
	fake_beating(3, 0, 150);
	whole_tick(0);
	assert_int_equal(script->overdue, 0);
	assert_int_equal(dead->overdue, 0);
	assert_int_equal(brake_window(&brake, now), 5);
	assert_int_equal(dead->visits, 2); /* to flip, and to remove: nothing was asked */
}

static void test_rests_with_few_sources(void **state)
{
	struct fake *f[9];

	(void)state;
	for (unsigned i = 0; i < 9; i++) {
		f[i] = fake_beating(i, 0, 100);
		f[i]->together = true;
	}
	whole_tick(0);
	assert_int_equal(seg->brake->resting, 1);
	for (unsigned i = 0; i < 9; i++) {
		f[i]->overdue = 100;
		f[i]->heard = 0;
	}
	whole_tick(1000);
	assert_false(brake_holds(&brake));
	assert_int_equal(f[0]->overdue, 0);
	/* The tenth makes it a brake again. */
	fake_beating(20, 0, 200);
	whole_tick(EXPIRY_VISIT_MAX_MS);
	assert_int_equal(seg->brake->resting, 0);
}

/* What was removed counts for its source after the death of the keeper. */
static void test_a_new_keeper_knows_whose_were_removed(void **state)
{
	struct fake *first = fake_beating(1, 80, 0), *second = fake_beating(2, 0, 40),
	            *rest = fake_beating(3, 0, 80);

	(void)state;
	whole_tick(0);
	assert_int_equal(first->overdue, 0);
	expiry_free(&expiry);
	expiry_init(&expiry, &reg, &cleanup);
	brake_init(&brake, seg, &config);
	expiry.brake = &brake;
	second->overdue = 40;
	second->heard = 0;
	whole_tick(1000);
	assert_true(brake_holds(&brake));
	assert_int_equal(second->overdue, 40);
	assert_int_equal(seg->brake->silent, 120);
	assert_int_equal(seg->brake->sources, 200);
	assert_int_equal(rest->visits,
	                 4); /* two passes by the first keeper, then once more to count */
}

/* Without anybody asking sources are counted in the usual visits, in ten seconds. */
static void test_sources_are_counted_in_rounds(void **state)
{
	struct fake *f = fake_beating(1, 0, 50), *late;

	(void)state;
	f->due_ms = UINT64_MAX;
	whole_tick(0);
	assert_int_equal(seg->brake->sources, 50);
	late = fake_beating(2, 0, 7);
	late->due_ms = 0;
	for (unsigned i = 0; i < 9; i++)
		whole_tick(1000);
	assert_int_equal(seg->brake->sources, 50);
	assert_int_equal(late->visits, 9);
	whole_tick(1000);
	assert_int_equal(seg->brake->sources, 57);
	assert_int_equal(f->visits, 2);
	f->gone = true;
	whole_tick(EXPIRY_VISIT_MAX_MS);
	assert_int_equal(seg->brake->sources, 7);
}

/* Slices so short that a pass takes many ticks: it is not cut short, nothing goes before everything
 * was seen, and all of it is judged by one time. */
static void test_a_pass_over_many_ticks(void **state)
{
	struct fake *f = fake_add(1, 0), *large = fake_add(2, 0);
	uint64_t began = now + 1000;
	unsigned ticks = 0;

	(void)state;
	large->size = 200 * EXPIRY_BUDGET;
	f->overdue = 10;
	for (; large->visits == 0; ticks++) {
		assert_int_equal(f->overdue, 10);
		expiry_begin(&expiry, now += 1000, true);
		clock_set_for_test(1000, 1000);
		stop_at_hold = holds + 2;
		assert_true(step());
	}
	assert_true(ticks > 50);
	assert_int_equal(large->last_now_ms, began);
	assert_int_equal(f->visits, 1);
	assert_int_equal(f->overdue, 10);
	while (step())
		;
	assert_int_equal(f->overdue, 0);
	/* The hints of the meantime are followed by the next pass. */
	lowered[1]++;
	whole_tick(1000);
	assert_int_equal(f->last_now_ms, now);
}

/* Most of the node is silent, and a look at it takes many ticks: a new keeper holds at the end of
 * it, and has removed nothing. */
static void test_holds_after_a_look_of_many_ticks(void **state)
{
	unsigned ticks = 0;

	(void)state;
	for (uint32_t i = 0; i < 200; i++)
		fake_beating(i % SHARDS, 5, 0);
	for (; !brake_holds(&brake); ticks++) {
		assert_true(ticks < 1000);
		expiry_begin(&expiry, now += 1000, true);
		for (unsigned i = 0; i < 2; i++) {
			clock_set_for_test(1000, 1000);
			stop_at_hold = holds + 1;
			(void)step();
		}
		for (uint32_t i = 0; i < 200; i++)
			assert_int_equal(fakes[i].overdue, 5);
	}
	assert_true(ticks > 100);
	assert_int_equal(brake_window(&brake, now), 0);
}

/* A second pass that is not over with its tick goes no further: what was found since is judged
 * first. */
static void test_a_second_pass_ends_with_its_tick(void **state)
{
	struct fake *first = fake_beating(1, 60, 0), *second = fake_beating(2, 20, 0),
	            *rest = fake_beating(3, 0, 100);

	(void)state;
	rest->due_ms = UINT64_MAX; /* not in the second pass */
	expiry_begin(&expiry, now, true);
	first_pass();
	assert_true(step());
	assert_true(expiry.removing);
	stop_at_hold = holds + 1;
	assert_true(step());
	clock_set_for_test(1000, 1000);
	assert_int_equal(first->overdue + second->overdue, first->overdue == 0 ? 20 : 60);
	rest->overdue = 100;
	rest->heard = 0;
	rest->due_ms = 0;
	first->due_ms = second->due_ms = 0;
	whole_tick(EXPIRY_VISIT_MAX_MS);
	assert_true(brake_holds(&brake));
	assert_int_equal(rest->overdue, 100);
	assert_int_equal(first->overdue + second->overdue, first->overdue == 0 ? 20 : 60);
}

/* Going through every service is left to the turns of the shards. */
static void test_visiting_all_is_only_noted(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 2000; i++)
		fake_add(i % SHARDS, UINT64_MAX);
	tick(0);
	expiry_begin(&expiry, now += 1000, true);
	expiry_visit_all(&expiry);
	for (uint32_t i = 0; i < SHARDS; i++)
		assert_true(expiry.shards[i].heap[0].due_ms > now);
	stop_at_hold = holds + 100;
	assert_true(step());
	clock_set_for_test(1000, 1000);
	only_pass();
	for (uint32_t i = 0; i < 2000; i++)
		assert_int_equal(fakes[i].visits, 2);
}

/* ---- empty services -------------------------------------------------------------------------- */

static void run_tick(uint64_t mono_ms)
{
	expiry_begin(&expiry, now += 1000, true);
	if (cleanup_begin_run(&cleanup, mono_ms))
		expiry_visit_all(&expiry);
	only_pass();
}

static void test_fifth_empty_run_removes(void **state)
{
	struct fake *empty = fake_add(1, UINT64_MAX), *full = fake_add(1, UINT64_MAX),
	            *late = fake_add(2, UINT64_MAX);
	uint64_t mono_ms = 0;

	(void)state;
	empty->instances = late->instances = 0;
	for (unsigned run = 1; run <= 5; run++) {
		assert_false(empty->gone);
		late->instances = run == 3; /* breaks the row */
		for (uint64_t until = 50000 + (run - 1) * 30000ULL; mono_ms <= until;
		     mono_ms += 1000)
			run_tick(mono_ms);
	}
	assert_true(empty->gone);
	assert_false(full->gone);
	assert_false(late->gone);
	assert_int_equal(expiry_count(&expiry), 2);
	for (; mono_ms < 50000 + 7 * 30000; mono_ms += 1000)
		run_tick(mono_ms);
	assert_false(late->gone);
	run_tick(mono_ms);
	assert_true(late->gone);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_visits_when_due, setup, teardown),
		cmocka_unit_test_setup_teardown(test_idle_tick_takes_no_lock, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lowered_bound_visits_the_shard, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(test_many_services_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gone_services_are_forgotten, setup, teardown),
		cmocka_unit_test_setup_teardown(test_large_service_is_done_in_holds, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(test_lowered_during_a_visit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_starting_shard_moves, setup, teardown),
		cmocka_unit_test_setup_teardown(test_error_spares_the_neighbours, setup, teardown),
		cmocka_unit_test_setup_teardown(test_switched_off, setup, teardown),
		cmocka_unit_test_setup_teardown(test_removes_in_a_second_pass, setup_brake,
		                                teardown_brake),
		cmocka_unit_test_setup_teardown(test_holds_when_the_sum_is_too_much, setup_brake,
		                                teardown_brake),
		cmocka_unit_test_setup_teardown(test_gone_services_are_not_lost, setup_brake,
		                                teardown_brake),
		cmocka_unit_test_setup_teardown(test_a_partial_view_does_not_let_go, setup_brake,
		                                teardown_brake),
		cmocka_unit_test_setup_teardown(test_one_source_is_no_evidence, setup_brake,
		                                teardown_brake),
		cmocka_unit_test_setup_teardown(test_a_source_is_silent_when_all_of_it_is,
		                                setup_brake, teardown_brake),
		cmocka_unit_test_setup_teardown(test_what_never_beat_is_removed_in_time,
		                                setup_brake, teardown_brake),
		cmocka_unit_test_setup_teardown(test_rests_with_few_sources, setup_brake,
		                                teardown_brake),
		cmocka_unit_test_setup_teardown(test_a_new_keeper_knows_whose_were_removed,
		                                setup_brake, teardown_brake),
		cmocka_unit_test_setup_teardown(test_sources_are_counted_in_rounds, setup_brake,
		                                teardown_brake),
		cmocka_unit_test_setup_teardown(test_a_pass_over_many_ticks, setup_brake,
		                                teardown_brake),
		cmocka_unit_test_setup_teardown(test_holds_after_a_look_of_many_ticks, setup_brake,
		                                teardown_brake),
		cmocka_unit_test_setup_teardown(test_a_second_pass_ends_with_its_tick, setup_brake,
		                                teardown_brake),
		cmocka_unit_test_setup_teardown(test_visiting_all_is_only_noted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fifth_empty_run_removes, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
