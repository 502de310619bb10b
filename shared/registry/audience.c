/* SPDX-License-Identifier: Apache-2.0 */
/* audience.c - what pusher and console read of the subscribers of a service, in pieces that a
 * caller has room for. */
#include "shared/registry/registry_internal.h"
#include "shared/registry/subscribers.h"

#include "shared/shm/blob.h"
#include "shared/shm/shard.h"

/* ---- subscribers of a name ------------------------------------------------------------------- */

static uint32_t subscriber_copy_text(const struct tx *tx, uint32_t off, char *out, uint32_t size)
{
	return off == 0 ? 0 : blob_copy(tx, off, out, size);
}

/* Unlike the clusters, which choose what is pushed, these texts are for people only: one that is
 * too long is cut between two characters. */
static uint32_t subscriber_copy_cut(const struct tx *tx, uint32_t off, char *out, uint32_t size)
{
	uint32_t n = subscriber_copy_text(tx, off, out, size);

	return n <= size ? n : (uint32_t)str_whole(str_make(out, size)).n;
}

static void subscriber_copy(const struct tx *tx, uint32_t off, const struct subscriber *sub,
                            struct subscriber_view *out)
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
	out->clusters_len =
	        subscriber_copy_text(tx, sub->clusters, out->clusters, sizeof(out->clusters));
	out->agent_len = subscriber_copy_cut(tx, sub->agent, out->agent, sizeof(out->agent));
	out->app_len = subscriber_copy_cut(tx, sub->app, out->app, sizeof(out->app));
	out->address_text_len = subscriber_copy_cut(tx, sub->address_text, out->address_text,
	                                            sizeof(out->address_text));
}

static bool is_member(const void *object, uint32_t owner)
{
	return ((const struct subscriber *)object)->audience == owner;
}

static bool subscriber_seek(struct op *op, uint32_t aoff, struct audience *a,
                            struct registry_cursor *cursor, uint32_t *off_r)
{
	const struct seek_list list = {
		.chain = { &a->first, &a->last, SLAB_SUBSCRIBER,
		           offsetof(struct subscriber, next) },
		.id = offsetof(struct subscriber, id),
		.listed = is_member,
		.owner = aoff,
	};

	return seek_after(op, &list, cursor, off_r);
}

struct audience_piece {
	const struct service_key *service;
	struct place place;
	struct audience_cursor *cursor;
	struct subscriber_view *out;
	uint32_t max, count;
};

/* Returns ERR_AGAIN when this hold was too short to find the place to go on at. */
static int copy_piece(struct op *op, void *arg)
{
	struct audience_piece *piece = arg;
	struct registry_cursor *at = &piece->cursor->at;
	struct audience *a;
	uint32_t aoff = audience_find(op, piece->service, piece->place.hash, &a), off = 0;

	ROSTER_ASSERT(piece->count == 0 && piece->max > 0); /* a piece is copied in one hold */
	if (aoff != 0 && !subscriber_seek(op, aoff, a, at, &off))
		return ERR_AGAIN;
	while (off != 0 && piece->count < piece->max) {
		const struct subscriber *sub = subscriber_at(op, off);

		if (sub == NULL)
			break;
		if (sub->id <= at->id) { /* a list that runs in a circle has no end */
			undo_fail(&op->tx, ERR_CORRUPT);
			break;
		}
		subscriber_copy(&op->tx, off, sub, &piece->out[piece->count++]);
		*at = (struct registry_cursor){ .shard = piece->place.shard,
			                        .off = off,
			                        .id = sub->id };
		off = sub->next;
	}
	piece->cursor->end = off == 0;
	return 0;
}

int registry_subscribers(struct registry *reg, const struct service_key *service,
                         struct audience_cursor *cursor, struct subscriber_view *out, uint32_t max)
{
	struct audience_piece piece = { service, key_place(reg, service), cursor, out, max, 0 };
	int ret = cursor->end ? 0 : op_read(reg, piece.place.shard, copy_piece, &piece);

	return ret < 0 ? ret : (int)piece.count;
}

/* ---- audiences of a shard -------------------------------------------------------------------- */

bool audience_seek(struct op *op, struct registry_cursor *cursor, uint32_t *off_r)
{
	struct registry_root *root = op->root;
	const struct seek_list list = {
		.chain = { &root->first_audience, &root->last_audience, SLAB_AUDIENCE,
		           offsetof(struct audience, next) },
		.id = offsetof(struct audience, id),
	};

	return seek_after(op, &list, cursor, off_r);
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
	/* The pusher compares this with what each subscriber was sent. */
	entry_r->service_changed = service_find(op, &key, a->link.hash, &s) == 0 ? 0 : s->changed;
}

/* Returns 1 when an audience was found, 0 when there is none left, ERR_AGAIN when this hold was too
 * short to find the next one. */
static int entry_next(struct op *op, void *arg)
{
	struct audience_entry *entry = arg;
	const struct audience *a;
	uint32_t off;

	if (!audience_seek(op, &entry->at, &off))
		return ERR_AGAIN;
	a = off == 0 ? NULL : audience_at(op, off);
	if (a == NULL)
		return 0;
	if (a->id <= entry->at.id) { /* a list that runs in a circle has no end */
		undo_fail(&op->tx, ERR_CORRUPT);
		return 0;
	}
	entry_fill(op, a, entry);
	entry->at =
	        (struct registry_cursor){ .shard = op->tx.shard->index, .off = off, .id = a->id };
	return 1;
}

int registry_audience_after(struct registry *reg, uint32_t shard, uint64_t after,
                            struct audience_entry *entry_r)
{
	/* The cursor is good only where the last call ended. */
	if (entry_r->at.shard != shard || entry_r->at.id != after)
		entry_r->at = (struct registry_cursor){ .shard = shard, .id = after };
	return op_read(reg, shard, entry_next, entry_r);
}
