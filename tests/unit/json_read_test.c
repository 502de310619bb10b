/* SPDX-License-Identifier: Apache-2.0 */
/* json_read: order and depth of values, the limits, and what yajl alone would let through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "shared/base/utf8.h"
#include "shared/codec/json_read.h"

static struct arena arena;
static char trace[1000];
static const struct json_limits limits = { .depth = 4, .keys = 5 };

static const char *note(void *arg, const struct json_item *item)
{
	size_t used = strlen(trace);

	(void)arg;
	if (item->kind == JSON_STRING && str_eq(item->text, STR("stop")))
		return "stopped";
	snprintf(trace + used, sizeof(trace) - used, "%u:%.*s%s%.*s;", item->depth,
	         (int)item->key.n, item->key.p, str_is_set(item->key) ? "=" : "", (int)item->text.n,
	         item->text.p);
	return NULL;
}

static int read_text(const char *text, char *why, size_t why_size)
{
	trace[0] = '\0';
	return json_read(&arena, str_of(text), limits, note, NULL, why, why_size);
}

static void order(void **state)
{
	(void)state;
	assert_int_equal(
	        read_text("{\"a\":1.50,\"b\":[true,{\"c\":null},-0],\"d\":\"x\\u0041\\n\"} tail",
	                  NULL, 0),
	        0);
	assert_string_equal(trace, "0:;1:a=1.50;1:b=;2:true;2:;3:c=null;2:-0;1:d=xA\n;");
	assert_int_equal(read_text(" null", NULL, 0), 0);
	assert_string_equal(trace, "0:null;");
	assert_int_equal(read_text("7", NULL, 0), 0);
	assert_string_equal(trace, "0:7;");
	assert_int_equal(read_text("{\"\\ud83d\\ude00\":\"\\\\ud800\"}", NULL, 0), 0);
	assert_string_equal(trace, "0:;1:😀=\\ud800;");
}

/* Text is text: what is no character reads as U+FFFD, escaped or raw. */
static void repaired(void **state)
{
#define X "\xef\xbf\xbd"
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "\\ud83d", X },
		{ "x\\uD83D", "x" X },
		{ "\\ud83dx", X "x" },
		{ "\\ude00", X },
		{ "\\ude00\\ud83d", X X },
		{ "\\ud83d\\ud83d", X X },
		{ "\\ud83d\\ud83d\\ude00", X "😀" },
		{ "\\ud83d\\ude00\\ude00", "😀" X },
		{ "\\uD83D\\u0041", X "A" },
		{ "\\ud83d\\n", X "\n" },
		{ "\\ud83d\\\\ude00", X "\\ude00" },
		{ "\\\\ud83d", "\\ud83d" },
		{ "\\ud83d\xed\xb8\x80", X X },
		{ "\xed\xa0\xbd\xed\xb8\x80", X X },
		{ "\xc0\x80", X X },
		{ "\xff", X },
		{ "\xf0\x9f\x98", X },
	};
	char text[100], want[100];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(text, sizeof(text), "{\"%s\":\"%s\"}", rows[i].text, rows[i].text);
		snprintf(want, sizeof(want), "0:;1:%s=%s;", rows[i].want, rows[i].want);
		assert_int_equal(read_text(text, NULL, 0), 0);
		assert_string_equal(trace, want);
	}
	assert_int_equal(read_text("[\"a\\u0000b\"]", NULL, 0), 0);
	assert_string_equal(trace, "0:;1:a;"); /* as far as a zero byte lets us see */
}

static void refused(void **state)
{
	static const char *const rows[] = {
		"",
		"  ",
		"{",
		"{\"a\":",
		"{\"a\"}",
		"[1,]",
		"{\"a\":01}",
		"{'a':1}",
		"xx",
		"nullable",
		"tru",
		"{\"a\":nulL}",
		"\"\\u12\"",
		"\"\\x\"",
		"\"\\ud83d\\u\"",
		"\"\\ud83d\\ude0\"",
		"\xef\xbb\xbf{}",
		"\xff",
		"\"a\nb\"",
		"[[[[[1]]]]]",
		"{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"f\":6}",
		"[NaN]",
		"-",
		"[1e]",
		"// c\n1",
	};
	char why[200];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		why[0] = '\0';
		assert_int_equal(read_text(rows[i], why, sizeof(why)), ERR_SYNTAX);
		assert_true(why[0] != '\0');
		assert_int_equal(read_text(rows[i], NULL, 0), ERR_SYNTAX);
	}
}

static void reasons(void **state)
{
	char why[300];

	(void)state;
	assert_int_equal(read_text("[1,\"stop\",2]", why, sizeof(why)), ERR_SYNTAX);
	assert_string_equal(why, "stopped");
	assert_string_equal(trace, "0:;1:1;");
	assert_int_equal(read_text("[[[[[1]]]]]", why, sizeof(why)), ERR_SYNTAX);
	assert_string_equal(why, "nested too deeply");
	assert_int_equal(read_text("xx", why, sizeof(why)), ERR_SYNTAX);
	assert_string_equal(
	        why,
	        "Unrecognized token 'xx': was expecting (JSON String, Number, Array, Object or token 'null', "
	        "'true' or 'false')\n at [Source: (String)\"xx\"; line: 1, column: 3]");
	assert_int_equal(read_text("xx", why, 8), ERR_SYNTAX);
	assert_string_equal(why, "Unrecog");
	/* The text of the client is cut where a character ends. */
	for (size_t size = sizeof(why) - 40; size > 100; size--) {
		assert_int_equal(
		        read_text(
		                "x\xe4\xb8\x96\xf0\x9f\x98\x80\xe4\xb8\x96\xe4\xb8\x96\xc3\xa9\xc3\xa9",
		                why, size),
		        ERR_SYNTAX);
		assert_true(utf8_valid(str_of(why)));
	}
}

/* Every point at which memory may run out, in a text that makes yajl decode, grow and nest. */
static void memory_runs_out(void **state)
{
	static char text[9000] = "{\"a\":[[[\"";
	size_t n = strlen(text);
	bool seen = false;

	(void)state;
	while (n < 8000)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "\\u0041xyz\\n");
	snprintf(text + n, sizeof(text) - n, "\"]]],\"b\":\"\\t\",\"c\":123");
	for (size_t max = 1; max < 100000; max += max < 3000 ? 16 : 1600) {
		struct arena small;
		int ret;

		trace[0] = '\0';
		arena_init(&small, max);
		ret = json_read(&small, str_of(text), limits, note, NULL, NULL, 0);
		assert_true(ret == ERR_NOMEM || ret == ERR_SYNTAX);
		seen |= ret == ERR_SYNTAX; /* the text ends too early */
		arena_free(&small);
	}
	assert_true(seen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order),           cmocka_unit_test(repaired),
		cmocka_unit_test(refused),         cmocka_unit_test(reasons),
		cmocka_unit_test(memory_runs_out),
	};
	int failed;

	arena_init(&arena, 0);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	arena_free(&arena);
	return failed;
}
