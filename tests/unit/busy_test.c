/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "master/busy.h"

static void counts_only_what_the_child_is_to_blame_for(void **state)
{
	static const struct {
		uint64_t busy_since, child_resumed, master_resumed, now, expected;
	} rows[] = {
		{ 0, 0, 0, 5000, 0 }, /* idle */
		{ 0, 4000, 4000, 5000, 0 },
		{ 1000, 0, 0, 5000, 4000 },
		{ 1000, 4500, 0, 5000, 500 }, /* was stopped until 4,500 */
		{ 1000, 0, 4800, 5000, 200 }, /* the master stood still until 4,800 */
		{ 1000, 4500, 4800, 5000, 200 },
		{ 4900, 4500, 4800, 5000, 100 },
		{ 5001, 0, 0, 5000, 0 }, /* woke up after we read the clock */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(busy_ms(rows[i].busy_since, rows[i].child_resumed,
		                         rows[i].master_resumed, rows[i].now),
		                 rows[i].expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(
		counts_only_what_the_child_is_to_blame_for) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
