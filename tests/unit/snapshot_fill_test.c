/* SPDX-License-Identifier: Apache-2.0 */
/* Objects made from saved fields: the set that finds an instance that comes twice. */
#include "shared/registry/snapshot_fill.h"
#include "tests/unit/registry_fixture.h"

#define LARGE 40000

static void usual(const struct fields *fields, union field_value in[FIELD_KEYS])
{
	for (unsigned key = 0; key < fields->saved; key++) {
		in[key] = (union field_value){ .text = { NULL, 0 } };
		in[key].number = fields->rows[key].usual;
	}
}

static void fill_one(struct fill *f, int32_t port)
{
	union field_value in[FIELD_KEYS];

	usual(&instance_fields, in);
	in[SAVED_INSTANCE_IP].text = STR("1.1.1.1");
	in[SAVED_INSTANCE_PORT].number = (uint64_t)port;
	in[SAVED_INSTANCE_FLAGS].number = INSTANCE_EPHEMERAL;
	fill_instance(f, in);
}

/* A service with so many instances in one cluster, which stays open. */
static void begin_service(struct fill *f, const char *name, int32_t instances)
{
	union field_value in[FIELD_KEYS];

	usual(&service_fields, in);
	in[SAVED_SERVICE_NS].text = STR("public");
	in[SAVED_SERVICE_NAME].text = str_of(name);
	fill_service(f, in);
	usual(&cluster_fields, in);
	fill_cluster(f, in);
	for (int32_t port = 1; port <= instances; port++)
		fill_one(f, port);
	assert_int_equal(f->err, 0);
	assert_int_equal(f->s->instances, instances);
}

/* It holds what the service in work has, with room for as many again, and shrinks after a large
 * one. */
static void the_set_is_that_of_one_service(void **state)
{
	static const int32_t counts[] = { 1, 300, 3, 0, LARGE, 2, 500 };
	struct fixture *f = *state;
	struct snapshot_report report = { .bytes = 0 };
	struct fill fill;
	char name[32];

	fill_init(&fill, &f->reg, &report);
	for (size_t n = 0; n < sizeof(counts) / sizeof(counts[0]); n++) {
		snprintf(name, sizeof(name), "g@@s%zu", n);
		begin_service(&fill, name, counts[n]);
		assert_int_equal(fill.seen.count, counts[n]);
		assert_true(fill.seen.size >= 2 * fill.seen.count);
		assert_true(fill.seen.size <= LARGE || counts[n] == LARGE);
		fill_end(&fill);
		assert_int_equal(stamp_of(f, name).instances, counts[n]);
	}
	fill_free(&fill);
	assert_null(fill.seen.slots);
	assert_clean(f);
}

/* What a service leaves behind in the set does not fill it up. */
static void many_services_of_some(void **state)
{
	struct fixture *f = *state;
	struct snapshot_report report = { .bytes = 0 };
	struct fill fill;
	char name[32];

	fill_init(&fill, &f->reg, &report);
	for (unsigned n = 0; n < 20; n++) {
		snprintf(name, sizeof(name), "g@@s%u", n);
		begin_service(&fill, name, 100);
		fill_end(&fill);
	}
	assert_true(fill.seen.size < 2000);
	fill_free(&fill);
	assert_int_equal(stats_of(f).instances, 2000);
}

static void an_instance_comes_once(void **state)
{
	static const int32_t again[] = { 1, 257, 2000 };
	struct fixture *f = *state;

	for (size_t n = 0; n < sizeof(again) / sizeof(again[0]); n++) {
		struct snapshot_report report = { .bytes = 0 };
		struct fill fill;
		char name[32];

		snprintf(name, sizeof(name), "g@@s%zu", n);
		fill_init(&fill, &f->reg, &report);
		begin_service(&fill, name, 2000);
		fill_one(&fill, again[n]);
		assert_int_equal(fill.err, ERR_SYNTAX);
		assert_string_equal(fill.why, "an instance twice");
		fill_end(&fill);
		fill_free(&fill);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_set_is_that_of_one_service),
		TEST(many_services_of_some),
		TEST(an_instance_comes_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
