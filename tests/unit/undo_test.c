/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/shm_common.h"

struct root {
	uint64_t a;
	uint32_t left, right;
	uint8_t bytes[24];
	uint64_t b;
	uint32_t object;
};

static void test_commit_keeps(void **state)
{
	struct segment *seg = *state;
	struct root *root = root_of(seg);
	struct tx tx = take(seg);

	undo_set64(&tx, &root->a, 7);
	assert_int_equal(seg->shards[TEST_SHARD].state & 0xffff, 1);
	assert_int_equal(undo_commit(&tx), 0);
	assert_int_equal(seg->shards[TEST_SHARD].state, 0);
	assert_int_equal(root->a, 7);
	lock_drop(&tx);
}

static void test_rollback_is_backwards(void **state)
{
	struct segment *seg = *state;
	struct root *root = root_of(seg);
	struct tx tx;

	root->a = 1;
	tx = take(seg);
	undo_set64(&tx, &root->a, 2);
	undo_set64(&tx, &root->a, 3);
	assert_int_equal(tx.entries, 2);
	undo_rollback(&tx);
	assert_int_equal(root->a, 1);
	assert_int_equal(tx.most, 2);
	lock_drop(&tx);
}

static void test_drop_rolls_back(void **state)
{
	struct segment *seg = *state;
	struct root *root = root_of(seg);
	struct tx tx;

	root->a = 1;
	tx = take(seg);
	undo_set64(&tx, &root->a, 2);
	lock_drop(&tx);
	assert_int_equal(root->a, 1);
	assert_int_equal(seg->shards[TEST_SHARD].state, 0);
}

static void test_set32_keeps_neighbour(void **state)
{
	struct segment *seg = *state;
	struct root *root = root_of(seg);
	struct tx tx;

	root->left = 11;
	root->right = 22;
	tx = take(seg);
	undo_set32(&tx, &root->right, 33);
	assert_int_equal(root->left, 11);
	assert_int_equal(root->right, 33);
	undo_set32(&tx, &root->left, 44);
	undo_rollback(&tx);
	assert_int_equal(root->left, 11);
	assert_int_equal(root->right, 22);
	lock_drop(&tx);
}

static void test_set_bytes(void **state)
{
	struct segment *seg = *state;
	struct root *root = root_of(seg);
	struct tx tx;

	memcpy(root->bytes, "abcdefghijklmnopqrstuvwx", 24);
	tx = take(seg);
	undo_set_bytes(&tx, root->bytes + 3, "0123456789", 10);
	assert_memory_equal(root->bytes, "abc0123456789nopqrstuvwx", 24);
	assert_int_equal(tx.entries, 2);
	undo_rollback(&tx);
	assert_memory_equal(root->bytes, "abcdefghijklmnopqrstuvwx", 24);
	lock_drop(&tx);
}

static void test_equal_value_is_free(void **state)
{
	struct segment *seg = *state;
	struct root *root = root_of(seg);
	struct tx tx = take(seg);

	undo_set64(&tx, &root->a, root->a);
	assert_int_equal(tx.entries, 0);
	lock_drop(&tx);
}

static void test_outside_is_refused(void **state)
{
	struct segment *seg = *state;
	struct tx tx = take(seg);
	uint64_t mine = 5;

	undo_set64(&tx, &mine, 6);
	assert_int_equal(mine, 5);
	assert_int_equal(tx.err, ERR_CORRUPT);
	assert_int_equal(undo_commit(&tx), ERR_CORRUPT);
	assert_int_equal(tx.err, 0);
	undo_set_bytes(&tx, &mine, "12345678", 8);
	assert_int_equal(mine, 5);
	assert_int_equal(undo_commit(&tx), ERR_CORRUPT);
	lock_drop(&tx);
}

static void test_overflow_rolls_back(void **state)
{
	struct segment *seg = *state;
	uint64_t *words = root_of(seg);
	struct tx tx = take(seg);

	for (unsigned i = 0; i < UNDO_ENTRIES + 1; i++)
		undo_set64(&tx, &words[i], i + 1);
	assert_int_equal(tx.err, ERR_UNDO);
	assert_int_equal(words[UNDO_ENTRIES], 0);
	assert_int_equal(undo_commit(&tx), ERR_UNDO);
	for (unsigned i = 0; i < UNDO_ENTRIES + 1; i++)
		assert_int_equal(words[i], 0);
	lock_drop(&tx);
}

/* A long transaction that changes the same word again and again does not fill the log. */
static void test_long_transactions_log_a_word_once(void **state)
{
	struct segment *seg = *state;
	uint64_t *words = root_of(seg);
	struct tx tx = take(seg);

	for (unsigned i = 0; i < 2000; i++)
		undo_set64(&tx, &words[i % 50], i + 1);
	assert_int_equal(tx.err, 0);
	assert_in_range(tx.entries, 50, 100);
	undo_rollback(&tx);
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(words[i], 0);
	lock_drop(&tx);
}

static void test_numbers_survive_rollback(void **state)
{
	struct segment *seg = *state;
	struct tx tx = take(seg);
	uint64_t revision = undo_next_revision(&tx), id = undo_next_id(&tx);

	undo_rollback(&tx);
	assert_int_equal(undo_next_revision(&tx), revision + 1);
	assert_int_equal(undo_next_id(&tx), id + 1);
	assert_int_equal(undo_id_shard(id), TEST_SHARD);
	lock_drop(&tx);
}

/* Pending frees of a transaction that did not commit must not happen. */
static void test_rollback_drops_frees(void **state)
{
	struct segment *seg = *state;
	struct tx tx = take(seg);
	uint32_t off = slab_alloc(&tx, SLAB_CLUSTER);

	assert_int_equal(undo_commit(&tx), 0);
	slab_free(&tx, off);
	undo_rollback(&tx);
	assert_non_null(slab_at(&tx, off, SLAB_CLUSTER));
	assert_int_equal(slab_audit(&tx, say_out, NULL), 0);
	lock_drop(&tx);
}

/* A log as it stands in the middle of an operation, and each way it can be wrong by one bit. */
static void test_checks_of_the_log(struct segment *seg, struct shard *shard)
{
	uint64_t *words[] = { &shard->state, &shard->undo[0].at, &shard->undo[0].old };
	struct tx tx = take(seg);

	undo_set64(&tx, root_of(seg), 12345);
	assert_true(undo_valid(seg, shard));
	for (unsigned n = 0; n < 3; n++) {
		for (unsigned bit = 0; bit < 64; bit++) {
			*words[n] ^= 1ULL << bit;
			assert_false(undo_valid(seg, shard));
			*words[n] ^= 1ULL << bit;
		}
	}
	undo_rollback(&tx);
	lock_drop(&tx);
}

static void test_impossible_log_is_refused(void **state)
{
	struct segment *seg = *state;
	struct shard *shard = &seg->shards[TEST_SHARD];
	struct tx tx = { .seg = seg, .shard = shard };

	assert_true(undo_valid(seg, shard));
	shard->state = UNDO_ENTRIES + 1;
	assert_false(undo_valid(seg, shard));
	shard->state = (uint64_t)(UNDO_FREES + 1) << 16;
	assert_false(undo_valid(seg, shard));
	shard->state = 1;
	shard->undo[0].at = seg->bytes;
	assert_false(undo_valid(seg, shard));
	shard->undo[0].at = 4;
	assert_false(undo_valid(seg, shard));
	shard->state = 0;
	test_checks_of_the_log(seg, shard);
	shard->state = 1;
	undo_recover(&tx);
	assert_int_equal(tx.err, ERR_CORRUPT);
	shard->state = 0;
}

/* ---- crash campaign: two counters and an object change together ------------------------------ */

static void replace(struct segment *seg)
{
	struct root *root = root_of(seg);
	struct tx tx;
	uint32_t off;
	uint64_t *object;

	if (lock_take(seg, TEST_SHARD, &tx) != 0)
		return;
	off = slab_alloc(&tx, SLAB_CLUSTER);
	object = off == 0 ? NULL : slab_at(&tx, off, SLAB_CLUSTER);
	if (object != NULL) {
		*object = root->a + 1;
		if (root->object != 0)
			slab_free(&tx, root->object);
		undo_set32(&tx, &root->object, off);
		undo_set64(&tx, &root->a, root->a + 1);
		undo_set64(&tx, &root->b, root->b + 1);
	}
	if (undo_commit(&tx) != 0)
		abort();
	lock_drop(&tx);
}

static void check_replace(struct segment *seg, struct tx *tx)
{
	struct root *root = root_of(seg);
	const uint64_t *object;

	assert_int_equal(root->a, root->b);
	if (root->a == 0)
		return;
	object = slab_at(tx, root->object, SLAB_CLUSTER);
	assert_non_null(object);
	assert_int_equal(*object, root->a);
	assert_int_equal(tx->shard->slabs[SLAB_CLUSTER].objects, 1);
	assert_int_equal(tx->shard->slabs[SLAB_CLUSTER].pages, 1);
}

static void test_killed_anywhere(void **state)
{
	const struct campaign campaign = { replace, check_replace };

	replace(*state);
	assert_true(campaign_run(*state, &campaign, 1) > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, open_segment, close_segment)
		ROW(test_commit_keeps),
		ROW(test_rollback_is_backwards),
		ROW(test_drop_rolls_back),
		ROW(test_set32_keeps_neighbour),
		ROW(test_set_bytes),
		ROW(test_equal_value_is_free),
		ROW(test_outside_is_refused),
		ROW(test_overflow_rolls_back),
		ROW(test_long_transactions_log_a_word_once),
		ROW(test_numbers_survive_rollback),
		ROW(test_rollback_drops_frees),
		ROW(test_impossible_log_is_refused),
		ROW(test_killed_anywhere),
	};

	return cmocka_run_group_tests_name("undo", tests, NULL, NULL);
}
