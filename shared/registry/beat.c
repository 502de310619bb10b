#include "shared/registry/registry_internal.h"

#include "shared/shm/health.h"

/* The hot path: one lock, two look-ups, one word. */
static int beat(struct op *op, const struct service_key *service, uint32_t hash, const struct instance_key *key,
                struct beat_result *result_r)
{
	struct instance_key kind = *key;
	struct service *s;
	struct instance *i;
	struct stored_overrides timing;
	uint32_t soff = service_find(op, service, hash, &s);

	if (soff == 0)
		return ERR_NOT_FOUND;
	kind.ephemeral = true;
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
	if (!kind.ephemeral)
		return 0;
	instance_touch(op, i);
	if ((i->flags & (INSTANCE_HEALTHY | INSTANCE_MARKED)) == 0) {
		registry_flip(op, soff, s, i, true);
		result_r->revived = true;
	}
	return 0;
}

int registry_beat(struct registry *reg, struct origin origin, const struct service_key *service, const struct instance_key *key,
                  struct beat_result *result_r)
{
	struct place place = key_place(reg, service);
	uint64_t now_ms = health_now(reg->seg);
	struct op op;
	int ret;

	*result_r = (struct beat_result){ .has_interval = false };
	if ((ret = op_begin(&op, reg, place.shard, origin)) < 0)
		return ret;
	op.now_ms = now_ms;
	ret = beat(&op, service, place.hash, key, result_r);
	if (ret == 0 && op.tx.err == 0 && !result_r->revived) {
		op_end(&op);
		return 0;
	}
	return op_finish(&op, ret);
}
