/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/metrics/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Words that are part of something else. */
static bool hidden(unsigned id)
{
	for (unsigned i = 0; i < METRIC_TIMES; i++)
		if ((id >= metric_histograms[i].first &&
		     id < metric_histograms[i].first + METRIC_BUCKETS) ||
		    id == metric_histograms[i].sum)
			return true;
	/* Families with a label. */
	if ((id >= METRIC_BRAKE_RELEASED_COMMAND && id <= METRIC_BRAKE_RELEASED_SETTING) ||
	    (id >= METRIC_SUBSCRIBE_UNTRUSTED && id <= METRIC_SUBSCRIBE_FULL))
		return true;
	return id >= METRIC_PUSH_COST_0 && id <= METRIC_PUSH_COST_LAST;
}

static void test_rows(void **state)
{
	(void)state;
	for (unsigned i = 0; i < METRICS; i++) {
		if (hidden(i)) {
			assert_null(metric_rows[i].name);
			continue;
		}
		assert_non_null(metric_rows[i].name);
		assert_non_null(metric_rows[i].help);
		assert_int_equal(strncmp(metric_rows[i].name, "roster_", 7), 0);
		assert_string_equal(metric_rows[i].name + strlen(metric_rows[i].name) - 6,
		                    "_total");
		for (unsigned j = 0; j < i; j++)
			if (!hidden(j))
				assert_string_not_equal(metric_rows[j].name, metric_rows[i].name);
	}
}

/* The texts of the bounds are the bounds. */
static void test_bounds(void **state)
{
	(void)state;
	for (unsigned h = 0; h < METRIC_TIMES; h++) {
		const struct metric_histogram *histogram = &metric_histograms[h];

		for (unsigned i = 0; i < METRIC_BUCKETS - 1; i++) {
			assert_int_equal((uint64_t)(strtod(histogram->bounds[i], NULL) * 1e6 + 0.5),
			                 histogram->bounds_us[i]);
			assert_true(i == 0 ||
			            histogram->bounds_us[i] > histogram->bounds_us[i - 1]);
		}
		assert_string_equal(histogram->bounds[METRIC_BUCKETS - 1], "+Inf");
	}
}

/* Seen is the window before the one of `now`, and nothing older. */
static void test_cost(void **state)
{
	struct segment seg = { 0 };
	uint64_t max = 0;
	double mean = 0;

	(void)state;
	seg.slots = aligned_alloc(64, SLOTS_MAX * sizeof(struct slot));
	assert_non_null(seg.slots);
	memset(seg.slots, 0, SLOTS_MAX * sizeof(struct slot));
	metrics_use(&seg.slots[3]);
	assert_false(metric_cost_last(&seg, 100 * METRIC_COST_MS, &max, &mean));
	metric_cost_add(100 * METRIC_COST_MS, 4);
	metric_cost_add(100 * METRIC_COST_MS + METRIC_COST_MS - 1, 8);
	assert_false(metric_cost_last(&seg, 100 * METRIC_COST_MS, &max, &mean));
	assert_true(metric_cost_last(&seg, 101 * METRIC_COST_MS, &max, &mean));
	assert_int_equal(max, 8);
	assert_true(mean > 5.99 && mean < 6.01);
	metric_cost_add(101 * METRIC_COST_MS, 1);
	assert_true(metric_cost_last(&seg, 101 * METRIC_COST_MS + 5, &max, &mean));
	assert_int_equal(max, 8);
	assert_true(metric_cost_last(&seg, 102 * METRIC_COST_MS, &max, &mean));
	assert_int_equal(max, 1);
	metric_cost_add(102 * METRIC_COST_MS, 2); /* the place of window 100 */
	assert_true(metric_cost_last(&seg, 103 * METRIC_COST_MS, &max, &mean));
	assert_int_equal(max, 2);
	assert_false(metric_cost_last(&seg, 104 * METRIC_COST_MS, &max, &mean));
	metrics_use(NULL);
	metric_cost_add(104 * METRIC_COST_MS, 2);
	free(seg.slots);
}

static void test_sum(void **state)
{
	struct segment seg = { 0 };

	(void)state;
	seg.slots = aligned_alloc(64, SLOTS_MAX * sizeof(struct slot));
	assert_non_null(seg.slots);
	memset(seg.slots, 0, SLOTS_MAX * sizeof(struct slot));

	metrics_use(NULL);
	metric_add(METRIC_BEATS, 1); /* a process without a slot counts nothing */
	metrics_use(&seg.slots[0]);
	metric_add(METRIC_BEATS, 2);
	metric_add(METRIC_KEEPER_TICKS, 1);
	metrics_use(&seg.slots[SLOTS_MAX - 1]);
	metric_add(METRIC_BEATS, 5);
	assert_int_equal(metric_sum(&seg, METRIC_BEATS), 7);
	assert_int_equal(metric_sum(&seg, METRIC_KEEPER_TICKS), 1);
	assert_int_equal(metric_sum(&seg, METRIC_LISTS), 0);
	assert_int_equal(seg.slots[0].counters[METRIC_BEATS], 2);

	metrics_use(NULL);
	free(seg.slots);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_sum),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_cost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
