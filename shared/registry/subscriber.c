/* SPDX-License-Identifier: Apache-2.0 */
/* subscriber.c - audiences and their subscribers: polls that subscribe, deliveries sent and
 * acknowledged, leaving. */
#include "shared/registry/registry_internal.h"

#include "shared/registry/fields.h"
#include "shared/registry/registry_pusher.h"
#include "shared/shm/blob.h"
#include "shared/shm/fault.h"
#include "shared/shm/health.h"
#include "shared/shm/shard.h"

#define MARKS_PIECE 256U /* deliveries marked in one hold */
#define DROPS_PIECE 256U /* subscribers looked at in one hold, to be dropped */

struct audience *audience_at(struct op *op, uint32_t off)
{
	struct audience *a = slab_at(&op->tx, off, SLAB_AUDIENCE);

	if (a == NULL)
		undo_fail(&op->tx, ERR_CORRUPT);
	return a;
}

struct subscriber *subscriber_at(struct op *op, uint32_t off)
{
	struct subscriber *sub = slab_at(&op->tx, off, SLAB_SUBSCRIBER);

	if (sub == NULL)
		undo_fail(&op->tx, ERR_CORRUPT);
	return sub;
}

uint32_t audience_find(struct op *op, const struct service_key *key, uint32_t hash,
                       struct audience **a_r)
{
	const struct table *table = &op->root->audiences;

	for (uint32_t off = table_find(&op->tx, table, hash); off != 0;
	     off = table_next(&op->tx, table, off)) {
		struct audience *a = audience_at(op, off);

		if (a == NULL)
			break;
		if (key_is(&op->tx, a->name, a->ns_len, a->name_len, key)) {
			*a_r = a;
			return off;
		}
	}
	*a_r = NULL;
	return 0;
}

bool audience_exists(struct op *op, const struct service_key *key, uint32_t hash)
{
	struct audience *a;

	return audience_find(op, key, hash, &a) != 0;
}

static bool text_is(const struct tx *tx, uint32_t blob, struct str text)
{
	return blob == 0 ? text.n == 0 : blob_equal(tx, blob, text);
}

/* Audience, socket, clusters and agent together are what a subscriber is known by. */
static bool subscriber_is(struct op *op, const struct subscriber *sub, uint32_t aoff,
                          const struct subscriber_spec *spec)
{
	return sub->audience == aoff && sub->port == spec->port &&
	       memcmp(sub->address, spec->address, sizeof(sub->address)) == 0 &&
	       text_is(&op->tx, sub->clusters, spec->clusters) &&
	       text_is(&op->tx, sub->agent, spec->agent);
}

uint32_t subscriber_find(struct op *op, uint32_t aoff, const struct audience *a,
                         const struct subscriber_spec *spec, struct subscriber **sub_r)
{
	const struct table *table = &op->root->subscribers;
	uint32_t hash = key_subscriber_hash(op->reg, a->id, spec);

	for (uint32_t off = table_find(&op->tx, table, hash); off != 0;
	     off = table_next(&op->tx, table, off)) {
		struct subscriber *sub = subscriber_at(op, off);

		if (sub == NULL)
			break;
		if (subscriber_is(op, sub, aoff, spec)) {
			*sub_r = sub;
			return off;
		}
	}
	*sub_r = NULL;
	return 0;
}

uint64_t audience_bytes(const struct tx *tx, const struct audience *a)
{
	return slab_object_bytes(SLAB_AUDIENCE) + (uint64_t)fields_bytes(tx, &audience_fields, a);
}

uint64_t subscriber_bytes(const struct tx *tx, const struct subscriber *sub)
{
	return slab_object_bytes(SLAB_SUBSCRIBER) +
	       (uint64_t)fields_bytes(tx, &subscriber_fields, sub);
}

static uint64_t spec_text_bytes(struct str text)
{
	return text.n == 0 ? 0 : blob_cost((uint32_t)text.n);
}

/* Says what the source of a subscriber is charged, before the subscriber is there: its
 * subscriber_bytes() and the audience_bytes() of its name. */
static uint64_t bytes_wanted(const struct service_key *service, const struct subscriber_spec *spec)
{
	return slab_object_bytes(SLAB_SUBSCRIBER) + spec_text_bytes(spec->agent) +
	       spec_text_bytes(spec->clusters) + spec_text_bytes(spec->app) +
	       spec_text_bytes(spec->address_text) + slab_object_bytes(SLAB_AUDIENCE) +
	       blob_cost((uint32_t)(service->ns.n + 1 + service->name.n));
}

/* Counts a subscriber that comes (1) or goes (-1) for its source. One that gets another source goes
 * for the old one and comes for the new one. */
static void count_source(struct op *op, const struct audience *a, const struct subscriber *sub,
                         int change)
{
	source_count(op, sub->source, change,
	             subscriber_bytes(&op->tx, sub) + audience_bytes(&op->tx, a));
}

static struct chain audience_list(struct op *op)
{
	return (struct chain){ &op->root->first_audience, &op->root->last_audience, SLAB_AUDIENCE,
		               offsetof(struct audience, next) };
}

static struct chain subscriber_list(struct audience *a)
{
	return (struct chain){ &a->first, &a->last, SLAB_SUBSCRIBER,
		               offsetof(struct subscriber, next) };
}

/* ---- subscribing ----------------------------------------------------------------------------- */

struct subscription {
	const struct service_key *service;
	const struct subscriber_spec *spec;
	struct place place;
	struct service_stamp *stamp;
};

static uint32_t audience_create(struct op *op, const struct subscription *p, bool waiting,
                                struct audience **a_r)
{
	char text[2 * NAME_MAX_BYTES + 1];
	uint32_t off = slab_alloc(&op->tx, SLAB_AUDIENCE);
	uint32_t name = blob_new(&op->tx, str_make(text, key_join(p->service, text)));

	*a_r = NULL;
	if (op->tx.err != 0 || (*a_r = audience_at(op, off)) == NULL)
		return 0;
	ROSTER_ASSERT(op->tx.shard == &op->reg->seg->shards[p->place.shard]);
	**a_r = (struct audience){
		.id = undo_next_id(&op->tx),
		.name = name,
		.ns_len = (uint16_t)p->service->ns.n,
		.name_len = (uint16_t)p->service->name.n,
	};
	table_insert(&op->tx, &op->root->audiences, off, p->place.hash);
	chain_append(op, audience_list(op), off);
	/* An audience is waiting as long as there is no service of its name. */
	root_add(op, &op->root->waiting_count, waiting ? 1 : 0);
	root_add(op, &op->root->subscriber_bytes, (int64_t)audience_bytes(&op->tx, *a_r));
	return op->tx.err != 0 ? 0 : off;
}

/* Sums up all shards without their locks: subscribers that come at the same moment may go a little
 * beyond a limit. */
static struct source_use all_subscribers(const struct op *op)
{
	struct source_use sum = { 0, 0 };

	for (uint32_t shard = 0; shard < SHARDS; shard++) {
		const struct registry_root *root =
		        (const struct registry_root *)op->reg->seg->shards[shard].root;

		sum.subscribers += __atomic_load_n(&root->subscriber_count, __ATOMIC_RELAXED);
		sum.bytes += __atomic_load_n(&root->subscriber_bytes, __ATOMIC_RELAXED);
	}
	return sum;
}

/* 0 means that there is no limit. */
static bool exceeds(uint64_t used, uint64_t more, uint64_t limit)
{
	return limit != 0 && used + more > limit;
}

/* Says which limit keeps one subscriber more out; `count` is how many the name has so far. */
static int check_limits(struct op *op, const struct subscription *p, uint32_t count)
{
	const struct registry_limits *limits = &op->reg->limits;
	uint64_t bytes = bytes_wanted(p->service, p->spec);
	struct source_use use = all_subscribers(op);

	if (exceeds(count, 1, limits->subscribers_per_service))
		return key_refuse(op->reg, REGISTRY_LIMIT_SUBSCRIBERS_PER_SERVICE,
		                  limits->subscribers_per_service);
	if (exceeds(use.subscribers, 1, limits->subscribers))
		return key_refuse(op->reg, REGISTRY_LIMIT_SUBSCRIBERS, limits->subscribers);
	if (exceeds(use.bytes, bytes, limits->subscriber_bytes))
		return key_refuse(op->reg, REGISTRY_LIMIT_SUBSCRIBER_BYTES,
		                  limits->subscriber_bytes);
	if (limits->subscribers_per_source == 0 && limits->subscriber_bytes_per_source == 0)
		return 0;
	use = source_subscribers(op->reg, p->spec->source);
	if (exceeds(use.subscribers, 1, limits->subscribers_per_source))
		return key_refuse(op->reg, REGISTRY_LIMIT_SUBSCRIBERS_PER_SOURCE,
		                  limits->subscribers_per_source);
	if (exceeds(use.bytes, bytes, limits->subscriber_bytes_per_source))
		return key_refuse(op->reg, REGISTRY_LIMIT_SUBSCRIBER_BYTES_PER_SOURCE,
		                  limits->subscriber_bytes_per_source);
	return 0;
}

static uint32_t blob_or_none(struct op *op, struct str text)
{
	return text.n == 0 ? 0 : blob_new(&op->tx, text);
}

/* Fills a new subscriber. It has just read the list, so what was sent and acknowledged is the
 * present state. */
static void subscriber_fill(struct op *op, struct subscriber *sub, uint32_t aoff, uint64_t changed,
                            const struct subscriber_spec *spec)
{
	*sub = (struct subscriber){
		.seen_ms = op->now_ms,
		.sent_revision = changed,
		.acked_revision = changed,
		.id = undo_next_id(&op->tx),
		.audience = aoff,
		.agent = blob_or_none(op, spec->agent),
		.clusters = blob_or_none(op, spec->clusters),
		.app = blob_or_none(op, spec->app),
		.address_text = blob_or_none(op, spec->address_text),
		.port = spec->port,
		.agent_kind = spec->agent_kind,
		.flags = (uint8_t)((spec->push ? SUBSCRIBER_PUSH : 0) |
		                   (spec->grouped ? SUBSCRIBER_GROUPED : 0)),
		.agent_version = spec->agent_version,
	};
	memcpy(sub->address, spec->address, sizeof(sub->address));
	memcpy(sub->source, spec->source, sizeof(sub->source));
}

static int subscriber_create(struct op *op, const struct subscription *p, uint32_t aoff,
                             struct audience *a, uint64_t changed)
{
	struct subscriber *sub;
	uint32_t off = slab_alloc(&op->tx, SLAB_SUBSCRIBER);

	if (off == 0 || (sub = subscriber_at(op, off)) == NULL)
		return op->tx.err;
	subscriber_fill(op, sub, aoff, changed, p->spec);
	if (op->tx.err != 0)
		return op->tx.err;
	table_insert(&op->tx, &op->root->subscribers, off,
	             key_subscriber_hash(op->reg, a->id, p->spec));
	chain_append(op, subscriber_list(a), off);
	undo_set32(&op->tx, &a->count, a->count + 1);
	/* With the first subscriber of the shard the pusher has a sweep to plan. */
	if (op->root->subscriber_count == 0)
		op->announce |= 1U << QUEUE_PUSHER;
	root_add(op, &op->root->subscriber_count, 1);
	root_add(op, &op->root->subscriber_bytes, (int64_t)subscriber_bytes(&op->tx, sub));
	count_source(op, a, sub, 1);
	return op->tx.err;
}

/* Stores the time of a poll. Returns false when there is more to do than that. A poll from
 * elsewhere that merely claims the address of a subscriber who may be pushed to neither renews nor
 * degrades it. */
static bool subscriber_renew(struct subscriber *sub, const struct subscriber_spec *spec,
                             uint64_t now_ms)
{
	bool pushed = (sub->flags & SUBSCRIBER_PUSH) != 0;

	if (spec->push || !pushed)
		__atomic_store_n(&sub->seen_ms, now_ms, __ATOMIC_RELAXED);
	FAULT("subscriber-seen");
	return pushed || !spec->push;
}

/* Was nothing sent at the last change, because the text was too long or there were too many
 * views? */
static bool is_unsent(const struct subscriber *sub)
{
	uint64_t tries = __atomic_load_n(&sub->tries, __ATOMIC_RELAXED);

	return tries == REGISTRY_TRIES_OVERSIZE || tries == REGISTRY_TRIES_VIEWS;
}

static int subscribe_op(struct op *op, void *arg)
{
	const struct subscription *p = arg;
	struct service *s;
	struct audience *a;
	struct subscriber *sub;
	uint32_t aoff;
	int ret;

	ROSTER_ASSERT(p->spec != NULL && op->now_ms != 0);
	/* The service may not be there yet; then s is NULL. */
	service_find(op, p->service, p->place.hash, &s);
	service_stamp_of(op, s, p->stamp);
	aoff = audience_find(op, p->service, p->place.hash, &a);
	if (aoff != 0 && subscriber_find(op, aoff, a, p->spec, &sub) != 0) {
		p->stamp->unsent = is_unsent(sub);
		/* This subscriber was not pushed to so far. From now on it is, and has the source
		 * of this poll. */
		if (!subscriber_renew(sub, p->spec, op->now_ms)) {
			uint8_t flags = sub->flags | SUBSCRIBER_PUSH;

			undo_set_bytes(&op->tx, &sub->flags, &flags, sizeof(flags));
			count_source(op, a, sub, -1);
			undo_set_bytes(&op->tx, sub->source, p->spec->source, sizeof(sub->source));
			count_source(op, a, sub, 1);
		}
		return 0;
	}
	if ((ret = check_limits(op, p, aoff == 0 ? 0 : a->count)) < 0)
		return ret;
	if (aoff == 0 && op->tx.err == 0)
		aoff = audience_create(op, p, s == NULL, &a);
	return aoff == 0 ? op->tx.err
	                 : subscriber_create(op, p, aoff, a, s == NULL ? 0 : s->changed);
}

static int check_subscriber_spec(struct registry *reg, const struct service_key *service,
                                 const struct subscriber_spec *spec)
{
	const struct str texts[] = { spec->agent, spec->clusters, spec->app, spec->address_text };
	int ret = key_check_service(reg, service);

	for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]) && ret == 0; i++)
		ret = key_check_text(reg, texts[i]);
	return ret;
}

/* Returns true when the subscriber is there and only its time had to be stored. */
static bool renewed(struct op *op, const struct subscription *p)
{
	struct audience *a;
	struct subscriber *sub;
	uint32_t aoff = audience_find(op, p->service, p->place.hash, &a);

	if (aoff == 0 || subscriber_find(op, aoff, a, p->spec, &sub) == 0)
		return false;
	p->stamp->unsent = is_unsent(sub);
	return subscriber_renew(sub, p->spec, op->now_ms);
}

int registry_poll(struct registry *reg, const struct service_key *service,
                  const struct subscriber_spec *sub, struct service_stamp *stamp_r)
{
	static const struct origin origin = { .cause = CAUSE_CLIENT };
	struct subscription p = { service, sub, key_place(reg, service), stamp_r };
	struct op op;
	struct service *s;
	bool done;
	int ret;

	*stamp_r = (struct service_stamp){ .epoch = reg->seg->header->epoch };
	if ((ret = op_begin(&op, reg, p.place.shard, origin)) < 0)
		return ret;
	service_find(&op, service, p.place.hash, &s);
	service_stamp_of(&op, s, stamp_r);
	op.now_ms = sub == NULL ? 0 : health_now(reg->seg);
	/* Most polls only renew: then there is nothing to commit. */
	done = sub == NULL || op.tx.err != 0 || renewed(&op, &p);
	ROSTER_ASSERT(op.tx.entries == 0); /* there is nothing to commit */
	ret = op.tx.err;
	op_end(&op);
	if (done || ret < 0)
		return ret;
	/* The stamp is read again in the hold that subscribes: no change falls between the two. */
	ret = check_subscriber_spec(reg, service, sub);
	return ret < 0 ? ret : op_run(reg, p.place.shard, origin, subscribe_op, &p);
}

/* ---- for the pusher -------------------------------------------------------------------------- */

/* A hint may be old: another subscriber may have the place by now. */
static struct subscriber *subscriber_hinted(struct op *op, uint64_t id, uint32_t off)
{
	struct subscriber *sub = slab_try(&op->tx, off, SLAB_SUBSCRIBER);

	return sub != NULL && sub->id == id ? sub : NULL;
}

static void delivery_acked(struct subscriber *sub, const struct delivery *d, uint64_t now_ms)
{
	/* An ACK of the last datagram acknowledges what that one held. An older one acknowledges
	 * what the pusher remembers of it. */
	uint64_t revision = sub->push_key == d->key ? sub->sent_revision : d->revision;

	if (revision > sub->acked_revision)
		__atomic_store_n(&sub->acked_revision, revision, __ATOMIC_RELAXED);
	FAULT("delivery-acked");
	__atomic_store_n(&sub->seen_ms, now_ms, __ATOMIC_RELAXED);
	FAULT("delivery-seen");
}

static void delivery_sent(struct subscriber *sub, const struct delivery *d)
{
	__atomic_store_n(&sub->sent_revision, d->revision, __ATOMIC_RELAXED);
	FAULT("delivery-sent");
	__atomic_store_n(&sub->push_key, d->key, __ATOMIC_RELAXED);
	FAULT("delivery-key");
	__atomic_store_n(&sub->sent_at_ms, d->at_ms, __ATOMIC_RELAXED);
	__atomic_store_n(&sub->tries, d->tries, __ATOMIC_RELAXED);
	FAULT("delivery-tries");
}

static int mark_piece(struct registry *reg, uint32_t shard, const struct delivery *d,
                      uint32_t count, bool acked)
{
	uint64_t now_ms = health_now(reg->seg);
	struct op op;
	int ret = op_begin(&op, reg, shard, (struct origin){ 0 });

	if (ret < 0)
		return ret;
	ROSTER_ASSERT(count <= MARKS_PIECE);
	for (uint32_t n = 0; n < count; n++) {
		struct subscriber *sub = subscriber_hinted(&op, d[n].id, d[n].off);

		/* These words are not logged, so there is no transaction. */
		if (sub != NULL && acked)
			delivery_acked(sub, &d[n], now_ms);
		else if (sub != NULL)
			delivery_sent(sub, &d[n]);
	}
	op_end(&op);
	return 0;
}

static int mark_deliveries(struct registry *reg, uint32_t shard, const struct delivery *d,
                           uint32_t count, bool acked)
{
	int ret = 0;

	for (uint32_t n = 0; n < count && ret == 0; n += MARKS_PIECE)
		ret = mark_piece(reg, shard, d + n,
		                 count - n < MARKS_PIECE ? count - n : MARKS_PIECE, acked);
	return ret;
}

int registry_mark_sent(struct registry *reg, uint32_t shard, const struct delivery *d,
                       uint32_t count)
{
	return mark_deliveries(reg, shard, d, count, false);
}

int registry_mark_acked(struct registry *reg, uint32_t shard, const struct delivery *d,
                        uint32_t count)
{
	return mark_deliveries(reg, shard, d, count, true);
}

static void audience_remove(struct op *op, uint32_t aoff, struct audience *a)
{
	struct service_key key;
	struct service *s;

	if (!key_of(&op->tx, a->name, a->ns_len, a->name_len, &key)) {
		undo_fail(&op->tx, ERR_CORRUPT);
		return;
	}
	/* Without a service the audience was counted as waiting. */
	if (service_find(op, &key, a->link.hash, &s) == 0)
		root_add(op, &op->root->waiting_count, -1);
	table_remove(&op->tx, &op->root->audiences, aoff);
	chain_remove(op, audience_list(op), aoff);
	root_add(op, &op->root->subscriber_bytes, -(int64_t)audience_bytes(&op->tx, a));
	fields_free(&op->tx, &audience_fields, a);
	slab_free(&op->tx, aoff);
}

static void subscriber_remove(struct op *op, uint32_t off, struct subscriber *sub)
{
	uint32_t aoff = sub->audience;
	struct audience *a = audience_at(op, aoff);

	if (a == NULL)
		return;
	table_remove(&op->tx, &op->root->subscribers, off);
	chain_remove(op, subscriber_list(a), off);
	root_add(op, &op->root->subscriber_bytes, -(int64_t)subscriber_bytes(&op->tx, sub));
	count_source(op, a, sub, -1);
	fields_free(&op->tx, &subscriber_fields, sub);
	slab_free(&op->tx, off);
	root_add(op, &op->root->subscriber_count, -1);
	undo_set32(&op->tx, &a->count, a->count - 1);
	if (a->count == 0)
		audience_remove(op, aoff, a);
}

/* Drops silent ones in one hold and adds their number to *dropped. Returns how many were looked
 * at. */
static int drop_piece(struct registry *reg, uint32_t shard, const struct keeper_entry *subs,
                      uint32_t count, uint64_t since_ms, int *dropped)
{
	struct op op;
	uint32_t n;
	int ret = op_begin(&op, reg, shard, (struct origin){ 0 });

	if (ret < 0)
		return ret;
	for (n = 0; n < count && n < DROPS_PIECE && ret == 0 && !op_is_long(&op); n++) {
		struct subscriber *sub = subscriber_hinted(&op, subs[n].id, subs[n].off);

		/* It may have polled since the caller looked. */
		if (sub == NULL || sub->seen_ms >= since_ms)
			continue;
		subscriber_remove(&op, subs[n].off, sub);
		ret = op_commit(&op);
		*dropped += ret == 0;
	}
	op_end(&op);
	return ret < 0 ? ret : (int)n;
}

int registry_unsubscribe_silent(struct registry *reg, uint32_t shard,
                                const struct keeper_entry *subs, uint32_t count, uint64_t since_ms)
{
	int dropped = 0, looked = 0;

	for (uint32_t n = 0; n < count; n += (uint32_t)looked) {
		if ((looked = drop_piece(reg, shard, subs + n, count - n, since_ms, &dropped)) < 0)
			return looked;
		ROSTER_ASSERT(looked > 0); /* or it never ends */
	}
	return dropped;
}

int registry_unsubscribe(struct registry *reg, uint32_t shard, const struct keeper_entry *subs,
                         uint32_t count)
{
	int ret = registry_unsubscribe_silent(reg, shard, subs, count, UINT64_MAX);

	return ret < 0 ? ret : 0;
}
