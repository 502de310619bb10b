/* SPDX-License-Identifier: Apache-2.0 */
/* Service selectors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shared/view/selector.h"

static const struct {
	const char *text, *shown; /* shown NULL: none */
	enum selector_verdict verdict;
} rows[] = {
	{ "", NULL, SELECTOR_OK },
	{ "  ", NULL, SELECTOR_OK },
	{ "{\"type\":\"none\"}", NULL, SELECTOR_OK },
	{ "%7B%22type%22%3A%22none%22%7D", NULL, SELECTOR_OK },
	{ "{\"type\":\"label\",\"expression\":\"CONSUMER.label.A = PROVIDER.label.A\"}",
	  "{\"type\":\"label\",\"expression\":\"CONSUMER.label.A = PROVIDER.label.A\",\"labels\":[\"A\"]}",
	  SELECTOR_OK },
	{ "{\"type\":\"label\",\"expression\":\"CONSUMER.label.A=PROVIDER.label.A&CONSUMER.label.B=PROVIDER.label.B\"}",
	  "{\"type\":\"label\",\"expression\":\"CONSUMER.label.A=PROVIDER.label.A&CONSUMER.label.B=PROVIDER.label.B\","
	  "\"labels\":[\"A\",\"B\"]}",
	  SELECTOR_OK },
	{ "{\"type\":\"label\",\"expression\":\"CONSUMER.label.A=PROVIDER.label.B\"}", NULL,
	  SELECTOR_EXPRESSION },
	{ "{\"type\":\"label\",\"expression\":\"zone=a\"}", NULL, SELECTOR_EXPRESSION },
	{ "{\"type\":\"label\",\"expression\":\"\"}",
	  "{\"type\":\"label\",\"expression\":\"\",\"labels\":[]}", SELECTOR_OK },
	{ "{\"type\":\"label\",\"expression\":\" \\t\"}",
	  "{\"type\":\"label\",\"expression\":\" \\t\",\"labels\":[]}", SELECTOR_OK },
	{ "{\"type\":\"label\",\"expression\":{\"expression\":1}}",
	  "{\"type\":\"label\",\"expression\":\"\",\"labels\":[]}", SELECTOR_OK },
	{ "{\"type\":\"label\",\"expression\":\"&\"}", NULL, SELECTOR_EXPRESSION },
	{ "{\"type\":\"label\",\"expression\":\"CONSUMER.label.A=PROVIDER.label.A&\"}", NULL,
	  SELECTOR_EXPRESSION },
	{ "{\"type\":\"label\",\"expression\":null}", NULL, SELECTOR_EXPRESSION },
	{ "{\"type\":\"label\",\"expression\":5}", NULL, SELECTOR_EXPRESSION },
	{ "{\"type\":\"label\"}", NULL, SELECTOR_NO_EXPRESSION },
	{ "{\"type\":5}", "5", SELECTOR_NO_SUCH },
	{ "{\"type\":null}", "null", SELECTOR_NO_SUCH },
	{ "{\"type\":[\"none\"]}", "", SELECTOR_NO_SUCH },
	{ "{\"type\":\"unknown\"}", NULL, SELECTOR_UNKNOWN },
	{ "{\"type\":\"xx\"}", "xx", SELECTOR_NO_SUCH },
	{ "{\"a\":1}", NULL, SELECTOR_NO_TYPE },
	{ "zzz", NULL, SELECTOR_JSON },
	{ "[1]", NULL, SELECTOR_JSON },
};

static void reads_each(void **state)
{
	struct arena arena;
	struct str shown;
	char why[100];

	(void)state;
	arena_init(&arena, 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(selector_parse(&arena, str_of(rows[i].text), &shown, why,
		                                sizeof(why)),
		                 rows[i].verdict);
		if (rows[i].shown == NULL)
			assert_int_equal(shown.n, 0);
		else
			assert_true(str_eq(shown, str_of(rows[i].shown)));
		arena_reset(&arena);
	}
	arena_free(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(reads_each) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
