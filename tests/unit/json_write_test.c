/* SPDX-License-Identifier: Apache-2.0 */
/* json_write: the escapes and numbers of specification 7.5, and members with their commas, byte for
 * byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <math.h>

#include "shared/codec/json_write.h"

static void assert_wrote(struct buf *b, const char *expected)
{
	assert_false(buf_failed(b));
	assert_int_equal(b->len, strlen(expected));
	assert_memory_equal(b->data, expected, b->len);
	buf_reset(b);
}

static void strings(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b);
	json_string(&b, STR(""));
	assert_wrote(&b, "\"\"");
	json_string(&b, STR("a/b <\x7f> '"));
	assert_wrote(&b, "\"a/b <\x7f> '\"");
	json_string(&b, STR("say \"hi\" \\ \b\t\n\f\r"));
	assert_wrote(&b, "\"say \\\"hi\\\" \\\\ \\b\\t\\n\\f\\r\"");
	json_string(&b, STR("\0\x01\x0b\x1f"));
	assert_wrote(&b, "\"\\u0000\\u0001\\u000B\\u001F\"");
	json_string(&b, STR("城市 😀"));
	assert_wrote(&b, "\"城市 😀\"");
	json_escape(&b, STR("\"x"));
	assert_wrote(&b, "\\\"x");
	buf_free(&b);
}

static void numbers(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b);
	json_double(&b, 1);
	assert_wrote(&b, "1.0");
	json_double(&b, 1e-4);
	assert_wrote(&b, "1.0E-4");
	json_double(&b, NAN);
	assert_wrote(&b, "\"NaN\"");
	json_double(&b, -INFINITY);
	assert_wrote(&b, "\"-Infinity\"");
	json_float(&b, 0.85f);
	assert_wrote(&b, "0.85");
	buf_free(&b);
}

static void values_of_members(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b);
	buf_char(&b, '{');
	JSON_PUT_STRING(&b, "text", STR("\"{"));
	JSON_PUT_U64(&b, "u64", UINT64_MAX);
	JSON_PUT_I64(&b, "i64", INT64_MIN);
	JSON_PUT_DOUBLE(&b, "double", 1e-4);
	JSON_PUT_FLOAT(&b, "float", 0.85f);
	JSON_PUT_BOOL(&b, "set", 0x100U & 0x300U);
	JSON_PUT_BOOL(&b, "unset", false);
	JSON_PUT_LIT(&b, "none", "null");
	JSON_PUT_LIT(&b, "word", "\"x\"");
	buf_char(&b, '}');
	assert_wrote(&b, "{\"text\":\"\\\"{\",\"u64\":18446744073709551615,"
	                 "\"i64\":-9223372036854775808,\"double\":1.0E-4,\"float\":0.85,"
	                 "\"set\":true,\"unset\":false,\"none\":null,\"word\":\"x\"}");
	buf_free(&b);
}

static void members_within_each_other(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b);
	buf_char(&b, '{');
	JSON_PUT_LIT(&b, "inner", "{");
	JSON_PUT_U64(&b, "a", 1);
	JSON_PUT_U64(&b, "b", 2);
	buf_char(&b, '}');
	JSON_KEY(&b, "rows");
	buf_char(&b, '[');
	for (unsigned i = 0; i < 2; i++) {
		json_comma(&b);
		buf_char(&b, '{');
		JSON_PUT_U64(&b, "c", i);
		buf_char(&b, '}');
	}
	buf_char(&b, ']');
	JSON_PUT_LIT(&b, "empty", "{}");
	JSON_PUT_LIT(&b, "last", "[]");
	buf_char(&b, '}');
	assert_wrote(&b, "{\"inner\":{\"a\":1,\"b\":2},\"rows\":[{\"c\":0},{\"c\":1}],"
	                 "\"empty\":{},\"last\":[]}");
	buf_free(&b);
}

/* What stands before it may be in another buffer. */
static void members_of_an_empty_buffer(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b);
	JSON_KEY(&b, "a");
	assert_wrote(&b, "\"a\":");
	/* The bytes from before the reset do not count. */
	buf_char(&b, '1');
	buf_reset(&b);
	JSON_PUT_U64(&b, "a", 1);
	JSON_PUT_U64(&b, "b", 2);
	assert_wrote(&b, "\"a\":1,\"b\":2");
	json_comma(&b);
	assert_wrote(&b, "");
	buf_free(&b);
}

/* The last byte decides, which in a text is its quote. */
static void elements(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b);
	buf_char(&b, '[');
	for (unsigned i = 0; i < 3; i++) {
		json_comma(&b);
		json_string(&b, i == 0 ? STR("[") : STR("{"));
	}
	json_comma(&b);
	buf_char(&b, '[');
	json_comma(&b);
	buf_char(&b, '[');
	json_comma(&b);
	BUF_LIT(&b, "1]]]");
	assert_wrote(&b, "[\"[\",\"{\",\"{\",[[1]]]");
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings),
		cmocka_unit_test(numbers),
		cmocka_unit_test(values_of_members),
		cmocka_unit_test(members_within_each_other),
		cmocka_unit_test(members_of_an_empty_buffer),
		cmocka_unit_test(elements),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
