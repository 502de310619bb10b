/* SPDX-License-Identifier: Apache-2.0 */
/* Counts by source over a sliding period, and the alarm that the keeper makes of them. */
#include "shared/shm/departures.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "keeper/exodus.h"
#include "shared/base/log.h"
#include "shared/metrics/metrics.h"
#include "shared/net/address.h"
#include "shared/shm/brake_state.h"

#define PERIOD 60000U
#define NOW (PERIOD * 1000ULL)

static struct departures table;

static int setup(void **state)
{
	(void)state;
	memset(&table, 0, sizeof(table));
	return 0;
}

static uint64_t key_of(const char *text)
{
	uint8_t address[16];

	assert_int_equal(address_parse(str_of(text), address), 0);
	return departures_key(address);
}

static const struct {
	const char *address, *shown;
} names[] = {
	{ "10.0.0.1", "10.0.0.1" },
	{ "255.255.255.255", "255.255.255.255" },
	{ "::ffff:10.0.0.1", "10.0.0.1" },
	{ "2001:db8:0:1::5", "2001:db8:0:1::/64" },
	{ "2001:db8:0:1:ffff::5", "2001:db8:0:1::/64" },
	{ "::1", "::/64" },
};

static void test_names(void **state)
{
	char text[DEPARTURES_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_string_equal(departures_text(key_of(names[i].address), text),
		                    names[i].shown);
}

static void test_period_slides(void **state)
{
	uint64_t key = key_of("10.0.0.1");

	(void)state;
	assert_int_equal(departures_of(&table, key, NOW, PERIOD), 0);
	departures_add(&table, key, NOW, PERIOD, 60);
	departures_add(&table, key, NOW + PERIOD - 1, PERIOD, 40);
	assert_int_equal(departures_of(&table, key, NOW + PERIOD - 1, PERIOD), 100);
	assert_int_equal(departures_of(&table, key, NOW + PERIOD, PERIOD), 100);
	assert_int_equal(departures_of(&table, key, NOW + PERIOD + PERIOD / 2, PERIOD), 50);
	departures_add(&table, key, NOW + PERIOD + PERIOD / 2, PERIOD, 7);
	assert_int_equal(departures_of(&table, key, NOW + PERIOD + PERIOD / 2, PERIOD), 57);
	assert_int_equal(departures_of(&table, key, NOW + 2 * PERIOD, PERIOD), 7);
	assert_int_equal(departures_of(&table, key, NOW + 3 * PERIOD, PERIOD), 0);
	assert_int_equal(departures_of(&table, key_of("10.0.0.2"), NOW, PERIOD), 0);
}

static void test_count_does_not_wrap(void **state)
{
	uint64_t key = key_of("10.0.0.1");

	(void)state;
	departures_add(&table, key, NOW, PERIOD, UINT32_MAX);
	departures_add(&table, key, NOW, PERIOD, 5);
	assert_int_equal(departures_of(&table, key, NOW, PERIOD), UINT32_MAX);
}

/* A flood of sources with one departure each does not hide one with many. */
static void test_the_busiest_stays(void **state)
{
	uint64_t key = key_of("10.0.0.1");

	(void)state;
	departures_add(&table, key, NOW, PERIOD, 100);
	for (uint64_t i = 2; i < 100000; i++)
		departures_add(&table, key + i, NOW, PERIOD, 1);
	assert_int_equal(departures_of(&table, key, NOW, PERIOD), 100);
	assert_int_equal(departures_of(&table, key + 99999, NOW, PERIOD), 1);
}

/* ---- the alarm ------------------------------------------------------------------------------- */

static void test_alarm(void **state)
{
	struct segment *seg;
	struct config config;
	uint64_t key = key_of("10.0.0.1");

	(void)state;
	config_defaults(&config);
	log_set_level(LOG_LEVEL_ERROR);
	assert_int_equal(segment_open_anonymous(16 << 20, &seg), 0);
	metrics_use(&seg->slots[0]);
	departures_add(&seg->brake->departures, key, NOW, PERIOD, 60);
	exodus_tick(seg, &config, 60, NOW); /* 60 of 120 */
	assert_int_equal(metric_sum(seg, METRIC_DEREGISTER_ALARMS), 0);
	departures_add(&seg->brake->departures, key, NOW, PERIOD, 1);
	exodus_tick(seg, &config, 59, NOW);
	exodus_tick(seg, &config, 59, NOW); /* reported once */
	assert_int_equal(metric_sum(seg, METRIC_DEREGISTER_ALARMS), 1);
	exodus_tick(seg, &config, 59, NOW + 2 * PERIOD); /* over */
	departures_add(&seg->brake->departures, key, NOW + 2 * PERIOD, PERIOD, 100);
	exodus_tick(seg, &config, 0, NOW + 2 * PERIOD);
	assert_int_equal(metric_sum(seg, METRIC_DEREGISTER_ALARMS), 2);
	metrics_use(NULL);
	segment_close_for_test(&seg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_names, setup),
		cmocka_unit_test_setup(test_period_slides, setup),
		cmocka_unit_test_setup(test_count_does_not_wrap, setup),
		cmocka_unit_test_setup(test_the_busiest_stays, setup),
		cmocka_unit_test_setup(test_alarm, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
