/* SPDX-License-Identifier: Apache-2.0 */
/* charset: names, texts, what cannot be read, and no more bytes than promised. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "shared/base/utf8.h"
#include "shared/codec/charset.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define X "\xef\xbf\xbd"

static struct arena arena;

static void names(void **state)
{
	static const char *const known[] = { "UTF-8",   "utf8",   "GBK",      "gbk",
		                             "Gb18030", "Big5",   "latin1",   "ASCII",
		                             "UTF-16",  "EUC-JP", "EUC-KR",   "Shift_JIS",
		                             "KOI8-R",  "EUC_CN", "cp936",    "sjis",
		                             "euc-kr",  "GB2312", "utf-16le", "ISO8859_1" };
	static const char *const unknown[] = { "",
		                               "utf",
		                               "UTF-7",
		                               "UTF_8",
		                               "GBK//TRANSLIT",
		                               "GBK//IGNORE",
		                               "ISO-2022-JP",
		                               "ISO-2022-CN-EXT",
		                               "HZ",
		                               "IBM1364",
		                               "../../GBK",
		                               "GBK ",
		                               "UTF-32",
		                               "\xff" };

	(void)state;
	for (size_t i = 0; i < COUNT(known); i++)
		if (charset_find(str_of(known[i])) == NULL)
			fail_msg("unknown: %s", known[i]);
	for (size_t i = 0; i < COUNT(unknown); i++)
		if (charset_find(str_of(unknown[i])) != NULL)
			fail_msg("known: %s", unknown[i]);
	assert_null(charset_find((struct str){ NULL, 0 }));
	assert_null(charset_find(str_make("GBK\0", 4)));
	assert_ptr_equal(charset_find(STR("utf8")), charset_utf8);
	assert_ptr_equal(charset_find(STR("EUC_CN")), charset_find(STR("gb2312")));
	assert_true(charset_in_forms(charset_find(STR("GBK"))));
	assert_false(charset_in_forms(charset_find(STR("UTF-16"))));
}

static void texts(void **state)
{
	static const struct {
		const char *charset, *text, *want;
	} rows[] = {
		{ "UTF-8", "\xc3\xa9\xff", "é" X },
		{ "GBK", "\xd6\xd0", "中" },
		{ "GBK", "\xd6", X },
		{ "GBK", "\xd6\"", X "\"" }, /* a quote is not swallowed */
		{ "GBK", "a\xff\xd6\xd0", "a" X "中" },
		{ "GBK", "\\", "\\" },
		{ "GB2312", "\xd6\xd0", "中" },
		{ "GB18030", "\x94\x39\xfc\x36", "😀" },
		{ "GB18030", "\x81\x30\"", X }, /* four bytes begun are one character */
		{ "BIG5", "\xa4\xa4", "中" },
		{ "ISO-8859-1", "\xe9", "é" },
		{ "ISO-8859-5", "\xb0", "А" },
		{ "ISO-8859-15", "\xa4", "€" },
		{ "US-ASCII", "a\xe9", "a" X },
		{ "WINDOWS-1251", "\xc0", "А" },
		{ "WINDOWS-1252", "\x80", "€" },
		{ "KOI8-R", "\xe1", "А" },
		{ "UTF-16", "\x4e\x2d", "中" },
		{ "UTF-16", "\xd8\x3d\x4e\x2d",
		  X "中" }, /* half a pair does not shift what follows */
		{ "UTF-16", "\x4e", X },
		{ "UTF-16LE", "\x2d\x4e", "中" },
		{ "EUC-JP", "\xc6\xfc", "日" },
		{ "SHIFT_JIS", "\x93\xfa", "日" },
		{ "SHIFT_JIS", "{\"a\":\"\\~\"}",
		  "{\"a\":\"\\~\"}" }, /* no yen sign, no overline */
		{ "EUC-KR", "\xc7\xd1", "한" },
		{ "GBK", "", "" },
	};
	struct str out;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct charset *charset = charset_find(str_of(rows[i].charset));

		assert_non_null(charset);
		assert_int_equal(charset_decode(&arena, charset, str_of(rows[i].text), &out), 0);
		if (!str_eq(out, str_of(rows[i].want)))
			fail_msg("%s row %zu: '%.*s'", rows[i].charset, i, (int)out.n, out.p);
	}
}

/* Every pair of bytes, among others that stay as they are: the charsets of forms never swallow a
 * mark. */
static void bounds(void **state)
{
	static const char *const all[] = {
		"UTF-8",  "GBK",          "GB2312",       "GB18030",     "BIG5",     "ISO-8859-1",
		"EUC-JP", "WINDOWS-1252", "SHIFT_JIS",    "EUC-KR",      "UTF-16",   "UTF-16LE",
		"KOI8-R", "ISO-8859-2",   "WINDOWS-1250", "ISO-8859-15", "US-ASCII", "WINDOWS-1251"
	};

	(void)state;
	for (size_t i = 0; i < COUNT(all); i++) {
		const struct charset *charset = charset_find(str_of(all[i]));

		for (unsigned pair = 0; pair < 0x10000; pair++) {
			const char text[] = { (char)(pair >> 8), (char)pair, '&', '=', '%', '+' };
			struct str out;

			arena_reset(&arena);
			assert_int_equal(charset_decode(&arena, charset,
			                                str_make(text, sizeof(text)), &out),
			                 0);
			assert_true(out.n <= 3 * sizeof(text));
			assert_true(utf8_valid(out));
			if (charset_in_forms(charset) &&
			    (out.n < 4 || memcmp(out.p + out.n - 4, "&=%+", 4) != 0))
				fail_msg("%s %04x: '%.*s'", all[i], pair, (int)out.n, out.p);
		}
	}
}

static void memory_runs_out(void **state)
{
	struct arena small;
	struct str out;

	(void)state;
	arena_init(&small, 8);
	assert_int_equal(charset_decode(&small, charset_find(STR("GBK")), STR("abcdefgh"), &out),
	                 ERR_NOMEM);
	arena_free(&small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(texts),
		cmocka_unit_test(bounds),
		cmocka_unit_test(memory_runs_out),
	};
	int failed;

	charset_load();
	arena_init(&arena, 0);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	arena_free(&arena);
	return failed;
}
