/* SPDX-License-Identifier: Apache-2.0 */
/* costs: what a service's next round will take, by those before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pusher/costs.h"

#define HASH 0x1234567890abcdefULL

static struct costs costs;

static int setup(void **state)
{
	(void)state;
	memset(&costs, 0, sizeof(costs));
	return 0;
}

static void test_unknown_is_a_guess(void **state)
{
	(void)state;
	assert_int_equal(costs_of(&costs, HASH), COSTS_GUESS_US);
	/* Its tag is not taken for an empty place. */
	assert_int_equal(costs_of(&costs, HASH & 0xffffffffU), COSTS_GUESS_US);
}

static void test_rounds_one_after_the_other(void **state)
{
	static const struct {
		uint64_t us;
		bool whole;
		uint32_t known;
	} rows[] = {
		{ 100, true, 100 },
		{ 5000, true, 5000 },             /* dearer at once */
		{ 10, true, 2500 },               /* cheaper by half only */
		{ 10, true, 1250 },               /* and half again */
		{ 10, false, 1250 },              /* the least it takes says nothing about less */
		{ 9000, false, 9000 },            /* but about more */
		{ 1ULL << 40, true, UINT32_MAX }, /* as much as fits */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		costs_note(&costs, HASH, rows[i].us, rows[i].whole);
		assert_int_equal(costs_of(&costs, HASH), rows[i].known);
	}
}

/* A round that was cut off says no more than that the guess was not too high. */
static void test_first_round_cut_off(void **state)
{
	(void)state;
	costs_note(&costs, HASH, 10, false);
	assert_int_equal(costs_of(&costs, HASH), COSTS_GUESS_US);
	costs_note(&costs, HASH + 1, COSTS_GUESS_US + 1, false);
	assert_int_equal(costs_of(&costs, HASH + 1), COSTS_GUESS_US + 1);
}

static void test_the_newest_has_the_place(void **state)
{
	const uint64_t other = HASH ^ 0x100000000000ULL, beside = HASH ^ 1;

	(void)state;
	costs_note(&costs, HASH, 100, true);
	costs_note(&costs, beside, 300, true);
	costs_note(&costs, other, 200, true);
	assert_int_equal(costs_of(&costs, other), 200);
	assert_int_equal(costs_of(&costs, HASH), COSTS_GUESS_US);
	assert_int_equal(costs_of(&costs, beside), 300);
	/* What was there before is nothing to it. */
	costs_note(&costs, HASH, 10, true);
	assert_int_equal(costs_of(&costs, HASH), 10);
	/* As many places as there are entries: these two do not meet. */
	costs_note(&costs, HASH ^ COSTS_ENTRIES / 2, 400, true);
	assert_int_equal(costs_of(&costs, HASH), 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_unknown_is_a_guess, setup),
		cmocka_unit_test_setup(test_rounds_one_after_the_other, setup),
		cmocka_unit_test_setup(test_first_round_cut_off, setup),
		cmocka_unit_test_setup(test_the_newest_has_the_place, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
