/* SPDX-License-Identifier: Apache-2.0 */
/* media: Accept headers as clients send them, and what may be answered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/v1/media.h"

static const struct {
	const char *accept;
	const char *text;
	bool json, html;
} rows[] = {
	{ "", "text/plain", true, false },
	{ "*/*", "text/plain", true, false },
	{ "application/json", "application/json", true, false },
	{ "text/html", "text/html", false, true },
	{ "TEXT/HTML;q=0.5", "TEXT/HTML", false, true },
	{ "text/html;q=0", "text/plain", false, false },
	{ "text/html;q=nan", "text/plain", false, false },
	{ "application/json;q=0, */*;q=0", "text/plain", false, false },
	{ "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", "text/html", true, true },
	{ "application/*", "text/plain", true, false },
	{ "application/vnd.a+json", "application/vnd.a+json", true, false },
	{ "text/plain;q=0.5, text/xml;q=0.9", "text/xml", false, false },
	{ "text/(x), a/b/c, /, text/", "text/plain", false, false },
	{ ",,;q=1,", "text/plain", false, false },
};

static void test_accept(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct str accept = str_of(rows[i].accept),
		           text = media_concrete(accept, STR("text/plain"));

		if (!str_eq(text, str_of(rows[i].text)) ||
		    media_accepts_json(accept) != rows[i].json ||
		    media_accepts_html(accept) != rows[i].html)
			fail_msg("%s: %.*s json %d html %d", rows[i].accept, (int)text.n, text.p,
			         media_accepts_json(accept), media_accepts_html(accept));
	}
}

static void test_json(void **state)
{
	(void)state;
	assert_true(media_is_json(STR("Application/JSON")));
	assert_true(media_is_json(STR("application/x+json")));
	assert_false(media_is_json(STR("application/+json")));
	assert_false(media_is_json(STR("text/json")));
	assert_false(media_is_json(STR("")));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_accept),
		                            cmocka_unit_test(test_json) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
