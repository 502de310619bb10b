#include "shared/metrics/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_rows(void **state)
{
	(void)state;
	for (unsigned i = 0; i < METRICS; i++) {
		assert_non_null(metric_rows[i].name);
		assert_non_null(metric_rows[i].help);
		assert_int_equal(strncmp(metric_rows[i].name, "roster_", 7), 0);
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(metric_rows[j].name, metric_rows[i].name);
	}
	assert_string_equal(metric_rows[METRIC_PUSH_ACK_BUCKET_LAST].name, "roster_push_ack_ms_bucket{le=\"+Inf\"}");
	assert_string_equal(metric_rows[METRIC_PUSH_SEND_BUCKET_0].name, "roster_push_send_ms_bucket{le=\"1\"}");
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
