/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fault/corrupt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/arena.h"
#include "shared/base/buf.h"
#include "shared/base/clock.h"
#include "shared/registry/namespaces.h"
#include "shared/registry/persistent.h"
#include "shared/registry/registry_keeper.h"
#include "shared/registry/registry_pusher.h"
#include "shared/registry/settings.h"
#include "shared/registry/subscribers.h"
#include "shared/registry/switches.h"
#include "shared/shm/health.h"
#include "shared/shm/ring.h"
#include "shared/shm/slab.h"
#include "shared/view/list.h"
#include "shared/view/metadata.h"

/* More turns than any of these loops takes over this content. */
#define TURNS_MAX 20000U
#define LOOKS 64U

static const struct origin client = { .cause = CAUSE_CLIENT };
static unsigned endless;
static volatile uint64_t sink; /* what is read is used */

/* One turn of a loop; false: it has had its share. */
static bool turn(unsigned *turns, const char *what)
{
	if (++*turns <= TURNS_MAX)
		return true;
	fprintf(stderr, "corrupt: %s has no end\n", what);
	endless++;
	return false;
}

/* ---- workers --------------------------------------------------------------------------------- */

static void render(const struct service_view *view, struct buf *b)
{
	struct list_query query = { .clusters = STR(""), .grouped = true };
	struct list_shape shape;
	uint8_t md5[16];
	bool fresh;

	if (!view->stamp.found)
		return;
	buf_reset(b);
	if (list_hosts(view, &query, b, &shape, &fresh, md5, NULL) == 0)
		sink += b->len;
	metadata_json(b, view->metadata);
	for (uint32_t n = 0; n < view->cluster_count; n++)
		metadata_json(b, view->clusters[n].metadata);
	sink += b->len;
}

static void read_one(struct registry *reg, const struct service_key *key, struct service_view *view,
                     struct buf *b, unsigned n)
{
	struct instance_key instance = { STR("east"), STR("10.1.0.2"), (int32_t)(8000 + n), true };
	struct subscriber_spec sub = { .agent = STR("x"),
		                       .clusters = STR(""),
		                       .app = STR(""),
		                       .address_text = STR("1.2.3.4") };
	struct service_stamp stamp;
	bool known;

	sub.port = (uint16_t)n;
	sink += (uint64_t)registry_poll(reg, key, NULL, &stamp);
	sink += (uint64_t)registry_poll(reg, key, &sub, &stamp);
	if (registry_view(reg, key, view) == 0)
		render(view, b);
	if (registry_get(reg, key, &instance, -1, view, &known) == 0)
		render(view, b);
}

static void write_one(struct registry *reg, const struct service_key *key, unsigned n)
{
	struct instance_key instance = { STR("east"), STR("10.1.0.2"), (int32_t)(8000 + n), true };
	struct instance_spec spec = {
		.key = instance, .weight = 1, .enabled = true, .healthy = true, .app = STR("app")
	};
	struct instance_patch patch = { .set_weight = true, .weight = 3 };
	struct service_settings settings = { .threshold = 0.1F, .selector = STR("none") };
	struct cluster_settings cluster = { .check_port = 8, .checker = STR("{}") };
	struct beat_result beat;

	spec.metadata.snowflake = n % 2 == 0;
	sink += (uint64_t)registry_beat(reg, client, key, &instance, &beat);
	sink += (uint64_t)registry_register(reg, client, key, &spec);
	sink += (uint64_t)registry_update(reg, client, key, &spec);
	sink += (uint64_t)registry_patch(reg, client, key, &instance, &patch);
	sink += (uint64_t)registry_set_health(reg, client, key, &instance, false);
	sink += (uint64_t)registry_update_service(reg, client, key, &settings);
	sink += (uint64_t)registry_update_cluster(reg, client, key, STR("west"), &cluster);
	sink += (uint64_t)registry_store_checksum(reg, key, 1, 1,
	                                          (const uint8_t *)"0123456789abcdef");
	spec.key.port = 0;
	sink += (uint64_t)registry_update(reg, client, key, &spec);
	if (n % 3 == 0)
		sink += (uint64_t)registry_deregister(reg, client, key, &instance, NULL);
	if (n % 8 == 0)
		sink += (uint64_t)registry_remove_service(reg, client, key, NULL);
}

static void on_name(const struct service_row *row, void *arg)
{
	(void)turn(arg, "names of services");
	sink += row->name.n;
}

static void on_namespace(const struct namespace_row *row, void *arg)
{
	(void)turn(arg, "namespaces");
	sink += row->id.n + row->name.n;
}

static void office(struct registry *reg)
{
	static struct switches_copy copy;
	static struct namespace_copy one;
	struct namespace_row row = { STR("namespace-7"), STR("renamed"), STR("why") };
	struct namespace_row new = { STR("another"), STR("name"), { NULL, 0 } };
	unsigned turns = 0;

	if (switches_read(reg, &copy) == 0)
		sink += (uint64_t)switches_write(reg, &copy.words, &copy.texts);
	sink += (uint64_t)namespaces_get(reg, row.id, &one);
	sink += (uint64_t)namespaces_update(reg, &row);
	sink += (uint64_t)namespaces_create(reg, &new);
	sink += (uint64_t)namespaces_each(reg, on_namespace, &turns);
	for (unsigned n = 0; n < 90; n += 7) {
		char id[40];

		snprintf(id, sizeof(id), "namespace-%u", n);
		sink += (uint64_t)namespaces_remove(reg, str_of(id));
	}
}

static void workers(struct registry *reg, uint32_t random)
{
	struct service_view view;
	struct registry_stats stats;
	unsigned turns = 0;
	struct buf b;

	service_view_init(&view);
	buf_init(&b);
	for (unsigned n = 0; n < CONTENT_SERVICES + 4; n++) {
		char text[64];
		struct service_key key = content_key(n, text);

		if ((random + n) % 2 == 0)
			write_one(reg, &key, n);
		read_one(reg, &key, &view, &b, n);
		if ((random + n) % 2 == 1)
			write_one(reg, &key, n);
	}
	sink += (uint64_t)registry_services(reg, STR("public"), on_name, &turns);
	registry_stats(reg, &stats);
	for (unsigned kind = 0; kind < SLAB_KINDS; kind++)
		slab_usage(reg->seg, (enum slab_kind)kind, &stats.bytes, &stats.queued);
	office(reg);
	service_view_free(&view);
	buf_free(&b);
}

/* ---- keeper ---------------------------------------------------------------------------------- */

static void look(struct registry *reg, uint32_t shard, struct keeper_entry service)
{
	static struct persistent_look look;
	struct keeper_entry instance = { 0, 0 };
	unsigned turns = 0;

	memset(&look, 0, offsetof(struct persistent_look, name));
	look.service = service;
	while (registry_look_persistent(reg, shard, &look) == 0 &&
	       turn(&turns, "a look at persistent instances")) {
		if (look.rows > 0)
			instance = (struct keeper_entry){ look.row[0].id, look.row[0].off };
		if (look.done || look.unchanged)
			break;
	}
	sink += (uint64_t)registry_set_checked(reg, client, shard, service, instance, true);
}

static void expire(struct registry *reg, uint32_t shard, struct keeper_entry service,
                   uint64_t now_ms)
{
	struct expire_visit visit = {
		.service = service, .now_ms = now_ms, .budget = LOOKS, .due_ms = UINT64_MAX
	};
	unsigned turns = 0;

	while (registry_expire(reg, shard, &visit) == 0 && !visit.done && !visit.gone &&
	       turn(&turns, "a visit of the keeper"))
		;
}

static void keeper_shard(struct registry *reg, uint32_t shard)
{
	struct keeper_entry found[LOOKS];
	struct keeper_walks walks = { .stale_steps = 0 };
	uint64_t now_ms = health_now(reg->seg);
	uint64_t after = 0;
	unsigned turns = 0;
	int n;

	while ((n = registry_services_after(reg, &walks, shard, after, found, LOOKS)) > 0 &&
	       turn(&turns, "the services of a shard")) {
		for (int i = 0; i < n; i++) {
			look(reg, shard, found[i]);
			expire(reg, shard, found[i], now_ms + 16000);
			expire(reg, shard, found[i], now_ms + 60000);
			sink += (uint64_t)registry_remove_empty(reg, client, shard, found[i]);
			after = found[i].id;
		}
	}
	for (turns = 0; registry_drop_stale(reg, &walks, shard, LOOKS) > 0 &&
	                turn(&turns, "dropping what is stale");)
		;
	for (turns = 0; registry_drain(reg, shard, LOOKS) > 0 && turn(&turns, "a drain");)
		;
}

/* ---- pusher ---------------------------------------------------------------------------------- */

static void audience(struct registry *reg, uint32_t shard, const struct audience_entry *entry)
{
	static struct subscriber_view subs[LOOKS];
	struct service_key key = name_copy_key(&entry->name);
	struct audience_cursor cursor = { 0 };
	unsigned turns = 0;
	int n;

	while ((n = registry_subscribers(reg, &key, &cursor, subs, LOOKS)) > 0 &&
	       turn(&turns, "the subscribers of a name")) {
		for (int i = 0; i < n; i++) {
			struct delivery d = { .id = subs[i].id,
				              .off = subs[i].off,
				              .revision = 1,
				              .key = 2,
				              .at_ms = 3,
				              .tries = 1 };
			struct keeper_entry drop = { subs[i].id, subs[i].off };

			sink += (uint64_t)registry_mark_sent(reg, shard, &d, 1);
			sink += (uint64_t)registry_mark_acked(reg, shard, &d, 1);
			if (i % 3 == 0)
				sink += (uint64_t)registry_unsubscribe(reg, shard, &drop, 1);
		}
	}
}

static void pusher_shard(struct registry *reg, uint32_t shard)
{
	struct changed_service changed;
	struct audience_entry entry = { .id = 0 };
	uint64_t wait_ms, after = 0;
	unsigned turns = 0;

	while (registry_take_changed(reg, shard, QUEUE_PUSHER, clock_mono_ms() + 60000, 0, &changed,
	                             &wait_ms) > 0 &&
	       turn(&turns, "the changed services"))
		sink += changed.id;
	for (turns = 0; registry_audience_after(reg, shard, after, &entry) > 0 &&
	                turn(&turns, "the audiences of a shard");) {
		after = entry.id;
		audience(reg, shard, &entry);
	}
}

static void events(const struct ring *ring)
{
	char name[RING_NAME_BYTES];
	struct ring_event event;
	uint64_t cursor = 0, missed = 0;
	struct str text;
	unsigned turns = 0;

	while (ring_next(ring, &cursor, &event, &text, name, &missed) && turn(&turns, "the events"))
		sink += event.kind + text.n;
}

unsigned ops_run(struct registry *reg, uint32_t random)
{
	endless = 0;
	for (unsigned part = 0; part < 4; part++) {
		switch ((part + random / 2) % 4) {
		case 0:
			workers(reg, random);
			break;
		case 1:
			for (uint32_t shard = 0; shard < SHARDS; shard++)
				pusher_shard(reg, shard);
			break;
		case 2:
			events(reg->seg->events);
			events(reg->seg->removed);
			break;
		default:
			for (uint32_t shard = 0; shard < SHARDS; shard++)
				keeper_shard(reg, shard);
			break;
		}
	}
	return endless;
}
