/* SPDX-License-Identifier: Apache-2.0 */
/* table.h - hash tables by linear hashing: no stall, no span longer than a page.
 *
 * Objects are chained through a struct table_link that must be their first member.
 * The first TABLE_INLINE buckets stand in the table itself; further ones in pages of
 * 1,024 heads named by one directory page. Two buckets are split per insert while the
 * load is above 1/2 (three when earlier splits were left out), at most five are merged per
 * removal while it is below 1/4; a split that finds no page, or a chain too long for the
 * log, is left out (chains grow, nothing fails).
 *
 * hash is the caller's, with the segment's secret seed; chains are walked with a bound.
 * All under the shard lock. */
#ifndef SHM_TABLE_H
#define SHM_TABLE_H

#include <stdint.h>

#include "shared/shm/slab.h"
#include "shared/shm/undo.h"

#define TABLE_INLINE 64U
#define TABLE_HEADS 1024U     /* in one page */
#define TABLE_DIR_PAGES 1024U /* references in the directory page */

struct table_link {
	uint32_t hash;
	uint32_t next; /* reference, 0: end */
};

struct table {
	uint64_t count;   /* objects */
	uint32_t buckets; /* in use: >= TABLE_INLINE once anything was inserted */
	uint32_t dir;     /* directory page reference, 0: none */
	uint32_t kind;    /* enum slab_kind of the objects, set by table_init */
	uint32_t pad;
	uint32_t heads[TABLE_INLINE];
};

/* New memory: no log. */
void table_init(struct table *table, enum slab_kind kind);
/* First object whose hash is equal, at or after `off` in its chain. Callers loop:
 *     for (off = table_find(tx, t, hash); off != 0; off = table_next(tx, t, off)) */
uint32_t table_find(const struct tx *tx, const struct table *table, uint32_t hash);
uint32_t table_next(const struct tx *tx, const struct table *table, uint32_t off);
/* Ask the memory for what table_find() is going to read, so that several look-ups wait for it together: first their heads (this
 * may be done without the lock: it is a guess, and nothing is stored or counted), then the first object of each chain. */
void table_ask_head(const struct tx *tx, const struct table *table, uint32_t hash);
void table_ask_first(const struct tx *tx, const struct table *table, uint32_t hash);
/* Never fails for lack of memory. */
void table_insert(struct tx *tx, struct table *table, uint32_t off, uint32_t hash);
/* Adds buckets for that many objects, as far as there are pages. Commits: each bucket is a transaction of its own. */
void table_reserve(struct tx *tx, struct table *table, uint64_t objects);
void table_remove(struct tx *tx, struct table *table, uint32_t off);
/* `new` is a copy of `old`, link included, and takes its place in the chain. */
void table_replace(struct tx *tx, struct table *table, uint32_t old, uint32_t new);

/* Broken invariants: chain membership, hash to bucket, count. */
unsigned table_check(const struct tx *tx, const struct table *table, slab_say_fn *say, void *arg);
/* The same in pieces: first the table itself, then buckets [first, first + most); *seen_r grows by the objects met. */
unsigned table_check_shape(const struct tx *tx, const struct table *table, slab_say_fn *say, void *arg);
unsigned table_check_buckets(const struct tx *tx, const struct table *table, uint32_t first, uint32_t most, uint64_t *seen_r,
                             slab_say_fn *say, void *arg);
/* NULL, or what no table can look like: for an attach. */
const char *table_damaged(const struct tx *tx, const struct table *table, enum slab_kind kind);
/* Pages of heads in use, without the directory. */
uint32_t table_pages(const struct table *table);
/* The n-th of them, n up to TABLE_DIR_PAGES; 0: none. */
uint32_t table_page(const struct tx *tx, const struct table *table, uint32_t n);

#endif
