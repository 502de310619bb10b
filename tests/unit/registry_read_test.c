/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/registry_fixture.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/registry/registry_keeper.h"
#include "shared/shm/shard.h"

static void an_unknown_service_is_not_found(void **state)
{
	struct fixture *f = *state;
	struct service_view view;

	service_view_init(&view);
	view_of(f, "g@@none", &view);
	assert_false(view.stamp.found);
	assert_int_equal(view.instance_count, 0);
	assert_int_equal(view.stamp.epoch, f->seg->header->epoch);
	add(f, "g@@s", "1.1.1.1", 80);
	view_of(f, "g@@s", &view);
	assert_true(view.stamp.found);
	view_of(f, "g@@none", &view);
	assert_false(view.stamp.found);
	service_view_free(&view);
}

/* The same name in another namespace, and names whose joined text is the same. */
static void namespaces_are_apart(void **state)
{
	struct fixture *f = *state;
	struct service_key a = { STR("n"), STR("sg@@x") }, b = { STR("ns"), STR("g@@x") };
	struct instance_spec spec = spec_for("1.1.1.1", 80);
	struct service_stamp stamp;

	assert_int_equal(registry_register(&f->reg, client, &a, &spec), 0);
	assert_int_equal(registry_poll(&f->reg, &b, NULL, &stamp), 0);
	assert_false(stamp.found);
	assert_int_equal(registry_poll(&f->reg, &a, NULL, &stamp), 0);
	assert_true(stamp.found);
}

/* Clusters as created, persistent before ephemeral, each as registered. */
static void the_order_of_a_view(void **state)
{
	static const struct {
		const char *cluster;
		bool ephemeral;
		int32_t port;
	} rows[] = { { "b", true, 1 },  { "a", true, 2 }, { "b", false, 3 },
		     { "a", false, 4 }, { "b", true, 5 }, { "a", true, 6 } };
	static const int32_t expected[] = { 3, 1, 5, 4, 2, 6 };
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct service_view view;

	service_view_init(&view);
	for (unsigned n = 0; n < sizeof(rows) / sizeof(rows[0]); n++) {
		struct instance_spec spec = spec_for("1.1.1.1", rows[n].port);

		spec.key.cluster = str_of(rows[n].cluster);
		spec.key.ephemeral = rows[n].ephemeral;
		assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
	}
	view_of(f, "g@@s", &view);
	assert_int_equal(view.instance_count, 6);
	for (uint32_t n = 0; n < 6; n++) {
		assert_int_equal(view.instances[n].port, expected[n]);
		assert_int_equal(view.instances[n].cluster, n / 3);
	}
	assert_true(str_eq(view.clusters[0].name, STR("b")));
	service_view_free(&view);
}

static void a_long_service_is_copied_whole(void **state)
{
	enum { COUNT = 10000 };
	struct fixture *f = *state;
	struct service_key key = key_for("g@@long");
	struct service_view view;
	char ip[64], metadata[64];

	service_view_init(&view);
	for (int n = 0; n < COUNT; n++) {
		struct instance_spec spec;

		snprintf(ip, sizeof(ip), "10.0.%d.%d%s", n / 250, n % 250,
		         n % 7 == 0 ? ".and.a.long.host.name" : "");
		snprintf(metadata, sizeof(metadata), "metadata-%d", n);
		spec = spec_for(ip, 80);
		spec.metadata.packed = str_of(metadata);
		assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
	}
	view_of(f, "g@@long", &view);
	assert_int_equal(view.instance_count, COUNT);
	for (int n = 0; n < COUNT; n++) {
		snprintf(ip, sizeof(ip), "10.0.%d.%d%s", n / 250, n % 250,
		         n % 7 == 0 ? ".and.a.long.host.name" : "");
		snprintf(metadata, sizeof(metadata), "metadata-%d", n);
		assert_true(str_eq(view.instances[n].ip, str_of(ip)));
		assert_true(str_eq(view.instances[n].metadata, str_of(metadata)));
	}
	service_view_free(&view);
	assert_clean(f);
}

/* Keeps a long service changing: one more, one less. */
static void churn(struct fixture *f)
{
	struct service_key key = key_for("g@@long");
	struct instance_spec spec = spec_for("2.2.2.2", 80);

	for (int32_t port = 1;; port = port % 1000 + 1) {
		spec.key.port = port;
		if (registry_register(&f->reg, client, &key, &spec) < 0 ||
		    registry_deregister(&f->reg, client, &key, &spec.key, NULL) < 0)
			_exit(1);
	}
}

static void a_view_belongs_to_one_revision(void **state)
{
	struct fixture *f = *state;
	struct service_view view;
	pid_t writer;
	int status;

	service_view_init(&view);
	for (int32_t port = 1; port <= 9000; port++)
		add(f, "g@@long", "1.1.1.1", port);
	writer = fork();
	assert_true(writer >= 0);
	if (writer == 0)
		churn(f);
	for (unsigned n = 0; n < 60; n++) {
		view_of(f, "g@@long", &view);
		/* A loose one may have missed what came or went in its middle. */
		if (!view.loose)
			assert_int_equal(view.instance_count, view.stamp.instances);
		assert_in_range(view.instance_count, 9000, 9001);
		for (uint32_t i = 0; i < view.instance_count; i++)
			assert_true(view.instances[i].revision <= view.stamp.revision);
	}
	assert_int_equal(kill(writer, SIGKILL), 0);
	assert_int_equal(waitpid(writer, &status, 0), writer);
	assert_true(WIFSIGNALED(status));
	service_view_free(&view);
	assert_clean(f);
}

static void get_prefers_persistent(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s"), unknown = key_for("g@@x");
	struct instance_spec spec = spec_for("1.1.1.1", 80);
	struct service_view view;
	bool known;

	service_view_init(&view);
	assert_int_equal(registry_get(&f->reg, &unknown, &spec.key, -1, &view, &known),
	                 ERR_NOT_FOUND);
	add(f, "g@@s", "1.1.1.1", 80);
	assert_int_equal(registry_get(&f->reg, &key, &spec.key, -1, &view, &known), 0);
	assert_true(known);
	assert_int_equal(view.instance_count, 1);
	assert_true(str_eq(view.clusters[view.instances[0].cluster].name, STR("DEFAULT")));
	assert_true(str_eq(view.instances[0].app, STR("DEFAULT")));
	spec.key.ephemeral = false;
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
	assert_int_equal(registry_get(&f->reg, &key, &spec.key, -1, &view, &known), 0);
	assert_int_equal(view.instances[0].flags & INSTANCE_EPHEMERAL, 0);
	assert_int_equal(registry_get(&f->reg, &key, &spec.key, 1, &view, &known), 0);
	assert_int_equal(view.instances[0].flags & INSTANCE_EPHEMERAL, INSTANCE_EPHEMERAL);
	spec.key.port = 81;
	assert_int_equal(registry_get(&f->reg, &key, &spec.key, -1, &view, &known),
	                 ERR_NO_INSTANCE);
	assert_true(known);
	spec.key.cluster = STR("other");
	assert_int_equal(registry_get(&f->reg, &key, &spec.key, -1, &view, &known),
	                 ERR_NO_INSTANCE);
	assert_false(known);
	assert_int_equal(registry_deregister(&f->reg, client, &key, &spec.key, NULL),
	                 0); /* creates the cluster */
	assert_int_equal(registry_get(&f->reg, &key, &spec.key, -1, &view, &known),
	                 ERR_NO_INSTANCE);
	assert_false(known);
	service_view_free(&view);
}

static void a_checksum_belongs_to_its_content(void **state)
{
	static const uint8_t md5[16] = "0123456789abcdef", other[16] = "fedcba9876543210";
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s"), unknown = key_for("g@@x");
	struct instance_spec spec = spec_for("1.1.1.1", 80);
	struct service_view view;
	uint64_t revision;

	service_view_init(&view);
	add(f, "g@@s", "1.1.1.1", 80);
	view_of(f, "g@@s", &view);
	revision = view.stamp.revision;
	assert_int_equal(registry_store_checksum(&f->reg, &unknown, view.stamp.id, view.content,
	                                         md5),
	                 ERR_NOT_FOUND);
	assert_int_equal(registry_store_checksum(&f->reg, &key, view.stamp.id, view.content + 1,
	                                         md5),
	                 ERR_AGAIN);
	assert_int_equal(registry_store_checksum(&f->reg, &key, view.stamp.id, view.content, md5),
	                 0);
	view_of(f, "g@@s", &view);
	assert_true(view.has_checksum);
	assert_memory_equal(view.checksum, md5, 16);
	assert_int_equal(view.stamp.revision, revision);
	assert_int_equal(registry_set_health(&f->reg, client, &key, &spec.key, false), 0);
	view_of(f, "g@@s", &view);
	assert_true(view.has_checksum); /* lags flips by rule */
	/* Made anew on demand: whoever keeps the old one must notice, but only then. */
	revision = view.stamp.revision;
	assert_int_equal(registry_store_checksum(&f->reg, &key, view.stamp.id, view.content, md5),
	                 0);
	view_of(f, "g@@s", &view);
	assert_int_equal(view.stamp.revision, revision);
	assert_int_equal(registry_store_checksum(&f->reg, &key, view.stamp.id, view.content, other),
	                 0);
	view_of(f, "g@@s", &view);
	assert_true(view.has_checksum && view.stamp.revision > revision);
	assert_memory_equal(view.checksum, other, 16);
	add(f, "g@@s", "1.1.1.2", 80);
	view_of(f, "g@@s", &view);
	assert_false(view.has_checksum);
	service_view_free(&view);
}

static void health_in_the_order_of_the_view(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct service_stamp stamp;
	struct service_view view;
	uint64_t healthy[2];
	char ip[24];

	service_view_init(&view);
	for (unsigned n = 0; n < 70; n++) {
		snprintf(ip, sizeof(ip), "1.1.1.%u", n);
		add(f, "g@@s", ip, 80);
	}
	for (unsigned n = 0; n < 70; n += 7) {
		struct instance_spec spec;

		snprintf(ip, sizeof(ip), "1.1.1.%u", n);
		spec = spec_for(ip, 80);
		assert_int_equal(registry_set_health(&f->reg, client, &key, &spec.key, false), 0);
	}
	view_of(f, "g@@s", &view);
	assert_int_equal(registry_health(&f->reg, &key, view.stamp.id, view.content, 70, healthy,
	                                 &stamp),
	                 0);
	assert_int_equal(stamp.revision, view.stamp.revision);
	for (unsigned n = 0; n < 70; n++)
		assert_int_equal(healthy[n / 64] >> n % 64 & 1,
		                 (view.instances[n].flags & INSTANCE_HEALTHY) != 0);
	assert_int_equal(registry_health(&f->reg, &key, view.stamp.id, view.content, 69, healthy,
	                                 &stamp),
	                 ERR_AGAIN);
	assert_int_equal(registry_health(&f->reg, &key, view.stamp.id + 1, view.content, 70,
	                                 healthy, &stamp),
	                 ERR_AGAIN);
	add(f, "g@@s", "2.2.2.2", 80);
	assert_int_equal(registry_health(&f->reg, &key, view.stamp.id, view.content, 70, healthy,
	                                 &stamp),
	                 ERR_AGAIN);
	service_view_free(&view);
}

struct seen {
	unsigned count;
	bool marks[3000];
};

static void see(const struct service_row *row, void *arg)
{
	struct seen *seen = arg;
	char text[32];
	unsigned n;

	snprintf(text, sizeof(text), "%.*s", (int)row->name.n, row->name.p);
	if (sscanf(text, "g@@s%u", &n) == 1 && n < 3000 && !seen->marks[n]) {
		seen->marks[n] = true;
		seen->count++;
	}
}

static void names_of_a_namespace(void **state)
{
	struct fixture *f = *state;
	struct seen *seen = calloc(1, sizeof(*seen));
	struct service_key other = { STR("other"), STR("g@@s2999") };
	struct instance_spec spec = spec_for("1.1.1.1", 80);
	char name[32];

	assert_non_null(seen);
	for (int n = 0; n < 2500; n++) {
		snprintf(name, sizeof(name), "g@@s%d", n);
		add(f, name, "1.1.1.1", 80);
	}
	assert_int_equal(registry_register(&f->reg, client, &other, &spec), 0);
	assert_int_equal(registry_services(&f->reg, STR("public"), see, seen), 0);
	assert_int_equal(seen->count, 2500);
	assert_false(seen->marks[2999]);
	memset(seen, 0, sizeof(*seen));
	assert_int_equal(registry_services(&f->reg, STR("other"), see, seen), 0);
	assert_int_equal(seen->count, 1);
	memset(seen, 0, sizeof(*seen));
	assert_int_equal(registry_services(&f->reg, STR("none"), see, seen), 0);
	assert_int_equal(seen->count, 0);
	assert_int_equal(stats_of(f).services, 2501);
	assert_clean(f);
	free(seen);
}

struct rows {
	unsigned count, instances;
	bool other;
};

static void on_row(const struct service_row *row, void *arg)
{
	struct rows *rows = arg;

	rows->count++;
	rows->instances += row->instances;
	rows->other |= str_eq(row->ns, STR("other")) && str_eq(row->name, STR("g@@b"));
}

static void services_of_one_or_all_namespaces(void **state)
{
	struct fixture *f = *state;
	struct service_key other = { STR("other"), STR("g@@b") };
	struct instance_spec spec = spec_for("1.1.1.1", 80);
	struct rows all = { 0 }, one = { 0 };

	add(f, "g@@a", "1.1.1.1", 80);
	add(f, "g@@a", "1.1.1.2", 80);
	assert_int_equal(registry_register(&f->reg, client, &other, &spec), 0);
	assert_int_equal(registry_services(&f->reg, (struct str){ NULL, 0 }, on_row, &all), 0);
	assert_int_equal(all.count, 2);
	assert_int_equal(all.instances, 3);
	assert_true(all.other);
	assert_int_equal(registry_services(&f->reg, STR("public"), on_row, &one), 0);
	assert_int_equal(one.count, 1);
	assert_int_equal(one.instances, 2);
	assert_false(one.other);
}

/* All names in one shard, so that a walk takes several holds; one disappears under the cursor. */
static void names_go_on_when_the_cursor_is_gone(void **state)
{
	struct fixture *f = *state;
	struct keeper_entry entries[10];
	char names[40][32];
	unsigned names_made = 0;
	uint64_t after;

	for (unsigned n = 0; n < 40; n++)
		add(f, name_in_shard(f, 5, &names_made, names[n]), "1.1.1.1", 80);
	assert_int_equal(registry_services_after(&f->reg, &f->walks, 5, 0, entries, 10), 10);
	after = entries[9].id;
	for (unsigned n = 8; n < 12; n++) {
		struct service_key key = key_for(names[n]);

		assert_int_equal(registry_remove_service(&f->reg, client, &key, NULL), 0);
	}
	assert_int_equal(registry_services_after(&f->reg, &f->walks, 5, after, entries, 10), 10);
	assert_int_equal(entries[0].id, stamp_of(f, names[12]).id);
	assert_int_equal(registry_services_after(&f->reg, &f->walks, 5, stamp_of(f, names[38]).id,
	                                         entries, 10),
	                 1);
	assert_int_equal(registry_last_id(&f->reg, 5), entries[0].id);
	assert_int_equal(registry_services_after(&f->reg, &f->walks, 5, entries[0].id, entries, 10),
	                 0);
	assert_clean(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_unknown_service_is_not_found),
		TEST(namespaces_are_apart),
		TEST(the_order_of_a_view),
		TEST(a_long_service_is_copied_whole),
		TEST(a_view_belongs_to_one_revision),
		TEST(get_prefers_persistent),
		TEST(a_checksum_belongs_to_its_content),
		TEST(health_in_the_order_of_the_view),
		TEST(names_of_a_namespace),
		TEST(services_of_one_or_all_namespaces),
		TEST(names_go_on_when_the_cursor_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
