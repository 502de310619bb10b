/* SPDX-License-Identifier: Apache-2.0 */
/* op.c - the frame of every operation: lock, transaction, commit or roll-back, notes for event
 * rings; chains and seeking in them. */
#include "shared/registry/registry_internal.h"

#include "shared/base/clock.h"
#include "shared/shm/blob.h"
#include "shared/shm/fault.h"
#include "shared/shm/health.h"
#include "shared/shm/lock.h"

int op_begin(struct op *op, struct registry *reg, uint32_t shard, struct origin origin)
{
	int ret = lock_take(reg->seg, shard, &op->tx);

	if (ret < 0)
		return ret;
	ROSTER_ASSERT(origin.writer <= WRITER_IMPORT && origin.cause < CAUSE_KINDS);
	/* Members are set one by one, because the notes take much room and need not be cleared. */
	op->reg = reg;
	op->root = (struct registry_root *)reg->seg->shards[shard].root;
	op->origin = origin;
	op->now_ms = 0;
	op->announce = 0;
	op->wake = 0;
	op->notes = 0;
	return 0;
}

/* Writes the events of a committed transaction. The names are still there: a service outlives the
 * events about it. */
static void notes_append(struct op *op)
{
	struct segment *seg = op->reg->seg;

	ROSTER_ASSERT(op->notes <= OP_NOTES);
	for (uint32_t n = 0; n < op->notes; n++) {
		const struct note *note = &op->note[n];

		ring_append(seg->events, &note->event, (struct str){ NULL, 0 });
		if (note->removed)
			ring_append(seg->removed, &note->event, blob_view(&op->tx, note->name));
	}
}

int op_commit(struct op *op)
{
	int ret = undo_commit(&op->tx);

	ROSTER_ASSERT(op->announce >> CONSUMERS_IN_USE == 0);
	FAULT("op-committed");
	if (ret == 0) {
		for (uint32_t c = 0; c < CONSUMERS_IN_USE; c++) {
			if (op->announce >> c & 1)
				queue_announce(op->reg->seg, op->tx.shard->index, c);
		}
		/* Consumers are told under the lock, and op_end() wakes them without it. */
		op->wake |= op->announce;
		notes_append(op);
	}
	op->announce = 0;
	op->notes = 0;
	return ret;
}

void op_end(struct op *op)
{
	struct registry *reg = op->reg;

	if (op->tx.most > reg->most_entries)
		reg->most_entries = op->tx.most;
	/* A wake-up is a system call, so it waits until the lock is dropped. */
	lock_drop(&op->tx);
	for (uint32_t c = 0; c < CONSUMERS_IN_USE; c++) {
		if (op->wake >> c & 1)
			queue_wake(reg->seg, c);
	}
}

int op_finish(struct op *op, int ret)
{
	ROSTER_ASSERT(ret <= 0);
	if (op->tx.err != 0)
		ret = op->tx.err;
	if (ret == 0)
		ret = op_commit(op);
	else
		undo_rollback(&op->tx);
	op_end(op);
	return ret;
}

void op_room(struct segment *seg)
{
	if (__atomic_load_n(&seg->header->free_hint, __ATOMIC_RELAXED) < OP_PAGES &&
	    segment_ensure(seg, OP_PAGES) < 0)
		return;
}

int op_run(struct registry *reg, uint32_t shard, struct origin origin, op_fn *fn, void *arg)
{
	struct op op;
	int ret;

	ROSTER_ASSERT(reg->seg->held == NULL); /* to back pages takes system calls */
	op_room(reg->seg);
	for (unsigned attempt = 0;; attempt++) {
		if ((ret = op_begin(&op, reg, shard, origin)) < 0)
			return ret;
		op.now_ms = health_now(reg->seg);
		ret = op_finish(&op, fn(&op, arg));
		/* ERR_FULL may mean that only the backed pages are used up. The lock is dropped by
		 * now, so more may be backed. */
		if (ret != ERR_FULL || attempt > 0 || segment_ensure(reg->seg, OP_PAGES) < 0)
			return ret;
	}
}

int op_read(struct registry *reg, uint32_t shard, op_fn *fn, void *arg)
{
	int ret = ERR_AGAIN;

	while (ret == ERR_AGAIN) {
		struct op op;

		if ((ret = op_begin(&op, reg, shard, (struct origin){ 0 })) < 0)
			return ret;
		ret = fn(&op, arg);
		if (op.tx.err != 0)
			ret = op.tx.err;
		op_end(&op);
	}
	return ret;
}

/* ---- events ---------------------------------------------------------------------------------- */

/* A long address is cut, since events are for people. */
static void note_ip(struct ring_event *event, struct str ip)
{
	ip = str_cut(ip, sizeof(event->ip));
	memset(event->ip, 0, sizeof(event->ip));
	if (ip.n > 0)
		memcpy(event->ip, ip.p, ip.n);
}

void op_note(struct op *op, enum event_kind kind, const struct service *s, const struct instance *i)
{
	struct note *note = &op->note[op->notes];
	struct service_key key = { 0 };

	ROSTER_ASSERT(kind < EVENT_KINDS && op->notes <= OP_NOTES);
	/* Events are for people: one too many is left out, and so is one about a damaged name. */
	if (op->notes == OP_NOTES || !key_of(&op->tx, s->name, s->ns_len, s->name_len, &key))
		return;
	op->notes++;
	note->event = (struct ring_event){
		.stamp = i != NULL ? i->stamp : s->stamp,
		.instance_id = i != NULL ? i->id : s->id,
		.name_hash = key_name_hash(&key),
		.port = i != NULL ? i->port : 0,
		.kind = (uint8_t)kind,
		.cause = op->origin.cause,
		.writer = op->origin.writer,
		.node = op->origin.node,
	};
	if (i != NULL)
		note_ip(&note->event, instance_ip(&op->tx, i));
	note->name = s->name;
	note->removed = kind == EVENT_REMOVED || kind == EVENT_DEREGISTERED;
}

/* ---- lists and fields ------------------------------------------------------------------------ */

struct pair {
	uint32_t next, prev;
};

static struct pair *pair_at(struct op *op, const struct chain *chain, uint32_t off)
{
	uint8_t *object = slab_at(&op->tx, off, chain->kind);

	ROSTER_ASSERT(chain->link + sizeof(struct pair) <= slab_object_bytes(chain->kind));
	if (object == NULL) {
		undo_fail(&op->tx, ERR_CORRUPT);
		return NULL;
	}
	return (struct pair *)(object + chain->link);
}

void chain_append(struct op *op, struct chain chain, uint32_t off)
{
	struct pair *self = pair_at(op, &chain, off);
	struct pair *last = *chain.last == 0 ? NULL : pair_at(op, &chain, *chain.last);
	struct pair links = { 0, *chain.last };

	ROSTER_ASSERT(off != 0);
	if (self == NULL || op->tx.err != 0)
		return;
	/* Ends that contradict each other are damage, which must not spread. */
	if ((*chain.first == 0) != (last == NULL) || (last != NULL && last->next != 0)) {
		undo_fail(&op->tx, ERR_CORRUPT);
		return;
	}
	undo_set_bytes(&op->tx, self, &links, sizeof(links));
	undo_set32(&op->tx, last == NULL ? chain.first : &last->next, off);
	undo_set32(&op->tx, chain.last, off);
}

void chain_remove(struct op *op, struct chain chain, uint32_t off)
{
	struct pair *self = pair_at(op, &chain, off);
	struct pair *next, *prev;

	ROSTER_ASSERT(off != 0);
	if (self == NULL)
		return;
	next = self->next == 0 ? NULL : pair_at(op, &chain, self->next);
	prev = self->prev == 0 ? NULL : pair_at(op, &chain, self->prev);
	if ((prev == NULL ? *chain.first : prev->next) != off ||
	    (next == NULL ? *chain.last : next->prev) != off) {
		undo_fail(&op->tx, ERR_CORRUPT);
		return;
	}
	undo_set32(&op->tx, prev == NULL ? chain.first : &prev->next, self->next);
	undo_set32(&op->tx, next == NULL ? chain.last : &next->prev, self->prev);
}

/* The new object has the links of the old one already. What is left is to name it in its
 * neighbours, or at the ends of the list. */
void chain_replace(struct op *op, struct chain chain, uint32_t old, uint32_t new)
{
	struct pair *self = pair_at(op, &chain, old);
	struct pair *next, *prev;

	ROSTER_ASSERT(old != new &&new != 0);
	if (self == NULL)
		return;
	next = self->next == 0 ? NULL : pair_at(op, &chain, self->next);
	prev = self->prev == 0 ? NULL : pair_at(op, &chain, self->prev);
	undo_set32(&op->tx, prev == NULL ? chain.first : &prev->next, new);
	undo_set32(&op->tx, next == NULL ? chain.last : &next->prev, new);
}

static uint64_t id_of(const struct seek_list *list, const uint8_t *object)
{
	uint64_t id;

	memcpy(&id, object + list->id, sizeof(id));
	return id;
}

/* Returns the links of the object that a cursor remembers, if it is still that object and still in
 * the list; else NULL. */
static const struct pair *seek_standing(const struct op *op, const struct seek_list *list,
                                        uint32_t off, uint64_t id)
{
	const uint8_t *object = id == 0 ? NULL : slab_try(&op->tx, off, list->chain.kind);

	if (object == NULL || id_of(list, object) != id ||
	    (list->listed != NULL && !list->listed(object, list->owner)))
		return NULL;
	return (const struct pair *)(object + list->chain.link);
}

/* Looks for the place to go on at from the end of the list: new objects come there, and who follows
 * a list is mostly near it. Returns false when it has not come to the place in this hold. */
static bool seek_back(struct op *op, const struct seek_list *list, struct registry_cursor *cursor,
                      uint32_t *off_r)
{
	const struct pair *links = seek_standing(op, list, cursor->back_off, cursor->back_id);
	uint32_t found = links == NULL ? 0 : cursor->back_off;
	uint64_t id = links == NULL ? UINT64_MAX : cursor->back_id;

	ROSTER_ASSERT(cursor->id != 0); /* else the list is read from its first one */
	for (unsigned n = 0; n < SEEK_STEPS; n++) {
		uint32_t off = links == NULL ? *list->chain.last : links->prev;
		const uint8_t *object = off == 0 ? NULL : slab_at(&op->tx, off, list->chain.kind);

		if (off != 0 &&
		    (object == NULL || id_of(list, object) >= id)) { /* or it runs in a circle */
			undo_fail(&op->tx, ERR_CORRUPT);
			found = 0;
			object = NULL;
		}
		/* The cursor has passed this object, or there is none left: the place is the one
		 * found before. */
		if (object == NULL || (id = id_of(list, object)) <= cursor->id) {
			cursor->back_id = 0;
			*off_r = found;
			return true;
		}
		links = (const struct pair *)(object + list->chain.link);
		found = off;
	}
	cursor->back_off = found;
	cursor->back_id = id;
	return false;
}

bool seek_after(struct op *op, const struct seek_list *list, struct registry_cursor *cursor,
                uint32_t *off_r)
{
	const struct pair *links = seek_standing(op, list, cursor->off, cursor->id);

	if (links == NULL && cursor->id != 0)
		return seek_back(op, list, cursor, off_r);
	cursor->back_id = 0;
	*off_r = links == NULL ? *list->chain.first : links->next;
	return true;
}

void root_add(struct op *op, uint64_t *counter, int64_t delta)
{
	if (delta != 0)
		undo_set64(&op->tx, counter, *counter + (uint64_t)delta);
}

int64_t field_set(struct op *op, uint32_t *field, struct str text)
{
	uint32_t old = *field, new = 0;
	int64_t delta;

	if (!str_is_set(text) && old == 0)
		return 0;
	if (str_is_set(text)) {
		/* An equal text stays where it is, and nothing is logged. */
		if (old != 0 && blob_equal(&op->tx, old, text))
			return 0;
		new = blob_new(&op->tx, text);
		/* The error is in the transaction already. */
		if (new == 0)
			return 0;
	}
	delta = blob_bytes(&op->tx, new) - blob_bytes(&op->tx, old);
	undo_set32(&op->tx, field, new);
	if (old != 0)
		blob_free(&op->tx, old);
	return delta;
}
