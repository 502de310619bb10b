/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/shm/table.h"

#include <stdio.h>
#include <string.h>

#include "shared/base/assert.h"
#include "shared/shm/fault.h"
#include "shared/shm/shard.h"

#define DIR_PAGES TABLE_DIR_PAGES
#define BUCKETS_MAX (TABLE_INLINE + DIR_PAGES * TABLE_HEADS)

/* What a split needs of the log beside its chain (two pages, heads, count) and what it leaves
 * to the operation around it. */
#define SPLIT_RESERVE (16U + 48U)
#define SPLITS_PER_INSERT 3U  /* two, and one so that splits left out earlier are made up for */
#define MERGES_PER_REMOVAL 5U /* at load 1/4 one object less is four buckets too many */
#define SPLIT_CHAIN_MAX (UNDO_ENTRIES - SPLIT_RESERVE)

void table_init(struct table *table, enum slab_kind kind)
{
	ROSTER_ASSERT(kind > SLAB_TABLE && kind < SLAB_BLOB32); /* objects that begin with a link */
	memset(table, 0, sizeof(*table));
	table->buckets = TABLE_INLINE;
	table->kind = kind;
}

/* ---- buckets --------------------------------------------------------------------------------- */

/* The highest power of two up to n: buckets from there on are split-offs of those below. */
static inline uint32_t level_of(uint32_t n)
{
	return 1U << (31 - __builtin_clz(n | 1));
}

/* The bucket by one more bit of the hash if it has been added already, else the one it will be
 * split from. */
static inline uint32_t bucket_of(const struct table *table, uint32_t hash)
{
	uint32_t level = level_of(table->buckets);
	uint32_t bucket = hash & (2 * level - 1);

	return bucket < table->buckets ? bucket : bucket - level;
}

static inline uint32_t page_index(uint32_t bucket)
{
	ROSTER_ASSERT(bucket >= TABLE_INLINE);
	return (bucket - TABLE_INLINE) / TABLE_HEADS;
}

/* Returns where the head of the bucket stands, or NULL when a reference on the way is
 * impossible. */
static uint32_t *head_at(const struct tx *tx, const struct table *table, uint32_t bucket)
{
	uint32_t *dir, *heads;

	if (bucket < TABLE_INLINE)
		return (uint32_t *)&table->heads[bucket];
	dir = slab_at(tx, table->dir, SLAB_TABLE);
	if (dir == NULL || page_index(bucket) >= DIR_PAGES)
		return NULL;
	heads = slab_at(tx, dir[page_index(bucket)], SLAB_TABLE);
	return heads == NULL ? NULL : &heads[(bucket - TABLE_INLINE) % TABLE_HEADS];
}

/* No chain has more objects than this, whatever a damaged count says. */
static inline uint64_t most_of(const struct tx *tx, const struct table *table)
{
	uint64_t most = slab_most(tx->seg, (enum slab_kind)table->kind);

	return table->count < most ? table->count : most;
}

static inline struct table_link *link_at(const struct tx *tx, const struct table *table,
                                         uint32_t off)
{
	return slab_at(tx, off, (enum slab_kind)table->kind);
}

/* ---- look-up --------------------------------------------------------------------------------- */

/* Searches the chain from off on. The whole look-up, with all table_next() of it, takes no more
 * steps than there are objects: a chain that still goes on then runs in a circle. */
static uint32_t search(const struct tx *tx, const struct table *table, uint32_t off, uint32_t hash)
{
	while (off != 0 && tx->seg->probes > 0) {
		const struct table_link *link = link_at(tx, table, off);

		if (link == NULL)
			return 0;
		if (link->hash == hash)
			return off;
		off = link->next;
		tx->seg->probes--;
	}
	if (off != 0)
		__atomic_fetch_add(&tx->seg->header->corrupt, 1, __ATOMIC_RELAXED);
	return 0;
}

uint32_t table_find(const struct tx *tx, const struct table *table, uint32_t hash)
{
	const uint32_t *head = head_at(tx, table, bucket_of(table, hash));

	tx->seg->probes = most_of(tx, table) + 1;
	return head == NULL ? 0 : search(tx, table, *head, hash);
}

uint32_t table_next(const struct tx *tx, const struct table *table, uint32_t off)
{
	const struct table_link *link = link_at(tx, table, off);

	ROSTER_ASSERT(off != 0); /* the end of a chain has no successor */
	if (link == NULL || tx->seg->probes == 0)
		return 0;
	tx->seg->probes--;
	return search(tx, table, link->next, link->hash);
}

void table_ask_head(const struct tx *tx, const struct table *table, uint32_t hash)
{
	uint32_t bucket = bucket_of(table, hash), page;

	if (bucket < TABLE_INLINE)
		return;
	page = table_page(tx, table, page_index(bucket));
	slab_ask(tx->seg, page, (bucket - TABLE_INLINE) % TABLE_HEADS * (uint32_t)sizeof(uint32_t),
	         1);
}

void table_ask_first(const struct tx *tx, const struct table *table, uint32_t hash)
{
	const uint32_t *head = head_at(tx, table, bucket_of(table, hash));

	/* A damaged kind names no size. */
	if (head != NULL && table->kind < SLAB_KINDS)
		slab_ask(tx->seg, *head, 0, slab_object_bytes((enum slab_kind)table->kind));
}

/* ---- growing --------------------------------------------------------------------------------- */

/* Returns a zeroed table page, or 0. A lack of pages is no error here: the table then stays as it
 * is. */
static uint32_t heads_new(struct tx *tx)
{
	uint32_t off = slab_alloc(tx, SLAB_TABLE);
	void *page;

	if (off == 0) {
		if (tx->err == ERR_FULL)
			tx->err = 0;
		return 0;
	}
	page = slab_at(tx, off, SLAB_TABLE);
	if (page == NULL)
		return 0;
	memset(page, 0, SLAB_BYTES_TABLE);
	return off;
}

/* Makes the directory and the first page of heads, both or none: a directory alone would never be
 * freed, because it goes with its first page. */
static bool room_first(struct tx *tx, struct table *table)
{
	uint32_t dir_off = heads_new(tx), page_off = dir_off == 0 ? 0 : heads_new(tx);
	uint32_t *dir;

	if (page_off == 0) {
		if (dir_off != 0)
			slab_free(tx, dir_off);
		return false;
	}
	dir = slab_at(tx, dir_off, SLAB_TABLE);
	if (dir == NULL)
		return false;
	dir[0] = page_off;
	undo_set32(tx, &table->dir, dir_off);
	return true;
}

/* Makes sure that the bucket's head has a place. */
static bool room_for(struct tx *tx, struct table *table, uint32_t bucket)
{
	uint32_t *dir;
	uint32_t off;

	if (bucket < TABLE_INLINE)
		return true;
	if (table->dir == 0)
		return room_first(tx, table);
	dir = slab_at(tx, table->dir, SLAB_TABLE);
	if (dir == NULL)
		return false;
	if (dir[page_index(bucket)] != 0)
		return true;
	off = heads_new(tx);
	if (off != 0)
		undo_set32(tx, &dir[page_index(bucket)], off);
	return off != 0;
}

/* Copies the chain into an array. Returns false when it is too long to be moved in this
 * transaction. */
static bool collect(const struct tx *tx, const struct table *table, uint32_t off, uint32_t *chain,
                    uint32_t *n_r)
{
	uint32_t most = UNDO_ENTRIES - SPLIT_RESERVE - tx->entries;

	ROSTER_ASSERT(most <= SPLIT_CHAIN_MAX); /* room in the log, and so in the array */
	for (*n_r = 0; off != 0; (*n_r)++) {
		const struct table_link *link = link_at(tx, table, off);

		if (link == NULL || *n_r >= most)
			return false;
		chain[*n_r] = off;
		off = link->next;
	}
	return true;
}

/* Deals the chain out to two heads by one bit of the hash, keeping the order. Links that
 * already point to the right neighbour cost no entry. */
static void deal(struct tx *tx, struct table *table, const uint32_t *chain, uint32_t n,
                 uint32_t bit, uint32_t *heads[2])
{
	uint32_t next[2] = { 0, 0 };

	ROSTER_ASSERT(n <= SPLIT_CHAIN_MAX && bit != 0 && (bit & (bit - 1)) == 0);
	for (uint32_t i = n; i-- > 0;) {
		struct table_link *link = link_at(tx, table, chain[i]);
		unsigned side;

		if (link == NULL) {
			undo_fail(tx, ERR_CORRUPT);
			return;
		}
		side = (link->hash & bit) != 0;
		undo_set32(tx, &link->next, next[side]);
		next[side] = chain[i];
	}
	undo_set32(tx, heads[0], next[0]);
	undo_set32(tx, heads[1], next[1]);
}

/* Adds bucket number `buckets`, which takes its share of one older chain. Returns false when that
 * is left out. */
static bool split(struct tx *tx, struct table *table)
{
	uint32_t added = table->buckets, level = level_of(added);
	uint32_t chain[SPLIT_CHAIN_MAX];
	uint32_t *heads[2];
	uint32_t n;

	if (added >= BUCKETS_MAX || tx->err != 0 || tx->entries + SPLIT_RESERVE > UNDO_ENTRIES)
		return false;
	heads[0] = head_at(tx, table, added - level);
	/* The page comes last: once there is one for the bucket, the bucket has to be added. */
	if (heads[0] == NULL || !collect(tx, table, *heads[0], chain, &n) ||
	    !room_for(tx, table, added))
		return false;
	heads[1] = head_at(tx, table, added);
	if (heads[1] == NULL)
		return false;
	FAULT("table-split");
	deal(tx, table, chain, n, level, heads);
	undo_set32(tx, &table->buckets, added + 1);
	return tx->err == 0;
}

void table_insert(struct tx *tx, struct table *table, uint32_t off, uint32_t hash)
{
	struct table_link *link = link_at(tx, table, off);
	uint32_t *head = head_at(tx, table, bucket_of(table, hash));

	if (link == NULL || head == NULL) {
		undo_fail(tx, ERR_CORRUPT);
		return;
	}
	/* Logged although most objects are new: one that moves here may still be reachable. */
	undo_set_bytes(tx, link, &(struct table_link){ hash, *head }, sizeof(*link));
	undo_set32(tx, head, off);
	undo_set64(tx, &table->count, table->count + 1);
	/* Splitting is not part of the insertion's success: where it is left out, a later one makes
	 * up for it. */
	for (unsigned i = 0; i < SPLITS_PER_INSERT && table->count * 2 > table->buckets; i++) {
		if (!split(tx, table))
			break;
	}
}

void table_reserve(struct tx *tx, struct table *table, uint64_t objects)
{
	/* This commits, so nothing of the caller's may be half done. */
	ROSTER_ASSERT(tx->entries == 0 && tx->frees == 0);
	while (table->buckets < objects * 2 && split(tx, table)) {
		if (undo_commit(tx) < 0)
			return;
	}
}

/* ---- shrinking ------------------------------------------------------------------------------- */

/* Returns where the end of the chain (a 0) stands; NULL when the chain is damaged. */
static uint32_t *tail_of(const struct tx *tx, const struct table *table, uint32_t *head)
{
	uint64_t left = most_of(tx, table) + 1;

	while (*head != 0 && left-- > 0) {
		struct table_link *link = link_at(tx, table, *head);

		if (link == NULL)
			return NULL;
		head = &link->next;
	}
	return *head == 0 ? head : NULL;
}

/* The page of the last bucket goes with the first bucket in it, and the directory with its first
 * page. */
static void heads_free(struct tx *tx, struct table *table, uint32_t bucket)
{
	uint32_t *dir = slab_at(tx, table->dir, SLAB_TABLE);

	if (dir == NULL) {
		undo_fail(tx, ERR_CORRUPT);
		return;
	}
	slab_free(tx, dir[page_index(bucket)]);
	undo_set32(tx, &dir[page_index(bucket)], 0);
	if (page_index(bucket) == 0) {
		slab_free(tx, table->dir);
		undo_set32(tx, &table->dir, 0);
	}
}

/* Takes the last bucket away; its chain goes behind the one it was once split from. */
static void merge(struct tx *tx, struct table *table)
{
	uint32_t last = table->buckets - 1;
	uint32_t *from = head_at(tx, table, last), *to = head_at(tx, table, last - level_of(last));
	uint32_t *end;

	if (from == NULL || to == NULL || (end = tail_of(tx, table, to)) == NULL) {
		undo_fail(tx, ERR_CORRUPT);
		return;
	}
	FAULT("table-merge");
	/* All of the last bucket belong behind the other chain: one link moves them together. */
	undo_set32(tx, end, *from);
	undo_set32(tx, from, 0);
	undo_set32(tx, &table->buckets, last);
	if ((last - TABLE_INLINE) % TABLE_HEADS == 0)
		heads_free(tx, table, last);
}

/* Returns where the reference to off stands: in a head or in the link before it. NULL: nowhere. */
static uint32_t *link_place(const struct tx *tx, const struct table *table, uint32_t off,
                            uint32_t hash)
{
	uint32_t *place = head_at(tx, table, bucket_of(table, hash));

	for (uint64_t left = most_of(tx, table) + 1; place != NULL && *place != off; left--) {
		struct table_link *link =
		        left == 0 || *place == 0 ? NULL : link_at(tx, table, *place);

		place = link == NULL ? NULL : &link->next;
	}
	return place;
}

void table_remove(struct tx *tx, struct table *table, uint32_t off)
{
	struct table_link *link = link_at(tx, table, off);
	uint32_t *place = link == NULL ? NULL : link_place(tx, table, off, link->hash);

	if (place == NULL || table->count == 0) {
		undo_fail(tx, ERR_CORRUPT);
		return;
	}
	undo_set32(tx, place, link->next);
	undo_set64(tx, &table->count, table->count - 1);
	for (unsigned i = 0; i < MERGES_PER_REMOVAL && tx->err == 0; i++) {
		if (table->buckets <= TABLE_INLINE || table->count >= table->buckets / 4)
			break;
		merge(tx, table);
	}
}

void table_replace(struct tx *tx, struct table *table, uint32_t old, uint32_t new)
{
	const struct table_link *link = link_at(tx, table, old);
	uint32_t *place = link == NULL ? NULL : link_place(tx, table, old, link->hash);

	ROSTER_ASSERT(new != 0 && new != old);
	if (place == NULL)
		undo_fail(tx, ERR_CORRUPT);
	else
		undo_set32(tx, place, new);
}

/* ---- audit ----------------------------------------------------------------------------------- */

struct auditor {
	const struct tx *tx;
	const struct table *table;
	slab_say_fn *say;
	void *arg;
	unsigned broken;
};

static void table_broken(struct auditor *auditor, const char *what, uint64_t where)
{
	char text[128];

	auditor->broken++;
	if (auditor->say == NULL)
		return;
	snprintf(text, sizeof(text), "table: shard %u, kind %u: %s %llu", auditor->tx->shard->index,
	         auditor->table->kind, what, (unsigned long long)where);
	auditor->say(text, auditor->arg);
}

static uint64_t audit_chain(struct auditor *auditor, uint32_t bucket)
{
	const uint32_t *head = head_at(auditor->tx, auditor->table, bucket);
	uint64_t seen = 0;

	if (head == NULL) {
		table_broken(auditor, "no head for bucket", bucket);
		return 0;
	}
	for (uint32_t off = *head; off != 0; seen++) {
		const struct table_link *link = link_at(auditor->tx, auditor->table, off);

		if (link == NULL || seen > most_of(auditor->tx, auditor->table)) {
			table_broken(auditor, link == NULL ? "reference" : "endless chain at", off);
			break;
		}
		if (bucket_of(auditor->table, link->hash) != bucket)
			table_broken(auditor, "object in the wrong bucket", off);
		off = link->next;
	}
	return seen;
}

unsigned table_audit_shape(const struct tx *tx, const struct table *table, slab_say_fn *say,
                           void *arg)
{
	struct auditor auditor = { tx, table, say, arg, 0 };

	if (table->buckets < TABLE_INLINE || table->buckets > BUCKETS_MAX)
		table_broken(&auditor, "buckets", table->buckets);
	if ((table->dir != 0) != (table->buckets > TABLE_INLINE))
		table_broken(&auditor, "directory", table->dir);
	for (uint32_t n = table_pages(table); n < DIR_PAGES; n++) {
		if (table_page(tx, table, n) != 0)
			table_broken(&auditor, "page beyond the buckets", n);
	}
	return auditor.broken;
}

unsigned table_audit_buckets(const struct tx *tx, const struct table *table, uint32_t first,
                             uint32_t most, uint64_t *seen_r, slab_say_fn *say, void *arg)
{
	struct auditor auditor = { tx, table, say, arg, 0 };

	for (uint32_t bucket = first;
	     bucket < table->buckets && bucket < BUCKETS_MAX && bucket - first < most; bucket++)
		*seen_r += audit_chain(&auditor, bucket);
	return auditor.broken;
}

unsigned table_audit(const struct tx *tx, const struct table *table, slab_say_fn *say, void *arg)
{
	struct auditor auditor = { tx, table, say, arg, 0 };
	uint64_t seen = 0;

	auditor.broken = table_audit_shape(tx, table, say, arg);
	auditor.broken += table_audit_buckets(tx, table, 0, BUCKETS_MAX, &seen, say, arg);
	if (seen != table->count)
		table_broken(&auditor, "count", table->count);
	return auditor.broken;
}

uint32_t table_pages(const struct table *table)
{
	if (table->buckets <= TABLE_INLINE || table->buckets > BUCKETS_MAX)
		return 0;
	return (table->buckets - TABLE_INLINE + TABLE_HEADS - 1) / TABLE_HEADS;
}

uint32_t table_page(const struct tx *tx, const struct table *table, uint32_t n)
{
	const uint32_t *dir = table->dir == 0 ? NULL : slab_try(tx, table->dir, SLAB_TABLE);

	return dir == NULL || n >= DIR_PAGES ? 0 : dir[n];
}

const char *table_damaged(const struct tx *tx, const struct table *table, enum slab_kind kind)
{
	if (table->kind != (uint32_t)kind || table->buckets < TABLE_INLINE ||
	    table->buckets > BUCKETS_MAX || table->count > tx->shard->slabs[kind].objects)
		return "a table's numbers are impossible";
	if ((table->dir != 0) != (table->buckets > TABLE_INLINE) ||
	    (table->dir != 0 && slab_try(tx, table->dir, SLAB_TABLE) == NULL))
		return "a table's directory is impossible";
	/* As many pages as the buckets need, and no more. */
	for (uint32_t n = 0; n < DIR_PAGES && table->dir != 0; n++) {
		uint32_t page = table_page(tx, table, n);

		if (n < table_pages(table) ? slab_try(tx, page, SLAB_TABLE) == NULL : page != 0)
			return "a table's pages are impossible";
	}
	for (uint32_t n = 0; n < TABLE_INLINE; n++)
		if (table->heads[n] != 0 && slab_try(tx, table->heads[n], kind) == NULL)
			return "a table's chain begins nowhere";
	return NULL;
}
