/* SPDX-License-Identifier: Apache-2.0 */
/* Instances: registered, changed and taken away, by whom, and how often. */
#include "tests/unit/naming_fixture.h"

#include <math.h>

#include "shared/naming/instance.h"

static int put(struct bed *bed, const struct naming_caller *caller, const char *name,
               const char *ip)
{
	const struct service_key key = key_for(name);
	const struct instance_spec spec = spec_for(ip, 80);

	return naming_register(&bed->naming, caller, &key, &spec);
}

static int take(struct bed *bed, const struct naming_caller *caller, const char *name,
                const char *ip)
{
	const struct service_key key = key_for(name);
	const struct instance_spec spec = spec_for(ip, 80);

	return naming_deregister(&bed->naming, caller, &key, &spec.key);
}

static void a_registration(void **state)
{
	struct bed *bed = *state;
	const struct naming_caller caller = caller_from(bed, "10.0.0.1", NAMING_INSTANCES);

	assert_int_equal(put(bed, &caller, "g@@s", "1.1.1.1"), 0);
	assert_int_equal(put(bed, &caller, "g@@s", "1.1.1.1"), 0);
	assert_int_equal(put(bed, &caller, "g@@s", "1.1.1.2"), 0);
	assert_int_equal(stamp_of(&bed->f, "g@@s").instances, 2);
	assert_int_equal(counted(bed, METRIC_REGISTERS), 3);
	assert_int_equal(next_cause(bed), CAUSE_CLIENT);
}

/* What is refused is not counted as registered. */
static void a_refused_registration(void **state)
{
	struct bed *bed = *state;
	const struct naming_caller caller = caller_from(bed, "10.0.0.1", NAMING_INSTANCES);

	assert_int_equal(put(bed, &caller, "g@@a/b", "1.1.1.1"), ERR_SERVICE_NAME);
	bed->f.reg.limits.instances = 1;
	assert_int_equal(put(bed, &caller, "g@@s", "1.1.1.1"), 0);
	assert_int_equal(put(bed, &caller, "g@@s", "1.1.1.2"), ERR_LIMIT);
	assert_string_equal(registry_limit_key(bed->naming.registry->refused.which),
	                    "limits.instances");
	assert_int_equal(counted(bed, METRIC_REGISTERS), 1);
}

static void an_update_needs_the_instance(void **state)
{
	struct bed *bed = *state;
	const struct naming_caller caller = caller_from(bed, "10.0.0.1", NAMING_INSTANCES);
	const struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.1", 80);

	assert_int_equal(naming_update(&bed->naming, &caller, &key, &spec), ERR_NOT_FOUND);
	assert_int_equal(put(bed, &caller, "g@@s", "1.1.1.2"), 0);
	assert_int_equal(naming_update(&bed->naming, &caller, &key, &spec), ERR_NO_INSTANCE);
	spec = spec_for("1.1.1.2", 80);
	assert_int_equal(naming_update(&bed->naming, &caller, &key, &spec), 0);
	assert_int_equal(counted(bed, METRIC_REGISTERS), 1);
}

/* Every write on an instance, by a stranger, by its owner and by an operator. */
static int write_all(struct bed *bed, const struct naming_caller *caller)
{
	const struct service_key key = key_for("g@@s");
	const struct instance_spec spec = spec_for("1.1.1.1", 80);
	const struct instance_patch patch = { .set_weight = true, .weight = 2 };
	struct instance_metadata metadata = { .packed = STR("\x81\xa1k\xa1v") };
	struct service_view view;
	int ret[5];

	service_view_init(&view);
	ret[0] = put(bed, caller, "g@@s", "1.1.1.1");
	ret[1] = naming_update(&bed->naming, caller, &key, &spec);
	ret[2] = naming_patch(&bed->naming, caller, &key, &spec.key, &patch);
	ret[3] = naming_set_health(&bed->naming, caller, &key, &spec.key, true);
	view_of(&bed->f, "g@@s", &view);
	ret[4] = naming_set_metadata(&bed->naming, caller, &key, &spec.key, view.instances[0].id,
	                             view.instances[0].revision, &metadata);
	service_view_free(&view);
	for (size_t i = 1; i < COUNT(ret); i++)
		assert_int_equal(ret[i], ret[0]);
	return ret[0];
}

static void owners(void **state)
{
	struct bed *bed = *state;
	const struct naming_caller mine = caller_from(bed, "10.0.0.1", NAMING_INSTANCES);
	const struct naming_caller other = caller_from(bed, "10.0.0.2", NAMING_INSTANCES);
	const struct naming_caller operator= operator_from(bed, "10.0.0.3", NAMING_INSTANCES);
	uint64_t revision;

	bed->config.instances_owner = OWNER_SOURCE;
	assert_int_equal(put(bed, &mine, "g@@s", "1.1.1.1"), 0);
	revision = stamp_of(&bed->f, "g@@s").revision;
	assert_int_equal(write_all(bed, &other), ERR_OWNER);
	assert_int_equal(take(bed, &other, "g@@s", "1.1.1.1"), ERR_OWNER);
	assert_int_equal(stamp_of(&bed->f, "g@@s").revision, revision);
	assert_int_equal(counted(bed, METRIC_DEREGISTERS), 0);
	assert_int_equal(write_all(bed, &mine), 0);
	assert_int_equal(write_all(bed, &operator), 0);
	assert_int_equal(write_all(bed, &other), ERR_OWNER);
	assert_int_equal(put(bed, &other, "g@@s", "1.1.1.2"), 0); /* what is new is free for all */
	assert_int_equal(take(bed, &operator, "g@@s", "1.1.1.1"), 0);
	assert_int_equal(stamp_of(&bed->f, "g@@s").instances, 1);
}

/* brake.deregister: what was not there is not counted; who has reached the number takes nothing
 * more away. */
static void departures(void **state)
{
	struct bed *bed = *state;
	const struct naming_caller caller = caller_from(bed, "10.0.0.1", NAMING_INSTANCES);
	const struct naming_caller other = caller_from(bed, "10.0.0.2", NAMING_INSTANCES);

	bed->config.brake_deregister = 2;
	assert_int_equal(put(bed, &caller, "g@@s", "1.1.1.1"), 0);
	assert_int_equal(put(bed, &caller, "g@@s", "1.1.1.2"), 0);
	assert_int_equal(put(bed, &caller, "g@@s", "1.1.1.3"), 0);
	for (int n = 0; n < 5; n++)
		assert_int_equal(take(bed, &caller, "g@@s", "9.9.9.9"), 0);
	assert_int_equal(take(bed, &caller, "g@@s", "1.1.1.1"), 0);
	assert_int_equal(take(bed, &caller, "g@@s", "1.1.1.2"), 0);
	assert_int_equal(counted(bed, METRIC_DEREGISTERS), 7);
	assert_int_equal(take(bed, &caller, "g@@s", "1.1.1.3"), ERR_DEPARTURES);
	assert_int_equal(stamp_of(&bed->f, "g@@s").instances, 1);
	assert_int_equal(counted(bed, METRIC_DEREGISTERS), 7);
	assert_int_equal(counted(bed, METRIC_DEREGISTER_REFUSED), 1);
	assert_int_equal(take(bed, &other, "g@@s", "1.1.1.3"), 0);
	assert_int_equal(put(bed, &caller, "g@@s", "1.1.1.3"), 0);
	pass_ms(2 * bed->config.brake_period_ms);
	assert_int_equal(take(bed, &caller, "g@@s", "1.1.1.3"), 0);
}

static uint64_t interval_of(struct bed *bed, const char *ip)
{
	const struct service_key key = key_for("g@@s");
	const struct instance_spec spec = spec_for(ip, 80);
	struct beat_result result;

	assert_int_equal(registry_beat(&bed->f.reg, client, &key, &spec.key, &result), 0);
	assert_true(result.has_interval);
	return result.interval_ms;
}

/* No protocol has to see to it: what registers, updates or patches is brought within the limits. */
static void timings_of_each_write(void **state)
{
	struct bed *bed = *state;
	const struct naming_caller caller = caller_from(bed, "10.0.0.1", NAMING_INSTANCES);
	const struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.1", 80);
	struct instance_patch patch = { .set_metadata = true };

	spec.metadata.overrides =
	        (struct overrides){ true, true, 1, BEAT_TIMEOUT_MS, BEAT_DELETE_MS };
	assert_int_equal(naming_register(&bed->naming, &caller, &key, &spec), 0);
	assert_int_equal(interval_of(bed, "1.1.1.1"), 1000);
	spec.metadata.overrides.interval_ms = UINT64_MAX;
	assert_int_equal(naming_update(&bed->naming, &caller, &key, &spec), 0);
	assert_int_equal(interval_of(bed, "1.1.1.1"), bed->config.instances_timeout_max_ms);
	patch.metadata.overrides = spec.metadata.overrides;
	patch.metadata.overrides.interval_ms = 0;
	assert_int_equal(naming_patch(&bed->naming, &caller, &key, &spec.key, &patch), 0);
	assert_int_equal(interval_of(bed, "1.1.1.1"), 1000);
	assert_int_equal(counted(bed, METRIC_TIMINGS_CLAMPED), 3);
}

static void weights(void **state)
{
	static const double refused[] = { -0.1, 10000.1, INFINITY, -INFINITY };
	struct bed *bed = *state;
	const struct naming_caller caller = caller_from(bed, "10.0.0.1", NAMING_INSTANCES);
	const struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.1", 80);
	struct instance_patch patch = { .set_weight = true };
	uint64_t revision;

	spec.weight = 10000.0;
	assert_int_equal(naming_register(&bed->naming, &caller, &key, &spec), 0);
	revision = stamp_of(&bed->f, "g@@s").revision;
	for (size_t i = 0; i < COUNT(refused); i++) {
		spec.weight = patch.weight = refused[i];
		assert_int_equal(naming_register(&bed->naming, &caller, &key, &spec), ERR_RANGE);
		assert_int_equal(naming_update(&bed->naming, &caller, &key, &spec), ERR_RANGE);
		assert_int_equal(naming_patch(&bed->naming, &caller, &key, &spec.key, &patch),
		                 ERR_RANGE);
	}
	assert_int_equal(stamp_of(&bed->f, "g@@s").revision, revision);
	assert_int_equal(counted(bed, METRIC_REGISTERS), 1);
	patch = (struct instance_patch){ .set_app = true, .app = STR("a"), .weight = -1 };
	assert_int_equal(naming_patch(&bed->naming, &caller, &key, &spec.key, &patch), 0);
	spec.weight = NAN;
	assert_int_equal(naming_register(&bed->naming, &caller, &key, &spec), 0);
}

/* Timings that were stored under other limits are brought within those of now. */
static void timings_of_merged_metadata(void **state)
{
	struct bed *bed = *state;
	const struct naming_caller caller = caller_from(bed, "10.0.0.1", NAMING_INSTANCES);
	const struct service_key key = key_for("g@@s");
	const struct instance_spec spec = spec_for("1.1.1.1", 80);
	struct instance_metadata metadata = { .overrides = { true, true, 1, BEAT_TIMEOUT_MS,
		                                             BEAT_DELETE_MS } };
	struct service_view view;

	service_view_init(&view);
	assert_int_equal(put(bed, &caller, "g@@s", "1.1.1.1"), 0);
	view_of(&bed->f, "g@@s", &view);
	assert_int_equal(naming_set_metadata(&bed->naming, &caller, &key, &spec.key,
	                                     view.instances[0].id, view.instances[0].revision,
	                                     &metadata),
	                 0);
	assert_int_equal(metadata.overrides.interval_ms, bed->config.instances_timeout_min_ms);
	assert_int_equal(counted(bed, METRIC_TIMINGS_CLAMPED), 1);
	assert_int_equal(naming_set_metadata(&bed->naming, &caller, &key, &spec.key,
	                                     view.instances[0].id, view.instances[0].revision,
	                                     &metadata),
	                 ERR_AGAIN);
	service_view_free(&view);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BED_TEST(a_registration),
		BED_TEST(a_refused_registration),
		BED_TEST(an_update_needs_the_instance),
		BED_TEST(owners),
		BED_TEST(departures),
		BED_TEST(timings_of_each_write),
		BED_TEST(weights),
		BED_TEST(timings_of_merged_metadata),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
