/* SPDX-License-Identifier: Apache-2.0 */
/* Beats of known and unknown instances. */
#include "tests/unit/naming_fixture.h"

#include "shared/naming/beat.h"
#include "shared/naming/instance.h"

static struct naming_beat light_for(const char *ip)
{
	return (struct naming_beat){ .service = key_for("g@@s"),
		                     .key = spec_for(ip, 80).key,
		                     .light = true };
}

static struct naming_beat full_for(const char *ip)
{
	struct naming_beat beat = light_for(ip);

	beat.light = false;
	beat.weight = 3.0;
	return beat;
}

static struct naming_beat_result beaten(struct bed *bed, const struct naming_beat *beat)
{
	const struct naming_caller caller = caller_from(bed, "10.0.0.1", NAMING_INSTANCES);
	struct naming_beat_result result;

	assert_int_equal(naming_beat(&bed->naming, &caller, beat, &result), 0);
	return result;
}

static void a_light_beat_registers_nothing(void **state)
{
	struct bed *bed = *state;
	const struct naming_beat beat = light_for("1.1.1.1");
	struct naming_beat_result result = beaten(bed, &beat);

	assert_int_equal(result.outcome, NAMING_BEAT_UNKNOWN);
	assert_int_equal(result.interval_ms, BEAT_INTERVAL_MS);
	assert_false(stamp_of(&bed->f, "g@@s").found);
	/* The same in a service that is there. */
	add(&bed->f, "g@@s", "1.1.1.2", 80);
	assert_int_equal(beaten(bed, &beat).outcome, NAMING_BEAT_UNKNOWN);
	assert_int_equal(stamp_of(&bed->f, "g@@s").instances, 1);
	assert_int_equal(counted(bed, METRIC_BEATS), 2);
	assert_int_equal(counted(bed, METRIC_BEATS_UNKNOWN), 2);
	assert_int_equal(counted(bed, METRIC_REGISTERS), 0);
}

/* The cluster, the weight and the metadata are those of the beat; it is enabled and healthy. */
static void a_full_beat_registers(void **state)
{
	struct bed *bed = *state;
	struct naming_beat beat = full_for("1.1.1.1");
	const struct instance_view *instance;
	struct service_view view;

	service_view_init(&view);
	beat.key.cluster = STR("c");
	beat.metadata = (struct instance_metadata){ .packed = STR("\x81\xa1k\xa1v") };
	assert_int_equal(beaten(bed, &beat).outcome, NAMING_BEAT_REGISTERED);
	assert_int_equal(next_cause(bed), CAUSE_COMPENSATION);
	view_of(&bed->f, "g@@s", &view);
	assert_int_equal(view.instance_count, 1);
	instance = &view.instances[0];
	assert_true(str_eq(view.clusters[instance->cluster].name, STR("c")));
	assert_int_equal(instance->flags &
	                         (INSTANCE_ENABLED | INSTANCE_HEALTHY | INSTANCE_EPHEMERAL),
	                 INSTANCE_ENABLED | INSTANCE_HEALTHY | INSTANCE_EPHEMERAL);
	assert_true(instance->weight == 3.0);
	assert_true(str_eq(instance->metadata, beat.metadata.packed));
	assert_false(str_is_set(instance->app));
	assert_int_equal(counted(bed, METRIC_REGISTERS), 1);
	/* The next one finds it, and changes nothing. */
	beat.weight = 5.0;
	assert_int_equal(beaten(bed, &beat).outcome, NAMING_BEAT_RENEWED);
	view_of(&bed->f, "g@@s", &view);
	assert_true(view.instances[0].weight == 3.0);
	assert_int_equal(counted(bed, METRIC_BEATS_UNKNOWN), 1);
	assert_int_equal(counted(bed, METRIC_REGISTERS), 1);
	service_view_free(&view);
}

static void the_interval(void **state)
{
	struct bed *bed = *state;
	struct naming_beat beat = full_for("1.1.1.1");
	const struct naming_beat light = light_for("1.1.1.1"), plain = full_for("1.1.1.2");

	beat.metadata.overrides =
	        (struct overrides){ true, true, 2500, BEAT_TIMEOUT_MS, BEAT_DELETE_MS };
	assert_int_equal(beaten(bed, &beat).interval_ms, 2500);
	assert_int_equal(beaten(bed, &light).interval_ms, 2500); /* stored with the instance */
	assert_int_equal(beaten(bed, &plain).interval_ms, BEAT_INTERVAL_MS);
	assert_int_equal(beaten(bed, &plain).interval_ms, BEAT_INTERVAL_MS);
}

/* Of a beat that registers, and of one of an instance that is known. */
static void timings_are_brought_within_their_limits(void **state)
{
	struct bed *bed = *state;
	struct naming_beat beat = full_for("1.1.1.1");

	beat.metadata.overrides =
	        (struct overrides){ true, true, 1, BEAT_TIMEOUT_MS, BEAT_DELETE_MS };
	assert_int_equal(beaten(bed, &beat).interval_ms, 1000);
	assert_int_equal(counted(bed, METRIC_TIMINGS_CLAMPED), 1);
	assert_int_equal(beaten(bed, &beat).interval_ms, 1000);
	assert_int_equal(counted(bed, METRIC_TIMINGS_CLAMPED), 2);
}

/* Nobody could show an instance without an address. */
static void no_address(void **state)
{
	struct bed *bed = *state;
	const struct naming_caller caller = caller_from(bed, "10.0.0.1", NAMING_INSTANCES);
	const struct naming_beat full = full_for(""), light = light_for("");
	struct naming_beat_result result;

	assert_int_equal(naming_beat(&bed->naming, &caller, &full, &result), ERR_RANGE);
	assert_false(stamp_of(&bed->f, "g@@s").found);
	assert_int_equal(counted(bed, METRIC_REGISTERS), 0);
	assert_int_equal(beaten(bed, &light).outcome, NAMING_BEAT_UNKNOWN);
}

static void a_refused_registration(void **state)
{
	struct bed *bed = *state;
	const struct naming_caller caller = caller_from(bed, "10.0.0.1", NAMING_INSTANCES);
	struct naming_beat beat = full_for("1.1.1.1");
	struct naming_beat_result result;

	beat.service = key_for("g@@a/b");
	assert_int_equal(naming_beat(&bed->naming, &caller, &beat, &result), ERR_SERVICE_NAME);
	beat = full_for("1.1.1.1");
	beat.key.cluster = STR("bad name");
	assert_int_equal(naming_beat(&bed->naming, &caller, &beat, &result), ERR_CLUSTER_NAME);
	bed->f.reg.limits.instances = 1;
	add(&bed->f, "g@@s", "1.1.1.2", 80);
	beat = full_for("1.1.1.1");
	assert_int_equal(naming_beat(&bed->naming, &caller, &beat, &result), ERR_LIMIT);
	assert_int_equal(counted(bed, METRIC_REGISTERS), 0);
}

static void a_lost_one_is_revived(void **state)
{
	struct bed *bed = *state;
	const struct naming_caller caller = caller_from(bed, "10.0.0.1", NAMING_INSTANCES);
	const struct naming_beat beat = light_for("1.1.1.1");

	add(&bed->f, "g@@s", "1.1.1.1", 80);
	assert_int_equal(naming_set_health(&bed->naming, &caller, &beat.service, &beat.key, false),
	                 0);
	assert_int_equal(stamp_of(&bed->f, "g@@s").healthy, 0);
	assert_int_equal(beaten(bed, &beat).outcome, NAMING_BEAT_RENEWED);
	assert_int_equal(beaten(bed, &beat).outcome, NAMING_BEAT_RENEWED);
	assert_int_equal(stamp_of(&bed->f, "g@@s").healthy, 1);
	assert_int_equal(counted(bed, METRIC_BEATS_REVIVED), 1);
}

static void a_strangers_beat(void **state)
{
	struct bed *bed = *state;
	const struct naming_caller other = caller_from(bed, "10.0.0.2", NAMING_INSTANCES);
	const struct naming_caller operator= operator_from(bed, "10.0.0.3", NAMING_INSTANCES);
	const struct naming_beat beat = full_for("1.1.1.1");
	struct naming_beat_result result;

	bed->config.instances_owner = OWNER_SOURCE;
	assert_int_equal(beaten(bed, &beat).outcome, NAMING_BEAT_REGISTERED);
	assert_int_equal(naming_beat(&bed->naming, &other, &beat, &result), ERR_OWNER);
	assert_int_equal(naming_beat(&bed->naming, &operator, & beat, &result), 0);
	assert_int_equal(beaten(bed, &beat).outcome,
	                 NAMING_BEAT_RENEWED); /* who registered it by a beat owns it */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BED_TEST(a_light_beat_registers_nothing),
		BED_TEST(a_full_beat_registers),
		BED_TEST(the_interval),
		BED_TEST(timings_are_brought_within_their_limits),
		BED_TEST(no_address),
		BED_TEST(a_refused_registration),
		BED_TEST(a_lost_one_is_revived),
		BED_TEST(a_strangers_beat),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
