/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "master/backoff.h"

static void grows_and_stays(void **state)
{
	static const uint32_t expected[] = { 100,  200,  400,   800,   1600,
		                             3200, 6400, 10000, 10000, 10000 };
	struct backoff b = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		assert_int_equal(backoff_next_ms(&b, 0), expected[i]);
	for (int i = 0; i < 100; i++)
		assert_int_equal(backoff_next_ms(&b, 0), BACKOFF_MOST_MS);
}

static void at_once_when_it_was_ready(void **state)
{
	struct backoff b = { 0 };

	(void)state;
	backoff_next_ms(&b, 0);
	backoff_next_ms(&b, 0);
	assert_int_equal(backoff_next_ms(&b, 1), 0);
	assert_int_equal(backoff_next_ms(&b, 0), BACKOFF_FIRST_MS);
}

static void ready_starts_over(void **state)
{
	struct backoff b = { 0 };

	(void)state;
	backoff_next_ms(&b, 0);
	backoff_reset(&b);
	assert_int_equal(b.failures, 0);
	assert_int_equal(backoff_next_ms(&b, 0), BACKOFF_FIRST_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows_and_stays),
		cmocka_unit_test(at_once_when_it_was_ready),
		cmocka_unit_test(ready_starts_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
