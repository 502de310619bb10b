/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/shm_common.h"

static char text[BLOB_MAX_BYTES + 1];

static int open_blobs(void **state)
{
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + i * 7 % 26 + i / 4088 % 3);
	return open_segment(state) != 0 ? -1 : segment_ensure(*state, 300);
}

static void test_lengths(void **state)
{
	static const uint32_t lengths[] = {
		0,    1,    23,   24,   25,   56,   57,   1016, 1017,          1352,
		1353, 2040, 2041, 4087, 4088, 4089, 8176, 8177, BLOB_MAX_BYTES
	};
	static char out[BLOB_MAX_BYTES];
	struct segment *seg = *state;
	struct tx tx = take(seg);

	for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct str s = str_make(text, lengths[i]);
		uint32_t off = blob_new(&tx, s);

		assert_int_not_equal(off, 0);
		assert_int_equal(undo_commit(&tx), 0);
		assert_int_equal(blob_len(&tx, off), s.n);
		assert_int_equal(blob_copy(&tx, off, out, sizeof(out)), s.n);
		assert_memory_equal(out, text, s.n);
		assert_true(blob_equal(&tx, off, s));
		assert_false(blob_equal(&tx, off, str_make(text, s.n + 1)));
		assert_int_equal(blob_view(&tx, off).p != NULL, s.n <= 4088);
		blob_free(&tx, off);
		assert_int_equal(undo_commit(&tx), 0);
	}
	for (int kind = SLAB_BLOB32; kind < SLAB_KINDS; kind++)
		assert_int_equal(tx.shard->slabs[kind].pages, 0);
	assert_int_equal(slab_audit(&tx, say_out, NULL), 0);
	lock_drop(&tx);
}

static void test_differences_are_seen(void **state)
{
	struct segment *seg = *state;
	struct tx tx = take(seg);
	uint32_t off = blob_new(&tx, str_make(text, 5000));

	text[4999]++;
	assert_false(blob_equal(&tx, off, str_make(text, 5000)));
	text[4999]--;
	assert_true(blob_equal(&tx, off, str_make(text, 5000)));
	assert_false(blob_equal(&tx, off, str_make(text, 4999)));
	assert_false(blob_equal(&tx, 0, str_make(text, 0)));
	lock_drop(&tx);
}

static void test_short_copy(void **state)
{
	struct segment *seg = *state;
	struct tx tx = take(seg);
	uint32_t off = blob_new(&tx, str_make(text, 9000));
	char out[5001];

	out[5000] = '#';
	assert_int_equal(blob_copy(&tx, off, out, 5000), 9000);
	assert_memory_equal(out, text, 5000);
	assert_int_equal(out[5000], '#');
	lock_drop(&tx);
}

static void test_refusals(void **state)
{
	struct segment *seg = *state;
	struct tx tx = take(seg);

	assert_int_equal(blob_new(&tx, str_make(text, BLOB_MAX_BYTES + 1)), 0);
	assert_int_equal(undo_commit(&tx), ERR_TOO_BIG);
	blob_free(&tx, 0);
	assert_int_equal(tx.err, 0);
	blob_free(&tx, 77);
	assert_int_equal(undo_commit(&tx), ERR_CORRUPT);
	lock_drop(&tx);
}

static void test_longest_leaves_room_in_the_log(void **state)
{
	struct segment *seg = *state;
	struct tx tx = take(seg);
	uint32_t off = blob_new(&tx, str_make(text, BLOB_MAX_BYTES));

	assert_int_not_equal(off, 0);
	assert_in_range(tx.entries, 1, UNDO_ENTRIES - 64);
	assert_int_equal(undo_commit(&tx), 0);
	blob_free(&tx, off);
	assert_in_range(tx.frees, 60, UNDO_FREES - 16);
	assert_int_equal(undo_commit(&tx), 0);
	lock_drop(&tx);
}

static void test_endless_chain(void **state)
{
	struct segment *seg = *state;
	struct tx tx = take(seg);
	uint32_t off = blob_new(&tx, str_make(text, 5000));
	struct blob *blob = slab_at(&tx, off, SLAB_BLOB4K);

	blob->next = off;
	assert_true(blob_len(&tx, off) > 5000);
	assert_false(blob_equal(&tx, off, str_make(text, 5000)));
	blob_free(&tx, off);
	assert_int_equal(undo_commit(&tx), ERR_CORRUPT);
	lock_drop(&tx);
}

static void test_cost(void **state)
{
	(void)state;
	assert_int_equal(blob_cost(0), 32);
	assert_int_equal(blob_cost(24), 32);
	assert_int_equal(blob_cost(25), 48);
	assert_int_equal(blob_cost(41), 64);
	assert_int_equal(blob_cost(4088), 4096);
	assert_int_equal(blob_cost(4089), 4096 + 32);
	assert_int_equal(blob_cost(8176), 8192);
}

/* No text takes more than twice its bytes; one just above 1,016 of them less than one and a half
 * times. Pages of texts are full to the last hundredth. */
static void test_waste_is_bounded(void **state)
{
	(void)state;
	for (uint32_t len = 24; len <= 2 * 4088; len++)
		assert_in_range(blob_cost(len), len + 8, 2 * (len + 8));
	for (uint32_t len = 1017; len <= 2040; len++)
		assert_in_range(blob_cost(len), len + 8, (len + 8) * 151 / 100);
	assert_int_equal(blob_cost(1017), 1360);
	assert_int_equal(blob_cost(1353), 2048);
	assert_int_equal(blob_cost(2041), 4096);
	for (int kind = SLAB_BLOB32; kind < SLAB_KINDS; kind++) {
		uint32_t bytes = slab_object_bytes((enum slab_kind)kind);

		assert_in_range(SEGMENT_PAGE / bytes * bytes, SEGMENT_PAGE * 99 / 100,
		                SEGMENT_PAGE);
		if (kind > SLAB_BLOB32)
			assert_true(bytes > slab_object_bytes((enum slab_kind)(kind - 1)));
	}
}

/* ---- crash campaign: a long text is replaced by another -------------------------------------- */

struct root {
	uint32_t blob, len;
};

static void replace(struct segment *seg)
{
	struct root *root = root_of(seg);
	struct tx tx;
	uint32_t len, off;

	if (lock_take(seg, TEST_SHARD, &tx) != 0)
		return;
	len = (root->len * 5 + 4001) % 13000;
	off = blob_new(&tx, str_make(text, len));
	blob_free(&tx, root->blob);
	undo_set_bytes(&tx, root, &(struct root){ off, len }, sizeof(*root));
	if (undo_commit(&tx) != 0)
		abort();
	lock_drop(&tx);
}

static void check_text(struct segment *seg, struct tx *tx)
{
	struct root *root = root_of(seg);
	uint64_t objects = 0;

	for (int kind = SLAB_BLOB32; kind < SLAB_KINDS; kind++)
		objects += tx->shard->slabs[kind].objects;
	assert_true(root->blob == 0 || blob_equal(tx, root->blob, str_make(text, root->len)));
	assert_int_equal(objects, root->blob == 0  ? 0
	                          : root->len == 0 ? 1
	                                           : (root->len + 4087) / 4088);
}

static void test_killed_anywhere(void **state)
{
	const struct campaign campaign = { replace, check_text };

	replace(*state);
	campaign_run(*state, &campaign, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, open_blobs, close_segment)
		ROW(test_lengths),
		ROW(test_differences_are_seen),
		ROW(test_short_copy),
		ROW(test_refusals),
		ROW(test_longest_leaves_room_in_the_log),
		ROW(test_endless_chain),
		ROW(test_cost),
		ROW(test_waste_is_bounded),
		ROW(test_killed_anywhere),
	};

	return cmocka_run_group_tests_name("blob", tests, NULL, NULL);
}
