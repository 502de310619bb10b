/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/registry_fixture.h"

#include "shared/registry/registry_pusher.h"
#include "shared/registry/subscribers.h"
#include "shared/shm/shard.h"

static struct subscriber_spec sub_for(uint16_t port)
{
	struct subscriber_spec sub = {
		.agent = STR("Nacos-Java-Client:v1.4.8"),
		.agent_kind = 1,
		.agent_version = 1U << 20 | 4U << 10 | 8,
		.grouped = true,
		.push = true,
		.clusters = STR(""),
		.app = STR("app"),
		.address_text = STR("127.0.0.1"),
		.port = port,
	};

	memcpy(sub.address, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\1", 16);
	memcpy(sub.source, sub.address, 16);
	return sub;
}

static struct service_stamp poll_as(struct fixture *f, const char *name,
                                    const struct subscriber_spec *sub)
{
	struct service_key key = key_for(name);
	struct service_stamp stamp;

	assert_int_equal(registry_poll(&f->reg, &key, sub, &stamp), 0);
	return stamp;
}

static int subscribers(struct fixture *f, const char *name, struct subscriber_view *out,
                       uint32_t max)
{
	struct service_key key = key_for(name);
	struct audience_cursor cursor = { 0 };
	int count = registry_subscribers(&f->reg, &key, &cursor, out, max);

	assert_true(count >= 0);
	return count;
}

/* ---- keys of one hash ------------------------------------------------------------------------ */

enum part { PORT, ADDRESS, CLUSTERS, AGENT, PARTS };

/* The n-th subscriber among those that differ in this part of their keys alone. */
static struct subscriber_spec nth(enum part part, uint32_t round, uint32_t n, char text[32])
{
	struct subscriber_spec sub = sub_for(part == PORT ? (uint16_t)n : 1);

	snprintf(text, 32, "text%u", n);
	if (part == PORT || part == ADDRESS)
		memcpy(sub.address, part == PORT ? &round : &n, sizeof(n));
	if (part == CLUSTERS)
		sub.clusters = str_of(text);
	if (part == AGENT)
		sub.agent = str_of(text);
	return sub;
}

struct keys {
	struct fixture *f;
	uint64_t audience;
	enum part part;
	uint32_t round;
};

static uint32_t hash_of_nth(void *arg, uint32_t n)
{
	const struct keys *keys = arg;
	char text[32];
	struct subscriber_spec sub = nth(keys->part, keys->round, n, text);

	return key_subscriber_hash(&keys->f->reg, keys->audience, &sub);
}

/* Finds two of the same hash, in the first round that has them. */
static void find_pair(struct keys *keys, uint32_t pair_r[2])
{
	const uint32_t count = keys->part == PORT ? 65536 : 400000;

	for (keys->round = 0; !hashed_alike(hash_of_nth, keys, count, pair_r); keys->round++)
		assert_true(keys->round < 100);
}

/* Each part of a key counts, not the hash alone; and the check finds each of them by its own. */
static void subscribers_of_one_hash(void **state)
{
	struct fixture *f = *state;
	struct subscriber_view out[2 * PARTS + 2];
	struct subscriber_spec sub = sub_for(7);
	struct service_key key = key_for("g@@s");
	const struct registry_root *root;
	const struct audience *a;

	poll_as(f, "g@@s", &sub);
	root = (struct registry_root *)f->seg->shards[registry_shard_of(&f->reg, &key)].root;
	a = segment_at(f->seg, root->first_audience, sizeof(*a));
	for (enum part part = 0; part < PARTS; part++) {
		struct keys keys = { .f = f, .audience = a->id, .part = part };
		uint32_t pair[2] = { 0, 0 };
		char text[32];

		find_pair(&keys, pair);
		for (unsigned twice = 0; twice < 4; twice++) {
			sub = nth(part, keys.round, pair[twice % 2], text);
			poll_as(f, "g@@s", &sub);
		}
		assert_int_equal(subscribers(f, "g@@s", out, 2 * PARTS + 2), 2 * (part + 1) + 1);
	}
	assert_clean(f);
}

/* ---- subscribing ----------------------------------------------------------------------------- */

/* A poll is told when the last push could not be made at all, not when it is only under way. */
static void a_poll_knows_of_what_was_not_sent(void **state)
{
	static const struct {
		uint32_t tries;
		bool unsent;
	} rows[] = { { 0, false },
		     { 1, false },
		     { REGISTRY_TRIES_OVERSIZE - 1, false },
		     { REGISTRY_TRIES_OVERSIZE, true },
		     { REGISTRY_TRIES_VIEWS, true } };
	struct fixture *f = *state;
	struct subscriber_spec sub = sub_for(5000);
	struct service_key key = key_for("g@@s");
	struct subscriber_view out[4];

	add(f, "g@@s", "1.1.1.1", 80);
	assert_false(poll_as(f, "g@@s", &sub).unsent);
	assert_int_equal(subscribers(f, "g@@s", out, 4), 1);
	for (size_t n = 0; n < sizeof(rows) / sizeof(rows[0]); n++) {
		struct delivery d = { .id = out[0].id, .off = out[0].off, .tries = rows[n].tries };

		assert_int_equal(registry_mark_sent(&f->reg, registry_shard_of(&f->reg, &key), &d,
		                                    1),
		                 0);
		assert_int_equal(poll_as(f, "g@@s", &sub).unsent, rows[n].unsent);
	}
}

static void a_poll_subscribes_and_renews(void **state)
{
	struct fixture *f = *state;
	struct subscriber_spec sub = sub_for(5000);
	struct subscriber_view out[4];

	add(f, "g@@s", "1.1.1.1", 80);
	assert_true(poll_as(f, "g@@s", &sub).found);
	assert_int_equal(subscribers(f, "g@@s", out, 4), 1);
	assert_int_equal(out[0].port, 5000);
	assert_int_equal(out[0].seen_ms, 1000000);
	assert_int_equal(out[0].agent_kind, 1);
	assert_int_equal(out[0].flags, SUBSCRIBER_PUSH | SUBSCRIBER_GROUPED);
	assert_true(str_eq(str_make(out[0].agent, out[0].agent_len), sub.agent));
	assert_true(str_eq(str_make(out[0].app, out[0].app_len), sub.app));
	assert_true(
	        str_eq(str_make(out[0].address_text, out[0].address_text_len), sub.address_text));
	assert_int_equal(out[0].clusters_len, 0);
	assert_memory_equal(out[0].address, sub.address, 16);
	assert_int_equal(out[0].sent_revision, stamp_of(f, "g@@s").revision);
	assert_int_equal(out[0].acked_revision, out[0].sent_revision);
	advance(f, 4000);
	sub.app = STR("changed");
	poll_as(f, "g@@s", &sub);
	assert_int_equal(subscribers(f, "g@@s", out, 4), 1);
	assert_int_equal(out[0].seen_ms, 1004000);
	assert_true(str_eq(str_make(out[0].app, out[0].app_len), STR("app")));
	assert_int_equal(stats_of(f).subscribers, 1);
	assert_clean(f);
}

/* Clusters text, agent, address and port make another one. */
static void keys_of_subscribers(void **state)
{
	struct fixture *f = *state;
	struct subscriber_view out[8];
	struct subscriber_spec sub = sub_for(5000);

	poll_as(f, "g@@s", &sub);
	sub.clusters = STR("a");
	poll_as(f, "g@@s", &sub);
	sub.agent = STR("Nacos-Go-Client:v1.1.6");
	poll_as(f, "g@@s", &sub);
	sub.address[15] = 9;
	poll_as(f, "g@@s", &sub);
	sub.port = 5001;
	poll_as(f, "g@@s", &sub);
	poll_as(f, "g@@s", &sub);
	poll_as(f, "g@@other", &sub);
	assert_int_equal(subscribers(f, "g@@s", out, 8), 5);
	assert_int_equal(subscribers(f, "g@@other", out, 8), 1);
	assert_int_equal(stats_of(f).subscribers, 6);
	assert_clean(f);
}

/* Whoever only claims an address neither takes the push away nor keeps it alive. */
static void a_claim_does_not_degrade(void **state)
{
	struct fixture *f = *state;
	struct subscriber_spec claim = sub_for(5000), owner = sub_for(5000);
	struct subscriber_view out[2];

	claim.push = false;
	memset(claim.source, 7, 16);
	poll_as(f, "g@@s", &claim);
	assert_int_equal(subscribers(f, "g@@s", out, 2), 1);
	assert_int_equal(out[0].flags & SUBSCRIBER_PUSH, 0);
	poll_as(f, "g@@s", &owner);
	assert_int_equal(subscribers(f, "g@@s", out, 2), 1);
	assert_int_equal(out[0].flags & SUBSCRIBER_PUSH, SUBSCRIBER_PUSH);
	advance(f, 500);
	poll_as(f, "g@@s", &claim);
	assert_int_equal(subscribers(f, "g@@s", out, 2), 1);
	assert_int_equal(out[0].flags & SUBSCRIBER_PUSH, SUBSCRIBER_PUSH);
	assert_int_equal(out[0].seen_ms, 1000000);
	assert_clean(f);
}

static void waiting_follows_the_service(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct subscriber_spec sub = sub_for(5000);

	assert_false(poll_as(f, "g@@s", &sub).found);
	assert_int_equal(stats_of(f).waiting, 1);
	assert_int_equal(stats_of(f).services, 0);
	add(f, "g@@s", "1.1.1.1", 80);
	assert_int_equal(stats_of(f).waiting, 0);
	assert_clean(f);
	assert_int_equal(registry_remove_service(&f->reg, client, &key, NULL), 0);
	assert_int_equal(stats_of(f).waiting, 1);
	assert_int_equal(stats_of(f).subscribers, 1);
	assert_clean(f);
}

/* A long agent, application or address is shown up to a size, and never half of a character. */
static void long_texts_are_cut_between_characters(void **state)
{
	struct fixture *f = *state;
	struct subscriber_view out;
	char text[3 + 300] = "xyz", name[16];

	for (size_t n = 3; n < sizeof(text); n++)
		text[n] = "\xf0\x9f\x98\x80"[(n - 3) % 4];
	for (size_t begin = 0; begin < 4; begin++) {
		struct subscriber_spec sub = sub_for(5000);
		size_t part =
		        (sizeof(out.agent) - begin) % 4; /* of a character, where the size ends */

		sub.agent = sub.app = sub.address_text = str_make(text + 3 - begin, 300 + begin);
		snprintf(name, sizeof(name), "g@@s%zu", begin);
		poll_as(f, name, &sub);
		assert_int_equal(subscribers(f, name, &out, 1), 1);
		assert_int_equal(out.agent_len, sizeof(out.agent) - part);
		assert_int_equal(out.app_len, sizeof(out.app) - part);
		assert_int_equal(out.address_text_len, sizeof(out.address_text) - part);
	}
	assert_clean(f);
}

/* Each source counts for itself, over all shards; who leaves makes room. */
static void sources_are_counted(void **state)
{
	struct fixture *f = *state;
	struct subscriber_spec sub = sub_for(5000);
	struct subscriber_view out[2];
	struct service_stamp stamp;
	struct service_key key;
	char name[16];

	f->reg.limits = (struct registry_limits){ .subscribers_per_source = 20 };
	memset(sub.source, 5, sizeof(sub.source));
	for (int n = 0; n < 20; n++) {
		snprintf(name, sizeof(name), "g@@s%d", n);
		poll_as(f, name, &sub);
	}
	key = key_for("g@@s20");
	assert_int_equal(registry_poll(&f->reg, &key, &sub, &stamp), ERR_LIMIT);
	assert_int_equal(registry_poll(&f->reg, &key, &sub, &stamp), ERR_LIMIT);
	memset(sub.source, 6, sizeof(sub.source));
	assert_int_equal(registry_poll(&f->reg, &key, &sub, &stamp), 0);
	assert_clean(f);
	/* One of the first source's goes, so another may come. */
	key = key_for("g@@s3");
	assert_int_equal(subscribers(f, "g@@s3", out, 2), 1);
	assert_int_equal(registry_unsubscribe(&f->reg, registry_shard_of(&f->reg, &key),
	                                      &(struct keeper_entry){ .id = out[0].id,
	                                                              .off = out[0].off },
	                                      1),
	                 0);
	memset(sub.source, 5, sizeof(sub.source));
	key = key_for("g@@s21");
	assert_int_equal(registry_poll(&f->reg, &key, &sub, &stamp), 0);
	key = key_for("g@@s22");
	assert_int_equal(registry_poll(&f->reg, &key, &sub, &stamp), ERR_LIMIT);
	assert_clean(f);
}

/* What the subscribers of a source take, over all shards; and all of them together, where a name
 * counts once. */
static void bytes_are_counted(void **state)
{
	static char text[1017];
	struct fixture *f = *state;
	struct subscriber_spec sub = sub_for(5000);
	const uint64_t each = SLAB_BYTES_SUBSCRIBER + 4 * 1360,
	               name_bytes = SLAB_BYTES_AUDIENCE + 32;
	struct subscriber_view out[2];
	struct service_stamp stamp;
	struct service_key key;
	char name[16];

	memset(text, 'a', sizeof(text));
	sub.agent = sub.clusters = sub.app = sub.address_text = str_make(text, sizeof(text));
	memset(sub.source, 5, sizeof(sub.source));
	f->reg.limits =
	        (struct registry_limits){ .subscriber_bytes_per_source = 10 * (each + name_bytes) };
	for (int n = 0; n < 10; n++) {
		snprintf(name, sizeof(name), "g@@s%d", n);
		poll_as(f, name, &sub);
	}
	assert_int_equal(stats_of(f).subscriber_bytes, 10 * (each + name_bytes));
	key = key_for("g@@t");
	assert_int_equal(registry_poll(&f->reg, &key, &sub, &stamp), ERR_LIMIT);
	assert_string_equal(registry_limit_key(f->reg.refused.which),
	                    "limits.subscriber_bytes_per_source");
	sub.agent = sub.clusters = sub.app = sub.address_text = STR("");
	assert_int_equal(registry_poll(&f->reg, &key, &sub, &stamp), ERR_LIMIT);
	/* Others are not refused for its sake. */
	memset(sub.source, 6, sizeof(sub.source));
	key = key_for("g@@s3");
	assert_int_equal(registry_poll(&f->reg, &key, &sub, &stamp), 0);
	assert_int_equal(stats_of(f).subscriber_bytes,
	                 10 * (each + name_bytes) + SLAB_BYTES_SUBSCRIBER);
	assert_clean(f);
	/* One of the first source's goes, so another may come. */
	assert_int_equal(subscribers(f, "g@@s3", out, 2), 2);
	assert_int_equal(registry_unsubscribe(&f->reg, registry_shard_of(&f->reg, &key),
	                                      &(struct keeper_entry){ .id = out[0].id,
	                                                              .off = out[0].off },
	                                      1),
	                 0);
	memset(sub.source, 5, sizeof(sub.source));
	key = key_for("g@@t");
	assert_int_equal(registry_poll(&f->reg, &key, &sub, &stamp), 0);
	/* All together. */
	f->reg.limits =
	        (struct registry_limits){ .subscriber_bytes = stats_of(f).subscriber_bytes + 100 };
	key = key_for("g@@u");
	assert_int_equal(registry_poll(&f->reg, &key, &sub, &stamp), ERR_LIMIT);
	assert_string_equal(registry_limit_key(f->reg.refused.which), "limits.subscriber_bytes");
	assert_true(stamp.epoch != 0);
	assert_clean(f);
}

/* A poll that may be pushed to takes over from one that merely claimed the address, and is charged
 * for it. */
static void bytes_go_with_the_source(void **state)
{
	struct fixture *f = *state;
	struct subscriber_spec sub = sub_for(5000);

	sub.push = false;
	memset(sub.source, 5, sizeof(sub.source));
	poll_as(f, "g@@s", &sub);
	sub.push = true;
	memset(sub.source, 6, sizeof(sub.source));
	poll_as(f, "g@@s", &sub);
	assert_int_equal(stats_of(f).subscribers, 1);
	assert_int_equal(source_subscribers(&f->reg, (const uint8_t[16]){ 5, 5, 5, 5, 5, 5, 5, 5, 5,
	                                                                  5, 5, 5, 5, 5, 5, 5 })
	                         .bytes,
	                 0);
	assert_int_equal(source_subscribers(&f->reg, sub.source).bytes,
	                 stats_of(f).subscriber_bytes);
	assert_clean(f);
}

static void limits_spare_the_stamp(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct subscriber_spec sub = sub_for(5000);
	struct service_stamp stamp;

	add(f, "g@@s", "1.1.1.1", 80);
	poll_as(f, "g@@s", &sub);
	sub.port = 5001;
	f->reg.limits = (struct registry_limits){ .subscribers_per_service = 1 };
	assert_int_equal(registry_poll(&f->reg, &key, &sub, &stamp), ERR_LIMIT);
	assert_string_equal(registry_limit_key(f->reg.refused.which),
	                    "limits.subscribers_per_service");
	assert_true(stamp.found);
	assert_int_equal(stamp.instances, 1);
	f->reg.limits = (struct registry_limits){ .subscribers = 1 };
	assert_int_equal(registry_poll(&f->reg, &key, &sub, &stamp), ERR_LIMIT);
	assert_string_equal(registry_limit_key(f->reg.refused.which), "limits.subscribers");
	f->reg.limits = (struct registry_limits){ .subscribers_per_source = 1 };
	assert_int_equal(registry_poll(&f->reg, &key, &sub, &stamp), ERR_LIMIT);
	assert_string_equal(registry_limit_key(f->reg.refused.which),
	                    "limits.subscribers_per_source");
	assert_true(stamp.found);
	f->reg.limits = (struct registry_limits){ .name_bytes = 10 };
	assert_int_equal(registry_poll(&f->reg, &key, &sub, &stamp), ERR_LIMIT);
	assert_string_equal(registry_limit_key(f->reg.refused.which), "limits.name");
	assert_true(stamp.found);
	sub.port = 5000; /* renewing is never refused */
	assert_int_equal(registry_poll(&f->reg, &key, &sub, &stamp), 0);
	assert_clean(f);
}

/* ---- the pusher's walks ---------------------------------------------------------------------- */

static void a_cursor_reads_in_order(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct subscriber_view out[7], first;
	struct audience_cursor cursor = { 0 };
	struct keeper_entry drop;
	uint16_t expected = 5000;
	int count;

	for (uint16_t port = 5000; port < 5050; port++) {
		struct subscriber_spec sub = sub_for(port);

		poll_as(f, "g@@s", &sub);
	}
	while ((count = registry_subscribers(&f->reg, &key, &cursor, out, 7)) > 0) {
		for (int n = 0; n < count; n++)
			assert_int_equal(out[n].port, expected++);
		first = out[0];
		/* The one the cursor stands on goes away: nothing is left out. */
		drop = (struct keeper_entry){ out[count - 1].id, out[count - 1].off };
		assert_int_equal(registry_unsubscribe(&f->reg, registry_shard_of(&f->reg, &key),
		                                      &drop, 1),
		                 0);
	}
	assert_int_equal(count, 0);
	assert_true(cursor.end);
	assert_int_equal(expected, 5050);
	assert_int_equal(first.port, 5049);
	assert_int_equal(stats_of(f).subscribers, 42);
	assert_clean(f);
}

static void audiences_of_a_shard(void **state)
{
	struct fixture *f = *state;
	struct subscriber_spec sub = sub_for(5000);
	struct audience_entry entry = { .id = 0 };
	unsigned seen = 0, served = 0;
	char name[32];

	for (int n = 0; n < 300; n++) {
		snprintf(name, sizeof(name), "g@@s%d", n);
		poll_as(f, name, &sub);
		if (n % 3 == 0)
			add(f, name, "1.1.1.1", 80);
	}
	for (uint32_t shard = 0; shard < SHARDS; shard++) {
		uint64_t after = 0;

		while (registry_audience_after(&f->reg, shard, after, &entry) == 1) {
			struct service_key key = { str_make(entry.name.text, entry.name.ns_len),
				                   str_make(entry.name.text + entry.name.ns_len + 1,
				                            entry.name.name_len) };

			assert_true(entry.id > after);
			assert_int_equal(registry_shard_of(&f->reg, &key), shard);
			assert_int_equal(entry.count, 1);
			after = entry.id;
			seen++;
			served += entry.service_changed != 0;
		}
	}
	assert_int_equal(seen, 300);
	assert_int_equal(served, 100);
}

static void deliveries_are_noted(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	uint32_t shard = registry_shard_of(&f->reg, &key);
	struct subscriber_spec sub = sub_for(5000);
	struct subscriber_view out[2];
	struct delivery d = { .revision = 77, .key = 123456, .at_ms = 99, .tries = 1 };

	f->seg->shards[shard].revision = 100; /* those of deliveries come from there */
	poll_as(f, "g@@s", &sub);
	assert_int_equal(subscribers(f, "g@@s", out, 2), 1);
	d.id = out[0].id;
	d.off = out[0].off;
	assert_int_equal(registry_mark_sent(&f->reg, shard, &d, 1), 0);
	subscribers(f, "g@@s", out, 2);
	assert_int_equal(out[0].sent_revision, 77);
	assert_int_equal(out[0].push_key, 123456);
	assert_int_equal(out[0].sent_at_ms, 99);
	assert_int_equal(out[0].tries, 1);
	assert_int_equal(out[0].acked_revision, 0);
	assert_int_equal(out[0].seen_ms, 1000000);
	advance(f, 5);
	assert_int_equal(registry_mark_acked(&f->reg, shard, &d, 1), 0);
	subscribers(f, "g@@s", out, 2);
	assert_int_equal(out[0].acked_revision, 77);
	assert_int_equal(out[0].seen_ms, 1000005);
	d.id++; /* somebody else by now: nothing happens */
	d.revision = 88;
	assert_int_equal(registry_mark_sent(&f->reg, shard, &d, 1), 0);
	subscribers(f, "g@@s", out, 2);
	assert_int_equal(out[0].sent_revision, 77);
	assert_clean(f);
}

static void an_audience_goes_with_its_last(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	uint32_t shard = registry_shard_of(&f->reg, &key);
	struct subscriber_spec sub = sub_for(5000);
	struct subscriber_view out[2];
	struct keeper_entry drop[3];

	poll_as(f, "g@@s", &sub);
	sub.port = 5001;
	poll_as(f, "g@@s", &sub);
	assert_int_equal(subscribers(f, "g@@s", out, 2), 2);
	for (unsigned n = 0; n < 2; n++)
		drop[n] = (struct keeper_entry){ out[n].id, out[n].off };
	drop[2] = drop[0];
	assert_in_range(f->reg.most_entries, 1, OP_ENTRIES_SUBSCRIBE);
	f->reg.most_entries = 0;
	assert_int_equal(registry_unsubscribe(&f->reg, shard, drop, 3), 0);
	assert_in_range(f->reg.most_entries, 1, OP_ENTRIES_UNSUBSCRIBE);
	assert_int_equal(stats_of(f).subscribers, 0);
	assert_int_equal(stats_of(f).waiting, 0);
	assert_int_equal(subscribers(f, "g@@s", out, 2), 0);
	for (unsigned kind = SLAB_TABLE; kind < SLAB_KINDS; kind++)
		assert_int_equal(f->seg->shards[shard].slabs[kind].objects, 0);
	assert_clean(f);
}

/* The pusher has a sweep to plan, also on a node where nothing ever changes. */
static void the_first_of_a_shard_wakes(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	uint32_t shard = registry_shard_of(&f->reg, &key);
	struct subscriber_spec sub = sub_for(5000);
	struct subscriber_view out;
	struct keeper_entry drop;

	queue_take_dirty(f->seg, QUEUE_PUSHER);
	poll_as(f, "g@@s", &sub);
	assert_int_equal(queue_take_dirty(f->seg, QUEUE_PUSHER), 1ULL << shard);
	poll_as(f, "g@@s", &sub);
	sub.port = 5001;
	poll_as(f, "g@@s", &sub);
	assert_int_equal(queue_take_dirty(f->seg, QUEUE_PUSHER), 0);
	while (subscribers(f, "g@@s", &out, 1) > 0) {
		drop = (struct keeper_entry){ out.id, out.off };
		assert_int_equal(registry_unsubscribe(&f->reg, shard, &drop, 1), 0);
	}
	assert_int_equal(queue_take_dirty(f->seg, QUEUE_PUSHER), 0);
	poll_as(f, "g@@s", &sub);
	assert_int_equal(queue_take_dirty(f->seg, QUEUE_PUSHER), 1ULL << shard);
	assert_clean(f);
}

/* ---- changes --------------------------------------------------------------------------------- */

/* Two names in one shard. */
static void two_names(struct fixture *f, char names[2][32])
{
	unsigned n = 0;

	name_in_shard(f, 9, &n, names[0]);
	name_in_shard(f, 9, &n, names[1]);
}

static void changes_come_in_order_and_merge(void **state)
{
	struct fixture *f = *state;
	struct instance_spec spec = spec_for("1.1.1.1", 80);
	struct changed_service changed;
	uint64_t now = FIXTURE_MONO_US / 1000, wait;
	char names[2][32];
	struct service_key key;

	two_names(f, names);
	key = key_for(names[0]);
	assert_int_equal(registry_take_changed(&f->reg, 9, QUEUE_PUSHER, now, 0, &changed, &wait),
	                 0);
	assert_int_equal(wait, UINT64_MAX);
	add(f, names[0], "1.1.1.1", 80);
	clock_set_for_test(FIXTURE_MONO_US + 300000, FIXTURE_WALL_US);
	add(f, names[1], "1.1.1.1", 80);
	clock_set_for_test(FIXTURE_MONO_US + 600000, FIXTURE_WALL_US);
	assert_int_equal(registry_set_health(&f->reg, client, &key, &spec.key, false), 0);
	assert_int_equal(queue_take_dirty(f->seg, QUEUE_PUSHER), 1ULL << 9);
	assert_int_equal(registry_take_changed(&f->reg, 9, QUEUE_PUSHER, now + 600, 1000, &changed,
	                                       &wait),
	                 0);
	assert_int_equal(wait, 400);
	assert_int_equal(registry_take_changed(&f->reg, 9, QUEUE_PUSHER, now + 1000, 1000, &changed,
	                                       &wait),
	                 1);
	assert_true(
	        str_eq(str_make(changed.name.text + changed.name.ns_len + 1, changed.name.name_len),
	               str_of(names[0])));
	assert_int_equal(changed.change, CHANGE_CONTENT | CHANGE_HEALTH);
	assert_int_equal(changed.changed_at_ms, now);
	assert_int_equal(changed.changed, stamp_of(f, names[0]).revision);
	assert_int_equal(changed.id, stamp_of(f, names[0]).id);
	assert_int_equal(registry_take_changed(&f->reg, 9, QUEUE_PUSHER, now + 1000, 1000, &changed,
	                                       &wait),
	                 0);
	assert_int_equal(wait, 300);
	assert_int_equal(registry_take_changed(&f->reg, 9, QUEUE_PUSHER, now + 1300, 1000, &changed,
	                                       &wait),
	                 1);
	assert_true(
	        str_eq(str_make(changed.name.text + changed.name.ns_len + 1, changed.name.name_len),
	               str_of(names[1])));
	assert_int_equal(registry_take_changed(&f->reg, 9, QUEUE_PUSHER, now + 9000, 1000, &changed,
	                                       &wait),
	                 0);
	/* After the take a change counts anew; removal of an instance says so. */
	assert_int_equal(registry_deregister(&f->reg, client, &key, &spec.key, NULL), 0);
	assert_int_equal(registry_take_changed(&f->reg, 9, QUEUE_PUSHER, now + 9000, 1000, &changed,
	                                       &wait),
	                 1);
	assert_int_equal(changed.change, CHANGE_REMOVED);
	add(f, names[0], "1.1.1.1", 80);
	f->reg.most_entries = 0;
	assert_int_equal(registry_take_changed(&f->reg, 9, QUEUE_PUSHER, now + 9000, 1000, &changed,
	                                       &wait),
	                 1);
	assert_in_range(f->reg.most_entries, 1, OP_ENTRIES_TAKE);
	assert_int_equal(changed.changed_at_ms, now + 600);
	assert_clean(f);
}

static void a_removed_service_is_not_pushed(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	uint32_t shard = registry_shard_of(&f->reg, &key);
	struct changed_service changed;
	uint64_t wait;

	add(f, "g@@s", "1.1.1.1", 80);
	assert_int_equal(registry_remove_service(&f->reg, client, &key, NULL), 0);
	assert_int_equal(registry_take_changed(&f->reg, shard, QUEUE_PUSHER, UINT64_MAX, 0,
	                                       &changed, &wait),
	                 0);
	assert_int_equal(wait, UINT64_MAX);
	assert_int_equal(registry_take_changed(&f->reg, shard, QUEUE_CONSUMERS, UINT64_MAX, 0,
	                                       &changed, &wait),
	                 ERR_RANGE);
	assert_clean(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(subscribers_of_one_hash),
		TEST(a_poll_knows_of_what_was_not_sent),
		TEST(a_poll_subscribes_and_renews),
		TEST(keys_of_subscribers),
		TEST(a_claim_does_not_degrade),
		TEST(waiting_follows_the_service),
		TEST(long_texts_are_cut_between_characters),
		TEST(sources_are_counted),
		TEST(bytes_are_counted),
		TEST(bytes_go_with_the_source),
		TEST(limits_spare_the_stamp),
		TEST(a_cursor_reads_in_order),
		TEST(audiences_of_a_shard),
		TEST(deliveries_are_noted),
		TEST(an_audience_goes_with_its_last),
		TEST(the_first_of_a_shard_wakes),
		TEST(changes_come_in_order_and_merge),
		TEST(a_removed_service_is_not_pushed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
