/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/registry/namespaces.h"

#include <stdlib.h>

#include "shared/base/fiber.h"
#include "shared/registry/office.h"
#include "shared/shm/blob.h"
#include "shared/shm/fault.h"

#define PIECE_BYTES 65536U /* copied in one hold */

struct head {                     /* of one row in a copy; not aligned there */
	uint32_t id, name, about; /* lengths; about UINT32_MAX: unset */
};

/* ---- finding --------------------------------------------------------------------------------- */

/* Namespaces share the hash of services: an id is the namespace of a service without a name. */
uint32_t namespaces_hash(const struct registry *reg, struct str id)
{
	struct service_key key = { id, STR("") };

	return key_place(reg, &key).hash;
}

static struct namespace *namespace_at(struct op *op, uint32_t off)
{
	return slab_at(&op->tx, off, SLAB_NAMESPACE);
}

uint32_t namespaces_find(struct op *op, struct str id, struct namespace **row_r)
{
	const struct table *table = &office_of(op->reg->seg)->namespaces;
	uint32_t off = table_find(&op->tx, table, namespaces_hash(op->reg, id));

	for (; off != 0; off = table_next(&op->tx, table, off)) {
		struct namespace *row = namespace_at(op, off);

		if (row == NULL)
			break;
		if (blob_equal(&op->tx, row->id, id)) {
			*row_r = row;
			return off;
		}
	}
	return 0;
}

static uint64_t namespace_text_bytes(struct op *op, const struct namespace *row)
{
	uint64_t about = row->about == 0 ? 0 : blob_len(&op->tx, row->about);

	return blob_len(&op->tx, row->id) + blob_len(&op->tx, row->name) + about;
}

/* ---- writing --------------------------------------------------------------------------------- */

static int namespace_check_texts(struct registry *reg, const struct namespace_row *row)
{
	int ret;

	if (row->id.n > NAMESPACES_ID_MAX)
		return key_refuse_size(reg, REGISTRY_LIMIT_NAME, NAMESPACES_ID_MAX);
	if (row->name.n > NAMESPACES_TEXT_MAX || row->about.n > NAMESPACES_TEXT_MAX)
		return key_refuse_size(reg, REGISTRY_LIMIT_NAME, NAMESPACES_TEXT_MAX);
	if ((ret = key_check_text(reg, row->name)) < 0)
		return ret;
	return key_check_text(reg, row->about);
}

static int namespace_create_op(struct op *op, void *arg)
{
	const struct namespace_row *wanted = arg;
	struct office *office = office_of(op->reg->seg);
	uint64_t limit = op->reg->limits.namespaces;
	const struct namespace *last =
	        office->last_namespace == 0 ? NULL : namespace_at(op, office->last_namespace);
	struct namespace *row;
	uint32_t off;

	ROSTER_ASSERT(wanted->id.n <= NAMESPACES_ID_MAX && wanted->name.n <= NAMESPACES_TEXT_MAX);
	if (namespaces_find(op, wanted->id, &row) != 0)
		return ERR_EXISTS;
	if (limit != 0 && office->namespaces.count >= limit)
		return key_refuse(op->reg, REGISTRY_LIMIT_NAMESPACES, limit);
	off = slab_alloc(&op->tx, SLAB_NAMESPACE);
	if (off == 0 || (row = namespace_at(op, off)) == NULL)
		return op->tx.err;
	/* The numbers rise along the list, so that a copy in pieces finds its place again. */
	*row = (struct namespace){
		.id = blob_new(&op->tx, wanted->id),
		.name = blob_new(&op->tx, wanted->name),
		.number = last == NULL ? 1 : last->number + 1,
	};
	if (str_is_set(wanted->about))
		row->about = blob_new(&op->tx, wanted->about);
	if (op->tx.err != 0)
		return op->tx.err;
	table_insert(&op->tx, &office->namespaces, off, namespaces_hash(op->reg, wanted->id));
	FAULT("namespace-inserted");
	chain_append(op, office_chain(office), off);
	root_add(op, &office->namespace_bytes, (int64_t)namespace_text_bytes(op, row));
	return 0;
}

static int namespace_update_op(struct op *op, void *arg)
{
	const struct namespace_row *wanted = arg;
	struct namespace *row;
	int64_t before;

	if (namespaces_find(op, wanted->id, &row) == 0)
		return ERR_NOT_FOUND;
	before = (int64_t)namespace_text_bytes(op, row);
	/* Every row has a name. */
	field_set(op, &row->name, str_is_set(wanted->name) ? wanted->name : STR(""));
	field_set(op, &row->about, wanted->about);
	/* After an error the texts may be those of before or after; it is rolled back. */
	if (op->tx.err == 0)
		root_add(op, &office_of(op->reg->seg)->namespace_bytes,
		         (int64_t)namespace_text_bytes(op, row) - before);
	return 0;
}

static int namespace_remove_op(struct op *op, void *arg)
{
	struct office *office = office_of(op->reg->seg);
	struct namespace *row;
	uint32_t off = namespaces_find(op, *(const struct str *)arg, &row);

	if (off == 0)
		return ERR_NOT_FOUND;
	/* The bytes are counted while the texts are still there. */
	root_add(op, &office->namespace_bytes, -(int64_t)namespace_text_bytes(op, row));
	table_remove(&op->tx, &office->namespaces, off);
	FAULT("namespace-removed");
	chain_remove(op, office_chain(office), off);
	blob_free(&op->tx, row->id);
	blob_free(&op->tx, row->name);
	blob_free(&op->tx, row->about);
	slab_free(&op->tx, off);
	return 0;
}

static int namespaces_run(struct registry *reg, op_fn *fn, void *arg)
{
	return op_run(reg, SHARD_OFFICE, (struct origin){ .cause = CAUSE_OPERATOR }, fn, arg);
}

int namespaces_create(struct registry *reg, const struct namespace_row *row)
{
	int ret = namespace_check_texts(reg, row);

	return ret < 0 ? ret : namespaces_run(reg, namespace_create_op, (void *)row);
}

int namespaces_update(struct registry *reg, const struct namespace_row *row)
{
	int ret = namespace_check_texts(reg, row);

	return ret < 0 ? ret : namespaces_run(reg, namespace_update_op, (void *)row);
}

int namespaces_remove(struct registry *reg, struct str id)
{
	return namespaces_run(reg, namespace_remove_op, &id);
}

/* ---- reading --------------------------------------------------------------------------------- */

static struct str namespace_copy_text(struct op *op, uint32_t off, char **at)
{
	struct str text = blob_view(&op->tx, off);

	/* The room is for texts as long as they may be stored; a longer one is damaged. */
	if (text.p == NULL || text.n > NAMESPACES_TEXT_MAX) {
		undo_fail(&op->tx, ERR_CORRUPT);
		return (struct str){ NULL, 0 };
	}
	memcpy(*at, text.p, text.n);
	text.p = *at;
	*at += text.n;
	return text;
}

/* The id of the copy is the stored one, equal to the caller's. */
int namespaces_get(struct registry *reg, struct str id, struct namespace_copy *copy_r)
{
	struct namespace *row;
	char *at = copy_r->text;
	struct op op;
	int ret = op_begin(&op, reg, SHARD_OFFICE, (struct origin){ 0 });

	if (ret < 0)
		return ret;
	if (namespaces_find(&op, id, &row) != 0) {
		copy_r->row =
		        (struct namespace_row){ .id = namespace_copy_text(&op, row->id, &at),
			                        .name = namespace_copy_text(&op, row->name, &at) };
		if (row->about != 0)
			copy_r->row.about = namespace_copy_text(&op, row->about, &at);
	} else {
		ret = ERR_NOT_FOUND;
	}
	if (op.tx.err != 0)
		ret = op.tx.err;
	op_end(&op);
	return ret;
}

/* A piece of the list holds rows one after the other: head, id, name, description. */
struct piece {
	size_t len;
	bool end;
	struct registry_cursor at; /* the last one copied */
	char bytes[PIECE_BYTES];
};

/* Returns false when the piece is full, or the row is damaged. */
static bool namespace_copy_row(struct op *op, const struct namespace *row, struct piece *piece)
{
	char *head_at = piece->bytes + piece->len, *at = head_at + sizeof(struct head);
	struct head head;

	/* Room is kept for three of the longest texts, because the id of a damaged row may be as
	 * long as any other. */
	if (sizeof(piece->bytes) - piece->len < sizeof(head) + 3 * NAMESPACES_TEXT_MAX)
		return false;
	head.id = (uint32_t)namespace_copy_text(op, row->id, &at).n;
	head.name = (uint32_t)namespace_copy_text(op, row->name, &at).n;
	head.about =
	        row->about == 0 ? UINT32_MAX : (uint32_t)namespace_copy_text(op, row->about, &at).n;
	if (op->tx.err != 0)
		return false;
	memcpy(head_at, &head, sizeof(head));
	piece->len = (size_t)(at - piece->bytes);
	ROSTER_ASSERT(piece->len <= sizeof(piece->bytes));
	return true;
}

/* A piece without rows that is not the end says that this hold was too short to find the place to
 * go on at. */
static int namespace_copy_piece(struct op *op, void *arg)
{
	struct piece *piece = arg;
	const struct seek_list list = { office_chain(office_of(op->reg->seg)),
		                        offsetof(struct namespace, number), NULL, 0 };
	uint32_t off;

	ROSTER_ASSERT(!piece->end);
	piece->len = 0;
	if (!seek_after(op, &list, &piece->at, &off))
		return 0;
	while (off != 0) {
		const struct namespace *row = namespace_at(op, off);

		/* Numbers rise along the list, unless it runs in a circle. */
		if (row == NULL || row->number <= piece->at.id) {
			undo_fail(&op->tx, ERR_CORRUPT);
			return 0;
		}
		if (!namespace_copy_row(op, row, piece))
			return 0;
		piece->at = (struct registry_cursor){ .off = off, .id = row->number };
		off = row->next;
	}
	piece->end = true;
	return 0;
}

static void namespaces_tell(const struct piece *piece, namespaces_fn *fn, void *arg)
{
	const char *at = piece->bytes, *end = piece->bytes + piece->len;

	while (at < end) {
		struct namespace_row row;
		struct head head;

		memcpy(&head, at, sizeof(head));
		row.id = str_make(at + sizeof(head), head.id);
		row.name = str_make(row.id.p + head.id, head.name);
		at = row.name.p + head.name;
		row.about = (struct str){ NULL, 0 };
		if (head.about != UINT32_MAX) {
			row.about = str_make(at, head.about);
			at += head.about;
		}
		fn(&row, arg);
	}
	ROSTER_ASSERT(at == end);
}

int namespaces_each(struct registry *reg, namespaces_fn *fn, void *arg)
{
	struct piece *piece = malloc(sizeof(*piece));
	int ret = piece == NULL ? ERR_NOMEM : 0;

	if (ret == 0) {
		piece->end = false;
		piece->at = (struct registry_cursor){ .id = 0 };
	}
	while (ret == 0 && !piece->end) {
		if ((ret = op_read(reg, SHARD_OFFICE, namespace_copy_piece, piece)) < 0)
			break;
		/* No lock is held here, so fn may take its time. */
		namespaces_tell(piece, fn, arg);
		ret = fiber_pause();
	}
	free(piece);
	return ret;
}
