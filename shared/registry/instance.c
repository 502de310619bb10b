/* SPDX-License-Identifier: Apache-2.0 */
/* instance.c - one instance inside a transaction: found by its key, made, replaced, removed,
 * flipped. */
#include "shared/registry/lookup.h"

#include "shared/registry/fields.h"
#include "shared/shm/blob.h"
#include "shared/shm/fault.h"
#include "shared/shm/health.h"
#include "shared/shm/shard.h"

#define WEIGHT_MIN 0.01
#define SOURCE_SHIFT 24

struct instance *instance_at(struct op *op, uint32_t off)
{
	struct instance *i = slab_at(&op->tx, off, SLAB_INSTANCE);

	if (i == NULL)
		undo_fail(&op->tx, ERR_CORRUPT);
	return i;
}

/* ---- fields ---------------------------------------------------------------------------------- */

double instance_weight_clamp(double weight)
{
	if (weight > INSTANCE_WEIGHT_MAX)
		return INSTANCE_WEIGHT_MAX;
	if (weight > 0 && weight < WEIGHT_MIN)
		return WEIGHT_MIN;
	return weight;
}

static uint64_t weight_bits(double weight)
{
	uint64_t bits;

	weight = instance_weight_clamp(weight);
	memcpy(&bits, &weight, sizeof(bits));
	return bits;
}

/* The reference stands in the first bytes of the place of the address. */
static uint32_t ip_blob(const struct instance *i)
{
	uint32_t off;

	if ((i->flags & INSTANCE_IP_BLOB) == 0)
		return 0;
	memcpy(&off, i->ip, sizeof(off));
	return off;
}

struct str instance_ip(const struct tx *tx, const struct instance *i)
{
	if (i->flags & INSTANCE_IP_BLOB)
		return blob_view(tx, ip_blob(i));
	return str_make(i->ip, strnlen(i->ip, sizeof(i->ip)));
}

static bool ip_fits(struct str ip)
{
	return ip.n <= sizeof(((struct instance *)0)->ip) && memchr(ip.p, 0, ip.n) == NULL;
}

static void ip_set(struct op *op, struct instance *i, struct str ip)
{
	uint32_t off;

	/* What does not fit into the object, such as a long IPv6 address, becomes a blob. */
	if (ip.n > 0 && ip_fits(ip)) {
		memcpy(i->ip, ip.p, ip.n);
	} else if (ip.n > 0) {
		off = blob_new(&op->tx, ip);
		memcpy(i->ip, &off, sizeof(off));
		i->flags |= INSTANCE_IP_BLOB;
	}
}

struct stored_overrides instance_timing(const struct tx *tx, const struct instance *i)
{
	struct stored_overrides timing = { UINT64_MAX, BEAT_TIMEOUT_MS, BEAT_DELETE_MS };
	struct str stored =
	        i->overrides == 0 ? (struct str){ NULL, 0 } : blob_view(tx, i->overrides);

	/* A text of another length is damaged; then the usual times hold. */
	if (stored.n == sizeof(timing))
		memcpy(&timing, stored.p, sizeof(timing));
	return timing;
}

static uint64_t add_capped(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

uint64_t instance_due(const struct tx *tx, const struct instance *i)
{
	struct stored_overrides timing;
	uint64_t wait;

	if ((i->flags & INSTANCE_EPHEMERAL) == 0 || (i->flags & INSTANCE_MARKED) != 0)
		return UINT64_MAX;
	timing = instance_timing(tx, i);
	/* A healthy one changes when its timeout is over, a sick one when it is removed. */
	wait = timing.delete_ms;
	if ((i->flags & INSTANCE_HEALTHY) != 0 && timing.timeout_ms < wait)
		wait = timing.timeout_ms;
	return add_capped(add_capped(beat_ms(i->beat), wait), 1);
}

int64_t instance_bytes(const struct tx *tx, const struct instance *i)
{
	return (int64_t)slab_object_bytes(SLAB_INSTANCE) + fields_bytes(tx, &instance_fields, i) +
	       blob_bytes(tx, ip_blob(i));
}

void instance_stamp(struct op *op, struct instance *i, uint64_t revision)
{
	undo_set64(&op->tx, &i->stamp, stamp_next(op->reg->seg));
	undo_set64(&op->tx, &i->revision, revision);
}

/* The beat is not logged: it is one aligned word, and a beat that belongs to an operation rolled
 * back was heard all the same. */
void instance_touch(struct op *op, struct instance *i)
{
	beat_touch(&i->beat, op->now_ms, op->origin.node, 0);
}

/* The sender is not logged either: only beats store a sender alone, and a client was heard from
 * even when its beat is rolled back. */
void instance_heard(struct op *op, struct instance *i)
{
	beat_touch(&i->beat, op->now_ms, op->origin.node, BEAT_HEARD);
	if (i->sender != op->origin.sender && (i->flags & INSTANCE_OWNED) == 0)
		__atomic_store_n(&i->sender, op->origin.sender, __ATOMIC_RELAXED);
}

void instance_set_app(struct op *op, struct service *s, struct instance *i, struct str app)
{
	/* The usual name takes no text, only a flag. */
	bool usual = str_is_set(app) && str_eq(app, DEFAULT_APP);
	uint32_t flags = (i->flags & ~(uint32_t)INSTANCE_APP_DEFAULT) |
	                 (usual ? (uint32_t)INSTANCE_APP_DEFAULT : 0);

	service_account(op, s, field_set(op, &i->app, usual ? (struct str){ NULL, 0 } : app));
	undo_set32(&op->tx, &i->flags, flags);
}

bool instance_is_foreign(const struct op *op, const struct instance *i)
{
	return op->origin.bound && (i->flags & INSTANCE_OWNED) != 0 &&
	       i->sender != op->origin.sender;
}

void instance_set_metadata(struct op *op, struct service *s, struct instance *i,
                           const struct instance_metadata *m)
{
	const struct overrides *o = &m->overrides;
	struct stored_overrides stored = { o->has_interval ? o->interval_ms : UINT64_MAX,
		                           o->timeout_ms, o->delete_ms };
	struct str text =
	        o->has ? str_make((const char *)&stored, sizeof(stored)) : (struct str){ NULL, 0 };
	/* An empty map is stored as none. */
	struct str packed = m->packed.n > 0 ? m->packed : (struct str){ NULL, 0 };
	uint32_t flags = (i->flags & ~(uint32_t)INSTANCE_METADATA_NULL) |
	                 (m->null ? INSTANCE_METADATA_NULL : 0);

	service_account(op, s,
	                field_set(op, &i->metadata, packed) + field_set(op, &i->overrides, text));
	undo_set32(&op->tx, &i->flags, flags);
	service_lower_due(op, s, instance_due(&op->tx, i));
}

/* ---- finding --------------------------------------------------------------------------------- */

static bool instance_is(struct op *op, uint32_t soff, const struct instance *i,
                        const struct instance_key *key)
{
	const struct cluster *c;

	if (i->service != soff || key_datum_port(i->port) != key_datum_port(key->port) ||
	    ((i->flags & INSTANCE_EPHEMERAL) != 0) != key->ephemeral ||
	    !str_eq(instance_ip(&op->tx, i), key->ip))
		return false;
	c = cluster_at(op, i->cluster);
	return c != NULL && str_eq(cluster_name(&op->tx, c), key->cluster);
}

uint32_t instance_find(struct op *op, uint32_t soff, const struct service *s,
                       const struct instance_key *key, struct instance **i_r)
{
	const struct table *table = &op->root->instances;
	uint32_t hash = key_instance_hash(op->reg, s->link.hash, key);

	for (uint32_t off = table_find(&op->tx, table, hash); off != 0;
	     off = table_next(&op->tx, table, off)) {
		struct instance *i = instance_at(op, off);

		if (i == NULL)
			break;
		if (instance_is(op, soff, i, key)) {
			*i_r = i;
			return off;
		}
	}
	*i_r = NULL;
	return 0;
}

uint32_t instance_find_exact(struct op *op, uint32_t soff, const struct service *s,
                             const struct instance_key *key, struct instance **i_r)
{
	uint32_t off = instance_find(op, soff, s, key, i_r);

	if (off == 0 || (*i_r)->port == key->port)
		return off;
	*i_r = NULL;
	return 0;
}

/* ---- counts ---------------------------------------------------------------------------------- */

static void count_instance(struct op *op, struct service *s, struct cluster *c,
                           const struct instance *i, int delta)
{
	bool ephemeral = (i->flags & INSTANCE_EPHEMERAL) != 0;
	bool healthy = (i->flags & INSTANCE_HEALTHY) != 0;
	uint32_t counts[3] = {
		s->instances + (uint32_t)delta,
		s->ephemeral + (ephemeral ? (uint32_t)delta : 0),
		s->healthy + (healthy ? (uint32_t)delta : 0),
	};

	ROSTER_ASSERT(delta == 1 || delta == -1);
	undo_set32(&op->tx, &c->count[ephemeral], c->count[ephemeral] + (uint32_t)delta);
	/* The three stand side by side, so two words of the log are enough. */
	undo_set_bytes(&op->tx, &s->instances, counts, sizeof(counts));
	/* A removed service has left the sums of the root with all its instances at once. */
	if (s->flags & SERVICE_REMOVED)
		return;
	root_add(op, &op->root->instance_count, delta);
	root_add(op, &op->root->ephemeral_count, ephemeral ? delta : 0);
	root_add(op, &op->root->healthy_count, healthy ? delta : 0);
}

/* Counts an instance with an owner that came (1) or goes (-1), or one that got an owner (1). */
static void count_owner(struct op *op, struct service *s, uint64_t sender, int delta)
{
	ROSTER_ASSERT(delta == 1 || delta == -1);
	undo_set64(&op->tx, &s->owners, s->owners + (uint64_t)delta * sender);
	undo_set32(&op->tx, &s->owned, s->owned + (uint32_t)delta);
}

static struct chain cluster_list(struct cluster *c, bool ephemeral)
{
	return (struct chain){ &c->first[ephemeral], &c->last[ephemeral], SLAB_INSTANCE,
		               offsetof(struct instance, next) };
}

/* ---- life ------------------------------------------------------------------------------------ */

static int instance_limit(struct op *op, const struct service *s)
{
	const struct registry_limits *limits = &op->reg->limits;
	uint64_t sum = 0;

	if (limits->instances_per_service != 0 && s->instances >= limits->instances_per_service)
		return key_refuse(op->reg, REGISTRY_LIMIT_INSTANCES_PER_SERVICE,
		                  limits->instances_per_service);
	/* The other shards are summed up without their locks, so registrations at the same moment
	 * may go a little beyond the limit. */
	if (limits->instances == 0)
		return 0;
	for (uint32_t shard = 0; shard < SHARDS; shard++) {
		const struct registry_root *root =
		        (const struct registry_root *)op->reg->seg->shards[shard].root;

		sum += __atomic_load_n(&root->instance_count, __ATOMIC_RELAXED);
	}
	return sum >= limits->instances
	               ? key_refuse(op->reg, REGISTRY_LIMIT_INSTANCES, limits->instances)
	               : 0;
}

static uint32_t flags_of(struct op *op, const struct instance_spec *spec)
{
	return (spec->key.ephemeral ? (uint32_t)INSTANCE_EPHEMERAL : 0) |
	       (spec->enabled ? (uint32_t)INSTANCE_ENABLED : 0) |
	       (spec->healthy ? (uint32_t)INSTANCE_HEALTHY : 0) |
	       (op->origin.owns ? (uint32_t)INSTANCE_OWNED : 0) |
	       (uint32_t)op->origin.writer << SOURCE_SHIFT;
}

/* Fills a new object, which nobody can reach yet: plain stores will do. */
static void instance_fill(struct op *op, uint32_t soff, struct service *s, uint32_t coff,
                          struct instance *i, const struct instance_spec *spec, uint32_t ident)
{
	ROSTER_ASSERT(!op->origin.owns || op->origin.sender != 0); /* an owner is somebody */
	ROSTER_ASSERT(soff != 0 && coff != 0);
	*i = (struct instance){
		.beat = beat_word(op->now_ms, op->origin.node),
		.id = undo_next_id(&op->tx),
		.weight = weight_bits(spec->weight),
		.port = spec->key.port,
		.flags = flags_of(op, spec),
		.service = soff,
		.cluster = coff,
		.sender = op->origin.sender,
		.ident = ident,
	};
	ip_set(op, i, spec->key.ip);
	service_account(op, s,
	                (int64_t)slab_object_bytes(SLAB_INSTANCE) +
	                        blob_bytes(&op->tx, ip_blob(i)));
	instance_set_app(op, s, i, spec->app);
	instance_set_metadata(op, s, i, &spec->metadata);
}

int instance_create(struct op *op, uint32_t soff, struct service *s,
                    const struct instance_spec *spec, struct idents *idents)
{
	struct cluster *c;
	struct instance *i;
	uint32_t off, coff, ident = 0;
	int ret = instance_limit(op, s);

	if (ret == 0 && spec->metadata.snowflake)
		ret = ident_next(op, s, spec->key.ephemeral, idents, &ident);
	if (ret < 0)
		return ret;
	coff = cluster_find(op, s, spec->key.cluster, &c);
	if (coff == 0 && op->tx.err == 0)
		coff = cluster_create(op, soff, s, spec->key.cluster, &c);
	off = coff == 0 ? 0 : slab_alloc(&op->tx, SLAB_INSTANCE);
	/* The error is in the transaction, which is rolled back with all that was made so far. */
	if (off == 0 || (i = instance_at(op, off)) == NULL)
		return op->tx.err;
	instance_fill(op, soff, s, coff, i, spec, ident);
	if (op->tx.err != 0)
		return op->tx.err;
	/* From now on there is something to check: the keeper shall look at the service within a
	 * tick. */
	if (!spec->key.ephemeral && s->instances == s->ephemeral) {
		__atomic_fetch_add(&op->tx.shard->due_lowered, 1, __ATOMIC_RELEASE);
		FAULT("due-lowered-first");
	}
	table_insert(&op->tx, &op->root->instances, off,
	             key_instance_hash(op->reg, s->link.hash, &spec->key));
	chain_append(op, cluster_list(c, spec->key.ephemeral), off);
	count_instance(op, s, c, i, 1);
	if (i->flags & INSTANCE_OWNED)
		count_owner(op, s, i->sender, 1);
	instance_stamp(op, i, service_mark(op, soff, s, CHANGE_CONTENT));
	op_note(op, EVENT_REGISTERED, s, i);
	return op->tx.err;
}

/* Does the origin become the owner of an instance that nobody owns? */
static bool takes_over(const struct op *op, const struct instance *i)
{
	uint64_t heard = __atomic_load_n(&i->sender, __ATOMIC_RELAXED);

	return op->origin.owns && (i->flags & INSTANCE_OWNED) == 0 &&
	       (op->origin.bound || sender_source(heard) == sender_source(op->origin.sender));
}

bool instance_replace(struct op *op, struct service *s, struct instance *i,
                      const struct instance_spec *spec)
{
	struct instance before = *i;
	/* A registration of a known instance keeps its kind, and what others have found out about
	 * it: its health, its mark, its owner. */
	uint32_t keep = INSTANCE_EPHEMERAL | INSTANCE_HEALTHY | INSTANCE_MARKED | INSTANCE_IP_BLOB |
	                INSTANCE_CONFIRMED | INSTANCE_METADATA_NULL | INSTANCE_OWNED;
	uint32_t set = flags_of(op, spec) &
	               ~(uint32_t)(INSTANCE_EPHEMERAL | INSTANCE_HEALTHY | INSTANCE_OWNED);
	uint32_t owned = takes_over(op, i) ? INSTANCE_OWNED : 0;

	undo_set64(&op->tx, &i->weight, weight_bits(spec->weight));
	undo_set32(&op->tx, (uint32_t *)&i->port, (uint32_t)spec->key.port);
	undo_set32(&op->tx, &i->flags, (i->flags & keep) | set | owned);
	instance_set_app(op, s, i, spec->app);
	if (owned != 0) {
		undo_set64(&op->tx, &i->sender, op->origin.sender);
		count_owner(op, s, op->origin.sender, 1);
	}
	instance_touch(op, i);
	instance_set_metadata(op, s, i, &spec->metadata);
	/* Clients do not see who the owner is. */
	return before.weight != i->weight || before.port != i->port ||
	       ((before.flags ^ i->flags) & ~(uint32_t)INSTANCE_OWNED) != 0 ||
	       before.app != i->app || before.metadata != i->metadata;
}

void registry_remove(struct op *op, uint32_t soff, struct service *s, uint32_t ioff,
                     struct instance *i)
{
	struct cluster *c = cluster_at(op, i->cluster);

	ROSTER_ASSERT(soff != 0 && ioff != 0);
	if (c == NULL || c->service != soff || i->service != soff) {
		undo_fail(&op->tx, ERR_CORRUPT);
		return;
	}
	/* The note copies stamp and id, so it comes before the object goes. */
	undo_set64(&op->tx, &i->stamp, stamp_next(op->reg->seg));
	op_note(op, op->origin.cause == CAUSE_CLIENT ? EVENT_DEREGISTERED : EVENT_REMOVED, s, i);
	table_remove(&op->tx, &op->root->instances, ioff);
	chain_remove(op, cluster_list(c, (i->flags & INSTANCE_EPHEMERAL) != 0), ioff);
	count_instance(op, s, c, i, -1);
	if (i->flags & INSTANCE_OWNED)
		count_owner(op, s, i->sender, -1);
	/* The bytes are counted while the texts are still there. */
	service_account(op, s, -instance_bytes(&op->tx, i));
	fields_free(&op->tx, &instance_fields, i);
	blob_free(&op->tx, ip_blob(i));
	slab_free(&op->tx, ioff);
	if ((s->flags & SERVICE_REMOVED) == 0)
		service_mark(op, soff, s, CHANGE_REMOVED);
}

void registry_flip(struct op *op, uint32_t soff, struct service *s, struct instance *i,
                   bool healthy)
{
	int delta = healthy ? 1 : -1;

	if (((i->flags & INSTANCE_HEALTHY) != 0) == healthy)
		return;
	undo_set32(&op->tx, &i->flags, i->flags ^ INSTANCE_HEALTHY);
	undo_set32(&op->tx, &s->healthy, s->healthy + (uint32_t)delta);
	root_add(op, &op->root->healthy_count, delta);
	instance_stamp(op, i, service_mark(op, soff, s, CHANGE_HEALTH));
	service_lower_due(op, s, instance_due(&op->tx, i));
	op_note(op, healthy ? EVENT_HEALTHY : EVENT_BEAT_LOST, s, i);
}
