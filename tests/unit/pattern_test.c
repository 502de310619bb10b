/* SPDX-License-Identifier: Apache-2.0 */
/* Regular expressions of clients. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shared/base/clock.h"
#include "worker/v1/pattern.h"

static const struct {
	const char *text, *subject;
	int result;
} rows[] = {
	{ ".*.*", "DEFAULT_GROUP@@a:[]", 1 },
	{ ".*-a.*", "DEFAULT_GROUP@@x-a:[]", 1 },
	{ ".*-b.*", "DEFAULT_GROUP@@x-a:[]", 0 },
	{ "a", "aa", 0 },          /* the whole subject */
	{ "a|ab", "ab", 1 },       /* backtracks into the other branch */
	{ ".*x|y.*", "gx", 1 },    /* put together as text, not as a group */
	{ ".*A.*", "g@@a:[]", 0 }, /* letters count */
	{ ".*^g@@a.*", "g@@a:[]", 1 },
	{ "", "", 1 },
	{ "(a+)+[bd]", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", ERR_LIMIT },
};

static void matches_each(void **state)
{
	struct pattern *pattern;
	char why[100];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(pattern_new(str_of(rows[i].text), &pattern, why, sizeof(why)), 0);
		assert_int_equal(pattern_matches(pattern, str_of(rows[i].subject)), rows[i].result);
		pattern_free(&pattern);
		assert_null(pattern);
	}
}

static void refuses(struct str text)
{
	struct pattern *pattern;
	char why[100] = "";

	assert_int_equal(pattern_new(text, &pattern, why, sizeof(why)), ERR_SYNTAX);
	assert_null(pattern);
	assert_true(strlen(why) > 0);
}

static void refuses_what_is_no_expression(void **state)
{
	char long_text[PATTERN_BYTES_MAX + 1];

	(void)state;
	refuses(STR(".*(.*"));
	refuses(STR(".*[.*"));
	refuses(STR("*"));
	refuses(STR("\xff"));
	refuses(STR("((((a{1,1000}){1,1000}){1,1000}){1,1000})"));
	memset(long_text, 'a', sizeof(long_text));
	refuses(str_make(long_text, sizeof(long_text)));
}

/* Each match may be cheap enough; all together must end too. */
static void the_time_of_all_matches_is_limited(void **state)
{
	struct pattern *pattern;
	char why[100];
	uint64_t began = clock_mono_ms();
	int ret = 0;

	(void)state;
	assert_int_equal(pattern_new(STR(".*.*.*.*x"), &pattern, why, sizeof(why)), 0);
	/* Without an x in it no match would be tried at all. */
	for (unsigned i = 0; i < 10000000 && ret == 0; i++)
		ret = pattern_matches(pattern, STR("xaaaaaaaaaaaaaaa"));
	assert_int_equal(ret, ERR_LIMIT);
	assert_in_range(clock_mono_ms() - began, PATTERN_TIME_MS, 60000);
	pattern_free(&pattern);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(matches_each),
		cmocka_unit_test(refuses_what_is_no_expression),
		cmocka_unit_test(the_time_of_all_matches_is_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
