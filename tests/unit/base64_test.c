/* SPDX-License-Identifier: Apache-2.0 */
/* base64: the vectors of RFC 4648 section 10 without padding, and the two digits that differ from
 * plain base64. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/codec/base64.h"

static void test_vectors(void **state)
{
	static const struct {
		struct str bytes;
		const char *text;
	} rows[] = {
		{ STR(""), "" },
		{ STR("f"), "Zg" },
		{ STR("fo"), "Zm8" },
		{ STR("foo"), "Zm9v" },
		{ STR("foob"), "Zm9vYg" },
		{ STR("fooba"), "Zm9vYmE" },
		{ STR("foobar"), "Zm9vYmFy" },
		{ STR("\0\0"), "AAA" },
		{ STR("\xfb\xff\xbf"), "-_-_" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf b;

		buf_init(&b);
		base64url_put(&b, rows[i].bytes);
		buf_char(&b, '\0');
		assert_false(buf_failed(&b));
		assert_string_equal(buf_view(&b).p, rows[i].text);
		buf_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_vectors) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
