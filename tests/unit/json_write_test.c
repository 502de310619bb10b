/* SPDX-License-Identifier: Apache-2.0 */
/* json_write: the escapes and numbers of specification 7.5, byte for byte. */
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

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(strings), cmocka_unit_test(numbers) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
