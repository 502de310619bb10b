/* SPDX-License-Identifier: Apache-2.0 */
/* waiting: services that wait for a place, the oldest first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pusher/waiting.h"

static struct waiting waiting;

static int setup(void **state)
{
	(void)state;
	memset(&waiting, 0, sizeof(waiting));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	waiting_clear(&waiting);
	assert_int_equal(waiting.count, 0);
	return 0;
}

static void wait_for(uint64_t hash, uint32_t cost_us)
{
	struct name_copy name = { .name_len = (uint32_t)hash };
	struct round_start start = { .name = &name, .changed = hash * 10, .due_ms = hash * 100 };

	assert_true(waiting_add(&waiting, &start, hash, cost_us));
}

static void test_found_by_hash(void **state)
{
	(void)state;
	assert_int_equal(waiting_find(&waiting, 1), WAITING_NONE);
	wait_for(1, 50);
	wait_for(2, 50);
	assert_int_equal(waiting_find(&waiting, 1), 0);
	assert_int_equal(waiting_find(&waiting, 2), 1);
	assert_int_equal(waiting_find(&waiting, 3), WAITING_NONE);
	assert_int_equal(waiting.list[1].start.name->name_len, 2);
	assert_int_equal(waiting.list[1].start.due_ms, 200);
}

/* Of those that cost the same the oldest is the cheapest, and the youngest the dearest. */
static void test_cheapest_and_dearest(void **state)
{
	static const uint32_t costs[] = { 30, 10, 10, 90, 90, 40 };

	(void)state;
	assert_int_equal(waiting_cheapest(&waiting), WAITING_NONE);
	assert_int_equal(waiting_dearest(&waiting), WAITING_NONE);
	for (uint32_t i = 0; i < sizeof(costs) / sizeof(costs[0]); i++)
		wait_for(i + 1, costs[i]);
	assert_int_equal(waiting_cheapest(&waiting), 1);
	assert_int_equal(waiting_dearest(&waiting), 4);
}

static void test_renewed_keeps_its_time(void **state)
{
	struct round_start newer = { .changed = 77, .due_ms = 88, .fast = true };

	(void)state;
	wait_for(1, 50);
	waiting_renew(&waiting, 0, &newer);
	assert_int_equal(waiting.list[0].start.changed, 77);
	assert_true(waiting.list[0].start.fast);
	assert_int_equal(waiting.list[0].start.due_ms, 100);
	assert_int_equal(waiting.count, 1);
}

static void test_taken_with_its_name(void **state)
{
	struct waiting_service taken;

	(void)state;
	for (uint32_t i = 1; i <= 4; i++)
		wait_for(i, i);
	taken = waiting_take(&waiting, 1);
	assert_int_equal(taken.hash, 2);
	assert_ptr_equal(taken.start.name, taken.name);
	assert_int_equal(taken.name->name_len, 2);
	waiting_release(&taken);
	assert_null(taken.name);
	assert_null(taken.start.name);
	/* The others keep their order. */
	assert_int_equal(waiting.count, 3);
	assert_int_equal(waiting_find(&waiting, 1), 0);
	assert_int_equal(waiting_find(&waiting, 3), 1);
	assert_int_equal(waiting_find(&waiting, 4), 2);
}

static void test_room_for_all_of_them(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < WAITING_MOST; i++)
		wait_for(i, WAITING_MOST - i);
	assert_int_equal(waiting_cheapest(&waiting), WAITING_MOST - 1);
	assert_int_equal(waiting_dearest(&waiting), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_found_by_hash),          CASE(test_cheapest_and_dearest),
		CASE(test_renewed_keeps_its_time), CASE(test_taken_with_its_name),
		CASE(test_room_for_all_of_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
