/* SPDX-License-Identifier: Apache-2.0 */
/* compact.c - moves instances out of nearly empty pages, one transaction each, so that the pages
 * become free. */
#include "shared/registry/registry_internal.h"

#include "shared/registry/fields.h"
#include "shared/registry/registry_keeper.h"
#include "shared/shm/blob.h"
#include "shared/shm/fault.h"
#include "shared/shm/shard.h"

static const struct origin mover = { 0 };

/* Instances and the texts of services are moved. The rest stands still, because others keep
 * references to it. */
static bool is_movable(enum slab_kind kind)
{
	/* A text of several chunks stays, because all of them but the last fill a page each. */
	return kind == SLAB_INSTANCE || (kind >= SLAB_BLOB32 && kind < SLAB_BLOB4K);
}

bool registry_wasteful(struct registry *reg, uint32_t shard)
{
	for (enum slab_kind kind = SLAB_NONE + 1; kind < SLAB_KINDS; kind++) {
		if (is_movable(kind) && slab_wasteful(reg->seg, shard, kind))
			return true;
	}
	return false;
}

/* ---- one object ------------------------------------------------------------------------------ */

/* Takes a place on a fuller page and copies the object's bytes to it; nothing leads there yet.
 * Returns NULL when the object stays where it is. */
static void *copy_to(struct op *op, uint32_t off, enum slab_kind kind, uint32_t *new_r)
{
	void *old = slab_at(&op->tx, off, kind), *new;

	/* Each move is a transaction of its own. */
	ROSTER_ASSERT(is_movable(kind) && op->tx.entries == 0);
	if (old == NULL || !slab_worth_moving(&op->tx, off))
		return NULL;
	*new_r = slab_alloc(&op->tx, kind);
	if (*new_r == 0 || (new = slab_at(&op->tx, *new_r, kind)) == NULL)
		return NULL;
	memcpy(new, old, slab_object_bytes(kind));
	FAULT("compact-copied");
	return new;
}

/* Returns 1 when the text was moved, 0 when it stays. */
static int move_blob(struct op *op, struct service *s, uint32_t *field)
{
	enum slab_kind kind = *field == 0 ? SLAB_NONE : slab_kind_at(&op->tx, *field);
	uint32_t old = *field, new;
	int ret;

	if (kind < SLAB_BLOB32 || !is_movable(kind) || copy_to(op, old, kind, &new) == NULL)
		return op->tx.err;
	undo_set32(&op->tx, field, new);
	undo_set64(&op->tx, &s->revision, undo_next_revision(&op->tx));
	slab_free(&op->tx, old);
	ret = op_commit(op);
	return ret < 0 ? ret : 1;
}

/* Returns 1 when the instance was moved, to *off; 0 when it stays. */
static int move_instance(struct op *op, struct service *s, uint32_t *off)
{
	struct instance *i = instance_at(op, *off);
	struct cluster *c = i == NULL ? NULL : cluster_at(op, i->cluster);
	unsigned kind = i != NULL && (i->flags & INSTANCE_EPHEMERAL) != 0;
	uint32_t old = *off, new;
	struct chain list;
	int ret;

	if (c == NULL || copy_to(op, old, SLAB_INSTANCE, &new) == NULL)
		return op->tx.err;
	list = (struct chain){ &c->first[kind], &c->last[kind], SLAB_INSTANCE,
		               offsetof(struct instance, next) };
	table_replace(&op->tx, &op->root->instances, old, new);
	chain_replace(op, list, old, new);
	/* A copy of a long service is made in several holds and keeps references from one to the
	 * next; the new revision tells it to begin anew. */
	undo_set64(&op->tx, &s->revision, undo_next_revision(&op->tx));
	slab_free(&op->tx, old);
	FAULT("compact-moved");
	if ((ret = op_commit(op)) < 0)
		return ret;
	*off = new;
	return 1;
}

/* ---- one service ----------------------------------------------------------------------------- */

struct moving {
	struct op *op;
	struct service *s;
	uint32_t budget, moved;
	int err;
};

static void move_text(struct moving *m, uint32_t *blob)
{
	int ret = m->err < 0 ? 0 : move_blob(m->op, m->s, blob);

	if (ret < 0)
		m->err = ret;
	else
		m->moved += (uint32_t)ret;
	m->budget -= m->budget > 0;
}

static void move_texts(struct moving *m, const struct fields *fields, void *object)
{
	for (uint32_t n = 0; n < fields->count; n++) {
		if (field_is_blob(&fields->rows[n]))
			move_text(m, field_blob(&fields->rows[n], object));
	}
}

/* Is there room for more in this hold? */
static bool may_move_on(const struct moving *m)
{
	return m->budget > 0 && m->err == 0 && !op_is_long(m->op);
}

/* Moves the texts of the service and of its clusters, which stay where they are themselves. Returns
 * true when it is through with all of them. */
static bool move_settings(struct moving *m, struct compact_cursor *cursor)
{
	uint32_t off = cursor->cluster_off != 0 ? cursor->cluster_off : m->s->first_cluster;

	if (cursor->cluster_off == 0)
		move_texts(m, &service_fields, m->s);
	for (uint32_t left = m->s->clusters; off != 0 && left > 0 && may_move_on(m); left--) {
		struct cluster *c = cluster_at(m->op, off);

		if (c == NULL) {
			m->err = ERR_CORRUPT;
			break;
		}
		move_texts(m, &cluster_fields, c);
		off = c->next;
	}
	cursor->cluster_off = off;
	return off == 0 && m->err == 0;
}

/* Moves an instance and its texts; returns where it is now. */
static uint32_t instance_all(struct moving *m, uint32_t off)
{
	int ret = move_instance(m->op, m->s, &off);
	struct instance *i;

	if (ret < 0) {
		m->err = ret;
		return off;
	}
	m->moved += (uint32_t)ret;
	if ((i = instance_at(m->op, off)) != NULL)
		move_texts(m, &instance_fields, i);
	return off;
}

/* Moves instances and their texts. Leaves in the cursor where the walk goes on, with inside_id 0 at
 * the end. */
static void move_instances(struct moving *m, struct compact_cursor *cursor)
{
	struct instance *i = slab_try(&m->op->tx, cursor->inside_off, SLAB_INSTANCE);
	struct walk w;

	ROSTER_ASSERT(m->s != NULL && cursor->cluster_off == 0); /* the settings are through */
	if (cursor->inside_id != 0 && i != NULL && i->id == cursor->inside_id &&
	    i->service == cursor->off)
		walk_at(m->op, m->s, WALK_ALL, cursor->inside_off, &w);
	else
		walk_first(m->op, m->s, WALK_ALL, &w);
	while (w.off != 0 && may_move_on(m)) {
		w.off = instance_all(m, w.off);
		if (m->err < 0 || (w.i = instance_at(m->op, w.off)) == NULL)
			break;
		walk_next(m->op, &w);
		m->err = m->op->tx.err;
	}
	cursor->inside_off = w.off;
	cursor->inside_id = w.off != 0 && w.i != NULL ? w.i->id : 0;
}

/* ---- a shard --------------------------------------------------------------------------------- */

static void compact_go_to(struct compact_cursor *cursor, struct op *op, uint32_t off)
{
	const struct service *s = off == 0 ? NULL : service_at(op, off);

	*cursor = (struct compact_cursor){ .shard = op->tx.shard->index,
		                           .off = off,
		                           .id = s == NULL ? 0 : s->id };
}

static void move_in_shard(struct moving *m, struct compact_cursor *cursor)
{
	while (cursor->id != 0 && may_move_on(m)) {
		m->s = service_hinted(m->op, (struct keeper_entry){ cursor->id, cursor->off });
		if (m->s == NULL) { /* removed meanwhile: the next pass sees the rest */
			cursor->id = 0;
			return;
		}
		if (cursor->inside_id == 0 && !move_settings(m, cursor))
			return;
		move_instances(m, cursor);
		if (m->err == 0 && cursor->inside_id == 0)
			compact_go_to(cursor, m->op, m->s->next);
	}
}

int registry_compact(struct registry *reg, struct keeper_walks *walks, uint32_t shard,
                     uint32_t budget, uint32_t *moved_r)
{
	struct compact_cursor *cursor = &walks->compact;
	struct op op;
	struct moving m = { .op = &op, .budget = budget };
	int ret = op_begin(&op, reg, shard, mover);

	*moved_r = 0;
	if (ret < 0)
		return ret;
	if (cursor->shard != shard || cursor->id == 0)
		compact_go_to(cursor, &op, op.root->first_service);
	move_in_shard(&m, cursor);
	if (m.err < 0)
		cursor->id = 0;
	ret = op_finish(&op, m.err);
	*moved_r = m.moved;
	/* Without a page to move to, the shard is as full as it can get. */
	if (ret == ERR_FULL)
		ret = 0;
	return ret < 0 ? ret : cursor->id != 0;
}
