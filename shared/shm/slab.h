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
 * All functions need the shard lock (tx), except slab_at() whose result is only
 * meaningful under it. */
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

/* One cache line a page. Changed only under the lock of the owner, logged. */
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
/* As many objects of the kind as the segment could hold; no count in it is larger. */
uint64_t slab_most(const struct segment *seg, enum slab_kind kind);
/* "instance"; for people and metrics. */
const char *slab_kind_name(enum slab_kind kind);
/* Objects and pages of the kind in all shards, without a lock: each number is whole, their sum is of no one moment. */
void slab_usage(const struct segment *seg, enum slab_kind kind, uint64_t *objects_r, uint64_t *pages_r);

/* Is the object's page at most half full, and is there a fuller one (or another as empty) with room? */
bool slab_worth_moving(const struct tx *tx, uint32_t off);
/* More than half of the room on the pages of the kind is unused, and it is more than a few pages. Without a lock. */
bool slab_wasteful(const struct segment *seg, uint32_t shard, enum slab_kind kind);

/* 0 and tx->err = ERR_FULL when no page can be had: the caller drops the lock,
 * segment_ensure()s and tries once more. The object's bytes are not cleared. */
uint32_t slab_alloc(struct tx *tx, enum slab_kind kind);
/* Goes to the pending list; really free after the commit. */
void slab_free(struct tx *tx, uint32_t off);

/* The object, or NULL (and the corrupt counter) unless off lies in a page of this
 * shard and kind, on an object boundary, with its bit set. */
void *slab_at(const struct tx *tx, uint32_t off, enum slab_kind kind);
/* The same without the counter: for hints that may be out of date. */
void *slab_try(const struct tx *tx, uint32_t off, enum slab_kind kind);
/* Asks the memory for bytes [from, from + bytes) of an object, and for what slab_at() reads of its page, before they are
 * needed. Any reference will do. */
static inline void slab_ask(const struct segment *seg, uint32_t off, uint32_t from, uint32_t bytes)
{
	uint64_t at = (uint64_t)off * SEGMENT_UNIT, page = (at - seg->data_off) / SEGMENT_PAGE;

	if (page >= seg->pages)
		return;
	__builtin_prefetch(&seg->descs[page]);
	for (uint32_t n = 0; n < bytes; n += 64)
		__builtin_prefetch(seg->base + at + from + n);
}

/* Kind of the page that off lies in; SLAB_NONE outside this shard's pages. */
enum slab_kind slab_kind_at(const struct tx *tx, uint32_t off);

/* For undo.c: the logged stores that free one object, and, once they are committed, the
 * return of its page if that became empty. */
void slab_release(struct tx *tx, uint32_t off);
void slab_give_back(struct tx *tx, uint32_t off);
/* Roll-back of a transaction of this process: gives back the pages that it took. */
void slab_untake(struct tx *tx);
/* Roll-back after a death: gives back pages that are owned but unused. Returns how many. Looks at the owners of all pages. */
unsigned slab_sweep(struct tx *tx);

/* Whole-shard check: bitmaps against used, bins against fullness, counts, owners.
 * Returns the number of broken invariants, each reported through say(). */
typedef void slab_say_fn(const char *text, void *arg);
/* For an attach, nobody else mapping it, the logs played: every page's descriptor against its owner, its bitmap and
 * its neighbours, and each shard's counts. NULL, or what is wrong. A few milliseconds at a million instances. */
const char *slab_damaged(const struct segment *seg);
unsigned slab_check(const struct tx *tx, slab_say_fn *say, void *arg);

/* The same in pieces. First pages from *page on, `most` of the segment's at a time, each with its neighbours; then, if nobody
 * wrote since, what they add up to, and the lists, with at most `most` pages of them at a time, until walk->kind is
 * SLAB_KINDS. */
struct slab_totals {
	uint64_t objects[SLAB_KINDS], pages[SLAB_KINDS], binned[SLAB_KINDS][SLAB_BINS];
};
struct slab_bin_walk {
	uint32_t kind, bin;
	uint32_t link, prev; /* the page to look at, and the one before it */
	uint64_t seen;
	bool begun, over;
};
unsigned slab_check_pages(const struct tx *tx, uint64_t *page, uint32_t most, struct slab_totals *totals, slab_say_fn *say,
                          void *arg);
unsigned slab_check_totals(const struct tx *tx, struct slab_totals *totals, slab_say_fn *say, void *arg);
unsigned slab_check_bins(const struct tx *tx, struct slab_bin_walk *walk, uint32_t most, struct slab_totals *totals,
                         slab_say_fn *say, void *arg);

/* Without any lock: up to `pages` pages from *page on that have no owner have a blank descriptor. */
unsigned slab_check_free(const struct segment *seg, uint64_t *page, uint32_t pages, slab_say_fn *say, void *arg);

#endif
