/* SPDX-License-Identifier: Apache-2.0 */
/* slab.h - objects of few fixed sizes in 4 KiB pages owned by one shard.
 *
 * A page belongs to one shard (a byte in the owner table, taken by compare-and-swap)
 * and one kind. Which objects are taken stands in a bitmap in the page descriptor,
 * outside the objects; taking one is one logged word. Nothing freed is handed out
 * again before the commit. The fullest page is filled first (pages hang in four
 * lists by fullness), so that nearly empty pages can be emptied by the keeper.
 *
 * Death between the owner swap and the commit leaves a page owned but unused; the
 * sweep of the roll-back gives it back. A page that became empty is given back after
 * the commit in the same way.
 *
 * All functions with a tx need its shard's lock; pointers into the segment are good for as long as
 * it is held. Those with a segment instead take none. */
#ifndef SHM_SLAB_H
#define SHM_SLAB_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/shm/segment.h"

enum slab_kind {
	SLAB_NONE,
	SLAB_TABLE, /* a whole page: bucket heads of a table (table.h) */
	SLAB_SERVICE,
	SLAB_CLUSTER,
	SLAB_INSTANCE,
	SLAB_AUDIENCE,
	SLAB_SUBSCRIBER,
	SLAB_NAMESPACE,
	SLAB_BLOB32, /* bytes without structure (blob.h), by size */
	SLAB_BLOB48,
	SLAB_BLOB64,
	SLAB_BLOB128,
	SLAB_BLOB256,
	SLAB_BLOB512,
	SLAB_BLOB1K,
	SLAB_BLOB1360, /* three a page */
	SLAB_BLOB2K,
	SLAB_BLOB4K,
	SLAB_KINDS
};

/* Bytes of one object, multiples of SEGMENT_UNIT; shared/registry/layout.h asserts that
 * its structs fit. */
#define SLAB_BYTES_TABLE 4096U
#define SLAB_BYTES_SERVICE 176U
#define SLAB_BYTES_CLUSTER 48U
#define SLAB_BYTES_INSTANCE 112U
#define SLAB_BYTES_AUDIENCE 48U
#define SLAB_BYTES_SUBSCRIBER 144U
#define SLAB_BYTES_NAMESPACE 48U

#define SLAB_BINS 4U /* by fullness: up to 1/4, 1/2, 3/4, below full; full pages hang nowhere */

struct slab {
	uint32_t bins[SLAB_BINS]; /* first page number + 1, 0: none */
	uint64_t objects;         /* taken, logged */
	uint64_t pages;           /* owned and in use, logged */
};

/* One cache line a page, changed only under the lock of the owner, and logged. */
struct page_desc {
	uint16_t kind; /* enum slab_kind; SLAB_NONE: not in use */
	uint16_t used; /* objects taken */
	uint16_t bin;  /* 0..3 listed, SLAB_BINS: not listed (full) */
	uint16_t pad;
	uint32_t next, prev; /* page number + 1 in its bin */
	uint64_t bitmap[4];  /* bit set: taken */
	uint64_t spare[2];
};

struct tx;

/* Bytes of one object of the kind; sizes of the registry's structs are the SLAB_BYTES_*
 * above and asserted in shared/registry/layout.h. */
uint32_t slab_object_bytes(enum slab_kind kind);
/* As many objects of the kind as the segment could hold: no sound count in it is larger. */
uint64_t slab_most(const struct segment *seg, enum slab_kind kind);
/* The name of the kind for people and metrics: "instance". */
const char *slab_kind_name(enum slab_kind kind);
/* Counts objects and pages of the kind in all shards. Each number is whole, but their sum was true
 * at no one moment, because no lock is taken. */
void slab_usage(const struct segment *seg, enum slab_kind kind, uint64_t *objects_r,
                uint64_t *pages_r);

/* Is the object's page at most half full, and is there a fuller one (or another as empty) with
 * room? */
bool slab_worth_moving(const struct tx *tx, uint32_t off);
/* Is more than half of the room on the pages of the kind unused, and are they more than a few? */
bool slab_wasteful(const struct segment *seg, uint32_t shard, enum slab_kind kind);

/* Returns a new object, whose bytes are not cleared. 0 when tx->err is set, which is ERR_FULL when
 * no page can be had: the caller then drops the lock, calls segment_ensure() and tries once
 * more. */
uint32_t slab_alloc(struct tx *tx, enum slab_kind kind);
/* Puts the object on the pending list; it is free, and may be handed out, after the commit. */
void slab_free(struct tx *tx, uint32_t off);

/* Returns the object. NULL, and the corrupt counter is raised, unless off lies in a page of this
 * shard and kind, on an object boundary, with its bit set. */
void *slab_at(const struct tx *tx, uint32_t off, enum slab_kind kind);
/* The same without the counter, for hints that may be out of date. */
void *slab_try(const struct tx *tx, uint32_t off, enum slab_kind kind);
/* Asks the memory for the bytes [from, from + bytes) of an object, and for what slab_at() reads of
 * its page, before they are needed. Any reference will do: one that leads nowhere asks for
 * nothing. */
static inline void slab_ask(const struct segment *seg, uint32_t off, uint32_t from, uint32_t bytes)
{
	uint64_t at = (uint64_t)off * SEGMENT_UNIT, page = (at - seg->data_off) / SEGMENT_PAGE;

	if (page >= seg->pages)
		return;
	__builtin_prefetch(&seg->descs[page]);
	for (uint32_t n = 0; n < bytes; n += 64)
		__builtin_prefetch(seg->base + at + from + n);
}

/* The kind of the page that off lies in; SLAB_NONE outside of this shard's pages. */
enum slab_kind slab_kind_at(const struct tx *tx, uint32_t off);

/* For undo.c: the logged stores that free one object, and, once they are committed, the
 * return of its page if that became empty. */
void slab_release(struct tx *tx, uint32_t off);
void slab_give_back(struct tx *tx, uint32_t off);
/* For the roll-back of a transaction of this process: gives back the pages that it took. */
void slab_untake(struct tx *tx);
/* For the roll-back after a death, when nobody knows any more which pages were taken: looks at the
 * owners of all pages and gives back those that are owned but unused. Returns how many. */
unsigned slab_sweep(struct tx *tx);

/* For an attach, when nobody else maps the segment and the logs are played: compares the descriptor
 * of every page with its owner, its bitmap and its neighbours, and the counts of each shard.
 * Returns NULL, or what is wrong. It takes a few milliseconds at a million instances. */
const char *slab_damaged(const struct segment *seg);

/* Checks a whole shard: bitmaps against used, bins against fullness, counts, owners. Returns the
 * number of broken rules, each of which is said by say() (NULL: only counted). */
typedef void slab_say_fn(const char *text, void *arg);
unsigned slab_audit(const struct tx *tx, slab_say_fn *say, void *arg);

/* The same in pieces. First come pages from *page on, `most` of the segment's at a time, each with
 * its neighbours. Then, if nobody has written since, come their sums, and the lists of pages with
 * at most `most` pages at a time, until walk->kind is SLAB_KINDS. */
struct slab_totals {
	uint64_t objects[SLAB_KINDS], pages[SLAB_KINDS], binned[SLAB_KINDS][SLAB_BINS];
};
struct slab_bin_walk {
	uint32_t kind, bin;
	uint32_t link, prev; /* the page to look at, and the one before it */
	uint64_t seen;
	bool begun, over;
};
unsigned slab_audit_pages(const struct tx *tx, uint64_t *page, uint32_t most,
                          struct slab_totals *totals, slab_say_fn *say, void *arg);
unsigned slab_audit_totals(const struct tx *tx, struct slab_totals *totals, slab_say_fn *say,
                           void *arg);
unsigned slab_audit_bins(const struct tx *tx, struct slab_bin_walk *walk, uint32_t most,
                         struct slab_totals *totals, slab_say_fn *say, void *arg);

/* Checks without any lock that pages without an owner have a blank descriptor: `pages` of them at
 * most, from *page on. Returns how many have not. */
unsigned slab_audit_free(const struct segment *seg, uint64_t *page, uint32_t pages,
                         slab_say_fn *say, void *arg);

#endif
