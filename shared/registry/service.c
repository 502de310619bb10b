/* SPDX-License-Identifier: Apache-2.0 */
/* service.c - one service inside a transaction: found, made, marked as changed, accounted,
 * unlinked, freed. */
#include "shared/registry/registry_internal.h"

#include "shared/base/clock.h"
#include "shared/registry/fields.h"
#include "shared/shm/blob.h"
#include "shared/shm/fault.h"
#include "shared/shm/health.h"
#include "shared/shm/shard.h"

/* When something expires sooner than this, the keeper must look again before its next regular
 * round. */
#define DUE_SOON_MS 10000U

struct service *service_at(struct op *op, uint32_t off)
{
	struct service *s = slab_at(&op->tx, off, SLAB_SERVICE);

	if (s == NULL)
		undo_fail(&op->tx, ERR_CORRUPT);
	return s;
}

uint32_t service_find(struct op *op, const struct service_key *key, uint32_t hash,
                      struct service **s_r)
{
	const struct table *table = &op->root->services;

	for (uint32_t off = table_find(&op->tx, table, hash); off != 0;
	     off = table_next(&op->tx, table, off)) {
		struct service *s = service_at(op, off);

		if (s == NULL)
			break;
		/* The name is asked for before its lengths have been compared: mostly they
		 * match. */
		slab_ask(op->reg->seg, s->name, 0, 64);
		if (key_is(&op->tx, s->name, s->ns_len, s->name_len, key)) {
			*s_r = s;
			return off;
		}
	}
	*s_r = NULL;
	return 0;
}

/* A hint may be old: another service may have the place, or this one may be drained. */
struct service *service_hinted(struct op *op, struct keeper_entry entry)
{
	struct service *s = slab_try(&op->tx, entry.off, SLAB_SERVICE);

	return s != NULL && s->id == entry.id && (s->flags & SERVICE_REMOVED) == 0 ? s : NULL;
}

static struct chain shard_list(struct op *op)
{
	return (struct chain){ &op->root->first_service, &op->root->last_service, SLAB_SERVICE,
		               offsetof(struct service, next) };
}

static struct chain drain_list(struct op *op)
{
	return (struct chain){ &op->root->first_drain, &op->root->last_drain, SLAB_SERVICE,
		               offsetof(struct service, next) };
}

static bool service_is_listed(const void *object, uint32_t owner)
{
	const struct service *s = object;

	(void)owner;
	return (s->flags & SERVICE_REMOVED) == 0;
}

bool service_seek(struct op *op, struct registry_cursor *cursor, uint32_t *off_r)
{
	const struct seek_list list = { shard_list(op), offsetof(struct service, id),
		                        service_is_listed, 0 };

	return seek_after(op, &list, cursor, off_r);
}

/* ---- numbers --------------------------------------------------------------------------------- */

uint64_t service_mark(struct op *op, uint32_t off, struct service *s, uint32_t change)
{
	uint64_t revision = undo_next_revision(&op->tx);

	ROSTER_ASSERT(change != 0 && change >> CHANGE_BITS == 0);
	undo_set64(&op->tx, &s->stamp, stamp_next(op->reg->seg));
	undo_set64(&op->tx, &s->revision, revision);
	if (change != CHANGE_HEALTH) /* a flip leaves the checksum as it was (specification 7.4) */
		undo_set64(&op->tx, &s->content, revision);
	/* Settings change what readers see, but are not pushed. */
	if ((change & ~(uint32_t)CHANGE_SETTINGS) == 0)
		return revision;
	undo_set64(&op->tx, &s->changed, revision);
	for (uint32_t c = 0; c < CONSUMERS_IN_USE; c++) {
		uint32_t link =
		        (uint32_t)(offsetof(struct service, queue) + c * sizeof(struct queue_link));

		queue_mark(&op->tx, &op->root->queue[c], off, SLAB_SERVICE, link, change,
		           clock_mono_ms());
		op->announce |= 1U << c;
	}
	return revision;
}

/* Adds to the bytes of the shard. What a client stores has to fit under the limit; the checksum
 * that a reader leaves (it has no cause) may take what is there. */
static void bytes_add(struct op *op, int64_t delta)
{
	uint64_t limit = op->reg->limits.service_bytes, sum = 0;

	root_add(op, &op->root->bytes, delta);
	if (limit == 0 || delta <= 0 || op->origin.cause == CAUSE_NONE)
		return;
	for (uint32_t shard = 0; shard < SHARDS; shard++) {
		const struct registry_root *root =
		        (const struct registry_root *)op->reg->seg->shards[shard].root;

		sum += __atomic_load_n(&root->bytes, __ATOMIC_RELAXED);
	}
	if (sum > limit)
		undo_fail(&op->tx, key_refuse(op->reg, REGISTRY_LIMIT_SERVICE_BYTES, limit));
}

void service_account(struct op *op, struct service *s, int64_t delta)
{
	root_add(op, &s->bytes, delta);
	bytes_add(op, delta);
}

void service_lower_due(struct op *op, struct service *s, uint64_t due_ms)
{
	ROSTER_ASSERT(op->now_ms != 0); /* or no bound would ever be soon */
	/* The bound is noted twice: a visit in progress will replace due_ms by what it has seen,
	 * and by due_new. */
	if (due_ms < s->due_new)
		undo_set64(&op->tx, &s->due_new, due_ms);
	if (due_ms >= s->due_ms)
		return;
	undo_set64(&op->tx, &s->due_ms, due_ms);
	if (due_ms < op->now_ms + DUE_SOON_MS) {
		__atomic_fetch_add(&op->tx.shard->due_lowered, 1, __ATOMIC_RELEASE);
		FAULT("due-lowered");
	}
}

bool service_is_foreign(const struct op *op, const struct service *s)
{
	return op->origin.bound && s->owners != s->owned * op->origin.sender;
}

/* ---- life ------------------------------------------------------------------------------------ */

static int service_limit(struct op *op)
{
	uint64_t limit = op->reg->limits.services, sum = 0;

	if (limit == 0)
		return 0;
	for (uint32_t shard = 0; shard < SHARDS; shard++) {
		const struct registry_root *root =
		        (const struct registry_root *)op->reg->seg->shards[shard].root;

		/* The other shards are summed up without their locks, so services made at the same
		 * moment may go a little beyond the limit. */
		sum += __atomic_load_n(&root->service_count, __ATOMIC_RELAXED);
	}
	return sum >= limit ? key_refuse(op->reg, REGISTRY_LIMIT_SERVICES, limit) : 0;
}

static void service_fill(struct op *op, struct service *s, const struct service_key *key,
                         uint32_t name)
{
	*s = (struct service){
		.id = undo_next_id(&op->tx),
		.due_ms = UINT64_MAX,
		.due_new = UINT64_MAX,
		.bytes = slab_object_bytes(SLAB_SERVICE) + (uint64_t)blob_bytes(&op->tx, name),
		.name = name,
		.ns_len = (uint16_t)key->ns.n,
		.name_len = (uint16_t)key->name.n,
	};
	s->stamp = stamp_next(op->reg->seg);
	s->revision = s->content = undo_next_revision(&op->tx);
}

uint32_t service_create(struct op *op, const struct service_key *key, struct place place,
                        struct service **s_r)
{
	char text[2 * NAME_MAX_BYTES + 1];
	struct registry_root *root = op->root;
	uint32_t off, name;
	int ret = service_limit(op);

	ROSTER_ASSERT(op->tx.shard == &op->reg->seg->shards[place.shard]);
	*s_r = NULL;
	if (ret < 0) {
		undo_fail(&op->tx, ret);
		return 0;
	}
	off = slab_alloc(&op->tx, SLAB_SERVICE);
	name = blob_new(&op->tx, str_make(text, key_join(key, text)));
	if (op->tx.err != 0 || (*s_r = service_at(op, off)) == NULL)
		return 0;
	service_fill(op, *s_r, key, name);
	table_insert(&op->tx, &root->services, off, place.hash);
	chain_append(op, shard_list(op), off);
	/* The keeper reads it without the lock, to hear of new services. */
	undo_set64(&op->tx, &root->last_service_id, (*s_r)->id);
	root_add(op, &root->service_count, 1);
	bytes_add(op, (int64_t)(*s_r)->bytes);
	/* Whoever waited for this name waits no more. */
	if (audience_exists(op, key, place.hash))
		root_add(op, &root->waiting_count, -1);
	op_note(op, EVENT_SERVICE_CREATED, *s_r, NULL);
	return op->tx.err != 0 ? 0 : off;
}

static void queues_leave(struct op *op, uint32_t off, struct service *s)
{
	for (uint32_t c = 0; c < QUEUE_CONSUMERS; c++) {
		uint32_t link =
		        (uint32_t)(offsetof(struct service, queue) + c * sizeof(struct queue_link));
		uint64_t changed_at;

		if (queue_link_pending(&s->queue[c]) != 0)
			queue_take(&op->tx, &op->root->queue[c], off, SLAB_SERVICE, link,
			           &changed_at);
	}
}

void service_remove(struct op *op, uint32_t off, struct service *s)
{
	struct registry_root *root = op->root;
	struct service_key key;

	ROSTER_ASSERT(off != 0);
	if (!key_of(&op->tx, s->name, s->ns_len, s->name_len, &key)) {
		undo_fail(&op->tx, ERR_CORRUPT);
		return;
	}
	if (audience_exists(op, &key, s->link.hash))
		root_add(op, &root->waiting_count, 1);
	undo_set64(&op->tx, &s->stamp, stamp_next(op->reg->seg));
	op_note(op, EVENT_SERVICE_REMOVED, s, NULL);
	table_remove(&op->tx, &root->services, off);
	chain_remove(op, shard_list(op), off);
	queues_leave(op, off, s);
	undo_set32(&op->tx, &s->flags, s->flags | SERVICE_REMOVED);
	chain_append(op, drain_list(op), off);
	root_add(op, &root->service_count, -1);
	/* The sums lose its instances at once; they are freed one by one later. */
	root_add(op, &root->instance_count, -(int64_t)s->instances);
	root_add(op, &root->ephemeral_count, -(int64_t)s->ephemeral);
	root_add(op, &root->healthy_count, -(int64_t)s->healthy);
	root_add(op, &root->drain_count, 1);
}

void service_free(struct op *op, uint32_t off, struct service *s)
{
	chain_remove(op, drain_list(op), off);
	root_add(op, &op->root->bytes, -(int64_t)s->bytes);
	root_add(op, &op->root->drain_count, -1);
	fields_free(&op->tx, &service_fields, s);
	slab_free(&op->tx, off);
}
