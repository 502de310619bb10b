/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "shared/metrics/metrics.h"
#include "shared/net/address.h"
#include "worker/v1/instance_guard.h"
#include "worker/v1/routes.h"
#include "worker/worker.h"

#define DAY (24U * 3600U * 1000U)

static struct slot slot;
static struct process proc = { .slot = &slot };
static struct worker worker = { .proc = &proc };
static const struct route instances_row = { .flags = ROUTE_NAMING | ROUTE_INSTANCES };
static const struct route services_row = { .flags = ROUTE_NAMING | ROUTE_SERVICES };
static const struct route operators_row = { .flags = ROUTE_NAMING | ROUTE_OPERATOR };
static const struct route reading_row = { .flags = ROUTE_NAMING };
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
	rq.route = &instances_row;
	return guard_origin(&rq, CAUSE_CLIENT);
}

static struct origin service_from(const char *source)
{
	(void)from(source);
	rq.route = &services_row;
	return guard_service_origin(&rq, CAUSE_OPERATOR);
}

static void origins(void **state)
{
	struct origin one, same, other, operator;

	(void)state;
	one = from("10.0.0.1");
	assert_false(one.bound || one.owns);
	assert_int_equal(one.sender, rq.sender);
	proc.config.instances_owner = OWNER_SOURCE;
	one = from("10.0.0.1");
	same = from("::ffff:10.0.0.1");
	other = from("10.0.0.2");
	operator= from("127.0.0.1");
	assert_true(one.bound && other.bound && one.owns && other.owns);
	assert_true(one.sender != 0 && one.sender == same.sender && one.sender != other.sender);
	assert_true(!operator.bound && operator.owns);
	assert_int_equal(operator.sender, rq.sender);
	assert_int_equal(one.cause, CAUSE_CLIENT);
	one = service_from("10.0.0.1");
	assert_true(one.bound && one.owns && one.sender == same.sender && one.cause == CAUSE_OPERATOR);
	operator= service_from("127.0.0.1");
	assert_true(!operator.bound && operator.owns);
}

/* How a child ends that asks for an origin as a handler of that row. */
static int asks(const struct route *row, struct origin (*guard)(const struct request *rq, enum cause cause))
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		signal(SIGABRT, SIG_DFL);
		rq.route = row;
		(void)guard(&rq, CAUSE_CLIENT);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

static void no_origin_without_the_right(void **state)
{
	(void)state;
	assert_int_equal(asks(&instances_row, guard_origin), 0);
	assert_int_equal(asks(&services_row, guard_service_origin), 0);
	assert_int_equal(asks(&services_row, guard_origin), SIGABRT);
	assert_int_equal(asks(&instances_row, guard_service_origin), SIGABRT);
	assert_int_equal(asks(&reading_row, guard_origin), SIGABRT);
	assert_int_equal(asks(&reading_row, guard_service_origin), SIGABRT);
	assert_int_equal(asks(&operators_row, guard_origin), SIGABRT);
	assert_int_equal(asks(&operators_row, guard_service_origin), SIGABRT);
}

/* A row writes one kind of thing, or nothing. */
static void rows_say_what_they_write(void **state)
{
	unsigned kinds[3] = { 0 };

	(void)state;
	for (unsigned i = 0; i < route_count; i++) {
		unsigned writes = routes[i].flags & ROUTE_WRITES;

		assert_int_equal(writes & (writes - 1), 0);
		kinds[0] += writes == ROUTE_INSTANCES;
		kinds[1] += writes == ROUTE_SERVICES;
		kinds[2] += writes == ROUTE_OPERATOR;
	}
	assert_true(kinds[0] > 0 && kinds[1] > 0 && kinds[2] > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_is_clamped_by_itself),
		TEST(limits_are_those_of_the_configuration),
		TEST(origins),
		TEST(no_origin_without_the_right),
		TEST(rows_say_what_they_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
