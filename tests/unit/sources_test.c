/* SPDX-License-Identifier: Apache-2.0 */
/* What each source address has: the bucket of requests and the count of connections. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/base/source.h"
#include "shared/metrics/metrics.h"
#include "shared/process/sources.h"

static struct sources *sources;

static int set_up(void **state)
{
	(void)state;
	return sources_new(&sources);
}

static int tear_down(void **state)
{
	(void)state;
	sources_free_for_test(&sources);
	return 0;
}

static uint64_t hash_of(uint32_t n)
{
	uint8_t address[16] = { [10] = 0xff, [11] = 0xff };

	memcpy(address + 12, &n, sizeof(n));
	return sources_hash(sources, address);
}

/* How many of `tries` requests pass at that time. */
static unsigned passing(uint64_t hash, uint64_t now_us, uint32_t per_second, uint32_t burst,
                        unsigned tries)
{
	unsigned passed = 0;

	while (tries-- > 0)
		passed += sources_take(sources, hash, now_us, per_second, burst) == 0;
	return passed;
}

static void a_burst_then_the_rate(void **state)
{
	uint64_t now_us = 5000000, hash = hash_of(1);

	(void)state;
	assert_int_equal(passing(hash, now_us, 10, 20, 100), 20);
	assert_int_equal(sources_take(sources, hash, now_us, 10, 20), 100000);
	assert_int_equal(sources_take(sources, hash, now_us + 30000, 10, 20), 70000);
	/* A second brings ten, a long pause no more than the burst. */
	assert_int_equal(passing(hash, now_us + 1000000, 10, 20, 100), 10);
	assert_int_equal(passing(hash, now_us + 3600000000ULL, 10, 20, 100), 20);
}

static void sources_do_not_share(void **state)
{
	(void)state;
	assert_int_equal(passing(hash_of(1), 1000000, 5, 5, 100), 5);
	for (uint32_t n = 2; n < 500; n++)
		assert_int_equal(passing(hash_of(n), 1000000, 5, 5, 6), 5);
}

static void a_reload_takes_effect_at_once(void **state)
{
	uint64_t hash = hash_of(1);

	(void)state;
	assert_int_equal(passing(hash, 1000000, 1, 1000, 2000), 1000);
	/* What was borrowed under the larger burst is not paid back for a quarter of an hour. */
	assert_int_equal(passing(hash, 1000000, 10, 10, 1), 0);
	assert_int_equal(passing(hash, 2000000, 10, 10, 100), 10);
}

static void many_sources_forget_who_owes_least(void **state)
{
	unsigned forgotten = 0;

	(void)state;
	/* 100,000 busy sources in room for 16,384: nobody is refused for another's sake. */
	for (uint32_t n = 0; n < 100000; n++)
		forgotten += passing(hash_of(n), 1000000, 10, 10, 1) != 1;
	/* A tag is 16 bits: one in eight thousand may look like another, and even those begin with
	 * a burst of ten. */
	assert_int_equal(forgotten, 0);
}

static void processes_take_from_one_bucket(void **state)
{
	uint64_t hash = hash_of(7);
	unsigned passed = 0;
	pid_t pids[4];

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			_exit((int)passing(hash, 1000000, 100, 200, 5000));
	}
	for (unsigned i = 0; i < 4; i++) {
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_true(WIFEXITED(status));
		passed += (unsigned)WEXITSTATUS(status);
	}
	assert_int_equal(passed, 200);
}

static void connections_add_up_over_workers(void **state)
{
	uint64_t one = hash_of(1), other = hash_of(2);

	(void)state;
	assert_int_equal(sources_connections(sources, one), 0);
	for (unsigned worker = 0; worker < 3; worker++)
		sources_connection(sources, worker, one, 1);
	sources_connection(sources, 1, other, 1);
	assert_int_equal(sources_connections(sources, one), 3);
	assert_int_equal(sources_connections(sources, other), 1);
	sources_connection(sources, 2, one, -1);
	assert_int_equal(sources_connections(sources, one), 2);
	/* Worker 1 dies with one of each. */
	sources_clear(sources, 1);
	assert_int_equal(sources_connections(sources, one), 1);
	assert_int_equal(sources_connections(sources, other), 0);
}

/* A broken worker has written there. */
static void a_count_stays_at_zero(void **state)
{
	static struct slot slot;
	uint64_t hash = hash_of(1);

	(void)state;
	metrics_use(&slot);
	sources_connection(sources, 1, hash, -1);
	assert_int_equal(sources_connections(sources, hash), 0);
	assert_int_equal(slot.counters[METRIC_SOURCE_MISCOUNTED], 1);
	sources_connection(sources, 1, hash, 1);
	assert_int_equal(sources_connections(sources, hash), 1);
	sources_connection(sources, 1, hash, -1);
	assert_int_equal(sources_connections(sources, hash), 0);
	assert_int_equal(slot.counters[METRIC_SOURCE_MISCOUNTED], 1);
	metrics_use(NULL);
}

static void ipv6_counts_by_its_network(void **state)
{
	uint8_t a[16] = { 0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 1 },
	        b[16] = { 0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 2 };
	uint8_t c[16] = { 0x20, 1, 0xd, 0xb8, 0, 0, 0, 2, 1 }, none[16] = { 0 };

	(void)state;
	assert_int_equal(sources_hash(sources, a), sources_hash(sources, b));
	assert_int_not_equal(sources_hash(sources, a), sources_hash(sources, c));
	assert_int_not_equal(hash_of(1), hash_of(2));
	assert_true(source_is_set(a));
	assert_false(source_is_set(none));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_burst_then_the_rate, set_up, tear_down),
		cmocka_unit_test_setup_teardown(sources_do_not_share, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_reload_takes_effect_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(many_sources_forget_who_owes_least, set_up,
		                                tear_down),
		cmocka_unit_test_setup_teardown(processes_take_from_one_bucket, set_up, tear_down),
		cmocka_unit_test_setup_teardown(connections_add_up_over_workers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_count_stays_at_zero, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ipv6_counts_by_its_network, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
