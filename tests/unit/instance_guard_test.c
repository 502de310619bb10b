/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "shared/metrics/metrics.h"
#include "shared/net/address.h"
#include "worker/instance_guard.h"
#include "worker/worker.h"

#define DAY (24U * 3600U * 1000U)

static struct slot slot;
static struct process proc = { .slot = &slot };
static struct worker worker = { .proc = &proc };
static struct request rq = { .worker = &worker };

static int set_up(void **state)
{
	(void)state;
	memset(&slot, 0, sizeof(slot));
	metrics_use(&slot);
	config_defaults(&proc.config);
	return segment_open_anonymous(8U << 20, &proc.seg) == 0 ? (registry_init(&worker.registry, proc.seg), 0) : -1;
}

static int tear_down(void **state)
{
	(void)state;
	segment_close_for_test(&proc.seg);
	return 0;
}

static void each_is_clamped_by_itself(void **state)
{
	static const struct {
		uint64_t given[3], want[3];
		unsigned counted;
	} rows[] = {
		{ { 5000, 15000, 30000 }, { 5000, 15000, 30000 }, 0 }, { { 1, 1, 1 }, { 1000, 1000, 1000 }, 3 },
		{ { 0, 1000, 999 }, { 1000, 1000, 1000 }, 2 },         { { DAY, DAY + 1, UINT64_MAX }, { DAY, DAY, DAY }, 2 },
		{ { 60000, 2000, 1000 }, { 60000, 2000, 1000 }, 0 }, /* interval > timeout > delete: as they are */
		{ { 1000, DAY, 1000 }, { 1000, DAY, 1000 }, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const uint64_t *given = rows[i].given, *want = rows[i].want;
		struct instance_metadata metadata = { .overrides = { true, true, given[0], given[1], given[2] } };

		slot.counters[METRIC_TIMINGS_CLAMPED] = 0;
		guard_timings(&rq, &metadata);
		assert_int_equal(metadata.overrides.interval_ms, want[0]);
		assert_int_equal(metadata.overrides.timeout_ms, want[1]);
		assert_int_equal(metadata.overrides.delete_ms, want[2]);
		assert_int_equal(slot.counters[METRIC_TIMINGS_CLAMPED], rows[i].counted);
	}
}

static void limits_are_those_of_the_configuration(void **state)
{
	struct instance_metadata metadata = { .overrides = { true, true, 1, 1, UINT64_MAX } };

	(void)state;
	proc.config.instances_timeout_min_ms = 200;
	proc.config.instances_timeout_max_ms = 60000;
	guard_timings(&rq, &metadata);
	assert_int_equal(metadata.overrides.timeout_ms, 200);
	assert_int_equal(metadata.overrides.delete_ms, 60000);
}

static struct origin from(const char *source)
{
	assert_int_equal(address_parse(str_of(source), rq.source), 0);
	rq.sender = registry_sender(&worker.registry, rq.source);
	return guard_origin(&rq, CAUSE_CLIENT);
}

static void origins(void **state)
{
	struct origin one, same, other, operator;

	(void)state;
	one = from("10.0.0.1");
	assert_false(one.bound);
	assert_int_equal(one.sender, rq.sender);
	proc.config.instances_owner = OWNER_SOURCE;
	one = from("10.0.0.1");
	same = from("::ffff:10.0.0.1");
	other = from("10.0.0.2");
	operator= from("127.0.0.1");
	assert_true(one.bound && other.bound);
	assert_true(one.sender != 0 && one.sender == same.sender && one.sender != other.sender);
	assert_false(operator.bound);
	assert_int_equal(operator.sender, rq.sender);
	assert_int_equal(one.cause, CAUSE_CLIENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_is_clamped_by_itself),
		TEST(limits_are_those_of_the_configuration),
		TEST(origins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
