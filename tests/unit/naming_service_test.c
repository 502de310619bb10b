/* SPDX-License-Identifier: Apache-2.0 */
/* Services and clusters: set up and removed, by whom. */
#include "tests/unit/naming_fixture.h"

#include "shared/naming/instance.h"
#include "shared/naming/service.h"
#include "shared/registry/settings.h"

static const struct service_settings some = { .threshold = 0.5F };

static void put(struct bed *bed, const char *source, const char *ip)
{
	const struct naming_caller caller = caller_from(bed, source, NAMING_INSTANCES);
	const struct service_key key = key_for("g@@s");
	const struct instance_spec spec = spec_for(ip, 80);

	assert_int_equal(naming_register(&bed->naming, &caller, &key, &spec), 0);
}

static void a_life(void **state)
{
	struct bed *bed = *state;
	const struct naming_caller caller = caller_from(bed, "10.0.0.1", NAMING_SERVICES);
	const struct service_key key = key_for("g@@s");
	const struct cluster_settings cluster = { .check_port = 80 };

	assert_int_equal(naming_update_service(&bed->naming, &caller, &key, &some), ERR_NOT_FOUND);
	assert_int_equal(naming_create_service(&bed->naming, &caller, &key, &some), 0);
	assert_int_equal(next_cause(bed), CAUSE_OPERATOR);
	assert_int_equal(naming_create_service(&bed->naming, &caller, &key, &some), ERR_EXISTS);
	assert_int_equal(naming_update_service(&bed->naming, &caller, &key, &some), 0);
	assert_int_equal(naming_update_cluster(&bed->naming, &caller, &key, STR("c"), &cluster), 0);
	assert_int_equal(stamp_of(&bed->f, "g@@s").clusters, 1);
	assert_int_equal(naming_remove_service(&bed->naming, &caller, &key), 0);
	assert_int_equal(naming_remove_service(&bed->naming, &caller, &key), ERR_NOT_FOUND);
}

static int write_all(struct bed *bed, const struct naming_caller *caller)
{
	static const uint8_t checksum[16] = { 1 };
	const struct service_key key = key_for("g@@s");
	const struct cluster_settings cluster = { .check_port = 80 };
	struct service_view view;
	int ret[3];

	service_view_init(&view);
	ret[0] = naming_update_service(&bed->naming, caller, &key, &some);
	ret[1] = naming_update_cluster(&bed->naming, caller, &key, DEFAULT_CLUSTER, &cluster);
	view_of(&bed->f, "g@@s", &view);
	ret[2] = naming_renew_checksum(&bed->naming, caller, &key, view.stamp.id, view.content,
	                               checksum);
	service_view_free(&view);
	for (size_t i = 1; i < COUNT(ret); i++)
		assert_int_equal(ret[i], ret[0]);
	return ret[0];
}

/* It is theirs who own all instances in it that have an owner. */
static void owners(void **state)
{
	struct bed *bed = *state;
	const struct naming_caller mine = caller_from(bed, "10.0.0.1", NAMING_SERVICES);
	const struct naming_caller other = caller_from(bed, "10.0.0.2", NAMING_SERVICES);
	const struct naming_caller operator= operator_from(bed, "10.0.0.3", NAMING_SERVICES);
	const struct service_key key = key_for("g@@s");

	bed->config.instances_owner = OWNER_SOURCE;
	put(bed, "10.0.0.1", "1.1.1.1");
	assert_int_equal(write_all(bed, &mine), 0);
	assert_int_equal(write_all(bed, &other), ERR_OWNER);
	put(bed, "10.0.0.2", "1.1.1.2");
	assert_int_equal(write_all(bed, &mine), ERR_OWNER);
	assert_int_equal(naming_remove_service(&bed->naming, &mine, &key), ERR_OWNER);
	assert_int_equal(write_all(bed, &operator), 0);
	assert_int_equal(naming_remove_service(&bed->naming, &operator, & key), 0);
}

/* brake.deregister: a service takes all its instances away, and a refused removal none. */
static void departures(void **state)
{
	struct bed *bed = *state;
	const struct naming_caller caller = caller_from(bed, "10.0.0.1", NAMING_SERVICES);
	const struct service_key key = key_for("g@@s");

	bed->config.brake_deregister = 2;
	for (int n = 0; n < 3; n++) { /* without instances */
		assert_int_equal(naming_create_service(&bed->naming, &caller, &key, &some), 0);
		assert_int_equal(naming_remove_service(&bed->naming, &caller, &key), 0);
	}
	put(bed, "10.0.0.2", "1.1.1.1");
	put(bed, "10.0.0.2", "1.1.1.2");
	put(bed, "10.0.0.2", "1.1.1.3");
	assert_int_equal(naming_remove_service(&bed->naming, &caller, &key), 0);
	put(bed, "10.0.0.2", "1.1.1.1");
	assert_int_equal(naming_remove_service(&bed->naming, &caller, &key), ERR_DEPARTURES);
	assert_int_equal(stamp_of(&bed->f, "g@@s").instances, 1);
	assert_int_equal(counted(bed, METRIC_DEREGISTER_REFUSED), 1);
	assert_int_equal(counted(bed, METRIC_DEREGISTERS), 0); /* of single instances only */
}

/* What a reader of the list has made is kept whoever owns the instances, for this content alone. */
static void a_readers_checksum(void **state)
{
	static const uint8_t checksum[16] = { 1 };
	struct bed *bed = *state;
	const struct service_key key = key_for("g@@s");
	struct service_view view;

	bed->config.instances_owner = OWNER_SOURCE;
	put(bed, "10.0.0.1", "1.1.1.1");
	service_view_init(&view);
	view_of(&bed->f, "g@@s", &view);
	assert_int_equal(naming_keep_checksum(&bed->naming, &key, view.stamp.id, view.content,
	                                      checksum),
	                 0);
	put(bed, "10.0.0.2", "1.1.1.2");
	assert_int_equal(naming_keep_checksum(&bed->naming, &key, view.stamp.id, view.content,
	                                      checksum),
	                 ERR_AGAIN);
	view_of(&bed->f, "g@@s", &view);
	assert_false(view.has_checksum);
	service_view_free(&view);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BED_TEST(a_life),
		BED_TEST(owners),
		BED_TEST(departures),
		BED_TEST(a_readers_checksum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
