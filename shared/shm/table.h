/* SPDX-License-Identifier: Apache-2.0 */
/* table.h - hash tables by linear hashing: they grow by a bucket at a time, so no operation stalls,
 * and in pages, so no span is longer than one.
 *
 * Objects are chained through a struct table_link, which must be their first member. The first
 * TABLE_INLINE buckets stand in the table itself, further ones in pages of TABLE_HEADS heads that
 * one directory page names. An insertion splits two buckets while the load is above 1/2 (three when
 * earlier splits were left out), a removal merges at most five while it is below 1/4. A split that
 * finds no page, or a chain too long for the log, is left out: chains grow, and nothing fails.
 *
 * The hash is the caller's, made with the segment's secret seed. Each walk along a chain is
 * bounded, because damage may have bent the chain into a circle. All functions need the shard
 * lock. */
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

/* The table lies in new memory that nobody can reach, so nothing is logged. */
void table_init(struct table *table, enum slab_kind kind);
/* table_find() returns the first object whose hash is equal, table_next() the next one behind
 * `off`; 0: there is none. Equal hashes need not mean equal keys, so callers loop:
 *     for (off = table_find(tx, t, hash); off != 0; off = table_next(tx, t, off)) */
uint32_t table_find(const struct tx *tx, const struct table *table, uint32_t hash);
uint32_t table_next(const struct tx *tx, const struct table *table, uint32_t off);
/* Ask the memory for what table_find() is going to read, so that several look-ups wait for it
 * together: first for their heads, then for the first object of each chain. The heads may be asked
 * for without the lock, because it is a guess and nothing is stored or counted. */
void table_ask_head(const struct tx *tx, const struct table *table, uint32_t hash);
void table_ask_first(const struct tx *tx, const struct table *table, uint32_t hash);
/* Puts the object first into its chain. Never fails for lack of memory. */
void table_insert(struct tx *tx, struct table *table, uint32_t off, uint32_t hash);
/* Adds buckets for that many objects, as far as there are pages. Each bucket is a transaction of
 * its own and is committed, so the caller's has to be empty. */
void table_reserve(struct tx *tx, struct table *table, uint64_t objects);
/* Takes the object out of its chain; it stays the caller's to free. */
void table_remove(struct tx *tx, struct table *table, uint32_t off);
/* `new` is a copy of `old`, link included, and takes its place in the chain. */
void table_replace(struct tx *tx, struct table *table, uint32_t old, uint32_t new);

/* Checks that each chain is whole, that each object is in the bucket of its hash, and the count.
 * Returns how many rules are broken. */
unsigned table_audit(const struct tx *tx, const struct table *table, slab_say_fn *say, void *arg);
/* The same in pieces: first the table itself, then buckets [first, first + most); *seen_r grows by
 * the objects met. */
unsigned table_audit_shape(const struct tx *tx, const struct table *table, slab_say_fn *say,
                           void *arg);
unsigned table_audit_buckets(const struct tx *tx, const struct table *table, uint32_t first,
                             uint32_t most, uint64_t *seen_r, slab_say_fn *say, void *arg);
/* For an attach: returns NULL, or what no table can look like. */
const char *table_damaged(const struct tx *tx, const struct table *table, enum slab_kind kind);
/* How many pages of heads are in use, the directory not counted. */
uint32_t table_pages(const struct table *table);
/* The reference of the n-th of them, n below TABLE_DIR_PAGES; 0: there is none. */
uint32_t table_page(const struct tx *tx, const struct table *table, uint32_t n);

#endif
