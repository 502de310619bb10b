/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/registry/registry_internal.h"

#include "shared/shm/blob.h"
#include "shared/shm/shard.h"

static const struct origin reader = { 0 };

/* ---- subscribers of a name ------------------------------------------------- */

static uint32_t copy_text(const struct tx *tx, uint32_t off, char *out, uint32_t size)
{
	return off == 0 ? 0 : blob_copy(tx, off, out, size);
}

static uint32_t copy_cut(const struct tx *tx, uint32_t off, char *out, uint32_t size)
{
	uint32_t n = copy_text(tx, off, out, size);

	return n <= size ? n : (uint32_t)str_whole(str_make(out, size)).n;
}

static void subscriber_copy(const struct tx *tx, uint32_t off, const struct subscriber *sub, struct subscriber_view *out)
{
	out->id = sub->id;
	out->off = off;
	out->seen_ms = sub->seen_ms;
	out->sent_revision = sub->sent_revision;
	out->acked_revision = sub->acked_revision;
	out->sent_at_ms = sub->sent_at_ms;
	out->push_key = sub->push_key;
	out->tries = sub->tries;
	out->port = sub->port;
	out->agent_kind = sub->agent_kind;
	out->flags = sub->flags;
	memcpy(out->address, sub->address, sizeof(out->address));
	memcpy(out->source, sub->source, sizeof(out->source));
	out->agent_version = sub->agent_version;
	out->clusters_len = copy_text(tx, sub->clusters, out->clusters, sizeof(out->clusters));
	out->agent_len = copy_cut(tx, sub->agent, out->agent, sizeof(out->agent));
	out->app_len = copy_cut(tx, sub->app, out->app, sizeof(out->app));
	out->address_text_len = copy_cut(tx, sub->address_text, out->address_text, sizeof(out->address_text));
}

/* Ids rise along the list: when the one at the cursor is gone, the next higher one follows. */
static uint32_t resume(struct op *op, uint32_t aoff, const struct audience *a, const struct audience_cursor *cursor)
{
	const struct subscriber *sub = cursor->id == 0 ? NULL : slab_try(&op->tx, cursor->off, SLAB_SUBSCRIBER);
	uint32_t off = a->first;

	if (sub != NULL && sub->id == cursor->id && sub->audience == aoff)
		return sub->next;
	for (uint64_t left = op_most(op, SLAB_SUBSCRIBER, a->count); off != 0 && cursor->id != 0; left--) {
		if (left == 0 || (sub = subscriber_at(op, off)) == NULL) {
			undo_fail(&op->tx, ERR_CORRUPT);
			return 0;
		}
		if (sub->id > cursor->id)
			break;
		off = sub->next;
	}
	return off;
}

int registry_subscribers(struct registry *reg, const struct service_key *service, struct audience_cursor *cursor,
                         struct subscriber_view *out, uint32_t max)
{
	struct place place = key_place(reg, service);
	struct op op;
	struct audience *a;
	uint32_t aoff, off, count = 0;
	int ret;

	if (cursor->end)
		return 0;
	if ((ret = op_begin(&op, reg, place.shard, reader)) < 0)
		return ret;
	aoff = audience_find(&op, service, place.hash, &a);
	off = aoff == 0 ? 0 : resume(&op, aoff, a, cursor);
	while (off != 0 && count < max) {
		const struct subscriber *sub = subscriber_at(&op, off);

		if (sub == NULL)
			break;
		if (sub->id <= cursor->id) { /* a list that runs in a circle has no end */
			undo_fail(&op.tx, ERR_CORRUPT);
			break;
		}
		subscriber_copy(&op.tx, off, sub, &out[count++]);
		cursor->id = sub->id;
		cursor->off = off;
		off = sub->next;
	}
	cursor->end = off == 0;
	ret = op.tx.err;
	op_end(&op);
	return ret < 0 ? ret : (int)count;
}

/* ---- audiences of a shard -------------------------------------------------- */

uint32_t audience_after(struct op *op, uint64_t after)
{
	const struct registry_cursor *cursor = &op->reg->audience_cursor;
	const struct audience *a = after == 0 || cursor->id != after || cursor->shard != op->tx.shard->index
	                                   ? NULL
	                                   : slab_try(&op->tx, cursor->off, SLAB_AUDIENCE);
	uint32_t off = op->root->first_audience;

	if (a != NULL && a->id == after)
		return a->next;
	for (uint64_t left = op_most(op, SLAB_AUDIENCE, op->root->audiences.count); off != 0; left--) {
		if (left == 0 || (a = audience_at(op, off)) == NULL) {
			undo_fail(&op->tx, ERR_CORRUPT);
			return 0;
		}
		if (a->id > after)
			break;
		off = a->next;
	}
	return off;
}

static void entry_fill(struct op *op, const struct audience *a, struct audience_entry *entry_r)
{
	struct service_key key;
	struct service *s;

	key_copy(&op->tx, a->name, a->ns_len, a->name_len, &entry_r->name);
	key.ns = str_make(entry_r->name.text, entry_r->name.ns_len);
	key.name = str_make(entry_r->name.text + entry_r->name.ns_len + 1, entry_r->name.name_len);
	entry_r->id = a->id;
	entry_r->count = a->count;
	entry_r->service_changed = service_find(op, &key, a->link.hash, &s) == 0 ? 0 : s->changed;
}

int registry_audience_after(struct registry *reg, uint32_t shard, uint64_t after, struct audience_entry *entry_r)
{
	struct op op;
	const struct audience *a = NULL;
	uint32_t off;
	int ret = op_begin(&op, reg, shard, reader);

	if (ret < 0)
		return ret;
	off = audience_after(&op, after);
	if (off != 0)
		a = audience_at(&op, off);
	if (a != NULL && a->id <= after) {
		undo_fail(&op.tx, ERR_CORRUPT); /* a list that runs in a circle has no end */
	} else if (a != NULL) {
		entry_fill(&op, a, entry_r);
		reg->audience_cursor = (struct registry_cursor){ shard, off, a->id };
		ret = 1;
	}
	if (op.tx.err != 0)
		ret = op.tx.err;
	op_end(&op);
	return ret;
}
