/* SPDX-License-Identifier: Apache-2.0 */
/* beat.c - a beat: two look-ups and one stored time; a transaction only when it changes the
 * health. */
#include "shared/registry/registry_internal.h"

#include "shared/shm/health.h"

struct beat {
	const struct service_key *service;
	struct instance_key key; /* of the ephemeral instance */
	struct place place;
	uint32_t instance_hash;
};

/* Asks the memory for the heads of both look-ups at once: the beats of a fleet come in no order, so
 * hardly anything is in the cache. */
static void ask_heads(const struct registry *reg, const struct beat *b)
{
	struct tx tx = { .seg = reg->seg, .shard = &reg->seg->shards[b->place.shard] };
	const struct registry_root *root = (const struct registry_root *)tx.shard->root;

	table_ask_head(&tx, &root->services, b->place.hash);
	table_ask_head(&tx, &root->instances, b->instance_hash);
}

static void ask_objects(struct op *op, const struct beat *b)
{
	table_ask_first(&op->tx, &op->root->services, b->place.hash);
	table_ask_first(&op->tx, &op->root->instances, b->instance_hash);
}

/* This is the hot path: one lock, two look-ups, one stored word. */
static int beat(struct op *op, const struct beat *b, struct beat_result *result_r)
{
	struct instance_key kind = b->key;
	struct service *s;
	struct instance *i;
	struct stored_overrides timing;
	uint32_t soff;

	ROSTER_ASSERT(b->key.ephemeral);
	ask_objects(op, b);
	if ((soff = service_find(op, b->service, b->place.hash, &s)) == 0)
		return ERR_NOT_FOUND;
	slab_ask(op->reg->seg, s->first_cluster, 0, sizeof(struct cluster));
	if (instance_find_exact(op, soff, s, &kind, &i) == 0) {
		kind.ephemeral = false;
		if (op->tx.err != 0 || instance_find_exact(op, soff, s, &kind, &i) == 0)
			return ERR_NOT_FOUND;
	}
	if (instance_is_foreign(op, i))
		return ERR_OWNER;
	if (i->overrides != 0) {
		timing = instance_timing(&op->tx, i);
		result_r->has_interval = timing.interval_ms != UINT64_MAX;
		result_r->interval_ms = result_r->has_interval ? timing.interval_ms : 0;
	}
	/* A persistent instance is checked, not heard: its beat is answered and changes nothing. */
	if (!kind.ephemeral)
		return 0;
	instance_heard(op, i);
	if ((i->flags & (INSTANCE_HEALTHY | INSTANCE_MARKED)) == 0) {
		registry_flip(op, soff, s, i, true);
		result_r->revived = true;
	}
	return 0;
}

int registry_beat(struct registry *reg, struct origin origin, const struct service_key *service,
                  const struct instance_key *key, struct beat_result *result_r)
{
	struct beat b = { .service = service, .key = *key, .place = key_place(reg, service) };
	uint64_t now_ms = health_now(reg->seg);
	struct op op;
	int ret;

	b.key.ephemeral = true;
	b.instance_hash = key_instance_hash(reg, b.place.hash, &b.key);
	/* This happens before the lock is taken, so that waiting for memory is no part of the
	 * hold. */
	ask_heads(reg, &b);
	*result_r = (struct beat_result){ .has_interval = false };
	if ((ret = op_begin(&op, reg, b.place.shard, origin)) < 0)
		return ret;
	op.now_ms = now_ms;
	ret = beat(&op, &b, result_r);
	if (ret == 0 && op.tx.err == 0 && !result_r->revived) {
		ROSTER_ASSERT(op.tx.entries == 0); /* there is nothing to commit */
		op_end(&op);
		return 0;
	}
	return op_finish(&op, ret);
}
