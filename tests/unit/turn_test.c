/* SPDX-License-Identifier: Apache-2.0 */
/* turn: who uses the processor for too long is named, who only waits is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "shared/base/clock.h"
#include "shared/metrics/metrics.h"
#include "shared/process/turn.h"

static struct slot slot;

static int set_up(void **state)
{
	(void)state;
	memset(&slot, 0, sizeof(slot));
	metrics_use(&slot);
	return 0;
}

/* Of the processor's time, however long that takes. */
static void work_for(uint64_t us)
{
	struct timespec begin, now;
	volatile uint64_t x = 0;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
	do {
		for (unsigned i = 0; i < 1000; i++)
			x += i;
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	} while ((uint64_t)(now.tv_sec - begin.tv_sec) * 1000000 + (uint64_t)now.tv_nsec / 1000 -
	                 (uint64_t)begin.tv_nsec / 1000 <
	         us);
	(void)x;
}

static uint64_t turns(void)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < METRIC_BUCKETS; i++)
		n += slot.counters[METRIC_TURN_BUCKET_0 + i];
	return n;
}

static void short_turns_are_only_counted(void **state)
{
	struct turn turn = { 0 };

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		turn_begin(&turn, 1000000 + i * 10);
		assert_false(turn_end(&turn, 1000000 + i * 10 + 5, "request", STR("x")));
	}
	assert_int_equal(turns(), 100);
	assert_int_equal(slot.counters[METRIC_TURN_BUCKET_0], 100);
	assert_int_equal(slot.counters[METRIC_TURN_US_SUM], 500);
	assert_int_equal(slot.counters[METRIC_TURN_LONG], 0);
}

/* An hour passes, and nothing was done in it. */
static void a_turn_that_waited_is_not_long(void **state)
{
	struct turn turn = { 0 };

	(void)state;
	turn_begin(&turn, 1000000);
	assert_false(turn_end(&turn, 1000000 + 3600000000U, "request", STR("x")));
	assert_int_equal(slot.counters[METRIC_TURN_BUCKET_LAST], 1);
	assert_int_equal(slot.counters[METRIC_TURN_LONG], 0);
}

static void a_turn_that_worked_is_long_once(void **state)
{
	struct turn turn = { 0 };

	(void)state;
	turn_begin(&turn, clock_mono_us());
	work_for(TURN_LONG_US + 1000);
	assert_true(turn_end(&turn, clock_mono_us(), "request", STR("GET /x")));
	assert_int_equal(slot.counters[METRIC_TURN_LONG], 1);
	/* The next one begins anew, however soon it comes. */
	turn_begin(&turn, clock_mono_us());
	assert_false(turn_end(&turn, turn.began_us + TURN_LONG_US, "request", STR("GET /y")));
	assert_int_equal(slot.counters[METRIC_TURN_LONG], 1);
}

/* Two turns of six milliseconds are no turn of twelve. */
static void turns_in_a_row_are_not_added_up(void **state)
{
	struct turn turn = { 0 };

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		turn_begin(&turn, clock_mono_us());
		work_for(TURN_LONG_US / 2);
		assert_false(
		        turn_end(&turn, turn.began_us + TURN_LONG_US + 1, "request", STR("x")));
	}
	assert_int_equal(slot.counters[METRIC_TURN_LONG], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(short_turns_are_only_counted, set_up),
		cmocka_unit_test_setup(a_turn_that_waited_is_not_long, set_up),
		cmocka_unit_test_setup(a_turn_that_worked_is_long_once, set_up),
		cmocka_unit_test_setup(turns_in_a_row_are_not_added_up, set_up),
	};

	return cmocka_run_group_tests_name("turn", tests, NULL, NULL);
}
