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
#include "shared/shm/brake_state.h"
#include "shared/shm/fault.h"

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

static bool judge(uint64_t instances, uint64_t lost)
{
	const struct brake_sight sight = { now, instances, lost, lost / 2, true };

	return brake_judge(&brake, &sight);
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

/* ---- the sliding period -------------------------------------------------------- */

static void test_window_slides(void **state)
{
	(void)state;
	brake_removed(&brake, now, 3);
	brake_removed(&brake, now + 999, 4);
	brake_removed(&brake, now + 1000, 5);
	assert_int_equal(brake_window(&brake, now + 1000), 12);
	assert_int_equal(brake_window(&brake, now + 59999), 12);
	assert_int_equal(brake_window(&brake, now + 60000), 5);
	assert_int_equal(brake_window(&brake, now + 61000), 0);
	/* The same bucket a round later. */
	brake_removed(&brake, now + 120000, 1);
	assert_int_equal(brake_window(&brake, now + 120000), 1);
	brake_removed(&brake, now + 3600000, 2);
	assert_int_equal(brake_window(&brake, now + 3600000), 2);
}

static void test_window_of_another_width(void **state)
{
	(void)state;
	brake_removed(&brake, now, 3);
	config.brake_period_ms = 1000;
	assert_false(judge(10, 0));
	assert_int_equal(brake_window(&brake, now), 0);
	brake_removed(&brake, now, 2);
	assert_int_equal(brake_window(&brake, now + 999), 2);
	assert_int_equal(brake_window(&brake, now + 1100), 0);
}

static void test_window_survives_the_keeper(void **state)
{
	(void)state;
	brake_removed(&brake, now, 30);
	new_keeper();
	assert_int_equal(brake_window(&brake, now + 30000), 30);
	now += 30000;
	assert_false(judge(70, 20));
	assert_true(judge(70, 21)); /* 30 + 21 of 100 */
}

/* ---- engaging -------------------------------------------------------------------- */

static const struct {
	uint64_t instances, removed, lost, minimum, share;
	bool holds;
} rows[] = {
	{ 100, 0, 50, 100, 50, false },                                                                  /* not more than half */
	{ 100, 0, 51, 100, 50, true },   { 99, 0, 99, 100, 50, false },    { 99, 1, 99, 100, 50, true }, /* there were 100 */
	{ 50, 50, 0, 100, 50, false },   { 49, 51, 0, 100, 50, true },     { 75, 25, 26, 100, 50, true },
	{ 1000, 0, 101, 100, 10, true }, { 1000, 0, 100, 100, 10, false }, { 1000, 0, 1000, 100, 100, false },
	{ 10, 0, 6, 10, 50, true },      { 0, 0, 0, 1, 50, false },
};

static void test_when_it_engages(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		config.brake_minimum = (uint32_t)rows[i].minimum;
		config.brake_share = (uint32_t)rows[i].share;
		brake_removed(&brake, now, (uint32_t)rows[i].removed);
		assert_int_equal(judge(rows[i].instances, rows[i].lost), rows[i].holds);
		assert_int_equal(count_of(METRIC_BRAKE_ENGAGED), rows[i].holds);
		teardown(state);
		setup(state);
	}
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

/* ---- letting go ------------------------------------------------------------------- */

static void test_beats_return(void **state)
{
	struct brake_sight sight = { now, 200, 20, 20, false };

	(void)state;
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
	brake_removed(&brake, now, 150);
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

/* ---- deaths ------------------------------------------------------------------------- */

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
	brake_removed(&brake, now, 5);
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
		cmocka_unit_test_setup_teardown(test_disabled, setup, teardown),
		cmocka_unit_test_setup_teardown(test_beats_return, setup, teardown),
		cmocka_unit_test_setup_teardown(test_time_is_over, setup, teardown),
		cmocka_unit_test_setup_teardown(test_command, setup, teardown),
		cmocka_unit_test_setup_teardown(test_holds_for_the_rest_of_the_time, setup, teardown),
#ifdef ROSTER_FAULTS
		cmocka_unit_test_setup_teardown(test_killed_between_stores, setup, teardown),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
