/* Settings of services and clusters. */
#include "tests/unit/registry_fixture.h"

#include "shared/registry/settings.h"

static const struct service_settings some = { .threshold = 0.25F, .metadata = STR("\x81\xa1k\xa1v"), .selector = STR("{}") };

static void creates_once_and_shows(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@made");
	struct service_view view;

	service_view_init(&view);
	assert_int_equal(registry_create_service(&f->reg, client, &key, &some), 0);
	assert_int_equal(registry_create_service(&f->reg, client, &key, &some), ERR_EXISTS);
	assert_int_equal(registry_view(&f->reg, &key, &view), 0);
	assert_true(view.stamp.found);
	assert_true(view.threshold == 0.25F);
	assert_true(str_eq(view.metadata, some.metadata));
	assert_true(str_eq(view.selector, some.selector));
	assert_int_equal(view.cluster_count, 0);
	key.name = STR("g@@not made");
	assert_int_equal(registry_create_service(&f->reg, client, &key, &some), ERR_SERVICE_NAME);
	service_view_free(&view);
	assert_clean(f);
}

static void update_replaces_all_and_does_not_push(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct service_settings none = { .threshold = 0 };
	struct service_view view;
	uint64_t changed, revision;

	service_view_init(&view);
	assert_int_equal(registry_update_service(&f->reg, client, &key, &some), ERR_NOT_FOUND);
	add(f, "g@@s", "1.1.1.1", 1);
	assert_int_equal(registry_view(&f->reg, &key, &view), 0);
	changed = view.changed;
	revision = view.stamp.revision;
	assert_int_equal(registry_update_service(&f->reg, client, &key, &some), 0);
	assert_int_equal(registry_view(&f->reg, &key, &view), 0);
	assert_int_equal(view.changed, changed);
	assert_true(view.stamp.revision > revision);
	assert_true(str_eq(view.selector, some.selector));
	assert_int_equal(registry_update_service(&f->reg, client, &key, &none), 0);
	assert_int_equal(registry_view(&f->reg, &key, &view), 0);
	assert_int_equal(view.metadata.n, 0);
	assert_int_equal(view.selector.n, 0);
	service_view_free(&view);
	assert_clean(f);
}

static void clusters_are_made_and_changed(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct cluster_settings set = { .check_port = 8080, .checker = STR("{\"type\":\"NONE\"}") };
	struct service_view view;

	service_view_init(&view);
	assert_int_equal(registry_update_cluster(&f->reg, client, &key, STR("C"), &set), ERR_NOT_FOUND);
	add(f, "g@@s", "1.1.1.1", 1);
	assert_int_equal(registry_update_cluster(&f->reg, client, &key, STR("bad name"), &set), ERR_CLUSTER_NAME);
	assert_int_equal(registry_update_cluster(&f->reg, client, &key, STR("C"), &set), 0);
	assert_int_equal(registry_view(&f->reg, &key, &view), 0);
	assert_int_equal(view.cluster_count, 2);
	assert_true(str_eq(view.clusters[1].checker, set.checker));
	assert_int_equal(view.clusters[1].check_port, 8080);
	assert_false(view.clusters[1].use_instance_port);
	assert_int_equal(view.clusters[0].check_port, 80);
	service_view_free(&view);
	assert_clean(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
		ROW(creates_once_and_shows),
		ROW(update_replaces_all_and_does_not_push),
		ROW(clusters_are_made_and_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
