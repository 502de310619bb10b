/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/shm_common.h"

struct root {
	struct table table;
	uint64_t step;
	uint32_t audience[4];
};

static uint32_t mix(uint64_t n)
{
	n = (n + 1) * 0x9e3779b97f4a7c15ULL;
	n ^= n >> 29;
	return (uint32_t)(n * 0xbf58476d1ce4e5b9ULL >> 32);
}

static int open_table(void **state)
{
	if (open_segment(state) != 0)
		return -1;
	table_init(&((struct root *)root_of(*state))->table, SLAB_AUDIENCE);
	return segment_ensure(*state, 1000);
}

static uint32_t add(struct tx *tx, struct table *table, uint32_t hash)
{
	uint32_t off = slab_alloc(tx, SLAB_AUDIENCE);

	assert_int_not_equal(off, 0);
	table_insert(tx, table, off, hash);
	assert_int_equal(undo_commit(tx), 0);
	return off;
}

static void remove_one(struct tx *tx, struct table *table, uint32_t off)
{
	table_remove(tx, table, off);
	slab_free(tx, off);
	assert_int_equal(undo_commit(tx), 0);
}

static void test_find_and_equal_hashes(void **state)
{
	struct segment *seg = *state;
	struct table *table = &((struct root *)root_of(seg))->table;
	struct tx tx = take(seg);
	uint32_t offs[3], seen = 0;

	assert_int_equal(table_find(&tx, table, 5), 0);
	for (unsigned i = 0; i < 3; i++)
		offs[i] = add(&tx, table, 5);
	add(&tx, table, 5 + TABLE_INLINE);
	for (uint32_t off = table_find(&tx, table, 5); off != 0; off = table_next(&tx, table, off))
		seen += off == offs[0] || off == offs[1] || off == offs[2];
	assert_int_equal(seen, 3);
	assert_int_equal(table_audit(&tx, table, say_out, NULL), 0);
	lock_drop(&tx);
}

/* A flipped bit in the kind of a table: nothing is read beyond the table of kinds, and the look-up
 * finds nothing. */
static void test_damaged_kind(void **state)
{
	struct segment *seg = *state;
	struct table *table = &((struct root *)root_of(seg))->table;
	struct tx tx = take(seg);

	add(&tx, table, 5);
	for (unsigned bit = 5; bit < 32; bit++) {
		table->kind = SLAB_AUDIENCE ^ 1U << bit;
		table_ask_first(&tx, table, 5);
		assert_int_equal(table_find(&tx, table, 5), 0);
	}
	table->kind = SLAB_AUDIENCE;
	lock_drop(&tx);
}

/* Grows over several pages and shrinks to nothing; every object stays findable throughout. */
static void test_grow_and_shrink(void **state)
{
	enum { N = 6000 };
	static uint32_t offs[N];
	struct segment *seg = *state;
	struct table *table = &((struct root *)root_of(seg))->table;
	struct tx tx = take(seg);

	for (uint32_t i = 0; i < N; i++) {
		offs[i] = add(&tx, table, mix(i));
		assert_in_range(tx.most, 1, 64);
	}
	assert_int_equal(table->buckets, 2 * N);
	assert_int_equal(table_audit(&tx, table, say_out, NULL), 0);
	for (uint32_t i = 0; i < N; i++)
		assert_int_equal(table_find(&tx, table, mix(i)), offs[i]);
	for (uint32_t i = 0; i < N; i++) {
		uint32_t victim = (i * 4999U) % N;

		remove_one(&tx, table, offs[victim]);
		offs[victim] = 0;
		if (i % 1000 == 999)
			assert_int_equal(table_audit(&tx, table, say_out, NULL), 0);
	}
	assert_int_equal(table->count, 0);
	assert_int_equal(table->buckets, TABLE_INLINE);
	assert_int_equal(table->dir, 0);
	assert_int_equal(tx.shard->slabs[SLAB_TABLE].pages, 0);
	assert_int_equal(slab_audit(&tx, say_out, NULL), 0);
	assert_int_equal(seg->header->corrupt, 0);
	lock_drop(&tx);
}

/* Without a page the table stays small, and makes up for it when there are pages again. */
static void test_no_page_no_failure(void **state)
{
	struct segment *seg = *state;
	struct table *table = &((struct root *)root_of(seg))->table;
	struct tx tx = take(seg);
	uint32_t offs[TABLE_INLINE * 2];

	for (uint32_t i = 0; i < TABLE_INLINE * 2; i++) {
		offs[i] = slab_alloc(&tx, SLAB_AUDIENCE);
		assert_int_equal(undo_commit(&tx), 0);
	}
	while (slab_alloc(&tx, SLAB_BLOB4K) != 0)
		assert_int_equal(undo_commit(&tx), 0);
	assert_int_equal(undo_commit(&tx), ERR_FULL);
	for (uint32_t i = 0; i < TABLE_INLINE * 2; i++) {
		table_insert(&tx, table, offs[i], mix(i));
		assert_int_equal(undo_commit(&tx), 0);
	}
	assert_int_equal(table->buckets, TABLE_INLINE);
	assert_int_equal(table->dir, 0);
	assert_int_equal(table_audit(&tx, table, say_out, NULL), 0);
	lock_drop(&tx);
	assert_int_equal(segment_ensure(seg, 100), 0);
	tx = take(seg);
	for (uint32_t i = 0; i < TABLE_INLINE * 6; i++)
		add(&tx, table, mix(1000 + i));
	assert_int_equal(table->buckets, 2 * table->count);
	assert_int_equal(table_audit(&tx, table, say_out, NULL), 0);
	lock_drop(&tx);
}

/* A chain of equal hashes too long for one transaction is left alone, and nothing fails. */
static void test_hash_flood(void **state)
{
	struct segment *seg = *state;
	struct table *table = &((struct root *)root_of(seg))->table;
	struct tx tx = take(seg);
	uint32_t off = 0;

	for (uint32_t i = 0; i < 600; i++)
		off = add(&tx, table, 64);
	assert_int_equal(table_audit(&tx, table, say_out, NULL), 0);
	remove_one(&tx, table, off);
	assert_int_equal(table->count, 599);
	assert_int_equal(table_audit(&tx, table, say_out, NULL), 0);
	lock_drop(&tx);
}

/* A chain bent into a circle ends every walk and is reported. */
static void test_walks_are_bounded(void **state)
{
	struct segment *seg = *state;
	struct table *table = &((struct root *)root_of(seg))->table;
	struct tx tx = take(seg);
	uint32_t off = add(&tx, table, 1);
	struct table_link *link;

	add(&tx, table, 1);
	link = slab_at(&tx, off, SLAB_AUDIENCE);
	link->next = table_find(&tx, table, 1);
	assert_int_equal(table_find(&tx, table, 1 + TABLE_INLINE), 0);
	assert_true(table_audit(&tx, table, NULL, NULL) > 0);
	table_remove(&tx, table, add(&tx, table, 2));
	assert_int_equal(undo_commit(&tx), 0);
	lock_drop(&tx);
}

static void test_remove_of_a_stranger(void **state)
{
	struct segment *seg = *state;
	struct table *table = &((struct root *)root_of(seg))->table;
	struct tx tx = take(seg);
	uint32_t off = slab_alloc(&tx, SLAB_AUDIENCE);
	struct table_link *link = slab_at(&tx, off, SLAB_AUDIENCE);

	add(&tx, table, 9);
	*link = (struct table_link){ 9, 0 };
	table_remove(&tx, table, off);
	assert_int_equal(undo_commit(&tx), ERR_CORRUPT);
	assert_int_equal(table->count, 1);
	lock_drop(&tx);
}

/* ---- crash campaign: around the first page of heads ------------------------------------------ */

/* Eight of the inline buckets get everything, so that a split has a chain to deal out. */
static uint32_t clump(uint64_t n)
{
	return mix(n) & ~0x38U;
}

static void insert_next(struct segment *seg)
{
	struct root *root = root_of(seg);
	struct tx tx;
	uint32_t off;

	if (lock_take(seg, TEST_SHARD, &tx) != 0)
		return;
	off = slab_alloc(&tx, SLAB_AUDIENCE);
	if (off != 0)
		table_insert(&tx, &root->table, off, clump(root->step));
	undo_set64(&tx, &root->step, root->step + 1);
	if (undo_commit(&tx) != 0)
		abort();
	lock_drop(&tx);
}

static void remove_last(struct segment *seg)
{
	struct root *root = root_of(seg);
	struct tx tx;
	uint32_t off;

	if (lock_take(seg, TEST_SHARD, &tx) != 0)
		return;
	off = root->step == 0 ? 0 : table_find(&tx, &root->table, clump(root->step - 1));
	if (off != 0) {
		table_remove(&tx, &root->table, off);
		slab_free(&tx, off);
		undo_set64(&tx, &root->step, root->step - 1);
	}
	if (undo_commit(&tx) != 0)
		abort();
	lock_drop(&tx);
}

#define GROWN 4000U

/* Up to 90, down to 10 and so on: the page of heads comes and goes. */
static void swing(struct segment *seg)
{
	struct root *root = root_of(seg);

	if (root->audience[0] == 0 && root->step >= 90)
		root->audience[0] = 1;
	if (root->audience[0] == 1 && root->step <= 10)
		root->audience[0] = 0;
	if (root->audience[0] == 0)
		insert_next(seg);
	else
		remove_last(seg);
}

static void check_members(struct segment *seg, struct tx *tx)
{
	struct root *root = root_of(seg);

	assert_int_equal(table_audit(tx, &root->table, say_out, NULL), 0);
	assert_int_equal(root->table.count, root->step);
	assert_int_equal(tx->shard->slabs[SLAB_AUDIENCE].objects, root->step);
	for (uint64_t i = 0; i < root->step; i++)
		assert_int_not_equal(table_find(tx, &root->table, clump(i)), 0);
}

/* From a full inline table on; again from there when it is large, for a check costs as much as
 * there are members. */
static void grow(struct segment *seg)
{
	struct root *root = root_of(seg);

	if (root->step >= GROWN)
		while (root->step > TABLE_INLINE)
			remove_last(seg);
	insert_next(seg);
}

static void test_killed_while_growing(void **state)
{
	const struct campaign campaign = { grow, check_members };

	for (unsigned i = 0; i < TABLE_INLINE; i++)
		insert_next(*state);
	/* First the page of heads comes, then buckets in it. */
	campaign_run(*state, &campaign, 1);
	campaign_run(*state, &campaign, 5);
}

static void test_killed_while_shrinking(void **state)
{
	const struct campaign campaign = { remove_last, check_members };
	struct root *root = root_of(*state);

	for (unsigned i = 0; i < 70; i++)
		insert_next(*state);
	/* 64 + n buckets shrink below a quarter: the next removals merge, the page of heads
	 * goes. */
	while (root->table.count > root->table.buckets / 4)
		remove_last(*state);
	campaign_run(*state, &campaign, 1);
	assert_int_equal(table_audit(&(struct tx){ .seg = *state,
	                                           .shard = &((struct segment *)*state)
	                                                             ->shards[TEST_SHARD] },
	                             &root->table, say_out, NULL),
	                 0);
}

static void test_killed_anywhere(void **state)
{
	const struct campaign campaign = { swing, check_members };

	for (unsigned i = 0; i < 3; i++) {
		campaign_run(*state, &campaign, 3);
		for (unsigned k = 0; k < 50; k++)
			swing(*state);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, open_table, close_segment)
		ROW(test_find_and_equal_hashes),
		ROW(test_damaged_kind),
		ROW(test_grow_and_shrink),
		ROW(test_no_page_no_failure),
		ROW(test_hash_flood),
		ROW(test_walks_are_bounded),
		ROW(test_remove_of_a_stranger),
		ROW(test_killed_while_growing),
		ROW(test_killed_while_shrinking),
		ROW(test_killed_anywhere),
	};

	return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
