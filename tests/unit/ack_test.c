/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pusher/ack.h"

struct row {
	const char *text;
	uint64_t key; /* 0: no ACK */
};

static const struct row rows[] = {
	/* as clients write it */
	{ "{\"type\":\"push-ack\",\"lastRefTime\":\"1173345387777\",\"data\":\"\"}",
	  1173345387777 },
	{ "{\"type\": \"push-ack\", \"lastRefTime\":\"1795348111531000\", \"data\":\"\"}",
	  1795348111531000 },
	{ "{\"lastRefTime\":1795348111531000}", 1795348111531000 },
	{ " {\"lastRefTime\" : \" 42\\t\" }", 0 },
	{ " {\"lastRefTime\" : \" 42 \" }\n", 42 },
	/* other members are skipped, whatever they hold */
	{ "{\"x\":{\"lastRefTime\":\"1\",\"y\":[\"}\",{}]},\"lastRefTime\":\"7\",\"z\":null}", 7 },
	{ "{\"x\":[[],[1,2]],\"lastRefTime\":7,\"z\":-1.5e3}", 7 },
	{ "{\"x\":\"a\\\"b\\\\\",\"lastRefTime\":7}", 7 },
	{ "{\"lastRefTime\":1,\"lastRefTime\":2}", 2 },
	/* no ACK */
	{ "", 0 },
	{ "{}", 0 },
	{ "[]", 0 },
	{ "not json", 0 },
	{ "null", 0 },
	{ "{", 0 },
	{ "{\"", 0 },
	{ "{\"a", 0 },
	{ "{\"a\\", 0 },
	{ "{\"lastRefTime\"", 0 },
	{ "{\"lastRefTime\":", 0 },
	{ "{\"lastRefTime\":7", 0 },
	{ "{\"lastRefTime\":\"7", 0 },
	{ "{\"lastRefTime\":\"7\"", 0 },
	{ "{\"lastRefTime\":7,}", 0 },
	{ "{\"lastRefTime\":{\"a\":7", 0 },
	{ "{\"type\":\"push-ack\"}", 0 },
	{ "{\"lastRefTime\":\"\"}", 0 },
	{ "{\"lastRefTime\":null}", 0 },
	{ "{\"lastRefTime\":true}", 0 },
	{ "{\"lastRefTime\":7.0}", 0 },
	{ "{\"lastRefTime\":-7}", 0 },
	{ "{\"lastRefTime\":[7]}", 0 },
	{ "{\"lastRefTime\":\"99999999999999999999\"}", 0 },
	{ "{\"lastreftime\":7}", 0 },
	{ "{lastRefTime:7}", 0 },
};

static void test_rows(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint64_t key = 0;
		int ret = ack_parse(str_of(rows[i].text), &key);

		if (rows[i].key != key || (ret == 0) != (rows[i].key != 0))
			fail_msg("%s: ret %d key %llu", rows[i].text, ret, (unsigned long long)key);
	}
}

/* Every prefix of a long one is read to its own end only (run with the address sanitizer). */
static void test_prefixes(void **state)
{
	struct str whole = STR(
	        "{\"x\":{\"a\":[\"\\\"\",1]},\"lastRefTime\":\"1173345387777\",\"data\":\"\\\\\"}");
	size_t n;

	(void)state;
	for (n = 0; n < whole.n; n++) {
		char *copy = test_malloc(n + 1);
		uint64_t key;

		memcpy(copy, whole.p, n);
		assert_int_equal(ack_parse(str_make(copy, n), &key), ERR_SYNTAX);
		test_free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_prefixes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
