/* SPDX-License-Identifier: Apache-2.0 */
/* keeper.c - what the keeper asks of the registry: what is due, expiry, draining, removal of
 * empty services. */
#include "shared/registry/registry_internal.h"
#include "shared/registry/registry_keeper.h"

#include "shared/shm/health.h"
#include "shared/shm/shard.h"

#define VISIT_SPARE 65536U

static const struct origin by_timeout = { .cause = CAUSE_BEAT_TIMEOUT };
static const struct origin by_removal = { .cause = CAUSE_SERVICE_REMOVED };
static const struct origin by_age = { .cause = CAUSE_STALE };

/* ---- which services -------------------------------------------------------------------------- */

struct services_piece {
	struct registry_cursor *cursor;
	struct keeper_entry *out;
	uint32_t max, count;
};

/* Returns ERR_AGAIN when this hold was too short to find the place to go on at. */
static int copy_services(struct op *op, void *arg)
{
	struct services_piece *piece = arg;
	struct registry_cursor *cursor = piece->cursor;
	uint32_t off;

	ROSTER_ASSERT(piece->count == 0 && piece->max > 0); /* a piece is copied in one hold */
	if (!service_seek(op, cursor, &off))
		return ERR_AGAIN;
	while (off != 0 && piece->count < piece->max) {
		const struct service *s = service_at(op, off);

		if (s == NULL)
			break;
		if (s->id <= cursor->id) { /* a list that runs in a circle has no end */
			undo_fail(&op->tx, ERR_CORRUPT);
			break;
		}
		piece->out[piece->count++] = (struct keeper_entry){ s->id, off };
		*cursor = (struct registry_cursor){ .shard = op->tx.shard->index,
			                            .off = off,
			                            .id = s->id };
		off = s->next;
	}
	return 0;
}

int registry_services_after(struct registry *reg, struct keeper_walks *walks, uint32_t shard,
                            uint64_t after, struct keeper_entry *out, uint32_t max)
{
	struct registry_cursor *cursor = &walks->services;
	struct services_piece piece = { cursor, out, max, 0 };
	int ret;

	/* The cursor is good only where the last call ended; elsewhere the place is looked for. */
	if (cursor->shard != shard || cursor->id != after)
		*cursor = (struct registry_cursor){ .shard = shard, .id = after };
	ret = op_read(reg, shard, copy_services, &piece);
	return ret < 0 ? ret : (int)piece.count;
}

uint64_t registry_due_lowered(struct registry *reg, uint32_t shard)
{
	return __atomic_load_n(&reg->seg->shards[shard].due_lowered, __ATOMIC_ACQUIRE);
}

uint64_t registry_last_id(struct registry *reg, uint32_t shard)
{
	const struct registry_root *root =
	        (const struct registry_root *)reg->seg->shards[shard].root;

	return __atomic_load_n(&root->last_service_id, __ATOMIC_RELAXED);
}

/* ---- expiry ---------------------------------------------------------------------------------- */

/* Notes what an instance says about its source. One that has not beaten, or of which nobody knows
 * from where it did, says nothing. */
static void note_sign(struct expire_visit *visit, const struct instance *i, enum expire_state state)
{
	uint32_t source = sender_source(__atomic_load_n(&i->sender, __ATOMIC_RELAXED));

	ROSTER_ASSERT(visit->sign_count < visit->budget);
	if (!beat_heard(i->beat) || source == 0)
		return;
	if (visit->signs != NULL)
		visit->signs[visit->sign_count++] = (struct expire_sign){ source, (uint32_t)state };
	visit->beating += state != EXPIRE_REMOVED;
	visit->lost += state == EXPIRE_LOST;
}

static enum expire_state beat_state(const struct expire_visit *visit,
                                    const struct stored_overrides *timing, uint64_t age)
{
	/* The time to removal may be the shorter one. */
	if (age <= timing->timeout_ms && age <= timing->delete_ms)
		return EXPIRE_HEARD;
	return age + visit->soon_ms > timing->delete_ms ? EXPIRE_LOST : EXPIRE_QUIET;
}

/* Decides what becomes of one instance; returns true when it was removed. */
static bool judge_beat(struct op *op, uint32_t soff, struct service *s, struct expire_visit *visit,
                       uint32_t ioff, struct instance *i)
{
	struct stored_overrides timing = instance_timing(&op->tx, i);
	uint64_t beat = beat_ms(i->beat);
	/* A beat may have come after the time that the visit has. */
	uint64_t age = visit->now_ms > beat ? visit->now_ms - beat : 0;
	enum expire_state state;

	ROSTER_ASSERT(op->tx.entries == 0); /* each instance is a transaction of its own */
	/* A marked instance is left out of all handling of health (specification 2.6). */
	if (i->flags & INSTANCE_MARKED)
		return false;
	if (age > timing.delete_ms && !visit->hold_removals) {
		note_sign(visit, i, EXPIRE_REMOVED);
		registry_remove(op, soff, s, ioff, i);
		visit->removed++;
		return true;
	}
	state = beat_state(visit, &timing, age);
	note_sign(visit, i, state);
	if (state != EXPIRE_HEARD && (i->flags & INSTANCE_HEALTHY)) {
		registry_flip(op, soff, s, i, false);
		visit->flipped++;
	}
	if (age > timing.delete_ms)
		visit->held++;
	return false;
}

static int expire_begin(struct op *op, struct service *s, struct expire_visit *visit,
                        struct walk *w)
{
	const struct instance *i;

	if (visit->resume_id != 0) {
		/* Since the last hold the instance may have gone, and another one have its
		 * place. */
		i = slab_try(&op->tx, visit->resume_off, SLAB_INSTANCE);
		if (i != NULL && i->id == visit->resume_id) {
			walk_at(op, s, WALK_EPHEMERAL, visit->resume_off, w);
			return 0;
		}
	}
	/* The walk begins here, perhaps for a second time, and its counts begin with it. */
	visit->held = visit->beating = visit->lost = 0;
	/* From here on bounds that fall are noted beside the old one, until the walk has seen
	 * everything. */
	undo_set64(&op->tx, &s->due_new, UINT64_MAX);
	walk_first(op, s, WALK_EPHEMERAL, w);
	return op_commit(op);
}

static int expire_end(struct op *op, struct service *s, struct expire_visit *visit,
                      const struct walk *w)
{
	ROSTER_ASSERT((w->off == 0) == (w->i == NULL));
	visit->done = w->off == 0;
	visit->resume_off = w->off;
	visit->resume_id = w->off == 0 ? 0 : w->i->id;
	visit->instances = s->instances;
	visit->persistent = s->instances - s->ephemeral;
	if (!visit->done)
		return 0;
	undo_set64(&op->tx, &s->due_ms, visit->due_ms < s->due_new ? visit->due_ms : s->due_new);
	return op_commit(op);
}

static int expire_service(struct op *op, uint32_t soff, struct service *s,
                          struct expire_visit *visit)
{
	struct walk w;
	int ret = expire_begin(op, s, visit, &w);

	ROSTER_ASSERT(op->now_ms == visit->now_ms);
	/* The instances that came while the visit took several holds are few beside those that were
	 * there. */
	if (visit->seen > 2 * op_most(op, SLAB_INSTANCE, s->instances) + VISIT_SPARE)
		return ERR_CORRUPT;
	for (uint32_t n = 0; n < visit->budget && w.off != 0 && ret == 0 && !op_is_long(op); n++) {
		uint32_t ioff = w.off;
		struct instance *i = w.i;
		uint64_t due_ms;

		/* The walk goes on first: behind the judgement the instance may be gone, and its
		 * links with it. */
		walk_next(op, &w);
		if (op->tx.err != 0)
			return op->tx.err;
		if (!judge_beat(op, soff, s, visit, ioff, i)) {
			visit->seen++;
			due_ms = instance_due(&op->tx, i);
			if (due_ms < visit->due_ms)
				visit->due_ms = due_ms;
		}
		ret = op->tx.entries > 0 || op->tx.err != 0 ? op_commit(op) : 0;
	}
	return ret < 0 ? ret : expire_end(op, s, visit, &w);
}

int registry_expire(struct registry *reg, uint32_t shard, struct expire_visit *visit)
{
	struct op op;
	struct service *s;
	int ret = op_begin(&op, reg, shard, by_timeout);

	if (ret < 0)
		return ret;
	op.now_ms = visit->now_ms;
	visit->sign_count = 0;
	s = service_hinted(&op, visit->service);
	visit->gone = s == NULL;
	visit->done = s == NULL;
	if (s != NULL)
		ret = expire_service(&op, visit->service.off, s, visit);
	op_end(&op);
	return ret;
}

/* ---- removed services ------------------------------------------------------------------------ */

/* Frees the next thing: an instance, else a cluster, else the service itself. */
static void drain_one(struct op *op, uint32_t soff, struct service *s)
{
	struct cluster *c;
	struct instance *i;

	if (s->first_cluster == 0) {
		service_free(op, soff, s);
		return;
	}
	if ((c = cluster_at(op, s->first_cluster)) == NULL)
		return;
	for (unsigned kind = 0; kind < 2; kind++) {
		if (c->first[kind] == 0)
			continue;
		if ((i = instance_at(op, c->first[kind])) != NULL)
			registry_remove(op, soff, s, c->first[kind], i);
		return;
	}
	cluster_free_first(op, s, c);
}

int registry_drain(struct registry *reg, uint32_t shard, uint32_t budget)
{
	const struct registry_root *root =
	        (const struct registry_root *)reg->seg->shards[shard].root;
	struct op op;
	struct service *s;
	uint64_t left;
	int ret;

	/* Without a lock this is a hint; a service removed just now is drained at the next call. */
	if (__atomic_load_n(&root->drain_count, __ATOMIC_RELAXED) == 0)
		return 0;
	if ((ret = op_begin(&op, reg, shard, by_removal)) < 0)
		return ret;
	while (budget-- > 0 && op.root->first_drain != 0 && ret == 0 && !op_is_long(&op)) {
		if ((s = service_at(&op, op.root->first_drain)) != NULL)
			drain_one(&op, op.root->first_drain, s);
		ret = op_commit(&op);
	}
	left = op.root->drain_count;
	op_end(&op);
	return ret < 0 ? ret : (int)left;
}

struct empty {
	struct keeper_entry service;
};

static int remove_empty_op(struct op *op, void *arg)
{
	const struct empty *e = arg;
	struct service *s = service_hinted(op, e->service);

	if (s == NULL)
		return ERR_NOT_FOUND;
	if (s->instances > 0)
		return ERR_AGAIN;
	service_remove(op, e->service.off, s);
	return 0;
}

int registry_remove_empty(struct registry *reg, struct origin origin, uint32_t shard,
                          struct keeper_entry service)
{
	struct empty e = { service };
	struct op op;
	int ret = op_begin(&op, reg, shard, origin);

	return ret < 0 ? ret : op_finish(&op, remove_empty_op(&op, &e));
}

/* ---- after a long time without service ------------------------------------------------------- */

/* Notes, once for each attach, since when a beat counts. An instance that has beaten since the
 * keeper began is alive and stays. */
static int stale_begin(struct op *op)
{
	struct registry_root *root = op->root;
	uint64_t attach = op->reg->seg->header->attach_count;

	if (root->stale_attach == attach)
		return 0;
	undo_set64(&op->tx, &root->stale_attach, attach);
	undo_set64(&op->tx, &root->stale_before_ms, op->reg->began_ms);
	return op_commit(op);
}

/* Drops what is stale in one service; returns true when it came to the end of it. */
static bool stale_service(struct op *op, struct keeper_walks *walks, uint32_t soff,
                          struct service *s, uint32_t *budget, int *ret)
{
	struct registry_cursor *inside = &walks->stale_inside;
	const struct instance *i = slab_try(&op->tx, inside->off, SLAB_INSTANCE);
	struct walk w;

	if (i != NULL && i->id == inside->id && i->service == soff)
		walk_at(op, s, WALK_EPHEMERAL, inside->off, &w);
	else
		walk_first(op, s, WALK_EPHEMERAL, &w);
	if (inside->id == 0)
		walks->stale_steps = 0;
	if (walks->stale_steps > 2 * op_most(op, SLAB_INSTANCE, s->instances) + VISIT_SPARE)
		*ret = ERR_CORRUPT;
	while (w.off != 0 && *budget > 0 && *ret == 0 && !op_is_long(op)) {
		uint32_t ioff = w.off;
		struct instance *at = w.i;

		ROSTER_ASSERT(op->tx.entries == 0);
		(*budget)--;
		walks->stale_steps++;
		walk_next(op, &w);
		if (op->tx.err == 0 && beat_ms(at->beat) <= op->root->stale_before_ms)
			registry_remove(op, soff, s, ioff, at);
		*ret = op->tx.entries > 0 || op->tx.err != 0 ? op_commit(op) : 0;
	}
	*inside = (struct registry_cursor){ .shard = op->tx.shard->index,
		                            .off = w.off,
		                            .id = w.off == 0 ? 0 : w.i->id };
	return w.off == 0;
}

int registry_drop_stale(struct registry *reg, struct keeper_walks *walks, uint32_t shard,
                        uint32_t budget)
{
	struct registry_cursor *cursor = &walks->stale;
	struct keeper_entry at;
	struct op op;
	struct service *s;
	uint32_t off;
	int ret = op_begin(&op, reg, shard, by_age);

	if (ret < 0)
		return ret;
	ret = stale_begin(&op);
	at = (struct keeper_entry){ cursor->id, cursor->off };
	off = cursor->shard == shard && service_hinted(&op, at) != NULL ? cursor->off
	                                                                : op.root->first_service;
	while (off != 0 && budget > 0 && ret == 0 && !op_is_long(&op)) {
		budget--;
		if ((s = service_at(&op, off)) == NULL ||
		    !stale_service(&op, walks, off, s, &budget, &ret))
			break;
		at.id = s->id;
		off = s->next;
		/* Ids rise along the list, unless it runs in a circle. */
		if (off != 0 && ((s = service_at(&op, off)) == NULL || s->id <= at.id)) {
			undo_fail(&op.tx, ERR_CORRUPT);
			break;
		}
	}
	s = off == 0 ? NULL : service_at(&op, off);
	*cursor =
	        (struct registry_cursor){ .shard = shard, .off = off, .id = s == NULL ? 0 : s->id };
	if (ret == 0)
		ret = op.tx.err;
	op_end(&op);
	return ret < 0 ? ret : off != 0;
}
