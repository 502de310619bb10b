/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/slice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "shared/base/clock.h"

#define BEGAN_US 5000000U

static void at(uint64_t us)
{
	clock_set_for_test(BEGAN_US + us, BEGAN_US);
}

static void test_ends_by_the_clock(void **state)
{
	struct slice slice;

	(void)state;
	at(0);
	slice_begin(&slice, "expiry");
	assert_false(slice_spent(&slice, 1, 0));
	at(SLICE_US - 1);
	assert_false(slice_spent(&slice, 1, 0));
	at(SLICE_US);
	assert_true(slice_spent(&slice, 1, 0));
	clock_set_for_test(0, 0);
}

static void test_names_the_longest_piece(void **state)
{
	char text[SLICE_WHAT];
	struct slice slice;

	(void)state;
	at(0);
	slice_begin(&slice, "expiry");
	assert_true(str_eq(slice_what(&slice, text), STR("")));
	at(10);
	(void)slice_spent(&slice, 63, 0);
	assert_true(str_eq(slice_what(&slice, text), STR("shard=63")));
	at(1000);
	(void)slice_spent(&slice, 7, 0xffffffffffffffffU);
	at(1100);
	(void)slice_spent(&slice, 8, 9);
	assert_true(str_eq(slice_what(&slice, text), STR("shard=7 service=0xffffffffffffffff")));
	clock_set_for_test(0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ends_by_the_clock),
		cmocka_unit_test(test_names_the_longest_piece),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
