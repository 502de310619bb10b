/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/registry/audit_walk.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "shared/base/fiber.h"
#include "shared/registry/fields.h"
#include "shared/registry/office.h"
#include "shared/shm/blob.h"
#include "shared/shm/shard.h"

#define UNITS_IN_PAGE (SEGMENT_PAGE / SEGMENT_UNIT)
#define BREATH_NS 50000L /* between two holds: long enough for one who waits to wake up */

/* ---- findings -------------------------------------------------------------------------------- */

void audit_collect(const char *text, void *arg)
{
	struct auditor *auditor = arg;

	ROSTER_ASSERT(auditor->lines <= AUDIT_LINES);
	if (auditor->lines < AUDIT_LINES)
		snprintf(auditor->line[auditor->lines++], AUDIT_LINE_BYTES, "%s", text);
}

void audit_broken(struct auditor *auditor, const char *format, ...)
{
	char text[AUDIT_LINE_BYTES];
	int n = snprintf(text, sizeof(text), "registry: shard %u: ", auditor->shard);
	va_list args;

	ROSTER_ASSERT(n > 0 && (size_t)n < sizeof(text));
	/* What a disturbed walk finds is forgotten. */
	if (auditor->disturbed)
		return;
	auditor->broken++;
	va_start(args, format);
	vsnprintf(text + n, sizeof(text) - (size_t)n, format, args);
	va_end(args);
	audit_collect(text, auditor);
}

void audit_compare(struct auditor *auditor, const char *what, uint64_t stored, uint64_t found)
{
	if (stored != found)
		audit_broken(auditor, "%s: %llu stored, %llu found", what,
		             (unsigned long long)stored, (unsigned long long)found);
}

static bool is_possible(const struct auditor *auditor, uint64_t id)
{
	const struct segment *seg = auditor->op.reg->seg;

	return undo_id_number(id) <= seg->shards[auditor->shard].next_id && id_is_ours(seg, id);
}

void audit_id(struct auditor *auditor, const char *what, uint64_t id)
{
	if (undo_id_shard(id) != auditor->shard || !is_possible(auditor, id))
		audit_broken(auditor, "%s: impossible id %#llx", what, (unsigned long long)id);
}

void audit_kept_id(struct auditor *auditor, const char *what, uint64_t id)
{
	if (!is_possible(auditor, id))
		audit_broken(auditor, "%s: impossible id %#llx", what, (unsigned long long)id);
}

/* ---- holds ----------------------------------------------------------------------------------- */

/* From here on the audit is of a state that nobody saw as a whole: what is marked as reached may
 * have been freed, and given out again. */
static void go_along(struct auditor *auditor)
{
	ROSTER_ASSERT(auditor->busy);
	auditor->changes = auditor->op.tx.shard->changes;
	auditor->moved++;
	free(auditor->marks);
	auditor->marks = NULL;
}

/* Drops the lock for a moment in which others may write, and takes it again. */
static void let_others_in(struct auditor *auditor)
{
	struct registry *reg = auditor->op.reg;
	const struct timespec breath = { 0, BREATH_NS };
	bool gone, changed;

	ROSTER_ASSERT(auditor->held && auditor->slice > 0);
	op_end(&auditor->op);
	nanosleep(&breath, NULL);
	gone = fiber_pause() < 0;
	auditor->err = op_begin(&auditor->op, reg, auditor->shard, (struct origin){ 0 });
	auditor->held = auditor->err == 0;
	/* When the lock could not be taken, the transaction has no shard, whose counter is read
	 * below. */
	auditor->op.tx.shard = &reg->seg->shards[auditor->shard];
	auditor->left = auditor->slice;
	changed = auditor->changes != auditor->op.tx.shard->changes;
	auditor->disturbed = gone || !auditor->held || (changed && !auditor->busy);
	if (changed && !auditor->disturbed)
		go_along(auditor);
}

static void count_reached(struct auditor *auditor, uint32_t n)
{
	auditor->left -= auditor->left > n ? n : auditor->left;
}

bool audit_go_on(struct auditor *auditor, uint32_t n)
{
	if (auditor->disturbed)
		return false;
	count_reached(auditor, n);
	if (auditor->left == 0)
		let_others_in(auditor);
	return !auditor->disturbed;
}

uint64_t audit_identity(enum slab_kind kind, const void *object)
{
	const struct service *s = object;

	switch (kind) {
	case SLAB_SERVICE:
		return s->id << 1 | ((s->flags & SERVICE_REMOVED) != 0);
	case SLAB_INSTANCE:
		return ((const struct instance *)object)->id;
	case SLAB_AUDIENCE:
		return ((const struct audience *)object)->id;
	case SLAB_SUBSCRIBER:
		return ((const struct subscriber *)object)->id;
	case SLAB_NAMESPACE:
		return ((const struct namespace *)object)->number;
	/* Clusters have no id, so they are compared in another way (cluster_stands()). */
	default:
		return 0;
	}
}

bool audit_stands(const struct auditor *auditor, uint64_t moved, uint32_t off, enum slab_kind kind,
                  uint64_t identity)
{
	const void *object = auditor->moved == moved ? NULL : slab_try(&auditor->op.tx, off, kind);

	return auditor->moved == moved ||
	       (object != NULL && audit_identity(kind, object) == identity);
}

/* ---- reaching -------------------------------------------------------------------------------- */

void *audit_reach(struct auditor *auditor, uint32_t off, enum slab_kind kind, const char *what)
{
	void *object = slab_try(&auditor->op.tx, off, kind);
	uint64_t unit = (uint64_t)off - auditor->op.reg->seg->data_off / SEGMENT_UNIT;

	if (object == NULL) {
		audit_broken(auditor, "%s: impossible reference %u", what, off);
		return NULL;
	}
	auditor->reached[kind]++;
	count_reached(auditor, kind == SLAB_BLOB4K ? 2 : 1); /* a page of its own is in no cache */
	/* Pages that were backed after the marks were taken have no mark. */
	if (auditor->marks == NULL || unit / UNITS_IN_PAGE >= auditor->marked_pages)
		return object;
	if (auditor->marks[unit / 8] >> unit % 8 & 1) {
		audit_broken(auditor, "%s: %u reached twice", what, off);
		return NULL;
	}
	auditor->marks[unit / 8] |= (uint8_t)(1U << unit % 8);
	return object;
}

void audit_reach_blob(struct auditor *auditor, uint32_t off, const char *what)
{
	/* A page holds 4,088 bytes of a text, so a longer chain runs in a circle. */
	for (uint32_t left = BLOB_MAX_BYTES / 4088U + 1; off != 0; left--) {
		uint32_t next;

		if (left == 0 || !blob_chunk_valid(&auditor->op.tx, off, &next) ||
		    audit_reach(auditor, off, slab_kind_at(&auditor->op.tx, off), what) == NULL) {
			audit_broken(auditor, "%s: bad blob %u", what, off);
			return;
		}
		off = next;
	}
}

void audit_reach_fields(struct auditor *auditor, const struct fields *fields, const void *object)
{
	for (uint32_t n = 0; n < fields->count; n++) {
		const struct field_row *row = &fields->rows[n];

		if (field_is_blob(row))
			audit_reach_blob(auditor, (uint32_t)field_number(row, object), row->name);
	}
}

struct listing {
	const char *what;
	struct chain list;
	audit_each_fn *each;
	void *owner;
	uint64_t most, seen;
	uint32_t prev;
	bool linked; /* prev is what the next one points back to */
};

/* Checks one object and says through *off where to go on, with 0 at the end of the list or where it
 * is broken. Returns false when the object went away meanwhile. */
static bool audit_one(struct auditor *auditor, struct listing *l, uint32_t *off)
{
	enum slab_kind kind = l->list.kind;
	uint8_t *object = l->seen > l->most ? NULL : audit_reach(auditor, *off, kind, l->what);
	uint64_t moved = auditor->moved,
	         identity = object == NULL ? 0 : audit_identity(kind, object);
	uint32_t links[2], at = *off;

	*off = 0;
	if (object == NULL) {
		audit_broken(auditor, "%s: list broken after %llu", l->what,
		             (unsigned long long)l->seen);
		l->linked = false;
		return true;
	}
	memcpy(links, object + l->list.link, sizeof(links));
	/* When a walk is picked up again in the middle of a list, nobody knows what should stand
	 * before. */
	if (l->linked && links[1] != l->prev)
		audit_broken(auditor, "%s: %u points back to %u instead of %u", l->what, at,
		             links[1], l->prev);
	l->seen++;
	l->each(auditor, at, object, l->owner);
	if (!audit_go_on(auditor, 0) || !audit_stands(auditor, moved, at, kind, identity))
		return false;
	/* The links are read again, because others may have held the lock in between. */
	memcpy(links, object + l->list.link, sizeof(links));
	l->prev = at;
	l->linked = true;
	*off = links[0];
	return true;
}

static bool walk_list(struct auditor *auditor, struct listing *l, uint32_t off)
{
	while (off != 0) {
		if (!audit_one(auditor, l, &off))
			return false;
	}
	return true;
}

bool audit_list(struct auditor *auditor, const char *what, struct chain list, uint64_t count,
                audit_each_fn *each, void *owner)
{
	struct listing l = { what, list, each, owner, slab_most(auditor->op.reg->seg, list.kind),
		             0,    0,    true };
	uint64_t moved = auditor->moved;

	if (auditor->disturbed)
		return true;
	ROSTER_ASSERT(auditor->held);
	/* While others write, the count does not belong to the list that is walked. */
	if (!auditor->busy)
		l.most = op_most(&auditor->op, list.kind, count);
	if (!walk_list(auditor, &l, *list.first))
		return false;
	if (!l.linked || auditor->moved != moved)
		return true;
	audit_compare(auditor, what, count, l.seen);
	if (*list.last != l.prev)
		audit_broken(auditor, "%s: last is %u instead of %u", what, *list.last, l.prev);
	return true;
}

bool audit_list_from(struct auditor *auditor, const char *what, struct chain list, uint32_t off,
                     audit_each_fn *each, void *owner)
{
	struct listing l = { what, list, each, owner, slab_most(auditor->op.reg->seg, list.kind),
		             0,    0,    false };

	return auditor->disturbed || walk_list(auditor, &l, off);
}
