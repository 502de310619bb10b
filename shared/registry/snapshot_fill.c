/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/registry/snapshot_fill.h"

#include <stdlib.h>

#include "shared/base/clock.h"
#include "shared/shm/blob.h"
#include "shared/shm/health.h"
#include "shared/shm/shard.h"

/* What a load takes over of the flags. The others say how an object is stored, or where it
 * stands. */
#define SERVICE_FLAGS_KEPT (SERVICE_EXPLICIT | SERVICE_DURABLE | SERVICE_DISABLED)
#define INSTANCE_FLAGS_KEPT \
	(INSTANCE_EPHEMERAL | INSTANCE_ENABLED | INSTANCE_HEALTHY | INSTANCE_MARKED | \
	 INSTANCE_METADATA_NULL | INSTANCE_CONFIRMED | 0xff000000U)
#define CHANGES_KNOWN (CHANGE_CONTENT | CHANGE_HEALTH | CHANGE_REMOVED | CHANGE_SETTINGS)
/* The slots of a set at first, and how many are kept for the next service. */
#define SET_SIZE 256U
#define SET_KEEP 65536U

void fill_fail(struct fill *f, int err, const char *why)
{
	if (f->err != 0)
		return;
	f->err = err;
	f->why = why;
}

void fill_init(struct fill *f, struct registry *reg, struct snapshot_report *report)
{
	*f = (struct fill){ .reg = reg, .report = report, .mono_ms = clock_mono_ms() };
}

void fill_free(struct fill *f)
{
	free(f->seen.slots);
	f->seen = (struct hash_set){ NULL, 0, 0 };
}

/* ---- which hashes were there ----------------------------------------------------------------- */

/* Returns the slot of the hash, or the free one where it belongs. */
static uint32_t *set_slot(const struct hash_set *set, uint32_t hash)
{
	uint32_t at = hash & (set->size - 1);

	ROSTER_ASSERT(hash != 0 && set->count < set->size && (set->size & (set->size - 1)) == 0);
	while (set->slots[at] != 0 && set->slots[at] != hash)
		at = (at + 1) & (set->size - 1);
	return &set->slots[at];
}

static bool set_grow(struct hash_set *set)
{
	struct hash_set larger = { .size = set->size == 0 ? SET_SIZE : set->size * 2,
		                   .count = set->count };

	larger.slots = calloc(larger.size, sizeof(larger.slots[0]));
	if (larger.slots == NULL)
		return false;
	for (uint32_t i = 0; i < set->size; i++) {
		if (set->slots[i] != 0)
			*set_slot(&larger, set->slots[i]) = set->slots[i];
	}
	free(set->slots);
	*set = larger;
	return true;
}

static void set_clear(struct hash_set *set)
{
	/* One large service must not make the set expensive to clear for all that follow. */
	if (set->size > SET_KEEP) {
		free(set->slots);
		*set = (struct hash_set){ NULL, 0, 0 };
	} else if (set->count > 0) {
		memset(set->slots, 0, set->size * sizeof(set->slots[0]));
		set->count = 0;
	}
}

/* Returns true when the hash was there, or may have been: 0 stands for a free slot, so it is never
 * remembered. */
static bool set_add(struct fill *f, uint32_t hash)
{
	struct hash_set *set = &f->seen;
	uint32_t *slot;

	if (hash == 0)
		return true;
	/* At most half of the slots are taken, so that searches are short. */
	if (set->count * 2 >= set->size && !set_grow(set)) {
		fill_fail(f, ERR_NOMEM, "out of memory");
		return true;
	}
	slot = set_slot(set, hash);
	if (*slot == hash)
		return true;
	*slot = hash;
	set->count++;
	return false;
}

/* ---- holds ----------------------------------------------------------------------------------- */

static bool fill_begin(struct fill *f, const struct service_key *key, struct place *place_r)
{
	int ret;

	if (f->err != 0)
		return false;
	if (key->ns.n > NAME_MAX_BYTES || key->name.n > NAME_MAX_BYTES || key->name.n == 0) {
		fill_fail(f, ERR_SYNTAX, "a name without text, or too long");
		return false;
	}
	ROSTER_ASSERT(!f->held);
	/* This segment has its own seed, so the shard may be another one than before. */
	*place_r = key_place(f->reg, key);
	f->s = NULL;
	f->a = NULL;
	f->c = NULL;
	if ((ret = op_begin(&f->op, f->reg, place_r->shard,
	                    (struct origin){ .writer = WRITER_IMPORT })) < 0) {
		fill_fail(f, ret, "a shard cannot be locked");
		return false;
	}
	f->held = true;
	return true;
}

/* Commits what was made so far. Returns true when all is well, with f->err too. */
static bool fill_commit(struct fill *f)
{
	int ret;

	ROSTER_ASSERT(f->held);
	if ((ret = undo_commit(&f->op.tx)) < 0)
		fill_fail(f, ret,
		          ret == ERR_FULL ? "the segment is full" : "an object cannot be stored");
	return f->err == 0;
}

/* The pushes that were owed are announced to their consumers once the service is complete. */
static void fill_announce(struct fill *f)
{
	for (uint32_t c = 0; c < QUEUE_CONSUMERS && f->s != NULL; c++) {
		if (queue_link_pending(&f->s->queue[c]) != 0)
			queue_announce(f->reg->seg, f->op.tx.shard->index, c);
	}
}

void fill_end(struct fill *f)
{
	if (!f->held)
		return;
	if (f->a != NULL && f->a->count == 0)
		fill_fail(f, ERR_SYNTAX, "subscribers of a name, but none");
	if (f->err != 0)
		undo_rollback(&f->op.tx);
	/* The bytes of all clusters and instances are known only now. */
	else if (f->s != NULL)
		f->op.root->bytes += f->s->bytes;
	fill_announce(f);
	op_end(&f->op);
	f->held = false;
}

/* Backs pages, under the lock: nobody waits for it here. Returns false after an error. */
static bool fill_ready(struct fill *f)
{
	if (f->err == 0)
		op_room(f->reg->seg);
	return f->err == 0;
}

void fill_reserve(struct fill *f, uint64_t instances)
{
	uint64_t most = f->reg->seg->bytes / SLAB_BYTES_INSTANCE;

	ROSTER_ASSERT(!f->held);
	/* The number is from the stream, and may be anything. */
	if (instances > most)
		instances = most;
	for (uint32_t shard = 0; shard < SHARDS && f->err == 0; shard++) {
		int ret;

		op_room(f->reg->seg);
		if ((ret = op_begin(&f->op, f->reg, shard,
		                    (struct origin){ .writer = WRITER_IMPORT })) < 0) {
			fill_fail(f, ret, "a shard cannot be locked");
			return;
		}
		table_reserve(&f->op.tx, &f->op.root->instances, instances / SHARDS);
		op_end(&f->op);
	}
}

/* ---- values ---------------------------------------------------------------------------------- */

/* Stores a text as a blob, committed, and adds its bytes to f->texts. An unset text is 0. */
static uint32_t fill_put(struct fill *f, struct str text)
{
	uint32_t off;

	if (!str_is_set(text) || f->err != 0)
		return 0;
	off = blob_new(&f->op.tx, text);
	if (!fill_commit(f))
		return 0;
	f->texts += blob_cost((uint32_t)text.n);
	return off;
}

/* Stores the fields that have a place of their own into a new object. */
static void fill_store(struct fill *f, const struct fields *fields, const union field_value *in,
                       void *object)
{
	for (unsigned key = 1; key < fields->saved; key++) {
		const struct field_row *row = &fields->rows[key];
		struct str text = in[key].text;

		/* Values that are made from several members are stored by the caller. */
		if (row->bytes == 0)
			continue;
		ROSTER_ASSERT(row->type != FIELD_ADDRESS || !str_is_set(text) ||
		              text.n == row->bytes);
		if (field_is_blob(row))
			*field_blob(row, object) =
			        row->type == FIELD_FILLED && text.n == 0 ? 0 : fill_put(f, text);
		else if (row->type != FIELD_ADDRESS)
			field_set_number(row, object, in[key].number);
		else if (str_is_set(text))
			memcpy((char *)object + row->at, text.p, row->bytes);
	}
}

static struct str or_empty(struct str text)
{
	return str_is_set(text) ? text : STR("");
}

static void fill_bound(struct fill *f, uint64_t value, uint64_t most, const char *why)
{
	if (value > most)
		fill_fail(f, ERR_SYNTAX, why);
}

/* The header names the highest of these, so whatever is above contradicts it. */
static void bound_common(struct fill *f, uint64_t id, uint64_t revision, uint64_t stamp)
{
	fill_bound(f, undo_id_number(id), f->last_id, "an id above the highest");
	fill_bound(f, revision, f->revision, "a revision above the highest");
	fill_bound(f, stamp, f->stamp, "a stamp above the clock");
}

/* An audit takes what lies further ahead for damage, and whoever has it would outlive all. */
static void bound_time(struct fill *f, uint64_t health_ms, const char *why)
{
	fill_bound(f, health_ms, f->health_ms + AHEAD_MS, why);
}

/* Returns the saved id if it belongs into this shard and rises, else a new one, which is above all
 * saved ones. */
static uint64_t id_for(struct fill *f, uint64_t saved, uint64_t last)
{
	uint64_t home = (uint64_t)(f->reg->seg->header->node & 0xff) << 8 | f->op.tx.shard->index;

	return saved > last && saved >> 48 == home ? saved : undo_next_id(&f->op.tx);
}

/* An age that reaches back before the clock of this machine began is cut off there. */
static uint64_t mono_of(const struct fill *f, uint64_t age)
{
	return f->mono_ms > age ? f->mono_ms - age : 0;
}

/* ---- services -------------------------------------------------------------------------------- */

static void enqueue(struct fill *f, const union field_value *in)
{
	for (uint32_t c = 0; c < QUEUE_CONSUMERS; c++) {
		uint32_t link =
		        (uint32_t)(offsetof(struct service, queue) + c * sizeof(struct queue_link));

		/* The change keeps its age, so that the push is not put off by a whole delay. */
		queue_mark(&f->op.tx, &f->op.root->queue[c], f->soff, SLAB_SERVICE, link,
		           (uint32_t)in[SAVED_SERVICE_PENDING_0 + 2 * c].number & CHANGES_KNOWN,
		           mono_of(f, in[SAVED_SERVICE_AGE_0 + 2 * c].number));
	}
}

/* Counts at the root are plain stores: after a death in here the segment is thrown away. */
static void service_link(struct fill *f, uint32_t hash)
{
	struct registry_root *root = f->op.root;
	struct chain list = { &root->first_service, &root->last_service, SLAB_SERVICE,
		              offsetof(struct service, next) };

	table_insert(&f->op.tx, &root->services, f->soff, hash);
	chain_append(&f->op, list, f->soff);
	root->last_service_id = f->s->id;
	root->service_count++;
	f->report->services++;
}

static void checksum_store(struct fill *f, const union field_value *in)
{
	struct stored_checksum stored = { .content = in[SAVED_SERVICE_CHECKSUM_CONTENT].number };
	const uint64_t words[2] = { in[SAVED_SERVICE_CHECKSUM_0].number,
		                    in[SAVED_SERVICE_CHECKSUM_1].number };

	if (stored.content == 0)
		return;
	memcpy(stored.md5, words, sizeof(stored.md5));
	f->s->checksum = fill_put(f, str_make((const char *)&stored, sizeof(stored)));
}

static void service_store(struct fill *f, const union field_value *in, uint32_t name)
{
	*f->s = (struct service){
		.due_ms = UINT64_MAX,
		.due_new = UINT64_MAX,
		.name = name,
		.ns_len = (uint16_t)in[SAVED_SERVICE_NS].text.n,
		.name_len = (uint16_t)in[SAVED_SERVICE_NAME].text.n,
	};
	/* The texts of a service begin with its name. */
	f->texts = (uint64_t)blob_bytes(&f->op.tx, name);
	fill_store(f, &service_fields, in, f->s);
	f->s->id = id_for(f, f->s->id, f->op.root->last_service_id);
	f->s->flags &= SERVICE_FLAGS_KEPT;
	checksum_store(f, in);
	f->s->bytes = slab_object_bytes(SLAB_SERVICE) + f->texts;
}

void fill_service(struct fill *f, union field_value *in)
{
	struct service_key key = { or_empty(in[SAVED_SERVICE_NS].text),
		                   in[SAVED_SERVICE_NAME].text };
	uint64_t changed = in[SAVED_SERVICE_CHANGED].number,
	         content = in[SAVED_SERVICE_CONTENT].number;
	char text[2 * NAME_MAX_BYTES + 1];
	struct place place;
	struct service *found;
	uint32_t name;

	bound_common(f, in[SAVED_SERVICE_ID].number, in[SAVED_SERVICE_REVISION].number,
	             in[SAVED_SERVICE_STAMP].number);
	fill_bound(f, in[SAVED_SERVICE_CHECKSUM_CONTENT].number, content,
	           "a checksum above the content");
	fill_bound(f, changed > content ? changed : content, in[SAVED_SERVICE_REVISION].number,
	           "a change above the revision");
	if (!fill_begin(f, &key, &place) || !fill_ready(f))
		return;
	if (service_find(&f->op, &key, place.hash, &found) != 0) {
		fill_fail(f, ERR_SYNTAX, "a service twice");
		return;
	}
	f->soff = slab_alloc(&f->op.tx, SLAB_SERVICE);
	name = blob_new(&f->op.tx, str_make(text, key_join(&key, text)));
	/* The error is in the transaction, and the commit reports it. */
	if (f->op.tx.err != 0 || (found = service_at(&f->op, f->soff)) == NULL) {
		fill_commit(f);
		return;
	}
	f->s = found;
	set_clear(&f->seen);
	/* The first cluster is named by the service, each other one by the one before. */
	f->cluster_link = &f->s->first_cluster;
	service_store(f, in, name);
	service_link(f, place.hash);
	enqueue(f, in);
	fill_commit(f);
}

static void check_store(struct fill *f, const union field_value *in)
{
	char bytes[CHECK_TEXT_MAX];
	const struct check_settings check = {
		(int32_t)in[SAVED_CLUSTER_PORT].number,
		in[SAVED_CLUSTER_OWN_PORT].number == 0,
		in[SAVED_CLUSTER_CHECKER].text,
	};

	/* The defaults have no text, and nothing is stored for them. */
	f->c->check = fill_put(f, cluster_check_text(&check, bytes));
}

void fill_cluster(struct fill *f, union field_value *in)
{
	struct str *name = &in[SAVED_CLUSTER_NAME].text;
	struct cluster *found;

	/* A cluster of this name is stored without a name. */
	if (str_is_set(*name) && str_eq(*name, DEFAULT_CLUSTER))
		*name = (struct str){ NULL, 0 };
	if (!fill_ready(f))
		return;
	ROSTER_ASSERT(f->held && f->s != NULL && f->cluster_link != NULL);
	if (cluster_find(&f->op, f->s, str_is_set(*name) ? *name : DEFAULT_CLUSTER, &found) != 0) {
		fill_fail(f, ERR_SYNTAX, "a cluster twice");
		return;
	}
	f->coff = slab_alloc(&f->op.tx, SLAB_CLUSTER);
	f->c = f->coff == 0 ? NULL : cluster_at(&f->op, f->coff);
	if (!fill_commit(f) || f->c == NULL)
		return;
	*f->c = (struct cluster){ .service = f->soff };
	f->texts = 0;
	fill_store(f, &cluster_fields, in, f->c);
	check_store(f, in);
	/* Clusters come in their order, so the last link need not be looked for. */
	*f->cluster_link = f->coff;
	f->cluster_link = &f->c->next;
	f->s->clusters++;
	f->s->bytes += slab_object_bytes(SLAB_CLUSTER) + f->texts;
}

/* ---- instances ------------------------------------------------------------------------------- */

/* Stores the address as ip_set() of instance.c does; an empty one needs no blob. */
static void ip_store(struct fill *f, struct str ip, struct instance *i)
{
	uint32_t off;

	if (ip.n <= sizeof(i->ip) && (ip.n == 0 || memchr(ip.p, 0, ip.n) == NULL)) {
		if (ip.n > 0)
			memcpy(i->ip, ip.p, ip.n);
		return;
	}
	off = fill_put(f, ip);
	memcpy(i->ip, &off, sizeof(off));
	i->flags |= INSTANCE_IP_BLOB;
}

static void instance_store(struct fill *f, union field_value *in, struct instance *i)
{
	struct stored_overrides timing = {
		in[SAVED_INSTANCE_INTERVAL].number,
		in[SAVED_INSTANCE_TIMEOUT].number,
		in[SAVED_INSTANCE_DELETE].number,
	};
	struct str *app = &in[SAVED_INSTANCE_APP].text;
	/* A flag stands for the usual name. */
	bool usual = str_is_set(*app) && str_eq(*app, DEFAULT_APP);

	if (usual)
		*app = (struct str){ NULL, 0 };
	/* Of the sender only the source is known: owners are not saved. */
	*i = (struct instance){
		.sender = in[SAVED_INSTANCE_SOURCE].number << 32,
		.service = f->soff,
		.cluster = f->coff,
	};
	f->texts = 0;
	fill_store(f, &instance_fields, in, i);
	i->flags = (i->flags & INSTANCE_FLAGS_KEPT) | (usual ? (uint32_t)INSTANCE_APP_DEFAULT : 0);
	/* If any of the three times was saved, the timeout was. */
	if (timing.timeout_ms != UINT64_MAX)
		i->overrides = fill_put(f, str_make((const char *)&timing, sizeof(timing)));
	ip_store(f, in[SAVED_INSTANCE_IP].text, i);
	f->s->bytes += slab_object_bytes(SLAB_INSTANCE) + f->texts;
}

static void fill_count_instance(struct fill *f, const struct instance *i)
{
	struct registry_root *root = f->op.root;
	bool ephemeral = (i->flags & INSTANCE_EPHEMERAL) != 0,
	     healthy = (i->flags & INSTANCE_HEALTHY) != 0;
	uint64_t due_ms = instance_due(&f->op.tx, i);

	f->c->count[ephemeral]++;
	f->s->instances++;
	f->s->ephemeral += ephemeral;
	f->s->healthy += healthy;
	root->instance_count++;
	root->ephemeral_count += ephemeral;
	root->healthy_count += healthy;
	f->report->instances++;
	/* Nothing in the service can expire before the earliest of them. */
	if (due_ms < f->s->due_ms)
		f->s->due_ms = f->s->due_new = due_ms;
}

static void instance_link(struct fill *f, uint32_t off, uint32_t hash, bool ephemeral)
{
	struct chain list = { &f->c->first[ephemeral], &f->c->last[ephemeral], SLAB_INSTANCE,
		              offsetof(struct instance, next) };

	table_insert(&f->op.tx, &f->op.root->instances, off, hash);
	chain_append(&f->op, list, off);
}

static void bound_instance(struct fill *f, const union field_value *in)
{
	uint64_t id = in[SAVED_INSTANCE_ID].number;

	bound_common(f, id, in[SAVED_INSTANCE_REVISION].number, in[SAVED_INSTANCE_STAMP].number);
	/* An instance keeps its id, whichever shard made it. */
	if (!id_is_ours(f->reg->seg, id))
		fill_fail(f, ERR_SYNTAX, "an id that no shard can have made");
	if (f->err == 0)
		fill_bound(f, in[SAVED_INSTANCE_REVISION].number, f->s->revision,
		           "an instance above the revision of its service");
	bound_time(f, beat_ms(in[SAVED_INSTANCE_BEAT].number), "a beat in the future");
}

void fill_instance(struct fill *f, union field_value *in)
{
	bool ephemeral = (in[SAVED_INSTANCE_FLAGS].number & INSTANCE_EPHEMERAL) != 0;
	struct instance_key key = {
		.ip = or_empty(in[SAVED_INSTANCE_IP].text),
		.port = (int32_t)in[SAVED_INSTANCE_PORT].number,
		.ephemeral = ephemeral,
	};
	struct instance *i;
	uint32_t off, hash;

	bound_instance(f, in);
	if (!fill_ready(f))
		return;
	ROSTER_ASSERT(f->held && f->c != NULL);
	key.cluster = cluster_name(&f->op.tx, f->c);
	hash = key_instance_hash(f->reg, f->s->link.hash, &key);
	/* The table is searched only if the hash was there already, which is rare. */
	if (set_add(f, hash) && instance_find(&f->op, f->soff, f->s, &key, &i) != 0) {
		fill_fail(f, ERR_SYNTAX, "an instance twice");
		return;
	}
	off = slab_alloc(&f->op.tx, SLAB_INSTANCE);
	i = off == 0 ? NULL : instance_at(&f->op, off);
	if (i == NULL) {
		fill_commit(f);
		return;
	}
	instance_store(f, in, i);
	if (f->err != 0)
		return;
	instance_link(f, off, hash, ephemeral);
	fill_count_instance(f, i);
	fill_commit(f);
}

/* ---- audiences ------------------------------------------------------------------------------- */

/* Ids rise along the list, so the last one has the highest. */
static uint64_t last_audience_id(struct fill *f)
{
	const struct audience *last = f->op.root->last_audience == 0
	                                      ? NULL
	                                      : audience_at(&f->op, f->op.root->last_audience);

	return last == NULL ? 0 : last->id;
}

static void audience_link(struct fill *f, const struct service_key *key, uint32_t hash)
{
	struct registry_root *root = f->op.root;
	struct chain list = { &root->first_audience, &root->last_audience, SLAB_AUDIENCE,
		              offsetof(struct audience, next) };
	struct service *s;

	table_insert(&f->op.tx, &root->audiences, f->aoff, hash);
	chain_append(&f->op, list, f->aoff);
	/* All services are loaded by now, so it is known who waits for one. */
	root->waiting_count += service_find(&f->op, key, hash, &s) == 0;
}

void fill_audience(struct fill *f, union field_value *in)
{
	struct service_key key = { or_empty(in[SAVED_AUDIENCE_NS].text),
		                   in[SAVED_AUDIENCE_NAME].text };
	char text[2 * NAME_MAX_BYTES + 1];
	struct audience *found;
	struct place place;
	uint32_t name;

	fill_bound(f, undo_id_number(in[SAVED_AUDIENCE_ID].number), f->last_id,
	           "an id above the highest");
	if (!fill_begin(f, &key, &place) || !fill_ready(f))
		return;
	if (audience_find(&f->op, &key, place.hash, &found) != 0) {
		fill_fail(f, ERR_SYNTAX, "subscribers of a name twice");
		return;
	}
	f->aoff = slab_alloc(&f->op.tx, SLAB_AUDIENCE);
	name = blob_new(&f->op.tx, str_make(text, key_join(&key, text)));
	/* The error is in the transaction, and the commit reports it. */
	if (f->op.tx.err != 0 || (found = audience_at(&f->op, f->aoff)) == NULL) {
		fill_commit(f);
		return;
	}
	f->a = found;
	*f->a = (struct audience){ .name = name,
		                   .ns_len = (uint16_t)key.ns.n,
		                   .name_len = (uint16_t)key.name.n };
	fill_store(f, &audience_fields, in, f->a);
	f->a->id = id_for(f, f->a->id, last_audience_id(f));
	audience_link(f, &key, place.hash);
	f->op.root->subscriber_bytes += audience_bytes(&f->op.tx, f->a);
	fill_commit(f);
}

static uint64_t last_subscriber_id(struct fill *f)
{
	const struct subscriber *last = f->a->last == 0 ? NULL : subscriber_at(&f->op, f->a->last);

	return last == NULL ? 0 : last->id;
}

static void subscriber_store(struct fill *f, const union field_value *in, struct subscriber *sub)
{
	/* One more than the age; 0: nothing was ever sent. */
	uint64_t age = in[SAVED_SUBSCRIBER_SENT_AGE].number;

	*sub = (struct subscriber){ .sent_at_ms = age == 0 ? 0 : mono_of(f, age - 1),
		                    .audience = f->aoff };
	fill_store(f, &subscriber_fields, in, sub);
	sub->id = id_for(f, sub->id, last_subscriber_id(f));
}

static void subscriber_link(struct fill *f, uint32_t off, uint32_t hash)
{
	struct chain list = { &f->a->first, &f->a->last, SLAB_SUBSCRIBER,
		              offsetof(struct subscriber, next) };

	table_insert(&f->op.tx, &f->op.root->subscribers, off, hash);
	chain_append(&f->op, list, off);
	f->a->count++;
	f->op.root->subscriber_count++;
	f->report->subscribers++;
}

void fill_subscriber(struct fill *f, union field_value *in)
{
	/* Only what the key is made of is needed to look for it. */
	struct subscriber_spec spec = {
		.agent = in[SAVED_SUBSCRIBER_AGENT].text,
		.clusters = in[SAVED_SUBSCRIBER_CLUSTERS].text,
		.port = (uint16_t)in[SAVED_SUBSCRIBER_PORT].number,
	};
	uint64_t sent = in[SAVED_SUBSCRIBER_SENT].number, acked = in[SAVED_SUBSCRIBER_ACKED].number;
	struct subscriber *sub;
	uint32_t off;

	fill_bound(f, undo_id_number(in[SAVED_SUBSCRIBER_ID].number), f->last_id,
	           "an id above the highest");
	fill_bound(f, sent > acked ? sent : acked, f->revision, "a revision above the highest");
	bound_time(f, in[SAVED_SUBSCRIBER_SEEN].number, "a subscriber seen in the future");
	if (!fill_ready(f))
		return;
	ROSTER_ASSERT(f->held && f->a != NULL);
	if (str_is_set(in[SAVED_SUBSCRIBER_ADDRESS].text))
		memcpy(spec.address, in[SAVED_SUBSCRIBER_ADDRESS].text.p, sizeof(spec.address));
	if (subscriber_find(&f->op, f->aoff, f->a, &spec, &sub) != 0) {
		fill_fail(f, ERR_SYNTAX, "a subscriber twice");
		return;
	}
	off = slab_alloc(&f->op.tx, SLAB_SUBSCRIBER);
	sub = off == 0 ? NULL : subscriber_at(&f->op, off);
	if (sub == NULL) {
		fill_commit(f);
		return;
	}
	subscriber_store(f, in, sub);
	if (f->err != 0)
		return;
	f->op.root->subscriber_bytes += subscriber_bytes(&f->op.tx, sub);
	source_count(&f->op, sub->source, 1,
	             subscriber_bytes(&f->op.tx, sub) + audience_bytes(&f->op.tx, f->a));
	subscriber_link(f, off, key_subscriber_hash(f->reg, f->a->id, &spec));
	fill_commit(f);
}
