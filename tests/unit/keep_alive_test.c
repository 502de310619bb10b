/* SPDX-License-Identifier: Apache-2.0 */
/* What idle clients are promised, by http.idle_timeout. */
#include "tests/unit/http_fixture.h"

#include "worker/http/keep_alive.h"

static const struct {
	uint64_t idle_ms;
	const char *lines;
} rows[] = {
	{ 75000, "Keep-Alive: timeout=60\r\nConnection: keep-alive\r\n" },
	{ 60000, "Keep-Alive: timeout=48\r\nConnection: keep-alive\r\n" },
	{ 5000, "Keep-Alive: timeout=4\r\nConnection: keep-alive\r\n" },
	{ 2000, "Keep-Alive: timeout=1\r\nConnection: keep-alive\r\n" },
	{ 1250, "Keep-Alive: timeout=1\r\nConnection: keep-alive\r\n" },
	{ 1249, "Connection: keep-alive\r\n" },
	{ 100, "Connection: keep-alive\r\n" },
	{ 0, "Connection: keep-alive\r\n" },
	{ 86400000, "Keep-Alive: timeout=69120\r\nConnection: keep-alive\r\n" },
	{ UINT64_MAX, "Keep-Alive: timeout=999999\r\nConnection: keep-alive\r\n" },
};

static void test_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct keep_alive keep_alive;

		keep_alive_init(&keep_alive, rows[i].idle_ms);
		if (!str_eq(keep_alive_lines(&keep_alive), str_of(rows[i].lines)))
			fail_msg("%llu ms: %s", (unsigned long long)rows[i].idle_ms,
			         keep_alive.text);
		assert_true(keep_alive.seconds * 1000ULL <= rows[i].idle_ms);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_lines) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
