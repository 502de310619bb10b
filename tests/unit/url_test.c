/* SPDX-License-Identifier: Apache-2.0 */
/* url: percent decoding and pairs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "shared/codec/url.h"

static struct arena arena;

static void assert_text(struct str s, const char *expected)
{
	assert_int_equal(s.n, strlen(expected));
	assert_memory_equal(s.p, expected, s.n);
}

static void pairs(void **state)
{
	struct url_param params[8];
	const char *text = "a=1&b=x+y%2B&c&=lost&&d=%e4%B8%AD&e=a=b&a=2";

	(void)state;
	assert_int_equal(url_params(&arena, str_of(text), params, 8), 6);
	assert_text(params[0].name, "a");
	assert_text(params[0].value, "1");
	assert_text(params[1].value, "x y+");
	assert_text(params[2].name, "c");
	assert_text(params[2].value, "");
	assert_text(params[3].value, "中");
	assert_text(params[4].value, "a=b");
	assert_text(params[5].name, "a");
	assert_text(params[5].value, "2");
	assert_int_equal(url_params(&arena, STR(""), params, 8), 0);
	assert_int_equal(url_params(&arena, STR("&"), params, 8), 0);
	assert_int_equal(url_params(&arena, STR("="), params, 8), 0);
	/* Without a name not even looked at. */
	assert_int_equal(url_params(&arena, STR("=%zz&a=+&=b=%4&%3d%26=%26"), params, 2), 2);
	assert_text(params[0].value, " ");
	assert_text(params[1].name, "=&");
	assert_text(params[1].value, "&");
}

static void names_are_decoded(void **state)
{
	struct url_param param;

	(void)state;
	assert_int_equal(url_params(&arena, STR("service%4eame=%00"), &param, 1), 1);
	assert_text(param.name, "serviceName");
	assert_int_equal(param.value.n, 1);
	assert_int_equal(param.value.p[0], '\0');
}

static void broken(void **state)
{
	static const char *const rows[] = { "%",    "%1",    "%zz",      "a%2",   "%2g",  "a=%",
		                            "a%=1", "a=b%f", "a=%4&1=2", "a=%&b", "%+1=2" };
	struct url_param params[4];
	struct str out;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(url_decode(&arena, str_of(rows[i]), true, &out), ERR_SYNTAX);
		assert_int_equal(url_params(&arena, str_of(rows[i]), params, 4), ERR_SYNTAX);
	}
}

/* The Go client does not escape what it sends in forms. */
static void percent_in_forms(void **state)
{
	static const struct {
		const char *text, *name, *value;
	} rows[] = {
		{ "m=100%", "m", "100%" },
		{ "m=100%&n=1", "m", "100%" },
		{ "m=100%zz", "m", "100%zz" },
		{ "m=%4", "m", "%4" },
		{ "m=%", "m", "%" },
		{ "m=%%", "m", "%%" },
		{ "m=%%41", "m", "%A" },
		{ "m=%2541", "m", "%41" },
		{ "m=%e4%b8%AD%", "m", "中%" },
		{ "m={\"k\":\"100%\"}", "m", "{\"k\":\"100%\"}" },
		{ "%=1", "%", "1" },
		{ "a%&b", "a%", "" },
		{ "m=% 41+%+1", "m", "% 41 % 1" },
	};
	struct url_param params[2];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_true(url_form(&arena, str_of(rows[i].text), params, 2) > 0);
		assert_text(params[0].name, rows[i].name);
		assert_text(params[0].value, rows[i].value);
	}
	assert_int_equal(url_form(&arena, STR("a=%&b=%&c"), params, 2), ERR_LIMIT);
}

static void limits(void **state)
{
	struct url_param params[2];
	struct arena small;
	struct str out;

	(void)state;
	assert_int_equal(url_params(&arena, STR("a=1&b=2"), params, 2), 2);
	assert_int_equal(url_params(&arena, STR("a=1&b=2&c=3"), params, 2), ERR_LIMIT);
	arena_init(&small, 8);
	assert_int_equal(url_decode(&small, STR("%41bcdefghijklmnopqrstuvwxyz"), true, &out),
	                 ERR_NOMEM);
	assert_int_equal(url_params(&small, STR("abcdefghijklmnopqrstuvwxyz=1"), params, 2),
	                 ERR_NOMEM);
	arena_free(&small);
}

static void plus_in_paths(void **state)
{
	struct str out;

	(void)state;
	assert_int_equal(url_decode(&arena, STR("a+b%20c"), false, &out), 0);
	assert_text(out, "a+b c");
	assert_int_equal(url_decode(&arena, STR("a+b"), true, &out), 0);
	assert_text(out, "a b");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pairs),  cmocka_unit_test(names_are_decoded),
		cmocka_unit_test(broken), cmocka_unit_test(percent_in_forms),
		cmocka_unit_test(limits), cmocka_unit_test(plus_in_paths),
	};
	int failed;

	arena_init(&arena, 0);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	arena_free(&arena);
	return failed;
}
