/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pusher/pace.h"

static const uint8_t host[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1 };

struct sent {
	unsigned now, later, refused;
	uint32_t last_wait;
};

static struct sent send_many(struct pace *pace, const struct pace_rates *rates, uint16_t first_port,
                             unsigned ports, unsigned n, uint64_t now_us)
{
	struct sent sent = { 0, 0, 0, 0 };
	unsigned i;

	for (i = 0; i < n; i++) {
		uint32_t wait_ms = pace_reserve(pace, rates, host,
		                                (uint16_t)(first_port + i % ports), now_us, 1000);

		if (wait_ms == PACE_REFUSED) {
			sent.refused++;
			continue;
		}
		assert_true(wait_ms >= sent.last_wait || ports > 1);
		sent.last_wait = wait_ms;
		if (wait_ms == 0)
			sent.now++;
		else
			sent.later++;
	}
	return sent;
}

static void test_socket_burst_then_rate(void **state)
{
	struct pace_rates rates = { 1000, 0 };
	struct pace *pace;
	struct sent sent;

	(void)state;
	assert_int_equal(pace_new(1, &pace), 0);
	sent = send_many(pace, &rates, 5000, 1, 2000, 1000000);
	/* 50 ms of the rate at once, then one a ms for a second, and no further. */
	assert_in_range(sent.now, 50, 51);
	assert_in_range(sent.later, 999, 1001);
	assert_in_range(sent.last_wait, 999, 1000);
	assert_int_equal(sent.refused, 2000 - sent.now - sent.later);
	/* Another socket is not held up. */
	assert_int_equal(pace_reserve(pace, &rates, host, 5001, 1000000, 1000), 0);
	/* Two seconds later the burst is there again. */
	sent = send_many(pace, &rates, 5000, 1, 60, 3100000);
	assert_in_range(sent.now, 50, 51);
	pace_free(&pace);
}

static void test_address_holds_all_its_sockets(void **state)
{
	struct pace_rates rates = { 100000, 10000 };
	struct pace *pace;
	struct sent sent;

	(void)state;
	assert_int_equal(pace_new(1, &pace), 0);
	sent = send_many(pace, &rates, 2000, 1000, 1000, 1000000);
	assert_in_range(sent.now, 500, 501);
	assert_int_equal(sent.refused, 0);
	assert_in_range(sent.last_wait, 49, 51);
	pace_free(&pace);
}

static void test_low_rate_still_bursts(void **state)
{
	struct pace_rates rates = { 1, 0 };
	struct pace *pace;
	struct sent sent;

	(void)state;
	assert_int_equal(pace_new(1, &pace), 0);
	sent = send_many(pace, &rates, 2000, 1, 100, 1000000000);
	assert_in_range(sent.now, PACE_BURST_MIN, PACE_BURST_MIN + 1);
	assert_true(sent.refused > 0);
	pace_free(&pace);
}

static void test_no_limit(void **state)
{
	struct pace_rates rates = { 0, 0 };
	struct pace *pace;

	(void)state;
	assert_int_equal(pace_new(1, &pace), 0);
	assert_int_equal(send_many(pace, &rates, 2000, 1, 100000, 1).now, 100000);
	pace_free(&pace);
}

/* Many destinations: the table grows while they are busy and is given back at rest. */
static void test_many_destinations(void **state)
{
	struct pace_rates rates = { 10, 0 };
	struct pace *pace;
	uint8_t address[16];
	unsigned i, round;

	(void)state;
	assert_int_equal(pace_new(1, &pace), 0);
	for (round = 0; round <= PACE_BURST_MIN; round++) {
		for (i = 0; i < 20000; i++) {
			memcpy(address, host, 16);
			memcpy(address + 8, &i, sizeof i);
			/* At last every one of the 20,000 is remembered to have had its burst. */
			bool now = pace_reserve(pace, &rates, address, 2000, 1000000000, 1000) == 0;

			assert_true(now == (round < PACE_BURST_MIN));
		}
	}
	pace_trim(pace, 2000000000);
	assert_int_equal(pace_reserve(pace, &rates, host, 2000, 2000000000, 1000), 0);
	pace_free(&pace);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_socket_burst_then_rate),
		cmocka_unit_test(test_address_holds_all_its_sockets),
		cmocka_unit_test(test_low_rate_still_bursts),
		cmocka_unit_test(test_no_limit),
		cmocka_unit_test(test_many_destinations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
