/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of services and clusters. */
#include "tests/unit/registry_fixture.h"

#include "shared/registry/registry_keeper.h"
#include "shared/registry/settings.h"

static const struct service_settings some = { .threshold = 0.25F,
	                                      .metadata = STR("\x81\xa1k\xa1v"),
	                                      .selector = STR("{}") };

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
	static const uint8_t md5[16] = { 1 };
	struct service_view view;
	uint64_t changed, revision;

	service_view_init(&view);
	assert_int_equal(registry_update_service(&f->reg, client, &key, &some), ERR_NOT_FOUND);
	add(f, "g@@s", "1.1.1.1", 1);
	assert_int_equal(registry_view(&f->reg, &key, &view), 0);
	changed = view.changed;
	revision = view.stamp.revision;
	assert_int_equal(registry_store_checksum(&f->reg, &key, view.stamp.id, view.content, md5),
	                 0);
	assert_int_equal(registry_update_service(&f->reg, client, &key, &some), 0);
	assert_int_equal(registry_view(&f->reg, &key, &view), 0);
	assert_int_equal(view.changed, changed);
	assert_false(view.has_checksum); /* settings are part of it */
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
	assert_int_equal(registry_update_cluster(&f->reg, client, &key, STR("C"), &set),
	                 ERR_NOT_FOUND);
	add(f, "g@@s", "1.1.1.1", 1);
	assert_int_equal(registry_update_cluster(&f->reg, client, &key, STR("bad name"), &set),
	                 ERR_CLUSTER_NAME);
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

static void a_cluster_keeps_metadata_that_is_not_set(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct cluster_settings set = { .check_port = 80,
		                        .set_metadata = true,
		                        .metadata = STR("m") };
	struct service_view view;

	service_view_init(&view);
	add(f, "g@@s", "1.1.1.1", 1);
	assert_int_equal(registry_update_cluster(&f->reg, client, &key, STR("DEFAULT"), &set), 0);
	set = (struct cluster_settings){ .check_port = -1,
		                         .use_instance_port = true,
		                         .checker = STR("{}") };
	assert_int_equal(registry_update_cluster(&f->reg, client, &key, STR("DEFAULT"), &set), 0);
	view_of(f, "g@@s", &view);
	assert_int_equal(view.cluster_count, 1);
	assert_true(str_eq(view.clusters[0].metadata, STR("m")));
	assert_true(str_eq(view.clusters[0].checker, STR("{}")));
	assert_int_equal(view.clusters[0].check_port, -1);
	assert_true(view.clusters[0].use_instance_port);
	set = (struct cluster_settings){ .check_port = 80, .set_metadata = true };
	assert_int_equal(registry_update_cluster(&f->reg, client, &key, STR("DEFAULT"), &set), 0);
	view_of(f, "g@@s", &view);
	assert_int_equal(view.clusters[0].metadata.n, 0);
	assert_int_equal(view.clusters[0].checker.n, 0);
	service_view_free(&view);
	assert_clean(f);
}

static uint32_t flags_of(struct fixture *f, const char *name)
{
	uint32_t shard;
	struct keeper_entry entry = entry_of(f, name, &shard);

	return ((const struct service *)segment_at(f->seg, entry.off, sizeof(struct service)))
	        ->flags;
}

/* Set on purpose, yet the keeper's cleanup takes it like any other (specification 8.4). */
static void explicit_services_are_cleaned_as_well(void **state)
{
	struct fixture *f = *state;
	struct service_key made = key_for("g@@made"), s = key_for("g@@s");
	struct cluster_settings set = { .check_port = 80 };
	struct keeper_entry entry;
	uint32_t shard;

	assert_int_equal(registry_create_service(&f->reg, client, &made, &some), 0);
	assert_int_equal(flags_of(f, "g@@made"), SERVICE_EXPLICIT);
	add(f, "g@@s", "1.1.1.1", 1);
	assert_int_equal(flags_of(f, "g@@s"), 0);
	assert_int_equal(registry_update_cluster(&f->reg, client, &s, STR("DEFAULT"), &set), 0);
	assert_int_equal(flags_of(f, "g@@s"), SERVICE_EXPLICIT);
	entry = entry_of(f, "g@@s", &shard);
	assert_int_equal(registry_remove_empty(&f->reg, client, shard, entry), ERR_AGAIN);
	entry = entry_of(f, "g@@made", &shard);
	assert_int_equal(registry_remove_empty(&f->reg, client, shard, entry), 0);
	assert_false(stamp_of(f, "g@@made").found);
	assert_int_equal(registry_drain(&f->reg, shard, 100), 0);
	assert_clean(f);
}

/* Nothing is queued for the pusher, and what was taken is given back. */
static void settings_do_not_push_and_are_accounted(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@made");
	struct service_settings none = { .threshold = 0 };
	struct cluster_settings set = { .check_port = 81,
		                        .checker = STR("{\"type\":\"NONE\"}"),
		                        .set_metadata = true };
	uint64_t bytes;

	assert_int_equal(registry_create_service(&f->reg, client, &key, &none), 0);
	bytes = stats_of(f).bytes;
	assert_int_equal(registry_update_service(&f->reg, client, &key, &some), 0);
	assert_true(stats_of(f).bytes > bytes);
	assert_int_equal(registry_update_service(&f->reg, client, &key, &none), 0);
	assert_int_equal(stats_of(f).bytes, bytes);
	assert_int_equal(registry_update_cluster(&f->reg, client, &key, STR("C"), &set), 0);
	assert_true(stats_of(f).bytes > bytes);
	assert_int_equal(stats_of(f).queued, 0);
	assert_clean(f);
}

static void limits_refuse_and_change_nothing(void **state)
{
	static char text[5000];
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s"), other = key_for("g@@other");
	struct service_settings longer = { .metadata = { text, 101 } };
	struct cluster_settings set = { .check_port = 81, .checker = { text, sizeof(text) } };
	uint64_t revision;

	memset(text, 'x', sizeof(text));
	add(f, "g@@s", "1.1.1.1", 1);
	revision = stamp_of(f, "g@@s").revision;
	f->reg.limits = (struct registry_limits){ .services = 1,
		                                  .metadata_bytes = 100,
		                                  .clusters_per_service = 1 };
	assert_int_equal(registry_create_service(&f->reg, client, &other, &some), ERR_LIMIT);
	assert_string_equal(registry_limit_key(f->reg.refused.which), "limits.services");
	assert_int_equal(registry_update_service(&f->reg, client, &key, &longer), ERR_LIMIT);
	assert_string_equal(registry_limit_key(f->reg.refused.which), "limits.metadata");
	longer = (struct service_settings){ .selector = { text, TEXT_MAX_BYTES + 1 } };
	assert_int_equal(registry_update_service(&f->reg, client, &key, &longer), ERR_LIMIT);
	assert_string_equal(registry_limit_key(f->reg.refused.which), "limits.name");
	assert_int_equal(registry_update_cluster(&f->reg, client, &key, STR("DEFAULT"), &set),
	                 ERR_LIMIT);
	set.checker.n = 10;
	assert_int_equal(registry_update_cluster(&f->reg, client, &key, STR("C"), &set), ERR_LIMIT);
	assert_string_equal(registry_limit_key(f->reg.refused.which),
	                    "limits.clusters_per_service");
	assert_false(stamp_of(f, "g@@other").found);
	assert_int_equal(stamp_of(f, "g@@s").revision, revision);
	assert_clean(f);
}

/* On a node without a free page the old settings stay, all of them. */
static void a_full_node_keeps_what_was_set(void **state)
{
	static char text[20000];
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct service_settings large = { .threshold = 0.75F, .metadata = { text, sizeof(text) } };
	struct service_view view;
	unsigned made = 0;
	char name[16];
	int ret = 0;

	memset(text, 'x', sizeof(text));
	fixture_close(f);
	fixture_open(f, 3U << 20);
	assert_int_equal(registry_create_service(&f->reg, client, &key, &some), 0);
	while (ret == 0) {
		snprintf(name, sizeof(name), "g@@s%u", made++);
		key = key_for(name);
		ret = registry_create_service(&f->reg, client, &key, &some);
	}
	assert_int_equal(ret, ERR_FULL);
	key = key_for("g@@s");
	assert_int_equal(registry_update_service(&f->reg, client, &key, &large), ERR_FULL);
	service_view_init(&view);
	view_of(f, "g@@s", &view);
	assert_true(view.threshold == some.threshold);
	assert_true(str_eq(view.metadata, some.metadata));
	assert_true(str_eq(view.selector, some.selector));
	service_view_free(&view);
	assert_clean(f);
}

static void operations_fit_the_log(void **state)
{
	static char text[8192];
	struct fixture *f = *state;
	struct service_key key;
	struct str longest = { text, sizeof(text) }, chunk = { text, TEXT_MAX_BYTES };
	struct service_settings settings = { .threshold = 1,
		                             .metadata = longest,
		                             .selector = chunk };
	struct cluster_settings set = {
		.check_port = 1, .checker = chunk, .set_metadata = true, .metadata = longest
	};
	const uint32_t most = OP_ENTRIES_SETTINGS + 3 * OP_ENTRIES_CHUNK;
	char name[16];

	memset(text, 'x', sizeof(text));
	for (unsigned n = 0; n < 200; n++) {
		snprintf(name, sizeof(name), "g@@s%u", n);
		key = key_for(name);
		assert_int_equal(registry_create_service(&f->reg, client, &key, &settings), 0);
		assert_int_equal(registry_update_cluster(&f->reg, client, &key,
		                                         STR("one of its own"), &set),
		                 ERR_CLUSTER_NAME);
		assert_int_equal(registry_update_cluster(&f->reg, client, &key,
		                                         STR("one-of-its-own"), &set),
		                 0);
	}
	assert_in_range(f->reg.most_entries, 20, most);
	f->reg.most_entries = 0;
	settings.metadata.n = set.metadata.n = 8000;
	settings.selector.n = set.checker.n = 4000;
	assert_int_equal(registry_update_service(&f->reg, client, &key, &settings), 0);
	assert_int_equal(registry_update_cluster(&f->reg, client, &key, STR("one-of-its-own"),
	                                         &set),
	                 0);
	assert_in_range(f->reg.most_entries, 1, most);
	assert_clean(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
		ROW(creates_once_and_shows),
		ROW(update_replaces_all_and_does_not_push),
		ROW(clusters_are_made_and_changed),
		ROW(a_cluster_keeps_metadata_that_is_not_set),
		ROW(explicit_services_are_cleaned_as_well),
		ROW(settings_do_not_push_and_are_accounted),
		ROW(limits_refuse_and_change_nothing),
		ROW(a_full_node_keeps_what_was_set),
		ROW(operations_fit_the_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
