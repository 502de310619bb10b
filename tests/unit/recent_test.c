/* SPDX-License-Identifier: Apache-2.0 */
/* Deliveries that left the in-flight table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "pusher/recent.h"

#define SEED 42U

static const uint8_t here[16] = { [10] = 0xff, 0xff, 127, 0, 0, 1 },
                     there[16] = { [10] = 0xff, 0xff, 127, 0, 0, 2 };

static struct recent *recent;

static int set_up(void **state)
{
	(void)state;
	return recent_new(SEED, &recent);
}

static int tear_down(void **state)
{
	(void)state;
	recent_free(&recent);
	return 0;
}

static void all_three_tell_it_apart(void **state)
{
	(void)state;
	assert_int_equal(recent_find(recent, here, 2000, 7), RECENT_NONE);
	recent_add(recent, here, 2000, 7, true);
	assert_int_equal(recent_find(recent, here, 2000, 7), RECENT_ACKED);
	assert_int_equal(recent_find(recent, there, 2000, 7), RECENT_NONE);
	assert_int_equal(recent_find(recent, here, 2001, 7), RECENT_NONE);
	assert_int_equal(recent_find(recent, here, 2000, 8), RECENT_NONE);
}

static void acknowledged_stays(void **state)
{
	(void)state;
	recent_add(recent, here, 2000, 7, false);
	assert_int_equal(recent_find(recent, here, 2000, 7), RECENT_LEFT);
	recent_add(recent, here, 2000, 7, true);
	recent_add(recent, here, 2000, 7, false);
	assert_int_equal(recent_find(recent, here, 2000, 7), RECENT_ACKED);
}

/* Of a quarter of what fits nearly all are there (buckets fill unevenly); of ten times as much only
 * the newest. */
static void the_newest_are_kept(void **state)
{
	unsigned kept = 0, old = 0;

	(void)state;
	for (uint64_t key = 1; key <= RECENT_SLOTS / 4; key++)
		recent_add(recent, here, 2000, key, true);
	for (uint64_t key = 1; key <= RECENT_SLOTS / 4; key++)
		kept += recent_find(recent, here, 2000, key) == RECENT_ACKED;
	assert_in_range(kept, RECENT_SLOTS / 4 - RECENT_SLOTS / 400, RECENT_SLOTS / 4);
	for (uint64_t key = 1; key <= 10 * RECENT_SLOTS; key++)
		recent_add(recent, there, 2000, key, true);
	for (uint64_t key = 1; key <= RECENT_SLOTS / 4; key++)
		old += recent_find(recent, here, 2000, key) != RECENT_NONE;
	assert_int_equal(old, 0);
	for (uint64_t key = 10 * RECENT_SLOTS - 1000; key <= 10 * RECENT_SLOTS; key++)
		assert_int_equal(recent_find(recent, there, 2000, key), RECENT_ACKED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_three_tell_it_apart, set_up, tear_down),
		cmocka_unit_test_setup_teardown(acknowledged_stays, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_newest_are_kept, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
