/* SPDX-License-Identifier: Apache-2.0 */
/* utf8: well-formed or not, and the hash Java computes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "shared/base/utf8.h"

static void validity(void **state)
{
	static const char *const good[] = { "",
		                            "a",
		                            "0123456789abcdef",
		                            "é",
		                            "中",
		                            "😀",
		                            "\xed\x9f\xbf",
		                            "\xee\x80\x80",
		                            "\xf4\x8f\xbf\xbf",
		                            "01234567é",
		                            "0123456é" };
	static const char *const bad[] = { "\x80",
		                           "\xc0\x80",
		                           "\xc1\xbf",
		                           "\xc3",
		                           "\xe0\x80\x80",
		                           "\xe0\x9f\xbf",
		                           "\xed\xa0\x80",
		                           "\xed\xbf\xbf",
		                           "\xf0\x80\x80\x80",
		                           "\xf4\x90\x80\x80",
		                           "\xf5\x80\x80\x80",
		                           "\xff",
		                           "\xe4\xb8",
		                           "\xf0\x9f\x98",
		                           "a\xe4\x62\x62",
		                           "01234567\xff",
		                           "\xc3\xc3" };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(utf8_valid(str_of(good[i])));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(utf8_valid(str_of(bad[i])));
	assert_true(utf8_valid(str_make("a\0b", 3)));
}

/* As a Java 17 decodes them. */
static void repair(void **state)
{
	static const char *const rows[][2] = {
		{ "", "" },
		{ "城市 a", "城市 a" },
		{ "\xff", "\xef\xbf\xbd" },
		{ "a\xff\xfe"
		  "b",
		  "a\xef\xbf\xbd\xef\xbf\xbd"
		  "b" },
#define X "\xef\xbf\xbd"
		{ "\xed\xa0\x80", X },
		{ "\xed\xa0\xbd\xed\xb8\x80", X X },
		{ "\xed\xa0", X },
		{ "\xed\xa0x", X "x" },
		{ "\xc0\x80", X X },
		{ "\xe0\x80\x80", X X X },
		{ "\xe4\xb8", X },
		{ "\xe4\xb8x", X "x" },
		{ "\xe4\xe4\xb8\xad", X "中" },
		{ "\xf0\x9f\x98", X },
		{ "\xf0\x9f\x98\xf0\x9f\x98\x80", X "😀" },
		{ "\xf0\x8f\xbf\xbf", X X X X },
		{ "\xf4\x90\x80\x80", X X X X },
		{ "\xf8\x88\x80\x80\x80", X X X X X },
		{ "é\xc3", "é" X },
	};
	struct arena arena;
	struct str out;

	(void)state;
	arena_init(&arena, 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(utf8_repair(&arena, str_of(rows[i][0]), &out), 0);
		assert_true(str_eq(out, str_of(rows[i][1])));
		assert_true(utf8_valid(out));
	}
	assert_int_equal(utf8_repair(&arena, (struct str){ NULL, 0 }, &out), 0);
	assert_false(str_is_set(out));
	arena_free(&arena);
}

static void hash(void **state)
{
	(void)state;
	assert_int_equal(utf8_java_hash(STR("")), 0);
	assert_int_equal(utf8_java_hash(STR("Aa")), utf8_java_hash(STR("BB")));
	assert_int_equal((int32_t)utf8_java_hash(STR("DEFAULT_GROUP@@x")), -1325396457);
	assert_int_equal(utf8_java_hash(STR("城市")), 720884);
	assert_int_equal(utf8_java_hash(STR("😀é")), 54960102);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(validity), cmocka_unit_test(repair),
		                            cmocka_unit_test(hash) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
