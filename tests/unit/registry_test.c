/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/registry/settings.h"
#include "tests/unit/registry_fixture.h"

#include "shared/shm/blob.h"
#include "shared/shm/shard.h"

#include <math.h>

/* ---- registering ----------------------------------------------------------------------------- */

static void register_creates_all(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("DEFAULT_GROUP@@s1");
	struct instance_spec spec = spec_for("1.1.1.1", 80);
	struct service_view view;
	struct registry_stats stats;

	spec.metadata.packed = STR("\x81\xa1k\xa1v");
	spec.key.cluster = STR("c-1");
	service_view_init(&view);
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
	view_of(f, "DEFAULT_GROUP@@s1", &view);
	assert_true(view.stamp.found);
	assert_int_equal(view.stamp.epoch, f->seg->header->epoch);
	assert_true(str_eq(view.ns, STR("public")));
	assert_true(str_eq(view.name, STR("DEFAULT_GROUP@@s1")));
	assert_int_equal(view.cluster_count, 1);
	assert_true(str_eq(view.clusters[0].name, STR("c-1")));
	assert_int_equal(view.clusters[0].check_port, 80);
	assert_true(view.clusters[0].use_instance_port);
	assert_int_equal(view.instance_count, 1);
	assert_true(str_eq(view.instances[0].ip, STR("1.1.1.1")));
	assert_int_equal(view.instances[0].port, 80);
	assert_true(str_eq(view.instances[0].metadata, spec.metadata.packed));
	assert_true(str_eq(view.instances[0].app, STR("DEFAULT")));
	assert_int_equal(view.instances[0].ident, -1);
	assert_int_equal(view.instances[0].beat_ms, 1000000);
	assert_int_equal(view.instances[0].flags & 0x7f,
	                 INSTANCE_EPHEMERAL | INSTANCE_ENABLED | INSTANCE_HEALTHY);
	assert_int_equal(view.changed, view.stamp.revision);
	assert_int_equal(view.content, view.stamp.revision);
	assert_false(view.has_checksum);
	stats = stats_of(f);
	assert_int_equal(stats.services, 1);
	assert_int_equal(stats.instances, 1);
	assert_int_equal(stats.healthy, 1);
	assert_int_equal(stats.ephemeral, 1);
	service_view_free(&view);
	assert_clean(f);
}

static void replacing_keeps_id_and_health(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.1", 80);
	struct instance_view before;
	struct service_view view;

	service_view_init(&view);
	spec.metadata.packed = STR("\x81\xa1k\xa1v");
	spec.metadata.snowflake = true;
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
	assert_int_equal(registry_set_health(&f->reg, client, &key, &spec.key, false), 0);
	view_of(f, "g@@s", &view);
	before = view.instances[0];
	advance(f, 500);
	spec.weight = 3.5;
	spec.enabled = false;
	spec.app = (struct str){ NULL, 0 };
	spec.metadata = (struct instance_metadata){ .null = true };
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
	view_of(f, "g@@s", &view);
	assert_int_equal(view.instance_count, 1);
	assert_int_equal(view.instances[0].id, before.id);
	assert_int_equal(view.instances[0].ident, 0);
	assert_true(view.instances[0].weight == 3.5);
	assert_int_equal(view.instances[0].beat_ms, 1000500);
	assert_int_equal(view.instances[0].flags & 0x7f,
	                 INSTANCE_EPHEMERAL | INSTANCE_METADATA_NULL);
	assert_false(str_is_set(view.instances[0].metadata));
	assert_false(str_is_set(view.instances[0].app));
	assert_true(view.instances[0].revision > before.revision);
	assert_true(view.content == view.stamp.revision);
	service_view_free(&view);
	assert_clean(f);
}

static void registering_the_same_still_marks(void **state)
{
	struct fixture *f = *state;
	uint64_t first;
	struct service_view view;

	service_view_init(&view);
	add(f, "g@@s", "1.1.1.1", 80);
	first = stamp_of(f, "g@@s").revision;
	add(f, "g@@s", "1.1.1.1", 80);
	view_of(f, "g@@s", &view);
	assert_true(view.stamp.revision > first);
	assert_int_equal(view.changed, view.stamp.revision);
	assert_int_equal(view.content, view.stamp.revision);
	service_view_free(&view);
}

static void weights_are_clamped(void **state)
{
	static const struct {
		double given, kept;
	} rows[] = {
		{ 1.0, 1.0 },         { 0.0, 0.0 },         { 0.001, 0.01 },       { 0.01, 0.01 },
		{ 10000.0, 10000.0 }, { 10000.5, 10000.0 }, { INFINITY, 10000.0 }, { -3.0, -3.0 },
	};
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct service_view view;

	service_view_init(&view);
	for (unsigned n = 0; n < sizeof(rows) / sizeof(rows[0]); n++) {
		struct instance_spec spec = spec_for("1.1.1.1", (int32_t)n + 1);

		spec.weight = rows[n].given;
		assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
		view_of(f, "g@@s", &view);
		assert_true(view_find(&view, "1.1.1.1", (int32_t)n + 1)->weight == rows[n].kept);
	}
	struct instance_spec spec = spec_for("1.1.1.1", 1000);

	spec.weight = NAN;
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
	view_of(f, "g@@s", &view);
	assert_true(isnan(view_find(&view, "1.1.1.1", 1000)->weight));
	service_view_free(&view);
}

static void names_are_checked(void **state)
{
	static const struct {
		const char *service, *cluster;
		int expected;
		bool service_after;
	} rows[] = {
		{ "g@@a.b:c_d-e", "Cluster-9", 0, true },
		{ "g@@a b", "DEFAULT", ERR_SERVICE_NAME, false },
		{ "", "DEFAULT", ERR_SERVICE_NAME, false },
		{ "g@@\xc3\xa4", "DEFAULT", ERR_SERVICE_NAME, false },
		{ "g@@a/b", "bad_", ERR_SERVICE_NAME, false },
		{ "g@@left", "bad_", ERR_CLUSTER_NAME, true },
		{ "g@@left2", "", ERR_CLUSTER_NAME, true },
	};
	struct fixture *f = *state;

	for (unsigned n = 0; n < sizeof(rows) / sizeof(rows[0]); n++) {
		struct service_key key = key_for(rows[n].service);
		struct instance_spec spec = spec_for("1.1.1.1", 80);
		struct service_stamp stamp;

		spec.key.cluster = str_of(rows[n].cluster);
		assert_int_equal(registry_register(&f->reg, client, &key, &spec), rows[n].expected);
		stamp = stamp_of(f, rows[n].service);
		assert_int_equal(stamp.found, rows[n].service_after);
		assert_int_equal(stamp.instances, rows[n].expected == 0);
	}
	add(f, "g@@left", "1.1.1.1", 80);
	struct service_key key = key_for("g@@left");
	struct instance_spec spec = spec_for("1.1.1.2", 80);
	uint64_t revision = stamp_of(f, "g@@left").revision;

	spec.key.cluster = STR("a b");
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), ERR_CLUSTER_NAME);
	assert_int_equal(stamp_of(f, "g@@left").revision, revision);
	assert_clean(f);
}

/* One entry per datum key: ip, port above zero, cluster, kind. */
static void identity_is_the_datum_key(void **state)
{
	static const struct {
		const char *ip;
		int32_t port;
		const char *cluster;
		bool ephemeral;
		uint32_t count;
	} rows[] = {
		{ "1.1.1.1", 80, "DEFAULT", true, 1 },
		{ "1.1.1.1", 80, "DEFAULT", false, 2 },
		{ "1.1.1.1", 80, "c", true, 3 },
		{ "1.1.1.1", 81, "DEFAULT", true, 4 },
		{ "1.1.1.10", 80, "DEFAULT", true, 5 },
		{ "1.1.1.1", 80, "DEFAULT", true, 5 },
		{ "1.1.1.1", 0, "DEFAULT", true, 6 },
		{ "1.1.1.1", -5, "DEFAULT", true, 6 },
		{ "1.1.1.1", 70000, "DEFAULT", true, 7 },
		{ "host.name.longer.than.sixteen.example", 1, "DEFAULT", true, 8 },
		{ "host.name.longer.than.sixteen.example", 1, "DEFAULT", true, 8 },
		{ "abcdefghijklmnop", 1, "DEFAULT", true, 9 },
		{ "abcdefghijklmnopq", 1, "DEFAULT", true, 10 },
	};
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct service_view view;

	service_view_init(&view);
	for (unsigned n = 0; n < sizeof(rows) / sizeof(rows[0]); n++) {
		struct instance_spec spec = spec_for(rows[n].ip, rows[n].port);

		spec.key.cluster = str_of(rows[n].cluster);
		spec.key.ephemeral = rows[n].ephemeral;
		assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
		view_of(f, "g@@s", &view);
		assert_int_equal(view.instance_count, rows[n].count);
		assert_non_null(view_find(&view, rows[n].ip, rows[n].port));
	}
	assert_null(view_find(&view, "1.1.1.1", 0)); /* replaced by port -5 */
	assert_int_equal(view.cluster_count, 2);
	assert_int_equal(stats_of(f).ephemeral, 9);
	service_view_free(&view);
	assert_clean(f);
}

static void snowflake_takes_the_smallest_free(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct service_view view;

	service_view_init(&view);
	for (int32_t port = 1; port <= 5; port++) {
		struct instance_spec spec = spec_for("1.1.1.1", port);

		spec.metadata.snowflake = true;
		assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
	}
	view_of(f, "g@@s", &view);
	for (int32_t port = 1; port <= 5; port++)
		assert_int_equal(view_find(&view, "1.1.1.1", port)->ident, port - 1);
	struct instance_spec spec = spec_for("1.1.1.1", 2);

	assert_int_equal(registry_deregister(&f->reg, client, &key, &spec.key, NULL), 0);
	add(f, "g@@s", "1.1.1.1", 90); /* a simple id uses no number */
	spec = spec_for("1.1.1.1", 91);
	spec.metadata.snowflake = true;
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
	spec.key.ephemeral = false; /* its kind counts by itself */
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
	spec = spec_for("1.1.1.1", 92);
	spec.metadata.snowflake = true;
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
	view_of(f, "g@@s", &view);
	assert_int_equal(view_find(&view, "1.1.1.1", 90)->ident, -1);
	assert_int_equal(view_find(&view, "1.1.1.1", 92)->ident, 5);
	for (uint32_t n = 0; n < view.instance_count; n++) {
		if (view.instances[n].port == 91)
			assert_int_equal(view.instances[n].ident,
			                 view.instances[n].flags & INSTANCE_EPHEMERAL ? 1 : 0);
	}
	service_view_free(&view);
	assert_clean(f);
}

/* ---- update, deregister, patch --------------------------------------------------------------- */

static void update_needs_an_equal_one(void **state)
{
	static const struct {
		const char *service, *ip;
		int32_t port;
		const char *cluster;
		bool ephemeral;
		int expected;
		uint32_t count;
	} rows[] = {
		{ "g@@none", "1.1.1.1", 80, "DEFAULT", true, ERR_NOT_FOUND, 0 },
		{ "g@@s", "9.1.1.1", 80, "DEFAULT", true, ERR_NO_INSTANCE, 2 },
		{ "g@@s", "1.1.1.1", 81, "DEFAULT", true, ERR_NO_INSTANCE, 2 },
		{ "g@@s", "1.1.1.1", 80, "DEFAULT", false, ERR_NO_INSTANCE, 2 },
		{ "g@@s", "1.1.1.1", 80, "bad_name", true, ERR_CLUSTER_NAME, 2 },
		{ "g@@s", "1.1.1.1", 80, "DEFAULT", true, 0, 2 },
		{ "g@@s", "1.1.1.1", 80, "other", true, 0, 3 },
		{ "g@@s", "1.1.1.2", 90, "third", true, 0, 4 },
		{ "g@@s", "1.1.1.2", 0, "DEFAULT", true, 0, 5 },
		{ "g@@s", "1.1.1.3", 0, "DEFAULT", true, ERR_NO_INSTANCE, 5 },
	};
	struct fixture *f = *state;
	struct service_key second = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.2", 90);

	add(f, "g@@s", "1.1.1.1", 80);
	spec.key.cluster = STR("c2");
	assert_int_equal(registry_register(&f->reg, client, &second, &spec), 0);
	for (unsigned n = 0; n < sizeof(rows) / sizeof(rows[0]); n++) {
		struct service_key key = key_for(rows[n].service);

		spec = spec_for(rows[n].ip, rows[n].port);
		spec.key.cluster = str_of(rows[n].cluster);
		spec.key.ephemeral = rows[n].ephemeral;
		assert_int_equal(registry_update(&f->reg, client, &key, &spec), rows[n].expected);
		assert_int_equal(stamp_of(f, rows[n].service).instances, rows[n].count);
	}
	assert_clean(f);
}

static void deregister_always_marks(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s"), unknown = key_for("g@@unknown");
	struct instance_spec spec = spec_for("1.1.1.1", 80);
	struct instance_key other;
	uint64_t revision;
	uint32_t taken;
	struct service_view view;

	service_view_init(&view);
	assert_int_equal(registry_deregister(&f->reg, client, &unknown, &spec.key, &taken), 0);
	assert_int_equal(taken, 0);
	assert_false(stamp_of(f, "g@@unknown").found);
	add(f, "g@@s", "1.1.1.1", 80);
	revision = stamp_of(f, "g@@s").revision;
	other = spec.key;
	other.ephemeral = false;
	assert_int_equal(registry_deregister(&f->reg, client, &key, &other, &taken), 0);
	assert_int_equal(taken, 0);
	assert_int_equal(stamp_of(f, "g@@s").instances, 1);
	assert_true(stamp_of(f, "g@@s").revision > revision);
	other = spec.key;
	other.cluster = STR("new");
	assert_int_equal(registry_deregister(&f->reg, client, &key, &other, NULL), 0);
	view_of(f, "g@@s", &view);
	assert_int_equal(view.cluster_count, 2);
	assert_true(str_eq(view.clusters[1].name, STR("new")));
	revision = view.stamp.revision;
	other.cluster = STR("bad name");
	assert_int_equal(registry_deregister(&f->reg, client, &key, &other, &taken),
	                 ERR_CLUSTER_NAME);
	assert_int_equal(taken, 0);
	assert_int_equal(stamp_of(f, "g@@s").revision, revision);
	assert_int_equal(registry_deregister(&f->reg, client, &key, &spec.key, &taken), 0);
	assert_int_equal(taken, 1);
	view_of(f, "g@@s", &view);
	assert_int_equal(view.instance_count, 0);
	assert_int_equal(view.cluster_count, 2);
	assert_true(view.changed > revision);
	service_view_free(&view);
	assert_int_equal(stats_of(f).instances, 0);
	assert_clean(f);
}

static void patch_edits_in_place(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.1", 80);
	struct instance_patch patch = { .set_weight = true, .weight = 7 };
	struct service_view view;

	service_view_init(&view);
	assert_int_equal(registry_patch(&f->reg, client, &key, &spec.key, &patch), ERR_NO_INSTANCE);
	add(f, "g@@s", "1.1.1.1", 80);
	spec.key.port = 81;
	assert_int_equal(registry_patch(&f->reg, client, &key, &spec.key, &patch), ERR_NO_INSTANCE);
	spec.key.port = 80;
	advance(f, 100);
	assert_int_equal(registry_patch(&f->reg, client, &key, &spec.key, &patch), 0);
	view_of(f, "g@@s", &view);
	assert_true(view.instances[0].weight == 7);
	assert_int_equal(view.instances[0].beat_ms, 1000100);
	assert_true(str_eq(view.instances[0].app, STR("DEFAULT")));
	patch = (struct instance_patch){
		.set_metadata = true,
		.set_app = true,
		.set_healthy = true,
		.set_enabled = true,
		.metadata = { .packed = STR("\x81\xa1x\xa1y") },
		.app = STR("shop"),
	};
	assert_int_equal(registry_patch(&f->reg, client, &key, &spec.key, &patch), 0);
	view_of(f, "g@@s", &view);
	assert_true(view.instances[0].weight == 7);
	assert_true(str_eq(view.instances[0].app, STR("shop")));
	assert_true(str_eq(view.instances[0].metadata, patch.metadata.packed));
	assert_int_equal(view.instances[0].flags & (INSTANCE_HEALTHY | INSTANCE_ENABLED), 0);
	assert_int_equal(view.content, view.stamp.revision);
	assert_int_equal(stats_of(f).healthy, 0);
	/* Persistent before ephemeral. */
	spec.key.ephemeral = false;
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
	patch = (struct instance_patch){ .set_weight = true, .weight = 9 };
	spec.key.ephemeral = true;
	assert_int_equal(registry_patch(&f->reg, client, &key, &spec.key, &patch), 0);
	view_of(f, "g@@s", &view);
	assert_true(view.instances[0].weight == 9);
	assert_int_equal(view.instances[0].flags & INSTANCE_EPHEMERAL, 0);
	assert_true(view.instances[1].weight == 7);
	service_view_free(&view);
	assert_clean(f);
}

static void set_metadata_needs_the_revision(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct instance_metadata metadata = { .packed = STR("\x81\xa1x\xa1y") };
	struct service_view view, after;

	service_view_init(&view);
	service_view_init(&after);
	for (int32_t port = 1; port <= 50; port++)
		add(f, "g@@s", "1.1.1.1", port);
	view_of(f, "g@@s", &view);
	for (uint32_t n = 0; n < view.instance_count; n++) {
		const struct instance_view *i = &view.instances[n];
		struct instance_key wanted = { STR("DEFAULT"), i->ip, i->port, true };

		assert_int_equal(registry_set_metadata(&f->reg, client, &key, &wanted, i->id,
		                                       i->revision, &metadata),
		                 0);
		assert_int_equal(registry_set_metadata(&f->reg, client, &key, &wanted, i->id,
		                                       i->revision, &metadata),
		                 ERR_AGAIN);
		assert_int_equal(registry_set_metadata(&f->reg, client, &key, &wanted, 12345,
		                                       i->revision, &metadata),
		                 ERR_NO_INSTANCE);
		wanted.ephemeral = false;
		assert_int_equal(registry_set_metadata(&f->reg, client, &key, &wanted, i->id,
		                                       i->revision, &metadata),
		                 ERR_NO_INSTANCE);
	}
	view_of(f, "g@@s", &after);
	for (uint32_t n = 0; n < after.instance_count; n++)
		assert_true(str_eq(after.instances[n].metadata, metadata.packed));
	service_view_free(&view);
	service_view_free(&after);
	assert_clean(f);
}

static void health_flips_push_without_content(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.1", 80);
	uint64_t content, revision;
	struct service_view view;

	service_view_init(&view);
	assert_int_equal(registry_set_health(&f->reg, client, &key, &spec.key, false),
	                 ERR_NO_INSTANCE);
	add(f, "g@@s", "1.1.1.1", 80);
	view_of(f, "g@@s", &view);
	content = view.content;
	revision = view.stamp.revision;
	assert_int_equal(registry_set_health(&f->reg, client, &key, &spec.key, true), 0);
	assert_int_equal(stamp_of(f, "g@@s").revision, revision);
	assert_int_equal(registry_set_health(&f->reg, client, &key, &spec.key, false), 0);
	view_of(f, "g@@s", &view);
	assert_int_equal(view.content, content);
	assert_true(view.changed > revision);
	assert_int_equal(view.changed, view.stamp.revision);
	assert_int_equal(stats_of(f).healthy, 0);
	service_view_free(&view);
	assert_clean(f);
}

/* ---- beats ----------------------------------------------------------------------------------- */

static void a_beat_changes_one_word(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s"), unknown = key_for("g@@x");
	struct instance_spec spec = spec_for("1.1.1.1", 80);
	struct beat_result result;
	struct service_view view;
	uint64_t revision;

	service_view_init(&view);
	assert_int_equal(registry_beat(&f->reg, client, &unknown, &spec.key, &result),
	                 ERR_NOT_FOUND);
	add(f, "g@@s", "1.1.1.1", 80);
	revision = stamp_of(f, "g@@s").revision;
	advance(f, 700);
	assert_int_equal(registry_beat(&f->reg, client, &key, &spec.key, &result), 0);
	assert_false(result.revived);
	assert_false(result.has_interval);
	view_of(f, "g@@s", &view);
	assert_int_equal(view.instances[0].beat_ms, 1000700);
	assert_int_equal(view.stamp.revision, revision);
	spec.key.cluster = STR("c");
	assert_int_equal(registry_beat(&f->reg, client, &key, &spec.key, &result), ERR_NOT_FOUND);
	spec.key.cluster = STR("DEFAULT");
	spec.key.port = 81;
	assert_int_equal(registry_beat(&f->reg, client, &key, &spec.key, &result), ERR_NOT_FOUND);
	service_view_free(&view);
	assert_clean(f);
}

static void a_beat_revives(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.1", 80);
	struct beat_result result;
	uint64_t revision;

	add(f, "g@@s", "1.1.1.1", 80);
	assert_int_equal(registry_set_health(&f->reg, client, &key, &spec.key, false), 0);
	revision = stamp_of(f, "g@@s").revision;
	assert_int_equal(registry_beat(&f->reg, client, &key, &spec.key, &result), 0);
	assert_true(result.revived);
	assert_true(stamp_of(f, "g@@s").revision > revision);
	assert_int_equal(stats_of(f).healthy, 1);
	assert_int_equal(registry_beat(&f->reg, client, &key, &spec.key, &result), 0);
	assert_false(result.revived);
	assert_clean(f);
}

static void a_beat_leaves_persistent_ones_alone(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.1", 80);
	struct beat_result result;
	struct service_view view;

	service_view_init(&view);
	spec.key.ephemeral = false;
	spec.healthy = false;
	spec.metadata.overrides = (struct overrides){ true, true, 2500, 15000, 30000 };
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
	advance(f, 700);
	assert_int_equal(registry_beat(&f->reg, client, &key, &spec.key, &result), 0);
	assert_false(result.revived);
	assert_true(result.has_interval);
	assert_int_equal(result.interval_ms, 2500);
	view_of(f, "g@@s", &view);
	assert_int_equal(view.instances[0].beat_ms, 1000000);
	assert_int_equal(view.instances[0].flags & INSTANCE_HEALTHY, 0);
	service_view_free(&view);
}

/* ---- limits, full, removal ------------------------------------------------------------------- */

static void limits_refuse_with_their_key(void **state)
{
	static const char long_text[] =
	        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s"), second = key_for("g@@t"),
	                   long_key = key_for(long_text);
	struct instance_spec spec = spec_for("1.1.1.2", 80);
	uint64_t bytes;

	add(f, "g@@s", "1.1.1.1", 80);
	bytes = stats_of(f).bytes;
	f->reg.limits = (struct registry_limits){ .instances = 1 };
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), ERR_LIMIT);
	assert_string_equal(registry_limit_key(f->reg.refused.which), "limits.instances");
	assert_int_equal(f->reg.refused.limit, 1);
	assert_int_equal(registry_register(&f->reg, client, &second, &spec), ERR_LIMIT);
	assert_false(stamp_of(f, "g@@t").found);
	f->reg.limits = (struct registry_limits){ .instances_per_service = 1 };
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), ERR_LIMIT);
	assert_string_equal(registry_limit_key(f->reg.refused.which),
	                    "limits.instances_per_service");
	f->reg.limits = (struct registry_limits){ .services = 1 };
	assert_int_equal(registry_register(&f->reg, client, &second, &spec), ERR_LIMIT);
	assert_string_equal(registry_limit_key(f->reg.refused.which), "limits.services");
	f->reg.limits = (struct registry_limits){ .clusters_per_service = 1 };
	spec.key.cluster = STR("c2");
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), ERR_LIMIT);
	assert_string_equal(registry_limit_key(f->reg.refused.which),
	                    "limits.clusters_per_service");
	assert_int_equal(registry_deregister(&f->reg, client, &key, &spec.key, NULL),
	                 0); /* without the cluster */
	f->reg.limits = (struct registry_limits){ .metadata_bytes = 4 };
	spec = spec_for("1.1.1.1", 80);
	spec.metadata.packed = STR("\x81\xa1k\xa1v");
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), ERR_LIMIT);
	assert_string_equal(registry_limit_key(f->reg.refused.which), "limits.metadata");
	f->reg.limits = (struct registry_limits){ .name_bytes = 60 };
	spec = spec_for("1.1.1.1", 80);
	assert_int_equal(registry_register(&f->reg, client, &long_key, &spec), ERR_LIMIT);
	assert_string_equal(registry_limit_key(f->reg.refused.which), "limits.name");
	spec.app = str_of(long_text);
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), ERR_LIMIT);
	spec = spec_for(long_text, 80);
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), ERR_LIMIT);
	assert_int_equal(stats_of(f).bytes, bytes);
	assert_int_equal(stats_of(f).instances, 1);
	assert_clean(f);
}

/* What a client stores has to fit; what is there is changed, beaten, read and removed as before. */
static void bytes_of_services_are_limited(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s"), other = key_for("g@@t");
	struct instance_spec spec = spec_for("1.1.1.1", 80);
	struct beat_result result;
	uint64_t bytes;

	add(f, "g@@s", "1.1.1.1", 80);
	bytes = stats_of(f).bytes;
	f->reg.limits = (struct registry_limits){ .service_bytes = bytes };
	assert_int_equal(registry_register(&f->reg, client, &other, &spec), ERR_LIMIT);
	assert_string_equal(registry_limit_key(f->reg.refused.which), "limits.service_bytes");
	assert_int_equal(f->reg.refused.limit, bytes);
	assert_false(stamp_of(f, "g@@t").found);
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0); /* nothing more */
	spec.metadata.packed = STR("\x81\xa1k\xa1v");
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), ERR_LIMIT);
	assert_int_equal(registry_beat(&f->reg, client, &key, &spec.key, &result), 0);
	assert_int_equal(registry_store_checksum(&f->reg, &key, stamp_of(f, "g@@s").id,
	                                         stamp_of(f, "g@@s").revision,
	                                         (const uint8_t[16]){ 1 }),
	                 0);
	assert_in_range(stats_of(f).bytes, bytes + 1, bytes + 48);
	assert_int_equal(registry_deregister(&f->reg, client, &key, &spec.key, NULL), 0);
	spec.metadata.packed = (struct str){ NULL, 0 };
	f->reg.limits.service_bytes = stats_of(f).bytes + SLAB_BYTES_INSTANCE;
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
	assert_clean(f);
}

static void full_refuses_and_serves(void **state)
{
	struct fixture small, *f = &small;
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.1", 1);
	struct beat_result result;
	int ret = 0, port = 1;

	(void)state;
	fixture_open(f, 24U << 20);
	for (; port < 2000000 && ret == 0; port++) {
		spec.key.port = port;
		ret = registry_register(&f->reg, client, &key, &spec);
	}
	assert_int_equal(ret, ERR_FULL);
	assert_clean(f);
	spec.key.port = 1;
	assert_int_equal(registry_beat(&f->reg, client, &key, &spec.key, &result), 0);
	spec.key.cluster = STR("unknown");
	assert_int_equal(registry_deregister(&f->reg, client, &key, &spec.key, NULL), 0);
	spec.key.cluster = STR("DEFAULT");
	for (int n = 1; n <= 200; n++) {
		spec.key.port = n;
		assert_int_equal(registry_deregister(&f->reg, client, &key, &spec.key, NULL), 0);
	}
	spec.key.port = 1;
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
	assert_clean(f);
	fixture_close(f);
}

static void removal_is_immediate(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	uint64_t id;

	assert_int_equal(registry_remove_service(&f->reg, client, &key, NULL), ERR_NOT_FOUND);
	for (int32_t port = 1; port <= 100; port++)
		add(f, "g@@s", "1.1.1.1", port);
	id = stamp_of(f, "g@@s").id;
	assert_int_equal(registry_remove_service(&f->reg, client, &key, NULL), 0);
	assert_false(stamp_of(f, "g@@s").found);
	assert_int_equal(stats_of(f).services, 0);
	assert_int_equal(stats_of(f).instances, 0);
	assert_int_equal(stats_of(f).draining, 1);
	assert_clean(f);
	add(f, "g@@s", "1.1.1.1", 7);
	assert_true(stamp_of(f, "g@@s").id > id);
	assert_int_equal(stamp_of(f, "g@@s").instances, 1);
	assert_int_equal(stats_of(f).instances, 1);
	assert_clean(f);
}

static void events_tell_what_happened(void **state)
{
	static const uint8_t expected[] = { EVENT_SERVICE_CREATED, EVENT_REGISTERED,
		                            EVENT_BEAT_LOST,       EVENT_EDITED,
		                            EVENT_DEREGISTERED,    EVENT_SERVICE_REMOVED };
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.1", 80);
	struct ring_event event;
	struct str name;
	char text[RING_NAME_BYTES];
	uint64_t cursor = 0, missed = 0, stamp = 0;

	add(f, "g@@s", "1.1.1.1", 80);
	add(f, "g@@s", "1.1.1.1", 80); /* nothing new: no event */
	assert_int_equal(registry_set_health(&f->reg, client, &key, &spec.key, false), 0);
	spec.weight = 2;
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
	assert_int_equal(registry_deregister(&f->reg, client, &key, &spec.key, NULL), 0);
	assert_int_equal(registry_remove_service(&f->reg, client, &key, NULL), 0);
	for (unsigned n = 0; n < sizeof(expected); n++) {
		assert_true(ring_next(f->seg->events, &cursor, &event, &name, text, &missed));
		assert_int_equal(event.kind, expected[n]);
		assert_int_equal(event.cause, CAUSE_CLIENT);
		assert_int_equal(event.name_hash, key_name_hash(&key));
		assert_true(event.stamp > stamp || n < 2);
		stamp = event.stamp;
	}
	assert_false(ring_next(f->seg->events, &cursor, &event, &name, text, &missed));
	cursor = 0;
	assert_true(ring_next(f->seg->removed, &cursor, &event, &name, text, &missed));
	assert_int_equal(event.kind, EVENT_DEREGISTERED);
	assert_true(str_eq(name, STR("public\0g@@s")));
	assert_int_equal(missed, 0);
}

/* The address in an event has a size; it ends with a whole character. */
static void events_show_whole_characters(void **state)
{
	struct fixture *f = *state;
	struct ring_event event;
	uint64_t cursor = 0, missed = 0;

	add(f, "g@@s",
	    "x\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80",
	    80);
	while (ring_next(f->seg->events, &cursor, &event, NULL, NULL, &missed))
		continue;
	assert_int_equal(event.kind, EVENT_REGISTERED);
	assert_int_equal(strnlen(event.ip, sizeof(event.ip)), 21);
}

/* ---- log entries ----------------------------------------------------------------------------- */

/* The table of registry_internal.h, with chains and new pages. */
static void operations_fit_the_log(void **state)
{
	static char metadata[8192], ip[200];
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("", 80);
	struct beat_result result;

	memset(metadata, 'm', sizeof(metadata));
	memset(ip, 'i', sizeof(ip));
	spec.key.ip = str_make(ip, sizeof(ip));
	spec.key.cluster = STR("cluster-with-a-name-of-its-own");
	spec.metadata.packed = str_make(metadata, sizeof(metadata));
	spec.metadata.overrides = (struct overrides){ true, true, 1000, 2000, 3000 };
	spec.metadata.snowflake = true;
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
	assert_in_range(f->reg.most_entries, 40, OP_ENTRIES_REGISTER + 3 * OP_ENTRIES_CHUNK);
	f->reg.most_entries = 0;
	metadata[0] = 'x';
	spec.app = STR("another");
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
	assert_in_range(f->reg.most_entries, 1, OP_ENTRIES_REPLACE + 3 * OP_ENTRIES_CHUNK);
	f->reg.most_entries = 0;
	assert_int_equal(registry_set_health(&f->reg, client, &key, &spec.key, false), 0);
	assert_int_equal(registry_beat(&f->reg, client, &key, &spec.key, &result), 0);
	assert_in_range(f->reg.most_entries, 1, OP_ENTRIES_BEAT);
	f->reg.most_entries = 0;
	assert_int_equal(registry_deregister(&f->reg, client, &key, &spec.key, NULL), 0);
	assert_in_range(f->reg.most_entries, 1, OP_ENTRIES_DEREGISTER);
	f->reg.most_entries = 0;
	assert_int_equal(registry_remove_service(&f->reg, client, &key, NULL), 0);
	assert_in_range(f->reg.most_entries, 1, OP_ENTRIES_REMOVE_SERVICE);
	assert_clean(f);
}

/* ---- keys of one hash ------------------------------------------------------------------------ */

enum part { PORT, IP, CLUSTER, PARTS };

/* The n-th instance among those that differ in this part of their keys alone. */
static struct instance_spec nth(enum part part, uint32_t n, char text[32])
{
	struct instance_spec spec = spec_for("1.1.1.1", part == PORT ? (int32_t)n + 1 : 80);

	snprintf(text, 32, "text%u", n);
	if (part == IP)
		spec.key.ip = str_of(text);
	if (part == CLUSTER)
		spec.key.cluster = str_of(text);
	return spec;
}

struct keys {
	struct fixture *f;
	enum part part;
};

static uint32_t hash_of_nth(void *arg, uint32_t n)
{
	const struct keys *keys = arg;
	struct service_key key = key_for("g@@s");
	char text[32];
	struct instance_spec spec = nth(keys->part, n, text);

	return key_instance_hash(&keys->f->reg, key_place(&keys->f->reg, &key).hash, &spec.key);
}

/* Each part of a key counts, not the hash alone. */
static void instances_of_one_hash(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");

	for (enum part part = 0; part < PARTS; part++) {
		struct keys keys = { .f = f, .part = part };
		uint32_t pair[2] = { 0, 0 };
		char text[32];

		assert_true(hashed_alike(hash_of_nth, &keys, 400000, pair));
		for (unsigned twice = 0; twice < 4; twice++) {
			struct instance_spec spec = nth(part, pair[twice % 2], text);

			assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
		}
		assert_int_equal(stats_of(f).instances, 2 * (part + 1));
	}
	assert_clean(f);
}

/* Whatever comes first that there is no room for, in each shard: it is no damage, and leaves
 * nothing behind. */
static void many_services_in_a_full_segment(void **state)
{
	enum { SERVICES = 60000 };
	struct fixture f;
	struct instance_spec spec = spec_for("1.1.1.1", 1);
	uint64_t made = 0, refused = 0;
	char name[32];

	(void)state;
	fixture_open(&f, 8U << 20);
	for (unsigned n = 0; n < SERVICES; n++) {
		struct service_key key;
		int ret;

		snprintf(name, sizeof(name), "g@@%u", n);
		key = key_for(name);
		ret = n % 3 == 0 ? registry_register(&f.reg, client, &key, &spec)
		                 : registry_create_service(&f.reg, client, &key,
		                                           &(struct service_settings){ 0 });
		assert_true(ret == 0 || ret == ERR_FULL);
		made += ret == 0;
		refused += ret != 0;
	}
	assert_true(made > SHARDS && refused > SHARDS);
	assert_int_equal(stats_of(&f).services, made);
	assert_clean(&f);
	fixture_close(&f);
}

/* As much as a limit says is allowed, and the texts of a patch have the same limits. */
static void limits_are_reached_not_passed(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.1", 80);
	struct instance_patch patch = { .set_app = true, .app = STR("12345678901234567") };

	f->reg.limits = (struct registry_limits){ .metadata_bytes = 5, .name_bytes = 16 };
	spec.metadata.packed = STR("\x81\xa1k\xa1v");
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
	assert_int_equal(registry_patch(&f->reg, client, &key, &spec.key, &patch), ERR_LIMIT);
	patch.app.n--;
	assert_int_equal(registry_patch(&f->reg, client, &key, &spec.key, &patch), 0);
	patch = (struct instance_patch){ .set_metadata = true,
		                         .metadata = { .packed = STR("\x81\xa1k\xa2vv") } };
	assert_int_equal(registry_patch(&f->reg, client, &key, &spec.key, &patch), ERR_LIMIT);
	assert_clean(f);
}

/* No metadata and metadata without a byte are the same, and take no room. */
static void empty_metadata_is_none(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.1", 80);
	struct service_view view;
	uint64_t bytes;

	add(f, "g@@s", "1.1.1.1", 80);
	bytes = stats_of(f).bytes;
	spec.metadata.packed = STR("");
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
	assert_int_equal(stats_of(f).bytes, bytes);
	service_view_init(&view);
	view_of(f, "g@@s", &view);
	assert_false(str_is_set(view.instances[0].metadata));
	service_view_free(&view);
	assert_clean(f);
}

/* Where a registration came from is kept in the upper byte of the flags (layout.h). */
static void the_source_is_kept(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.1", 80);
	struct origin peer = { .writer = WRITER_PEER, .node = 2, .cause = CAUSE_CLIENT };
	struct service_view view;

	add(f, "g@@s", "1.1.1.2", 80);
	assert_int_equal(registry_register(&f->reg, peer, &key, &spec), 0);
	service_view_init(&view);
	view_of(f, "g@@s", &view);
	assert_int_equal(view_find(&view, "1.1.1.1", 80)->flags >> 24, WRITER_PEER);
	assert_int_equal(view_find(&view, "1.1.1.2", 80)->flags >> 24, WRITER_CLIENT);
	assert_int_equal(view_find(&view, "1.1.1.1", 80)->flags & 0xffffff,
	                 view_find(&view, "1.1.1.2", 80)->flags & 0xffffff);
	service_view_free(&view);
}

/* The largest metadata that limits.metadata can allow. */
static void the_longest_metadata_fits_the_log(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.1", 80);
	char *metadata = malloc(BLOB_MAX_BYTES);

	assert_non_null(metadata);
	memset(metadata, 'm', BLOB_MAX_BYTES);
	spec.metadata.packed = str_make(metadata, BLOB_MAX_BYTES);
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
	metadata[0] = 'x';
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
	assert_int_equal(registry_deregister(&f->reg, client, &key, &spec.key, NULL), 0);
	assert_true(f->reg.most_entries <= UNDO_ENTRIES);
	assert_clean(f);
	free(metadata);
}

static void switches_have_their_defaults(void **state)
{
	struct fixture *f = *state;
	const struct switches *s = switches_of(f->seg);

	assert_int_equal(s->push_cache_ms, 10000);
	assert_int_equal(s->beat_interval_ms, 5000);
	assert_int_equal(s->cache_ms, 3000);
	assert_int_equal(s->check_times, 3);
	assert_int_equal(s->push_c, 1U << 20 | 12);
	assert_int_equal(s->push_python, 4U << 10 | 3);
	assert_int_equal(s->light_beat, 1);
	assert_int_equal(s->ephemeral, 1);
	assert_int_equal(s->authentication, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(register_creates_all),
		TEST(replacing_keeps_id_and_health),
		TEST(registering_the_same_still_marks),
		TEST(weights_are_clamped),
		TEST(names_are_checked),
		TEST(identity_is_the_datum_key),
		TEST(snowflake_takes_the_smallest_free),
		TEST(update_needs_an_equal_one),
		TEST(deregister_always_marks),
		TEST(patch_edits_in_place),
		TEST(set_metadata_needs_the_revision),
		TEST(health_flips_push_without_content),
		TEST(a_beat_changes_one_word),
		TEST(a_beat_revives),
		TEST(a_beat_leaves_persistent_ones_alone),
		TEST(limits_refuse_with_their_key),
		TEST(bytes_of_services_are_limited),
		cmocka_unit_test(full_refuses_and_serves),
		TEST(removal_is_immediate),
		TEST(events_tell_what_happened),
		TEST(events_show_whole_characters),
		TEST(operations_fit_the_log),
		cmocka_unit_test(many_services_in_a_full_segment),
		TEST(instances_of_one_hash),
		TEST(limits_are_reached_not_passed),
		TEST(empty_metadata_is_none),
		TEST(the_source_is_kept),
		TEST(the_longest_metadata_fits_the_log),
		TEST(switches_have_their_defaults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
