/* SPDX-License-Identifier: Apache-2.0 */
/* When the node brake holds and lets go, over a segment that outlives keepers. */
#include "keeper/brake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/base/log.h"
#include "shared/metrics/metrics.h"
#include "shared/registry/registry_keeper.h"
#include "shared/shm/brake_state.h"
#include "shared/shm/fault.h"
#include "tests/unit/child_fixture.h"

#define START 86400000ULL

static struct segment *seg;
static struct config config;
static struct brake brake;
static uint64_t now;

static int setup(void **state)
{
	(void)state;
	config_defaults(&config);
	log_set_level(LOG_LEVEL_ERROR);
	if (segment_open_anonymous(16 << 20, &seg) < 0)
		return -1;
	metrics_use(&seg->slots[0]);
	brake_init(&brake, seg, &config);
	now = START;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	metrics_use(NULL);
	segment_close_for_test(&seg);
	return 0;
}

/* Sources are any numbers but 0. Those that are there, those of which something was removed: */
#define THERE 1U
#define GONE 1000000U

static uint32_t gone_last;

/* Of a source each. */
static void removed(uint64_t now_ms, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct expire_sign signs[2] = { { THERE, EXPIRE_HEARD },
			                              { GONE + gone_last++, EXPIRE_REMOVED } };

		brake_removed(&brake, now_ms, signs, 2);
	}
}

static struct brake_sight sight_of(uint64_t instances, uint64_t lost)
{
	struct brake_sight sight = { .now_ms = now,
		                     .instances = instances,
		                     .beating = instances,
		                     .lost = lost,
		                     .held = lost / 2 };

	sight.complete = true;
	return sight;
}

/* A source an instance, unless `each` says how many it has. */
static bool judge_of(uint64_t instances, uint64_t lost, uint32_t each)
{
	struct brake_sight sight = sight_of(instances, lost);
	struct census census = { .seed = 0 };
	bool holds;

	for (uint32_t i = 0; i < instances; i++)
		census_add(&census, THERE + i / each, i < lost ? EXPIRE_LOST : EXPIRE_HEARD);
	brake_weigh(&brake, &census, now, &sight.evidence);
	holds = brake_judge(&brake, &sight);
	census_free(&census);
	return holds;
}

static bool judge(uint64_t instances, uint64_t lost)
{
	return judge_of(instances, lost, 1);
}

static uint64_t count_of(enum metric id)
{
	return metric_sum(seg, id);
}

/* A keeper died; the next one knows only the segment. */
static void new_keeper(void)
{
	memset(&brake, 0xff, sizeof(brake));
	brake_init(&brake, seg, &config);
}

/* ---- the sliding period ---------------------------------------------------------------------- */

static void test_window_slides(void **state)
{
	(void)state;
	removed(now, 3);
	removed(now + 999, 4);
	removed(now + 1000, 5);
	assert_int_equal(brake_window(&brake, now + 1000), 12);
	assert_int_equal(brake_window(&brake, now + 59999), 12);
	assert_int_equal(brake_window(&brake, now + 60000), 5);
	assert_int_equal(brake_window(&brake, now + 61000), 0);
	/* The same bucket a round later. */
	removed(now + 120000, 1);
	assert_int_equal(brake_window(&brake, now + 120000), 1);
	removed(now + 3600000, 2);
	assert_int_equal(brake_window(&brake, now + 3600000), 2);
}

static void test_window_of_another_width(void **state)
{
	(void)state;
	removed(now, 3);
	config.brake_period_ms = 1000;
	assert_false(judge(10, 0));
	assert_int_equal(brake_window(&brake, now), 0);
	removed(now, 2);
	assert_int_equal(brake_window(&brake, now + 999), 2);
	assert_int_equal(brake_window(&brake, now + 1100), 0);
}

static void test_window_survives_the_keeper(void **state)
{
	(void)state;
	removed(now, 30);
	new_keeper();
	assert_int_equal(brake_window(&brake, now + 30000), 30);
	now += 30000;
	assert_false(judge(70, 20));
	assert_true(judge(70, 21)); /* 30 + 21 of 100 */
}

/* ---- engaging -------------------------------------------------------------------------------- */

static const struct {
	uint64_t instances, removed, lost, minimum, share;
	bool holds;
} rows[] = {
	{ 100, 0, 50, 100, 50, false }, /* not more than half */
	{ 100, 0, 51, 100, 50, true },    { 99, 0, 99, 100, 50, false },
	{ 99, 1, 99, 100, 50, true }, /* there were 100 */
	{ 50, 50, 0, 100, 50, false },    { 49, 51, 0, 100, 50, true },
	{ 75, 25, 26, 100, 50, true },    { 1000, 0, 101, 100, 10, true },
	{ 1000, 0, 100, 100, 10, false }, { 1000, 0, 1000, 100, 100, false },
	{ 10, 0, 6, 10, 50, true },       { 0, 0, 0, 1, 50, false },
};

static void test_when_it_engages(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		config.brake_minimum = (uint32_t)rows[i].minimum;
		config.brake_share = (uint32_t)rows[i].share;
		removed(now, (uint32_t)rows[i].removed);
		assert_int_equal(judge(rows[i].instances, rows[i].lost), rows[i].holds);
		assert_int_equal(count_of(METRIC_BRAKE_ENGAGED), rows[i].holds);
		teardown(state);
		setup(state);
	}
}

/* ---- what is said ---------------------------------------------------------------------------- */

#define PASSED "op=brake state=passed "

/* Much is lost for a while, of one source; and again, later. */
static int lose_much_twice(void *arg)
{
	(void)arg;
	log_set_level(LOG_LEVEL_WARNING);
	for (unsigned i = 0; i < 4; i++)
		CHILD_MUST(!judge_of(1000, 600, 1000));
	for (unsigned i = 0; i < 4; i++)
		CHILD_MUST(!judge_of(1000, 0, 1000));
	CHILD_MUST(!judge_of(1000, 600, 1000));
	return 0;
}

static void test_said_once_until_it_is_over(void **state)
{
	unsigned lines = 0;

	(void)state;
	assert_int_equal(child_run(lose_much_twice, NULL), 0);
	for (const char *at = child_text; (at = strstr(at, PASSED)) != NULL; at++)
		lines++;
	assert_int_equal(lines, 2);
}

/* ---- sources --------------------------------------------------------------------------------- */

static const struct {
	uint32_t sources, silent, each; /* each: instances of one */
	uint32_t heavy;                 /* instances of one more source, 0: there is none */
	bool heavy_silent;
	bool holds;
} shapes[] = {
	{ 200, 200, 5, 0, false, true },                                    /* cut off together */
	{ 200, 101, 5, 0, false, true },  { 200, 100, 5, 0, false, false }, /* not more than half */
	{ 40, 0, 5, 1000, true, false },  /* one source dies, however many instances it has */
	{ 40, 20, 5, 1000, true, true },  /* 21 of 41 */
	{ 40, 19, 5, 1000, true, false }, /* 20 of 41 */
	{ 40, 40, 5, 200, false, false }, /* all but one, which has half of the instances */
	{ 40, 40, 5, 199, false, true },  { 9, 9, 100, 0, false, false }, /* too few sources */
	{ 9, 9, 100, 1, false, true },    { 10, 10, 100, 0, false, true },
	{ 10, 10, 9, 0, false, false }, /* too few instances */
	{ 0, 0, 1, 1000, true, false }, /* all behind one address */
};

static void test_shapes(void **state)
{
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		struct census census = { .seed = 0 };
		uint64_t quiet = (uint64_t)shapes[i].silent * shapes[i].each +
		                 (shapes[i].heavy_silent ? shapes[i].heavy : 0);
		struct brake_sight sight;

		for (uint32_t n = 0; n < shapes[i].sources * shapes[i].each; n++)
			census_add(&census, THERE + n / shapes[i].each,
			           n < shapes[i].silent * shapes[i].each ? EXPIRE_LOST
			                                                 : EXPIRE_HEARD);
		for (uint32_t n = 0; n < shapes[i].heavy; n++)
			census_add(&census, GONE,
			           shapes[i].heavy_silent ? EXPIRE_LOST : EXPIRE_HEARD);
		sight = sight_of(census.count.instances, quiet);
		brake_weigh(&brake, &census, now, &sight.evidence);
		assert_int_equal(brake_judge(&brake, &sight), shapes[i].holds);
		/* What is removed instead of lost is the same evidence, from a keeper to the
		 * next. */
		assert_int_equal(census.count.carried, quiet);
		census_free(&census);
		teardown(state);
		setup(state);
	}
}

/* Most sources are silent and most instances lost, but those of sources that live: no lost way,
 * however it looks. */
static void test_lost_instances_of_living_sources(void **state)
{
	struct census census = { .seed = 0 };
	struct brake_sight sight;

	(void)state;
	for (uint32_t i = 0; i < 12; i++)
		census_add(&census, THERE + i, EXPIRE_LOST);
	for (uint32_t i = 0; i < 1000; i++)
		census_add(&census, THERE + 12 + i / 100, EXPIRE_LOST);
	for (uint32_t i = 0; i < 10; i++)
		census_add(&census, THERE + 12 + i, EXPIRE_HEARD);
	assert_int_equal(census.count.silent, 12);
	assert_int_equal(census.count.carried, 12);
	sight = sight_of(1022, 1012);
	brake_weigh(&brake, &census, now, &sight.evidence);
	assert_true(brake_asks(&brake, &sight));
	assert_false(
	        brake_judge(&brake, &sight)); /* 12 of 22 sources, with 12 of 1,022 instances */
	census_free(&census);
}

static void test_resting(void **state)
{
	(void)state;
	assert_false(judge(9, 0));
	assert_int_equal(seg->brake->resting, 1);
	assert_false(judge_of(1000, 0, 112)); /* nine sources */
	assert_int_equal(seg->brake->resting, 1);
	assert_false(judge_of(1000, 0, 111));
	assert_int_equal(seg->brake->resting, 0);
	assert_int_equal(seg->brake->sources, 10);
	assert_false(judge(99, 0)); /* too few instances */
	assert_int_equal(seg->brake->resting, 1);
	assert_false(judge(100, 0));
	assert_int_equal(seg->brake->resting, 0);
	config.brake_enabled = false;
	assert_false(judge(9, 0));
	assert_int_equal(seg->brake->resting, 0); /* it is off */
}

/* A place of the table holds the sources of one set; the one whose last removal is the longest ago
 * gives way. */
static void test_removed_sources_beyond_a_set(void **state)
{
	struct expire_sign sign = { .state = EXPIRE_REMOVED };
	struct census census = { .seed = 0 };
	struct brake_evidence evidence;

	(void)state;
	for (uint32_t i = 0; i <= BRAKE_GONE_WAYS; i++) {
		sign.source = 5 + i * BRAKE_GONE_SETS;
		brake_removed(&brake, now + i * 1000, &sign, 1);
		brake_removed(&brake, now + i * 1000, &sign, 1);
	}
	now += BRAKE_GONE_WAYS * 1000;
	brake_weigh(&brake, &census, now, &evidence);
	assert_int_equal(evidence.all.sources, BRAKE_GONE_WAYS);
	assert_int_equal(evidence.all.silent, BRAKE_GONE_WAYS);
	assert_int_equal(evidence.all.carried, 2 * BRAKE_GONE_WAYS);
	assert_int_equal(evidence.live.sources, 0);
	assert_int_equal(brake_window(&brake, now), 2 * BRAKE_GONE_WAYS + 2);
	/* The first of them comes back, the last one in part. */
	census_add(&census, 5 + BRAKE_GONE_SETS, EXPIRE_HEARD);
	census_add(&census, 5 + BRAKE_GONE_WAYS * BRAKE_GONE_SETS, EXPIRE_LOST);
	brake_weigh(&brake, &census, now, &evidence);
	assert_int_equal(evidence.all.sources, BRAKE_GONE_WAYS);
	assert_int_equal(evidence.all.silent, BRAKE_GONE_WAYS - 1);
	assert_int_equal(evidence.all.carried, 2 * BRAKE_GONE_WAYS - 2 + 1);
	assert_int_equal(evidence.all.instances, 2 * BRAKE_GONE_WAYS + 2);
	now += 60000;
	brake_weigh(&brake, &census, now, &evidence);
	assert_int_equal(evidence.all.sources, 2);
	census_free(&census);
}

/* A process that dies time and again does not pile up. */
static void test_removals_of_one_source_do_not_pile_up(void **state)
{
	struct expire_sign sign = { 5, EXPIRE_REMOVED };
	struct census census = { .seed = 0 };
	struct brake_evidence evidence;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		brake_removed(&brake, now, &sign, 1);
		now += 25000;
	}
	brake_weigh(&brake, &census, now, &evidence);
	assert_int_equal(evidence.all.sources, 1);
	assert_true(evidence.all.carried <= 3);
}

static void test_release_by_sources(void **state)
{
	struct census census = { .seed = 0 };
	struct brake_sight sight;

	(void)state;
	assert_true(judge(200, 150));
	now += 1000;
	/* A gateway with most of the instances stays away, all others are back. */
	for (uint32_t i = 0; i < 500; i++)
		census_add(&census, GONE, EXPIRE_LOST);
	for (uint32_t i = 0; i < 100; i++)
		census_add(&census, THERE + i, i < 24 ? EXPIRE_LOST : EXPIRE_HEARD);
	sight = sight_of(600, 524);
	brake_weigh(&brake, &census, now, &sight.evidence);
	assert_true(brake_asks(&brake, &sight));
	assert_false(brake_judge(&brake, &sight)); /* 25 of 101 */
	assert_int_equal(count_of(METRIC_BRAKE_RELEASED_BEATS), 1);
	/* That does not make it hold again. */
	assert_false(brake_judge(&brake, &sight));
	assert_int_equal(brake_state_phase(seg->brake->state), BRAKE_OPEN);
	assert_false(brake_judge(&brake, &sight));
	census_free(&census);
}

/* Hashes without a secret that all end alike: they do not stand one behind the other. */
static void test_census_of_chosen_sources(void **state)
{
	struct census census = { .seed = 99 };
	uint32_t run = 0, longest = 0;

	(void)state;
	for (uint32_t i = 1; i <= 20000; i++)
		census_add(&census, i << 16 | 1, EXPIRE_HEARD);
	assert_int_equal(census.count.sources, 20000);
	for (uint32_t p = 0; p < CENSUS_PARTS; p++) {
		const struct census_part *part = &census.parts[p];

		assert_in_range(part->sources, 1, 500);
		run = 0;
		for (uint32_t i = 0; i < part->cap; i++) {
			run = part->rows[i].source != 0 ? run + 1 : 0;
			longest = run > longest ? run : longest;
		}
	}
	assert_in_range(longest, 1, 500);
	census_free(&census);
	assert_int_equal(census.seed, 99);
}

static uint32_t rows_of(const struct census *census)
{
	uint32_t sum = 0;

	for (uint32_t p = 0; p < CENSUS_PARTS; p++)
		sum += census->parts[p].cap;
	return sum;
}

static void test_census_of_many(void **state)
{
	static struct census census;

	(void)state;
	for (uint32_t i = 0; i < 100000; i++)
		census_add(&census, 1 + i * 2654435761U % 50021,
		           i % 2 != 0 ? EXPIRE_LOST : EXPIRE_QUIET);
	assert_int_equal(census.count.instances, 100000);
	for (uint32_t p = 0; p < CENSUS_PARTS; p++) {
		const struct census_part *part = &census.parts[p];

		assert_true(part->sources * 2 <= part->cap);
		for (uint32_t i = 0; i < part->cap; i++) {
			if (part->rows[i].source != 0)
				assert_ptr_equal(census_find(&census, part->rows[i].source),
				                 &part->rows[i]);
		}
	}
	assert_null(census_find(&census, 1234567));
	census_clear(&census);
	assert_int_equal(census.count.sources, 0);
	assert_null(census_find(&census, 1));
	/* What nobody uses any more is given back, some of it in each round. */
	for (unsigned i = 0; i < 2 + CENSUS_PARTS / CENSUS_GIVE_BACK; i++) {
		census_add(&census, 7, EXPIRE_HEARD);
		census_clear(&census);
	}
	assert_in_range(rows_of(&census), 1, 64);
	census_free(&census);
}

/* More sources than it takes, and no table is larger than one step may touch. */
static void test_census_of_too_many(void **state)
{
	static struct census census;
	uint64_t sources;

	(void)state;
	for (uint32_t i = 1; i <= CENSUS_SOURCES + CENSUS_SOURCES / 8; i++)
		census_add(&census, i, EXPIRE_LOST);
	sources = census.count.sources;
	assert_in_range(sources, CENSUS_SOURCES - CENSUS_SOURCES / 64, CENSUS_SOURCES);
	assert_int_equal(census.count.silent, sources);
	assert_int_equal(census.count.instances, sources);
	for (uint32_t p = 0; p < CENSUS_PARTS; p++)
		assert_true(census.parts[p].cap * sizeof(struct census_row) <= 96 * 1024);
	census_free(&census);
}

static void test_disabled(void **state)
{
	(void)state;
	config.brake_enabled = false;
	assert_false(judge(1000, 1000));
	config.brake_enabled = true;
	assert_true(judge(1000, 1000));
	config.brake_enabled = false;
	assert_false(judge(1000, 1000));
	assert_int_equal(count_of(METRIC_BRAKE_RELEASED_SETTING), 1);
}

/* ---- letting go ------------------------------------------------------------------------------ */

static void test_beats_return(void **state)
{
	struct brake_sight sight = sight_of(200, 20);

	(void)state;
	sight.complete = false;
	assert_true(judge(200, 101));
	assert_int_equal(seg->brake->held, 50);
	now += 1000;
	assert_true(judge(200, 100)); /* not on the edge */
	assert_true(judge(200, 51));
	assert_true(brake_judge(&brake, &sight)); /* something was not looked at */
	assert_false(judge(200, 50));
	assert_int_equal(count_of(METRIC_BRAKE_RELEASED_BEATS), 1);
	assert_int_equal(seg->brake->held, 0);
	/* Armed again. */
	assert_false(judge(200, 50));
	assert_true(judge(200, 101));
	assert_int_equal(count_of(METRIC_BRAKE_ENGAGED), 2);
}

static void test_time_is_over(void **state)
{
	(void)state;
	assert_true(judge(200, 200));
	now += 299999;
	assert_true(judge(200, 200));
	now += 1;
	assert_false(judge(200, 200));
	assert_int_equal(count_of(METRIC_BRAKE_RELEASED_TIME), 1);
	/* What goes now does not count, and it stays open until it is gone. */
	removed(now, 150);
	now += 1000;
	assert_false(judge(200, 150));
	assert_false(judge(50, 0));
	assert_false(judge(200, 0));
	assert_true(judge(200, 150));
}

static void test_command(void **state)
{
	uint64_t first;

	(void)state;
	assert_true(judge(200, 200));
	first = seg->brake->state;
	seg->brake->release = first;
	now += 1000;
	assert_false(judge(200, 200));
	assert_int_equal(count_of(METRIC_BRAKE_RELEASED_COMMAND), 1);
	assert_false(judge(200, 0));
	/* The order was for the first holding. */
	now += 1000;
	assert_true(judge(200, 200));
	assert_int_not_equal(seg->brake->state, first);
	assert_true(judge(200, 200));
}

/* ---- deaths ---------------------------------------------------------------------------------- */

static void test_holds_for_the_rest_of_the_time(void **state)
{
	(void)state;
	assert_true(judge(200, 200));
	now += 200000;
	new_keeper();
	assert_true(brake_holds(&brake));
	assert_true(judge(200, 200));
	assert_int_equal(count_of(METRIC_BRAKE_ENGAGED), 1);
	now += 100000;
	assert_false(judge(200, 200));
}

#ifdef ROSTER_FAULTS
/* A child that is killed at the first point it comes to, or lives. */
static void die_judging(uint64_t instances, uint64_t lost)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		fault_arm(1);
		_exit(judge(instances, lost));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
}

/* A removal that is half noted is not noted, and nobody inherits its count. */
static void test_killed_while_a_source_is_noted(void **state)
{
	const struct expire_sign sign = { 5, EXPIRE_REMOVED },
	                         same_set = { 5 + BRAKE_GONE_SETS, EXPIRE_REMOVED };
	struct census census = { .seed = 0 };
	struct brake_evidence evidence;
	pid_t child;
	int status;

	(void)state;
	assert_false(judge(200, 0));
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		fault_arm(1);
		brake_removed(&brake, now, &sign, 1);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	new_keeper();
	brake_removed(&brake, now, &same_set, 1);
	brake_removed(&brake, now, &same_set, 1);
	brake_weigh(&brake, &census, now, &evidence);
	assert_int_equal(evidence.all.sources, 1);
	assert_int_equal(evidence.all.carried, 2);
}

static void test_killed_between_stores(void **state)
{
	(void)state;
	assert_false(judge(200, 0));
	/* Engaged, not yet reported. */
	die_judging(200, 150);
	new_keeper();
	assert_true(brake_holds(&brake));
	assert_true(judge(200, 150));
	/* The buckets are empty, it still holds: let go a second time. */
	now += 300000;
	die_judging(200, 150);
	new_keeper();
	assert_true(brake_holds(&brake));
	assert_false(judge(200, 150));
	assert_false(judge(200, 0));
	/* Cleared for another width, which is not yet stored. */
	removed(now, 5);
	config.brake_period_ms = 120000;
	die_judging(200, 0);
	assert_int_equal(seg->brake->width_ms, 1000);
	new_keeper();
	assert_false(judge(200, 0));
	assert_int_equal(seg->brake->width_ms, 2000);
	assert_int_equal(brake_window(&brake, now), 0);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_window_slides, setup, teardown),
		cmocka_unit_test_setup_teardown(test_window_of_another_width, setup, teardown),
		cmocka_unit_test_setup_teardown(test_window_survives_the_keeper, setup, teardown),
		cmocka_unit_test_setup_teardown(test_when_it_engages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_said_once_until_it_is_over, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shapes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost_instances_of_living_sources, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(test_resting, setup, teardown),
		cmocka_unit_test_setup_teardown(test_removed_sources_beyond_a_set, setup, teardown),
		cmocka_unit_test_setup_teardown(test_removals_of_one_source_do_not_pile_up, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(test_release_by_sources, setup, teardown),
		cmocka_unit_test_setup_teardown(test_census_of_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_census_of_too_many, setup, teardown),
		cmocka_unit_test(test_census_of_chosen_sources),
		cmocka_unit_test_setup_teardown(test_disabled, setup, teardown),
		cmocka_unit_test_setup_teardown(test_beats_return, setup, teardown),
		cmocka_unit_test_setup_teardown(test_time_is_over, setup, teardown),
		cmocka_unit_test_setup_teardown(test_command, setup, teardown),
		cmocka_unit_test_setup_teardown(test_holds_for_the_rest_of_the_time, setup,
		                                teardown),
#ifdef ROSTER_FAULTS
		cmocka_unit_test_setup_teardown(test_killed_between_stores, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed_while_a_source_is_noted, setup,
		                                teardown),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
