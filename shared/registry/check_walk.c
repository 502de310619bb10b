/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/registry/check_walk.h"

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

void check_collect(const char *text, void *arg)
{
	struct check *check = arg;

	ROSTER_ASSERT(check->lines <= CHECK_LINES);
	if (check->lines < CHECK_LINES)
		snprintf(check->line[check->lines++], CHECK_LINE_BYTES, "%s", text);
}

void check_broken(struct check *check, const char *format, ...)
{
	char text[CHECK_LINE_BYTES];
	int n = snprintf(text, sizeof(text), "registry: shard %u: ", check->shard);
	va_list args;

	ROSTER_ASSERT(n > 0 && (size_t)n < sizeof(text));
	/* What a disturbed walk finds is forgotten. */
	if (check->disturbed)
		return;
	check->broken++;
	va_start(args, format);
	vsnprintf(text + n, sizeof(text) - (size_t)n, format, args);
	va_end(args);
	check_collect(text, check);
}

void check_compare(struct check *check, const char *what, uint64_t stored, uint64_t found)
{
	if (stored != found)
		check_broken(check, "%s: %llu stored, %llu found", what, (unsigned long long)stored,
		             (unsigned long long)found);
}

static bool is_possible(const struct check *check, uint64_t id)
{
	const struct segment *seg = check->op.reg->seg;

	return undo_id_number(id) <= seg->shards[check->shard].next_id && id_is_ours(seg, id);
}

void check_id(struct check *check, const char *what, uint64_t id)
{
	if (undo_id_shard(id) != check->shard || !is_possible(check, id))
		check_broken(check, "%s: impossible id %#llx", what, (unsigned long long)id);
}

void check_kept_id(struct check *check, const char *what, uint64_t id)
{
	if (!is_possible(check, id))
		check_broken(check, "%s: impossible id %#llx", what, (unsigned long long)id);
}

/* ---- holds ----------------------------------------------------------------------------------- */

/* From here on the check is of a state that nobody saw as a whole: what is marked as reached may
 * have been freed, and given out again. */
static void go_along(struct check *check)
{
	ROSTER_ASSERT(check->busy);
	check->changes = check->op.tx.shard->changes;
	check->moved++;
	free(check->marks);
	check->marks = NULL;
}

/* Drops the lock for a moment in which others may write, and takes it again. */
static void let_others_in(struct check *check)
{
	struct registry *reg = check->op.reg;
	const struct timespec breath = { 0, BREATH_NS };
	bool gone, changed;

	ROSTER_ASSERT(check->held && check->slice > 0);
	op_end(&check->op);
	nanosleep(&breath, NULL);
	gone = fiber_pause() < 0;
	check->err = op_begin(&check->op, reg, check->shard, (struct origin){ 0 });
	check->held = check->err == 0;
	/* When the lock could not be taken, the transaction has no shard, whose counter is read
	 * below. */
	check->op.tx.shard = &reg->seg->shards[check->shard];
	check->left = check->slice;
	changed = check->changes != check->op.tx.shard->changes;
	check->disturbed = gone || !check->held || (changed && !check->busy);
	if (changed && !check->disturbed)
		go_along(check);
}

static void count_reached(struct check *check, uint32_t n)
{
	check->left -= check->left > n ? n : check->left;
}

bool check_go_on(struct check *check, uint32_t n)
{
	if (check->disturbed)
		return false;
	count_reached(check, n);
	if (check->left == 0)
		let_others_in(check);
	return !check->disturbed;
}

uint64_t check_identity(enum slab_kind kind, const void *object)
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

bool check_stands(const struct check *check, uint64_t moved, uint32_t off, enum slab_kind kind,
                  uint64_t identity)
{
	const void *object = check->moved == moved ? NULL : slab_try(&check->op.tx, off, kind);

	return check->moved == moved ||
	       (object != NULL && check_identity(kind, object) == identity);
}

/* ---- reaching -------------------------------------------------------------------------------- */

void *check_reach(struct check *check, uint32_t off, enum slab_kind kind, const char *what)
{
	void *object = slab_try(&check->op.tx, off, kind);
	uint64_t unit = (uint64_t)off - check->op.reg->seg->data_off / SEGMENT_UNIT;

	if (object == NULL) {
		check_broken(check, "%s: impossible reference %u", what, off);
		return NULL;
	}
	check->reached[kind]++;
	count_reached(check, kind == SLAB_BLOB4K ? 2 : 1); /* a page of its own is in no cache */
	/* Pages that were backed after the marks were taken have no mark. */
	if (check->marks == NULL || unit / UNITS_IN_PAGE >= check->marked_pages)
		return object;
	if (check->marks[unit / 8] >> unit % 8 & 1) {
		check_broken(check, "%s: %u reached twice", what, off);
		return NULL;
	}
	check->marks[unit / 8] |= (uint8_t)(1U << unit % 8);
	return object;
}

void check_reach_blob(struct check *check, uint32_t off, const char *what)
{
	/* A page holds 4,088 bytes of a text, so a longer chain runs in a circle. */
	for (uint32_t left = BLOB_MAX_BYTES / 4088U + 1; off != 0; left--) {
		uint32_t next;

		if (left == 0 || !blob_chunk_valid(&check->op.tx, off, &next) ||
		    check_reach(check, off, slab_kind_at(&check->op.tx, off), what) == NULL) {
			check_broken(check, "%s: bad blob %u", what, off);
			return;
		}
		off = next;
	}
}

void check_reach_fields(struct check *check, const struct fields *fields, const void *object)
{
	for (uint32_t n = 0; n < fields->count; n++) {
		const struct field_row *row = &fields->rows[n];

		if (field_is_blob(row))
			check_reach_blob(check, (uint32_t)field_number(row, object), row->name);
	}
}

struct listing {
	const char *what;
	struct chain list;
	check_each_fn *each;
	void *owner;
	uint64_t most, seen;
	uint32_t prev;
	bool linked; /* prev is what the next one points back to */
};

/* Checks one object and says through *off where to go on, with 0 at the end of the list or where it
 * is broken. Returns false when the object went away meanwhile. */
static bool check_one(struct check *check, struct listing *l, uint32_t *off)
{
	enum slab_kind kind = l->list.kind;
	uint8_t *object = l->seen > l->most ? NULL : check_reach(check, *off, kind, l->what);
	uint64_t moved = check->moved, identity = object == NULL ? 0 : check_identity(kind, object);
	uint32_t links[2], at = *off;

	*off = 0;
	if (object == NULL) {
		check_broken(check, "%s: list broken after %llu", l->what,
		             (unsigned long long)l->seen);
		l->linked = false;
		return true;
	}
	memcpy(links, object + l->list.link, sizeof(links));
	/* When a walk is picked up again in the middle of a list, nobody knows what should stand
	 * before. */
	if (l->linked && links[1] != l->prev)
		check_broken(check, "%s: %u points back to %u instead of %u", l->what, at, links[1],
		             l->prev);
	l->seen++;
	l->each(check, at, object, l->owner);
	if (!check_go_on(check, 0) || !check_stands(check, moved, at, kind, identity))
		return false;
	/* The links are read again, because others may have held the lock in between. */
	memcpy(links, object + l->list.link, sizeof(links));
	l->prev = at;
	l->linked = true;
	*off = links[0];
	return true;
}

static bool walk_list(struct check *check, struct listing *l, uint32_t off)
{
	while (off != 0) {
		if (!check_one(check, l, &off))
			return false;
	}
	return true;
}

bool check_list(struct check *check, const char *what, struct chain list, uint64_t count,
                check_each_fn *each, void *owner)
{
	struct listing l = { what, list, each, owner, slab_most(check->op.reg->seg, list.kind),
		             0,    0,    true };
	uint64_t moved = check->moved;

	if (check->disturbed)
		return true;
	ROSTER_ASSERT(check->held);
	/* While others write, the count does not belong to the list that is walked. */
	if (!check->busy)
		l.most = op_most(&check->op, list.kind, count);
	if (!walk_list(check, &l, *list.first))
		return false;
	if (!l.linked || check->moved != moved)
		return true;
	check_compare(check, what, count, l.seen);
	if (*list.last != l.prev)
		check_broken(check, "%s: last is %u instead of %u", what, *list.last, l.prev);
	return true;
}

bool check_list_from(struct check *check, const char *what, struct chain list, uint32_t off,
                     check_each_fn *each, void *owner)
{
	struct listing l = { what, list, each, owner, slab_most(check->op.reg->seg, list.kind),
		             0,    0,    false };

	return check->disturbed || walk_list(check, &l, off);
}
