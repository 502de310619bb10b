/* SPDX-License-Identifier: Apache-2.0 */
/* audit_lower.c - the part of the audit below the registry's own objects: tables, slabs, pages,
 * rings. */
#include "shared/registry/audit_walk.h"

#include <stdio.h>

#include "shared/base/fiber.h"
#include "shared/registry/registry_audit.h"
#include "shared/shm/health.h"
#include "shared/shm/shard.h"

#define BUCKETS_PIECE 256U
#define PAGES_PIECE 4096U /* looked at without a lock */
/* Of all pages a shard has about one in so many as there are shards. */
#define OWNERS_PIECE 16384U
#define BINS_PIECE 256U

/* ---- a shard --------------------------------------------------------------------------------- */

void audit_table(struct auditor *auditor, const struct table *table, enum slab_kind kind)
{
	struct tx *tx = &auditor->op.tx;
	uint64_t seen = 0, moved = auditor->moved;

	if (auditor->disturbed)
		return;
	audit_compare(auditor, "kind of a table", table->kind, (uint64_t)kind);
	auditor->broken += table_audit_shape(tx, table, audit_collect, auditor);
	if (table->dir != 0)
		audit_reach(auditor, table->dir, SLAB_TABLE, "directory of a table");
	for (uint32_t n = 0; n < table_pages(table); n++)
		audit_reach(auditor, table_page(tx, table, n), SLAB_TABLE, "page of a table");
	/* The walk ends where the pages of the table end, whatever a damaged count says. */
	for (uint32_t at = 0;
	     at < table->buckets && table_pages(table) * TABLE_HEADS + TABLE_INLINE > at;
	     at += BUCKETS_PIECE) {
		auditor->broken += table_audit_buckets(tx, table, at, BUCKETS_PIECE, &seen,
		                                       audit_collect, auditor);
		if (!audit_go_on(auditor, BUCKETS_PIECE))
			return;
	}
	if (auditor->moved == moved)
		audit_compare(auditor, "objects of a table", table->count, seen);
}

/* Whatever is taken must be reached by somebody: the rest would be lost for ever. */
static void audit_counts(struct auditor *auditor)
{
	const struct shard *shard = auditor->op.tx.shard;

	for (unsigned kind = SLAB_TABLE; kind < SLAB_KINDS; kind++) {
		if (shard->slabs[kind].objects != auditor->reached[kind])
			audit_broken(auditor, "objects of kind %u: %llu taken, %llu reached", kind,
			             (unsigned long long)shard->slabs[kind].objects,
			             (unsigned long long)auditor->reached[kind]);
	}
}

/* Compares the totals with the bins; nobody wrote while the totals were made. */
static void audit_bins(struct auditor *auditor, struct slab_totals *totals)
{
	struct slab_bin_walk walk = { .kind = 0 };
	uint64_t moved = auditor->moved;

	auditor->broken += slab_audit_totals(&auditor->op.tx, totals, audit_collect, auditor);
	while (walk.kind < SLAB_KINDS) {
		auditor->broken += slab_audit_bins(&auditor->op.tx, &walk, BINS_PIECE, totals,
		                                   audit_collect, auditor);
		if (!audit_go_on(auditor, BINS_PIECE) || auditor->moved != moved)
			return;
	}
}

void audit_slabs(struct auditor *auditor)
{
	struct slab_totals totals = { .objects = { 0 } };
	uint64_t page = 0, moved = auditor->moved;

	if (auditor->disturbed)
		return;
	ROSTER_ASSERT(auditor->held);
	/* Whoever gets the lock of a dead owner rolls back first, so the log is empty. */
	if (auditor->op.tx.shard->state != 0)
		audit_broken(auditor, "state of the log is %#llx and nobody is at work",
		             (unsigned long long)auditor->op.tx.shard->state);
	if (moved == 0)
		audit_counts(auditor);
	while (page < segment_backed(auditor->op.reg->seg)) {
		auditor->broken += slab_audit_pages(&auditor->op.tx, &page, OWNERS_PIECE, &totals,
		                                    audit_collect, auditor);
		/* Of so many pages about one in SHARDS belongs to this shard, and only those take
		 * time. */
		if (!audit_go_on(auditor, OWNERS_PIECE / SHARDS))
			return;
	}
	if (auditor->moved == moved)
		audit_bins(auditor, &totals);
}

/* ---- what belongs to no shard ---------------------------------------------------------------- */

static void say_if(slab_say_fn *say, void *arg, const char *text)
{
	if (say != NULL)
		say(text, arg);
}

static unsigned audit_header(const struct segment *seg, slab_say_fn *say, void *arg)
{
	const struct segment_header *header = seg->header;

	if (header->magic == SEGMENT_MAGIC && header->seal == segment_seal(header) &&
	    header->backed <= header->pages && header->pages == seg->pages &&
	    header->bytes == seg->bytes)
		return 0;
	say_if(say, arg, "segment: the header does not agree with its seal");
	return 1;
}

static unsigned audit_ring(const struct segment *seg, const struct ring *ring, const char *text,
                           slab_say_fn *say, void *arg)
{
	uint64_t at = (uint64_t)((const uint8_t *)ring - seg->base), from = at, until;
	uint64_t end = at + ring_bytes(ring == seg->events ? RING_EVENTS : RING_REMOVED,
	                               ring == seg->removed);
	unsigned found = 0;

	ROSTER_ASSERT(ring == seg->events || ring == seg->removed);
	/* Only parts that somebody has written to are looked at. The rest are holes of the file,
	 * which would be filled by reading them. */
	for (; segment_next_written(seg, &from, end, &until); from = until)
		found += ring_audit(ring, from - at, until - at);
	if (found > 0)
		say_if(say, arg, text);
	return found;
}

unsigned registry_audit_rest(struct registry *reg, slab_say_fn *say, void *arg)
{
	struct segment *seg = reg->seg;
	unsigned found = audit_header(seg, say, arg);

	for (uint64_t page = 0, backed = segment_backed(seg); page < backed && fiber_pause() == 0;)
		found += slab_audit_free(seg, &page, PAGES_PIECE, say, arg);
	found += audit_ring(seg, seg->events, "segment: impossible words in the ring of events",
	                    say, arg);
	found += audit_ring(seg, seg->removed,
	                    "segment: impossible words in the ring of removed instances", say, arg);
	return found;
}
