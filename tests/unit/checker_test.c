/* SPDX-License-Identifier: Apache-2.0 */
/* Health checkers of clusters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shared/view/checker.h"

static const struct {
	const char *text, *shown; /* shown NULL: TCP, which is not stored */
	int ret;
} rows[] = {
	{ "", NULL, 0 },
	{ "{\"type\":\"TCP\"}", NULL, 0 },
	{ "{\"type\":\"NONE\"}", "{\"type\":\"NONE\"}", 0 },
	{ "{\"type\":\"SOMETHING\"}", "{\"type\":\"NONE\"}", 0 },
	{ "{\"path\":\"/x\",\"type\":\"HTTP\",\"headers\":\"a:b|c:d\",\"expectedResponseCode\":204,\"other\":{}}",
	  "{\"type\":\"HTTP\",\"path\":\"/x\",\"headers\":\"a:b|c:d\",\"expectedResponseCode\":204}",
	  0 },
	{ "{\"type\":\"HTTP\"}",
	  "{\"type\":\"HTTP\",\"path\":\"\",\"headers\":\"\",\"expectedResponseCode\":200}", 0 },
	{ "{\"type\":\"MYSQL\",\"user\":\"u\",\"pwd\":\"p\",\"cmd\":\"select 1\"}",
	  "{\"type\":\"MYSQL\",\"user\":\"u\",\"pwd\":\"p\",\"cmd\":\"select 1\"}", 0 },
	{ "{\"type\":\"HTTP\",\"path\":\"/x\\r\\nHost: y\"}", NULL, ERR_RANGE },
	{ "{\"type\":\"HTTP\",\"headers\":\"a:b\\nc:d\"}", NULL, ERR_RANGE },
	{ "{\"path\":\"/x\"}", NULL, ERR_SYNTAX },
	{ "nonsense", NULL, ERR_SYNTAX },
};

static void reads_shows_and_reads_again(void **state)
{
	struct arena arena;
	struct checker checker;
	struct str text, again;
	char why[100];

	(void)state;
	arena_init(&arena, 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(checker_parse(&arena, str_of(rows[i].text), &checker, why,
		                               sizeof(why)),
		                 rows[i].ret);
		if (rows[i].ret < 0)
			continue;
		assert_int_equal(checker_text(&arena, &checker, &text), 0);
		assert_int_equal(str_is_set(text), rows[i].shown != NULL);
		if (rows[i].shown != NULL)
			assert_true(str_eq(text, str_of(rows[i].shown)));
		assert_int_equal(checker_parse(&arena, text, &checker, why, sizeof(why)), 0);
		assert_int_equal(checker_text(&arena, &checker, &again), 0);
		assert_true(str_eq(text, again));
	}
	arena_free(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(reads_shows_and_reads_again) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
