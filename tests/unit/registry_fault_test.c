/* SPDX-License-Identifier: Apache-2.0 */
/* A process is killed at every numbered point of every operation (FAULTS=1), and at random times:
 * whatever it was doing has then happened wholly or not at all, and registry_audit() finds
 * nothing. */
#include "tests/unit/registry_fixture.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shared/registry/namespaces.h"
#include "shared/registry/persistent.h"
#include "shared/registry/registry_audit.h"
#include "shared/registry/registry_keeper.h"
#include "shared/registry/registry_pusher.h"
#include "shared/registry/settings.h"
#include "shared/registry/subscribers.h"
#include "shared/shm/fault.h"
#include "shared/shm/shard.h"

#define SMALL_BYTES (16U << 20)

static struct subscriber_spec sub_for(uint16_t port)
{
	return (struct subscriber_spec){
		.agent = STR("Nacos-Java-Client:v1.4.8"),
		.push = true,
		.clusters = STR("c1,c2"),
		.app = STR("app"),
		.address_text = STR("127.0.0.1"),
		.port = port,
	};
}

#ifdef ROSTER_FAULTS

static const char *const names[] = { "g@@s", "g@@new", "g@@t" };

/* ---- what the state is ----------------------------------------------------------------------- */

struct digest {
	uint64_t hash;
};

static void mix(struct digest *d, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < n; i++)
		d->hash = (d->hash ^ p[i]) * 0x100000001b3ULL;
}

static void mix_number(struct digest *d, uint64_t number)
{
	mix(d, &number, sizeof(number));
}

static void mix_text(struct digest *d, struct str text)
{
	mix_number(d, text.n);
	mix(d, text.p, text.n);
}

/* No ids, revisions, beats and bounds: those move on even when an operation is rolled back. */
static void mix_view(struct digest *d, const struct service_view *view)
{
	mix_number(d, view->stamp.found);
	if (!view->stamp.found)
		return;
	mix_number(d, view->has_checksum);
	mix_number(d, view->changed == view->content);
	mix(d, &view->threshold, sizeof(view->threshold));
	mix_text(d, view->metadata);
	mix_text(d, view->selector);
	for (uint32_t n = 0; n < view->cluster_count; n++) {
		mix_text(d, view->clusters[n].name);
		mix_text(d, view->clusters[n].checker);
		mix_text(d, view->clusters[n].metadata);
		mix_number(d, (uint64_t)view->clusters[n].check_port);
		mix_number(d, view->clusters[n].use_instance_port);
	}
	for (uint32_t n = 0; n < view->instance_count; n++) {
		const struct instance_view *i = &view->instances[n];

		mix_text(d, i->ip);
		mix_number(d, (uint64_t)i->port);
		mix_number(d, i->flags);
		mix(d, &i->weight, sizeof(i->weight));
		mix_text(d, i->metadata);
		mix_text(d, i->app);
		mix_number(d, (uint64_t)i->ident);
		mix_number(d, i->cluster);
	}
}

static void mix_name(struct fixture *f, struct digest *d, const char *name)
{
	struct service_key key = key_for(name);
	struct place place = key_place(&f->reg, &key);
	struct service_view view;
	struct audience_cursor cursor = { 0 };
	struct subscriber_view sub;
	struct service *s;
	struct op op;

	service_view_init(&view);
	view_of(f, name, &view);
	mix_view(d, &view);
	service_view_free(&view);
	while (registry_subscribers(&f->reg, &key, &cursor, &sub, 1) == 1)
		mix_number(d, sub.port);
	assert_int_equal(op_begin(&op, &f->reg, place.shard, client), 0);
	service_find(&op, &key, place.hash, &s);
	mix_number(d, s == NULL ? 0 : queue_link_pending(&s->queue[QUEUE_PUSHER]));
	mix_number(d, s == NULL ? 0 : s->flags);
	mix_number(d, s == NULL ? 0 : s->owned);
	mix_number(d, s == NULL ? 0 : s->owners);
	mix_number(d, op.root->drain_count);
	mix_number(d, op.root->instances.count);
	mix_number(d, op.tx.shard->slabs[SLAB_CLUSTER].objects);
	op_end(&op);
}

static void mix_namespace(const struct namespace_row *row, void *arg)
{
	mix_text(arg, row->id);
	mix_text(arg, row->name);
	mix_text(arg, row->about);
}

static void mix_office(struct fixture *f, struct digest *d)
{
	static struct switches_copy copy;

	assert_int_equal(switches_read(&f->reg, &copy), 0);
	mix(d, &copy.words, sizeof(copy.words));
	mix_text(d, copy.texts.masters);
	mix_text(d, copy.texts.limited);
	mix_text(d, copy.texts.status);
	assert_int_equal(namespaces_each(&f->reg, mix_namespace, d), 0);
}

static uint64_t digest_of(struct fixture *f)
{
	struct digest d = { 0xcbf29ce484222325ULL };
	struct registry_stats stats;

	for (unsigned n = 0; n < sizeof(names) / sizeof(names[0]); n++)
		mix_name(f, &d, names[n]);
	mix_office(f, &d);
	stats = stats_of(f); /* without a lock: only now is everything rolled back */
	mix(&d, &stats, sizeof(stats));
	return d.hash;
}

#endif

/* ---- the operations -------------------------------------------------------------------------- */

/* done: how much of it may happen; 0 nothing, 1 the whole of an operation of one step. */
struct scenario {
	const char *name;
	void (*prepare)(struct fixture *f);
	int (*operate)(struct fixture *f, uint32_t budget);
	uint32_t steps;
	uint32_t least_points; /* fewer passed points mean that the test looks at nothing */
};

static void with_three(struct fixture *f)
{
	for (int32_t port = 1; port <= 3; port++) {
		struct service_key key = key_for("g@@s");
		struct instance_spec spec = spec_for("1.1.1.1", port);

		spec.metadata.packed = STR("metadata of some length that takes a blob of its own");
		spec.metadata.overrides = (struct overrides){ true, true, 1000, 15000, 30000 };
		if (port == 3)
			spec.key.cluster = STR("other");
		assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
	}
}

static struct instance_spec rich_spec(void)
{
	static char metadata[6000];
	struct instance_spec spec = spec_for("a.host.name.longer.than.sixteen", 80);

	memset(metadata, 'm', sizeof(metadata));
	spec.key.cluster = STR("cluster-2");
	spec.metadata.packed = str_make(metadata, sizeof(metadata));
	spec.metadata.overrides = (struct overrides){ true, true, 1000, 2000, 3000 };
	spec.metadata.snowflake = true;
	return spec;
}

static int register_as(struct fixture *f, const char *name, const struct instance_spec *spec)
{
	struct service_key key = key_for(name);

	return registry_register(&f->reg, client, &key, spec);
}

static int register_new(struct fixture *f, uint32_t budget)
{
	struct instance_spec spec = rich_spec();

	return budget == 0 ? 0 : register_as(f, "g@@new", &spec);
}

static int register_more(struct fixture *f, uint32_t budget)
{
	struct instance_spec spec = rich_spec();

	return budget == 0 ? 0 : register_as(f, "g@@s", &spec);
}

static int replace(struct fixture *f, uint32_t budget)
{
	struct instance_spec spec = rich_spec();

	spec.key = spec_for("1.1.1.1", 2).key;
	spec.weight = 2;
	return budget == 0 ? 0 : register_as(f, "g@@s", &spec);
}

/* With instances.owner: source. */

static const struct origin owner = {
	.cause = CAUSE_CLIENT, .bound = true, .owns = true, .sender = 0x1234567800000009ULL
};

static void with_one_owned(struct fixture *f)
{
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.2", 2);

	with_three(f);
	assert_int_equal(registry_register(&f->reg, owner, &key, &spec), 0);
}

static int register_owned(struct fixture *f, uint32_t budget)
{
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = rich_spec();

	return budget == 0 ? 0 : registry_register(&f->reg, owner, &key, &spec);
}

static int take_over(struct fixture *f, uint32_t budget)
{
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.1", 2);

	return budget == 0 ? 0 : registry_register(&f->reg, owner, &key, &spec);
}

static int deregister_owned(struct fixture *f, uint32_t budget)
{
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.2", 2);

	return budget == 0 ? 0 : registry_deregister(&f->reg, owner, &key, &spec.key, NULL);
}

static int bad_cluster(struct fixture *f, uint32_t budget)
{
	struct instance_spec spec = spec_for("1.1.1.1", 2);

	spec.key.cluster = STR("bad name");
	return budget == 0 || register_as(f, "g@@new", &spec) == ERR_CLUSTER_NAME ? 0 : -1;
}

static int deregister(struct fixture *f, uint32_t budget)
{
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.1", 2);

	return budget == 0 ? 0 : registry_deregister(&f->reg, client, &key, &spec.key, NULL);
}

static int deregister_unknown(struct fixture *f, uint32_t budget)
{
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = rich_spec();

	return budget == 0 ? 0 : registry_deregister(&f->reg, client, &key, &spec.key, NULL);
}

/* The 65th instance of the shard splits a bucket that needs a directory and a page. */
static void with_sixty_four(struct fixture *f)
{
	for (int32_t port = 1; port <= 64; port++)
		add(f, "g@@s", "1.1.1.1", port);
}

static void with_seventeen_left(struct fixture *f)
{
	struct service_key key = key_for("g@@s");

	with_sixty_four(f);
	add(f, "g@@s", "1.1.1.1", 65);
	for (int32_t port = 65; port > 16; port--) {
		struct instance_spec spec = spec_for("1.1.1.1", port);

		assert_int_equal(registry_deregister(&f->reg, client, &key, &spec.key, NULL), 0);
	}
}

static int beat(struct fixture *f, uint32_t budget)
{
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.1", 2);
	struct beat_result result;

	return budget == 0 ? 0 : registry_beat(&f->reg, client, &key, &spec.key, &result);
}

static int lose(struct fixture *f, uint32_t budget)
{
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.1", 2);

	return budget == 0 ? 0 : registry_set_health(&f->reg, client, &key, &spec.key, false);
}

static void with_one_lost(struct fixture *f)
{
	with_three(f);
	assert_int_equal(lose(f, 1), 0);
}

static int patch(struct fixture *f, uint32_t budget)
{
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.1", 2);
	struct instance_patch p = {
		.set_metadata = true,
		.set_app = true,
		.set_weight = true,
		.set_healthy = true,
		.set_enabled = true,
		.metadata = rich_spec().metadata,
		.app = STR("shop"),
		.weight = 5,
	};

	return budget == 0 ? 0 : registry_patch(&f->reg, client, &key, &spec.key, &p);
}

static void with_watched(struct fixture *f)
{
	struct service_key key = key_for("g@@s");
	struct service_stamp stamp;

	with_three(f);
	for (uint16_t port = 5000; port < 5003; port++) {
		struct subscriber_spec sub = sub_for(port);

		assert_int_equal(registry_poll(&f->reg, &key, &sub, &stamp), 0);
	}
}

static int remove_service(struct fixture *f, uint32_t budget)
{
	struct service_key key = key_for("g@@s");

	return budget == 0 ? 0 : registry_remove_service(&f->reg, client, &key, NULL);
}

static void with_removed(struct fixture *f)
{
	with_watched(f);
	assert_int_equal(remove_service(f, 1), 0);
}

static int drain(struct fixture *f, uint32_t budget)
{
	struct service_key key = key_for("g@@s");
	int left = registry_drain(&f->reg, registry_shard_of(&f->reg, &key), budget);

	return left < 0 ? left : 0;
}

/* As entry_of(), but in a child, where nothing may be asserted. */
static struct keeper_entry entry_if_there(struct fixture *f, const char *name)
{
	struct service_key key = key_for(name);
	struct keeper_entry entry = { 0, 0 };

	if (registry_services_after(&f->reg, &f->walks, registry_shard_of(&f->reg, &key),
	                            stamp_of(f, name).id - 1, &entry, 1) != 1)
		return (struct keeper_entry){ 0, 0 };
	return entry;
}

/* One is removed, one flips, one stays. */
static void with_old_ones(struct fixture *f)
{
	struct service_key key = key_for("g@@s");

	with_three(f);
	advance(f, 20000);
	for (int32_t port = 2; port <= 3; port++) {
		struct instance_spec spec = spec_for("1.1.1.1", port);
		struct beat_result result;

		if (port == 3) {
			advance(f, 15000);
			spec.key.cluster = STR("other");
		}
		assert_int_equal(registry_beat(&f->reg, client, &key, &spec.key, &result), 0);
	}
	advance(f, 1001);
}

static int expire(struct fixture *f, uint32_t budget)
{
	struct service_key key = key_for("g@@s");
	struct expire_visit v = { .service = entry_if_there(f, "g@@s"),
		                  .now_ms = health_now(f->seg),
		                  .budget = budget,
		                  .due_ms = UINT64_MAX };

	return registry_expire(&f->reg, registry_shard_of(&f->reg, &key), &v);
}

static int drop_stale(struct fixture *f, uint32_t budget)
{
	struct service_key key = key_for("g@@s");
	int left;

	/* One is for the service itself. */
	left = registry_drop_stale(&f->reg, &f->walks, registry_shard_of(&f->reg, &key),
	                           budget + 1);
	return left < 0 ? left : 0;
}

static void with_reattached(struct fixture *f)
{
	with_three(f);
	f->seg->header->attach_count++;
	registry_init(&f->reg, f->seg);
}

static void with_empty(struct fixture *f)
{
	struct service_key key = key_for("g@@t");
	struct instance_spec spec = spec_for("1.1.1.1", 1);

	with_three(f);
	add(f, "g@@t", "1.1.1.1", 1);
	assert_int_equal(registry_deregister(&f->reg, client, &key, &spec.key, NULL), 0);
}

static int remove_empty(struct fixture *f, uint32_t budget)
{
	struct service_key key = key_for("g@@t");

	if (budget == 0)
		return 0;
	return registry_remove_empty(&f->reg, client, registry_shard_of(&f->reg, &key),
	                             entry_if_there(f, "g@@t"));
}

static const struct service_settings settings = { .threshold = 0.5F,
	                                          .metadata = STR("service metadata"),
	                                          .selector = STR("{\"type\":\"label\"}") };

static int create_service(struct fixture *f, uint32_t budget)
{
	struct service_key key = key_for("g@@new");

	return budget == 0 ? 0 : registry_create_service(&f->reg, client, &key, &settings);
}

static int update_service(struct fixture *f, uint32_t budget)
{
	struct service_key key = key_for("g@@s");

	return budget == 0 ? 0 : registry_update_service(&f->reg, client, &key, &settings);
}

static int update_cluster(struct fixture *f, uint32_t budget)
{
	struct service_key key = key_for("g@@s");
	struct cluster_settings of_cluster = { .check_port = 81,
		                               .checker = STR("{\"type\":\"NONE\"}"),
		                               .set_metadata = true,
		                               .metadata = STR("m") };

	return budget == 0
	               ? 0
	               : registry_update_cluster(&f->reg, client, &key, STR("third"), &of_cluster);
}

/* Everything is set already: each text is replaced. */
static void with_settings(struct fixture *f)
{
	struct service_key key = key_for("g@@s");
	struct service_settings before = { .threshold = 0.25F,
		                           .metadata = STR("before"),
		                           .selector = STR("{}") };
	struct cluster_settings of_cluster = { .check_port = 7,
		                               .use_instance_port = true,
		                               .checker = STR("{}"),
		                               .set_metadata = true,
		                               .metadata = STR("before") };

	with_three(f);
	assert_int_equal(registry_update_service(&f->reg, client, &key, &before), 0);
	assert_int_equal(registry_update_cluster(&f->reg, client, &key, STR("third"), &of_cluster),
	                 0);
}

/* The checker beside the port in its word stays, so that nobody else has logged it. */
static int set_check_port(struct fixture *f, uint32_t budget)
{
	struct service_key key = key_for("g@@s");
	struct cluster_settings set = { .check_port = 8,
		                        .use_instance_port = true,
		                        .checker = STR("{}"),
		                        .set_metadata = true,
		                        .metadata = STR("after") };

	return budget == 0 ? 0 : registry_update_cluster(&f->reg, client, &key, STR("third"), &set);
}

/* ---- what the checks say --------------------------------------------------------------------- */

static void with_persistent(struct fixture *f)
{
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.9", 9);

	with_three(f);
	spec.key.ephemeral = false;
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
}

static int say_checked(struct fixture *f, bool healthy)
{
	static const struct origin checks = { .cause = CAUSE_CHECK };
	static struct persistent_look look;
	struct service_key key = key_for("g@@s");
	uint32_t shard = registry_shard_of(&f->reg, &key);

	look = (struct persistent_look){ .service = entry_if_there(f, "g@@s") };
	if (registry_look_persistent(&f->reg, shard, &look) < 0 || look.rows != 1)
		return -1;
	return registry_set_checked(&f->reg, checks, shard, look.service,
	                            (struct keeper_entry){ look.row[0].id, look.row[0].off },
	                            healthy);
}

/* Health stays, only the confirmation is new. */
static int confirm(struct fixture *f, uint32_t budget)
{
	return budget == 0 ? 0 : say_checked(f, true);
}

static int fail_check(struct fixture *f, uint32_t budget)
{
	return budget == 0 ? 0 : say_checked(f, false);
}

static void with_confirmed(struct fixture *f)
{
	with_persistent(f);
	assert_int_equal(confirm(f, 1), 0);
}

static int subscribe_to(struct fixture *f, const char *name)
{
	struct service_key key = key_for(name);
	struct subscriber_spec sub = sub_for(6000);
	struct service_stamp stamp;

	return registry_poll(&f->reg, &key, &sub, &stamp);
}

static int subscribe_first(struct fixture *f, uint32_t budget)
{
	return budget == 0 ? 0 : subscribe_to(f, "g@@new");
}

static int subscribe_next(struct fixture *f, uint32_t budget)
{
	return budget == 0 ? 0 : subscribe_to(f, "g@@s");
}

static int unsubscribe(struct fixture *f, uint32_t budget)
{
	struct service_key key = key_for("g@@s");
	struct audience_cursor cursor = { 0 };
	struct subscriber_view views[3];
	struct keeper_entry drop[3];

	if (registry_subscribers(&f->reg, &key, &cursor, views, 3) != 3)
		return -1;
	for (unsigned n = 0; n < 3; n++)
		drop[n] = (struct keeper_entry){ views[n].id, views[n].off };
	return registry_unsubscribe(&f->reg, registry_shard_of(&f->reg, &key), drop, budget);
}

static int take_changed(struct fixture *f, uint32_t budget)
{
	struct service_key key = key_for("g@@s");
	struct changed_service changed;
	uint64_t wait;

	if (budget == 0)
		return 0;
	return registry_take_changed(&f->reg, registry_shard_of(&f->reg, &key), QUEUE_PUSHER,
	                             UINT64_MAX, 0, &changed, &wait) == 1
	               ? 0
	               : -1;
}

static int store_checksum(struct fixture *f, uint32_t budget)
{
	static const uint8_t md5[16] = "fedcba9876543210";
	struct service_key key = key_for("g@@s");
	struct service_view view;
	int ret;

	if (budget == 0)
		return 0;
	service_view_init(&view);
	ret = registry_view(&f->reg, &key, &view);
	if (ret == 0)
		ret = registry_store_checksum(&f->reg, &key, view.stamp.id, view.content, md5);
	service_view_free(&view);
	return ret;
}

static const struct namespace_row first_namespace = { STR("one"), STR("the first"), { NULL, 0 } };

static void with_office(struct fixture *f)
{
	static struct switches_copy copy;
	struct namespace_row second = { STR("two"), STR("the second"), STR("about it") };

	assert_int_equal(switches_read(&f->reg, &copy), 0);
	copy.texts.masters = STR("a,b");
	assert_int_equal(switches_write(&f->reg, &copy.words, &copy.texts), 0);
	assert_int_equal(namespaces_create(&f->reg, &first_namespace), 0);
	assert_int_equal(namespaces_create(&f->reg, &second), 0);
}

/* The next row splits a bucket that needs a directory and a page. */
static void with_sixty_four_rows(struct fixture *f)
{
	for (unsigned n = 0; n < 62; n++) {
		char id[16];
		struct namespace_row row = { { id, 0 }, STR("name"), { NULL, 0 } };

		row.id.n = (size_t)snprintf(id, sizeof(id), "n%u", n);
		assert_int_equal(namespaces_create(&f->reg, &row), 0);
	}
	with_office(f);
}

static int set_switches(struct fixture *f, uint32_t budget)
{
	static struct switches_copy copy;

	if (budget == 0)
		return 0;
	if (switches_read(&f->reg, &copy) < 0)
		return -1;
	copy.words.cache_ms++;
	copy.words.ephemeral = 0;
	copy.words.mysql.max_ms = 4000;
	copy.texts.masters = STR("c");
	copy.texts.limited = STR("/a:503");
	return switches_write(&f->reg, &copy.words, &copy.texts);
}

static int create_namespace(struct fixture *f, uint32_t budget)
{
	struct namespace_row third = { STR("three"), STR("the third"), STR("about it") };

	return budget == 0 ? 0 : namespaces_create(&f->reg, &third);
}

static int update_namespace(struct fixture *f, uint32_t budget)
{
	struct namespace_row changed = { first_namespace.id, STR("another name"),
		                         STR("and a description") };

	return budget == 0 ? 0 : namespaces_update(&f->reg, &changed);
}

static int remove_namespace(struct fixture *f, uint32_t budget)
{
	return budget == 0 ? 0 : namespaces_remove(&f->reg, first_namespace.id);
}

/* Two instances on two pages. */
static void with_holes(struct fixture *f)
{
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = rich_spec();

	for (int32_t port = 1; port <= 110; port++) {
		spec.key.port = port;
		assert_int_equal(register_as(f, "g@@s", &spec), 0);
	}
	for (int32_t port = 1; port <= 110; port++) {
		spec.key.port = port;
		if (port % 37 != 0)
			assert_int_equal(registry_deregister(&f->reg, client, &key, &spec.key,
			                                     NULL),
			                 0);
	}
}

static int compact(struct fixture *f, uint32_t budget)
{
	struct service_key key = key_for("g@@s");
	uint32_t moved;
	int left = budget == 0 ? 0
	                       : registry_compact(&f->reg, &f->walks,
	                                          registry_shard_of(&f->reg, &key), 100, &moved);

	return left < 0 ? left : 0;
}

static const struct scenario scenarios[] = {
	{ "register, new service", with_three, register_new, 1, 100 },
	{ "register, new instance", with_three, register_more, 1, 80 },
	{ "register, replace", with_three, replace, 1, 40 },
	{ "register, owned", with_one_owned, register_owned, 1, 80 },
	{ "register, taken over", with_one_owned, take_over, 1, 40 },
	{ "register, bad cluster", with_three, bad_cluster, 1, 30 },
	{ "register, table grows", with_sixty_four, register_more, 1, 90 },
	{ "deregister", with_three, deregister, 1, 40 },
	{ "deregister, owned", with_one_owned, deregister_owned, 1, 40 },
	{ "deregister, table shrinks", with_seventeen_left, deregister, 1, 40 },
	{ "deregister, unknown cluster", with_three, deregister_unknown, 1, 15 },
	{ "beat", with_three, beat, 1, 1 },
	{ "beat, revives", with_one_lost, beat, 1, 15 },
	{ "health", with_three, lose, 1, 15 },
	{ "patch", with_three, patch, 1, 40 },
	{ "remove service", with_watched, remove_service, 1, 30 },
	{ "drain", with_removed, drain, 6, 150 },
	{ "expire", with_old_ones, expire, 3, 60 },
	{ "drop stale", with_reattached, drop_stale, 3, 100 },
	{ "remove empty", with_empty, remove_empty, 1, 30 },
	{ "compact", with_holes, compact, 1, 25 },
	{ "create service", with_three, create_service, 1, 40 },
	{ "update service", with_three, update_service, 1, 20 },
	{ "update service, replace", with_settings, update_service, 1, 20 },
	{ "update cluster", with_three, update_cluster, 1, 30 },
	{ "update cluster, replace", with_settings, update_cluster, 1, 20 },
	{ "update cluster, same checker", with_settings, set_check_port, 1, 10 },
	{ "check confirms", with_persistent, confirm, 1, 10 },
	{ "check fails", with_confirmed, fail_check, 1, 15 },
	{ "subscribe, first", with_watched, subscribe_first, 1, 50 },
	{ "subscribe, next", with_watched, subscribe_next, 1, 40 },
	{ "unsubscribe", with_watched, unsubscribe, 3, 100 },
	{ "take changed", with_three, take_changed, 1, 8 },
	{ "store checksum", with_three, store_checksum, 1, 8 },
	{ "set switches", with_office, set_switches, 1, 20 },
	{ "create namespace", with_office, create_namespace, 1, 30 },
	{ "create namespace, table grows", with_sixty_four_rows, create_namespace, 1, 40 },
	{ "update namespace", with_office, update_namespace, 1, 20 },
	{ "remove namespace", with_office, remove_namespace, 1, 20 },
};

#ifdef ROSTER_FAULTS

#define STATES_MAX 16U

/* Killed at point n: true. Finished before: false. */
static bool killed_at(struct fixture *f, uint64_t n,
                      int (*operate)(struct fixture *f, uint32_t budget), uint32_t budget)
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		fault_arm(n);
		_exit(operate(f, budget) == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return true;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	return false;
}

/* Takes each lock that a dead process may hold. */
static int repair(struct fixture *f, uint32_t budget)
{
	static struct switches_copy copy;

	(void)budget;
	for (unsigned n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
		struct service_key key = key_for(names[n]);
		struct service_stamp stamp;

		if (registry_poll(&f->reg, &key, NULL, &stamp) < 0)
			return -1;
	}
	return switches_read(&f->reg, &copy);
}

static void reopen(struct fixture *f, const struct scenario *scenario)
{
	if (f->seg != NULL)
		fixture_close(f);
	fixture_open(f, SMALL_BYTES);
	scenario->prepare(f);
}

static bool is_one_of(const uint64_t *states, uint32_t count, uint64_t digest)
{
	for (uint32_t n = 0; n < count; n++) {
		if (states[n] == digest)
			return true;
	}
	return false;
}

/* To be seen by a client, that is. */
static bool changes_nothing(const struct scenario *scenario)
{
	return strcmp(scenario->name, "beat") == 0 || strcmp(scenario->name, "compact") == 0;
}

static void kill_everywhere(const struct scenario *scenario)
{
	struct fixture fixture = { .seg = NULL }, *f = &fixture;
	uint64_t states[STATES_MAX], digest, n;

	for (uint32_t step = 0; step <= scenario->steps; step++) {
		reopen(f, scenario);
		assert_int_equal(scenario->operate(f, step), 0);
		states[step] = digest_of(f);
		assert_true(step == 0 || changes_nothing(scenario) || states[step] != states[0]);
	}
	reopen(f, scenario);
	for (n = 1; killed_at(f, n, scenario->operate, scenario->steps); n++) {
		/* The repair is killed as well, each time at another point. */
		killed_at(f, 1 + n % 23, repair, 0);
		digest = digest_of(f);
		if (registry_audit(&f->reg, fixture_say, NULL) != 0 ||
		    !is_one_of(states, scenario->steps + 1, digest))
			fail_msg("%s: broken after a death at point %llu", scenario->name,
			         (unsigned long long)n);
		if (digest != states[0])
			reopen(f, scenario);
		/* It can be done now. */
		assert_true(n < 5000);
	}
	if (n < scenario->least_points)
		fail_msg("%s: only %llu points", scenario->name, (unsigned long long)n);
	assert_clean(f);
	assert_int_equal(digest_of(f), states[scenario->steps]);
	fixture_close(f);
}

static void killed_at_every_point(void **state)
{
	(void)state;
	for (unsigned n = 0; n < sizeof(scenarios) / sizeof(scenarios[0]); n++)
		kill_everywhere(&scenarios[n]);
}

#endif

/* Without crash points the operations at least do what they say, step by step. */
static void operations_leave_a_clean_registry(void **state)
{
	struct fixture fixture, *f = &fixture;

	(void)state;
	for (unsigned n = 0; n < sizeof(scenarios) / sizeof(scenarios[0]); n++) {
		for (uint32_t step = 0; step <= scenarios[n].steps; step++) {
			fixture_open(f, SMALL_BYTES);
			scenarios[n].prepare(f);
			assert_int_equal(scenarios[n].operate(f, step), 0);
			assert_clean(f);
			fixture_close(f);
		}
	}
}

/* ---- killed at random times ------------------------------------------------------------------ */

#define SLOTS 64U
#define KILL_ROUNDS 60U
#define WRITERS 2U /* on the same services; each has its own slots of them */

/* What the writers have been told, in memory that outlives them. */
struct ledger {
	uint32_t slot[WRITERS]; /* under way; SLOTS: none */
	uint8_t present[SLOTS];
	uint64_t acknowledged[WRITERS];
};

static struct service_key slot_key(uint32_t slot, char name[32])
{
	snprintf(name, 32, "g@@r%u", slot % 5);
	return key_for(name);
}

static struct instance_spec slot_spec(uint32_t slot)
{
	struct instance_spec spec = spec_for("1.1.1.1", (int32_t)slot + 1);

	spec.key.ephemeral = slot % 3 != 0;
	spec.key.cluster = slot % 4 == 0 ? STR("odd") : STR("DEFAULT");
	spec.metadata.packed = STR("random metadata");
	return spec;
}

static void writer(struct fixture *f, struct ledger *ledger, unsigned self, unsigned seed)
{
	for (;;) {
		uint32_t slot = (uint32_t)rand_r(&seed) % (SLOTS / WRITERS) * WRITERS + self;
		struct instance_spec spec = slot_spec(slot);
		char name[32];
		struct service_key key = slot_key(slot, name);
		bool add_it = rand_r(&seed) % 2 == 0;
		int ret;

		__atomic_store_n(&ledger->slot[self], slot, __ATOMIC_SEQ_CST);
		ret = add_it ? registry_register(&f->reg, client, &key, &spec)
		             : registry_deregister(&f->reg, client, &key, &spec.key, NULL);
		if (ret < 0)
			_exit(1);
		ledger->present[slot] = add_it;
		__atomic_store_n(&ledger->slot[self], SLOTS, __ATOMIC_SEQ_CST);
		ledger->acknowledged[self]++;
	}
}

static bool slot_present(struct fixture *f, uint32_t slot)
{
	struct instance_spec spec = slot_spec(slot);
	char name[32];
	struct service_key key = slot_key(slot, name);
	struct service_view view;
	bool known;
	int ret;

	service_view_init(&view);
	ret = registry_get(&f->reg, &key, &spec.key, spec.key.ephemeral, &view, &known);
	service_view_free(&view);
	assert_true(ret == 0 || ret == ERR_NO_INSTANCE || ret == ERR_NOT_FOUND);
	return ret == 0;
}

static void live_for(unsigned seed)
{
	struct timespec life = { 0, 100000L + (long)(seed * 7919U % 3000000U) };

	nanosleep(&life, NULL);
}

/* The first dies while the others go on: they repair what it left. Then the others die. */
static void kill_once(struct fixture *f, struct ledger *ledger, unsigned seed)
{
	pid_t children[WRITERS];
	int status;

	for (unsigned n = 0; n < WRITERS; n++) {
		ledger->slot[n] = SLOTS;
		children[n] = fork();
		assert_true(children[n] >= 0);
		if (children[n] == 0)
			writer(f, ledger, n, seed + n);
	}
	for (unsigned n = 0; n < WRITERS; n++) {
		live_for(seed + n);
		assert_int_equal(kill(children[n], SIGKILL), 0);
		assert_int_equal(waitpid(children[n], &status, 0), children[n]);
		assert_true(WIFSIGNALED(status));
	}
	assert_int_equal(registry_audit(&f->reg, fixture_say, NULL), 0);
	for (uint32_t slot = 0; slot < SLOTS; slot++) {
		if (slot != ledger->slot[slot % WRITERS])
			assert_int_equal(slot_present(f, slot), ledger->present[slot]);
		else
			ledger->present[slot] = slot_present(f, slot);
	}
}

static bool all_acknowledged(const struct ledger *ledger)
{
	for (unsigned n = 0; n < WRITERS; n++)
		if (ledger->acknowledged[n] == 0)
			return false;
	return true;
}

static void killed_at_random_times(void **state)
{
	struct fixture *f = *state;
	struct ledger *ledger = mmap(NULL, sizeof(*ledger), PROT_READ | PROT_WRITE,
	                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned rounds = 0;

	assert_true(ledger != MAP_FAILED);
	/* A writer that never gets a core in its short lives ends here by the time limit of the
	 * suite. */
	for (; rounds < KILL_ROUNDS || !all_acknowledged(ledger); rounds++)
		kill_once(f, ledger, 1 + rounds * WRITERS);
	assert_clean(f);
	munmap(ledger, sizeof(*ledger));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#ifdef ROSTER_FAULTS
		cmocka_unit_test(killed_at_every_point),
#endif
		cmocka_unit_test(operations_leave_a_clean_registry),
		cmocka_unit_test_setup_teardown(killed_at_random_times, fixture_setup,
		                                fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
