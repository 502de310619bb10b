/* SPDX-License-Identifier: Apache-2.0 */
/* Who may write what, how often who may take away, which timings a client may set. */
#include "tests/unit/naming_fixture.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/naming/guard.h"

#define DAY (24U * 3600U * 1000U)

/* ---- timings --------------------------------------------------------------------------------- */

static void each_is_clamped_by_itself(void **state)
{
	static const struct {
		uint64_t given[3], want[3];
		unsigned counted;
	} rows[] = {
		{ { 5000, 15000, 30000 }, { 5000, 15000, 30000 }, 0 },
		{ { 1, 1, 1 }, { 1000, 1000, 1000 }, 3 },
		{ { 0, 1000, 999 }, { 1000, 1000, 1000 }, 2 },
		{ { DAY, DAY + 1, UINT64_MAX }, { DAY, DAY, DAY }, 2 },
		{ { 60000, 2000, 1000 },
		  { 60000, 2000, 1000 },
		  0 }, /* interval > timeout > delete: as they are */
		{ { 1000, DAY, 1000 }, { 1000, DAY, 1000 }, 0 },
	};
	struct bed *bed = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		const uint64_t *given = rows[i].given, *want = rows[i].want;
		struct instance_metadata metadata = { .overrides = { true, true, given[0], given[1],
			                                             given[2] } };

		bed->slot.counters[METRIC_TIMINGS_CLAMPED] = 0;
		guard_timings(&bed->naming, &metadata);
		assert_int_equal(metadata.overrides.interval_ms, want[0]);
		assert_int_equal(metadata.overrides.timeout_ms, want[1]);
		assert_int_equal(metadata.overrides.delete_ms, want[2]);
		assert_int_equal(counted(bed, METRIC_TIMINGS_CLAMPED), rows[i].counted);
	}
}

static void limits_are_those_of_the_configuration(void **state)
{
	struct bed *bed = *state;
	struct instance_metadata metadata = { .overrides = { true, true, 1, 1, UINT64_MAX } };

	bed->config.instances_timeout_min_ms = 200;
	bed->config.instances_timeout_max_ms = 60000;
	guard_timings(&bed->naming, &metadata);
	assert_int_equal(metadata.overrides.timeout_ms, 200);
	assert_int_equal(metadata.overrides.delete_ms, 60000);
}

/* Who names no timings keeps those of the server, whatever the limits are. */
static void none_is_none(void **state)
{
	struct bed *bed = *state;
	struct instance_metadata metadata = { .overrides = { .interval_ms = 1 } };

	guard_timings(&bed->naming, &metadata);
	assert_int_equal(metadata.overrides.interval_ms, 1);
	assert_int_equal(counted(bed, METRIC_TIMINGS_CLAMPED), 0);
}

/* ---- origins --------------------------------------------------------------------------------- */

static struct origin from(struct bed *bed, const char *source, enum naming_right right,
                          bool is_operator)
{
	struct naming_caller caller = caller_from(bed, source, right);

	caller.is_operator = is_operator;
	return guard_origin(&bed->naming, &caller, right, CAUSE_CLIENT);
}

static void origins(void **state)
{
	struct bed *bed = *state;
	struct origin one, same, other, operator;

	one = from(bed, "10.0.0.1", NAMING_INSTANCES, false);
	assert_false(one.bound || one.owns);
	assert_int_equal(one.sender, registry_sender(&bed->f.reg, bed->sources[0]));
	bed->config.instances_owner = OWNER_SOURCE;
	one = from(bed, "10.0.0.1", NAMING_INSTANCES, false);
	same = from(bed, "::ffff:10.0.0.1", NAMING_INSTANCES, false);
	other = from(bed, "10.0.0.2", NAMING_INSTANCES, false);
	operator= from(bed, "10.0.0.1", NAMING_INSTANCES, true);
	assert_true(one.bound && other.bound && one.owns && other.owns);
	assert_true(one.sender != 0 && one.sender == same.sender && one.sender != other.sender);
	assert_true(!operator.bound && operator.owns);
	assert_int_equal(operator.sender, one.sender);
	assert_int_equal(one.cause, CAUSE_CLIENT);
	assert_int_equal(one.writer, WRITER_CLIENT);
	one = from(bed, "10.0.0.1", NAMING_SERVICES, false);
	assert_true(one.bound && one.owns && one.sender == same.sender);
	operator= from(bed, "10.0.0.1", NAMING_SERVICES, true);
	assert_true(!operator.bound && operator.owns);
}

/* How a child ends that asks for an origin with that right. */
static int asks(struct bed *bed, enum naming_right has, enum naming_right needed)
{
	struct naming_caller caller = operator_from(bed, "127.0.0.1", has);
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		signal(SIGABRT, SIG_DFL);
		(void)guard_origin(&bed->naming, &caller, needed, CAUSE_CLIENT);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

static void no_origin_without_the_right(void **state)
{
	struct bed *bed = *state;

	assert_int_equal(asks(bed, NAMING_INSTANCES, NAMING_INSTANCES), 0);
	assert_int_equal(asks(bed, NAMING_SERVICES, NAMING_SERVICES), 0);
	assert_int_equal(asks(bed, NAMING_SERVICES, NAMING_INSTANCES), SIGABRT);
	assert_int_equal(asks(bed, NAMING_INSTANCES, NAMING_SERVICES), SIGABRT);
	assert_int_equal(asks(bed, NAMING_READS, NAMING_INSTANCES), SIGABRT);
	assert_int_equal(asks(bed, NAMING_READS, NAMING_SERVICES), SIGABRT);
	assert_int_equal(asks(bed, NAMING_READS, NAMING_READS), SIGABRT);
}

/* ---- departures ------------------------------------------------------------------------------ */

static void departures_of_each_source(void **state)
{
	struct bed *bed = *state;
	const struct naming_caller one = caller_from(bed, "10.0.0.1", NAMING_INSTANCES);
	const struct naming_caller same = caller_from(bed, "10.0.0.1", NAMING_SERVICES);
	const struct naming_caller other = caller_from(bed, "10.0.0.2", NAMING_INSTANCES);
	const struct naming_caller nowhere = caller_from(bed, "", NAMING_INSTANCES);

	bed->config.brake_deregister = 10;
	guard_departed(&bed->naming, &one, 9);
	guard_departed(&bed->naming, &nowhere, 1000);
	assert_int_equal(guard_departure(&bed->naming, &one), 0);
	assert_int_equal(guard_departure(&bed->naming, &nowhere), 0);
	assert_int_equal(counted(bed, METRIC_DEREGISTER_REFUSED), 0);
	guard_departed(&bed->naming, &same, 1);
	assert_int_equal(guard_departure(&bed->naming, &one), ERR_DEPARTURES);
	assert_int_equal(guard_departure(&bed->naming, &same), ERR_DEPARTURES);
	assert_int_equal(guard_departure(&bed->naming, &other), 0);
	assert_int_equal(counted(bed, METRIC_DEREGISTER_REFUSED), 2);
	pass_ms(2 * bed->config.brake_period_ms);
	assert_int_equal(guard_departure(&bed->naming, &one), 0);
}

/* It is not counted, and it is not taken for the loopback address, which shares its /64. */
static void a_unix_socket_is_no_source(void **state)
{
	struct bed *bed = *state;
	const struct naming_caller nowhere = caller_from(bed, "", NAMING_INSTANCES);
	const struct naming_caller loopback = caller_from(bed, "::1", NAMING_INSTANCES);

	bed->config.brake_deregister = 10;
	guard_departed(&bed->naming, &nowhere, 1000);
	assert_int_equal(guard_departure(&bed->naming, &loopback), 0);
	guard_departed(&bed->naming, &loopback, 10);
	assert_int_equal(guard_departure(&bed->naming, &loopback), ERR_DEPARTURES);
	assert_int_equal(guard_departure(&bed->naming, &nowhere), 0);
}

/* They are counted all the same: the alarm looks at them. */
static void departures_without_a_limit(void **state)
{
	struct bed *bed = *state;
	const struct naming_caller one = caller_from(bed, "10.0.0.1", NAMING_INSTANCES);

	bed->config.brake_deregister = 0;
	guard_departed(&bed->naming, &one, 1000000);
	assert_int_equal(guard_departure(&bed->naming, &one), 0);
	bed->config.brake_deregister = 1000000;
	assert_int_equal(guard_departure(&bed->naming, &one), ERR_DEPARTURES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BED_TEST(each_is_clamped_by_itself),
		BED_TEST(limits_are_those_of_the_configuration),
		BED_TEST(none_is_none),
		BED_TEST(origins),
		BED_TEST(no_origin_without_the_right),
		BED_TEST(departures_of_each_source),
		BED_TEST(a_unix_socket_is_no_source),
		BED_TEST(departures_without_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
