/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/shm_common.h"

static void test_every_kind(void **state)
{
	struct segment *seg = *state;
	struct tx tx = take(seg);

	for (int kind = SLAB_TABLE; kind < SLAB_KINDS; kind++) {
		uint32_t bytes = slab_object_bytes((enum slab_kind)kind),
		         per_page = SEGMENT_PAGE / bytes;
		uint32_t offs[300];

		for (uint32_t i = 0; i < per_page + 1; i++) {
			uint8_t *object;

			offs[i] = slab_alloc(&tx, (enum slab_kind)kind);
			assert_int_not_equal(offs[i], 0);
			object = slab_at(&tx, offs[i], (enum slab_kind)kind);
			assert_non_null(object);
			assert_int_equal((uintptr_t)object % 16, 0);
			memset(object, (int)i + 1, bytes);
			assert_int_equal(undo_commit(&tx), 0);
		}
		for (uint32_t i = 0; i < per_page + 1; i++) {
			const uint8_t *object = slab_at(&tx, offs[i], (enum slab_kind)kind);

			assert_int_equal(object[0], (uint8_t)(i + 1));
			assert_int_equal(object[bytes - 1], (uint8_t)(i + 1));
		}
		assert_int_equal(tx.shard->slabs[kind].pages, 2);
		assert_int_equal(tx.shard->slabs[kind].objects, per_page + 1);
	}
	assert_int_equal(slab_audit(&tx, say_out, NULL), 0);
	lock_drop(&tx);
}

static void test_references_are_checked(void **state)
{
	struct segment *seg = *state;
	struct tx tx = take(seg), other;
	uint32_t off = slab_alloc(&tx, SLAB_INSTANCE),
	         next = off + SLAB_BYTES_INSTANCE / SEGMENT_UNIT;

	assert_int_equal(undo_commit(&tx), 0);
	assert_non_null(slab_at(&tx, off, SLAB_INSTANCE));
	assert_int_equal(slab_kind_at(&tx, off), SLAB_INSTANCE);
	assert_int_equal(seg->header->corrupt, 0);
	assert_null(slab_try(&tx, next, SLAB_INSTANCE));
	assert_int_equal(seg->header->corrupt, 0);
	assert_null(slab_at(&tx, 0, SLAB_INSTANCE));
	assert_null(slab_at(&tx, 1, SLAB_INSTANCE));
	assert_null(slab_at(&tx, UINT32_MAX, SLAB_INSTANCE));
	assert_null(slab_at(&tx, off + 1, SLAB_INSTANCE));
	assert_null(slab_at(&tx, next, SLAB_INSTANCE));
	assert_null(slab_at(&tx, off, SLAB_SERVICE));
	assert_null(slab_at(&tx, off, SLAB_NONE));
	assert_int_equal(seg->header->corrupt, 7);
	lock_drop(&tx);
	assert_int_equal(lock_take(seg, TEST_SHARD + 1, &other), 0);
	assert_null(slab_at(&other, off, SLAB_INSTANCE));
	lock_drop(&other);
}

static void test_freed_only_after_commit(void **state)
{
	struct segment *seg = *state;
	struct tx tx = take(seg);
	uint32_t off = slab_alloc(&tx, SLAB_AUDIENCE);

	assert_int_equal(undo_commit(&tx), 0);
	slab_free(&tx, off);
	/* Still taken: whatever this transaction allocates lies elsewhere. */
	for (unsigned i = 0; i < 20; i++)
		assert_int_not_equal(slab_alloc(&tx, SLAB_AUDIENCE), off);
	assert_int_equal(undo_commit(&tx), 0);
	assert_null(slab_try(&tx, off, SLAB_AUDIENCE));
	assert_int_equal(slab_alloc(&tx, SLAB_AUDIENCE), off);
	lock_drop(&tx);
}

static void test_empty_pages_go_back(void **state)
{
	struct segment *seg = *state;
	struct tx tx = take(seg);
	uint64_t before = seg->header->free_hint;
	uint32_t offs[500];

	for (unsigned i = 0; i < 500; i++) {
		offs[i] = slab_alloc(&tx, SLAB_INSTANCE);
		assert_int_equal(undo_commit(&tx), 0);
	}
	assert_true(seg->header->free_hint < before);
	for (unsigned i = 0; i < 500; i++) {
		slab_free(&tx, offs[i * 37 % 500]);
		assert_int_equal(undo_commit(&tx), 0);
		assert_int_equal(slab_audit(&tx, say_out, NULL), 0);
	}
	assert_int_equal(seg->header->free_hint, before);
	assert_int_equal(tx.shard->slabs[SLAB_INSTANCE].pages, 0);
	assert_int_equal(tx.shard->slabs[SLAB_INSTANCE].objects, 0);
	lock_drop(&tx);
}

#define PER_PAGE (SEGMENT_PAGE / SLAB_BYTES_CLUSTER)

static void test_fullest_page_first(void **state)
{
	struct segment *seg = *state;
	struct tx tx = take(seg);
	uint32_t offs[PER_PAGE * 3];

	for (unsigned i = 0; i < PER_PAGE * 3; i++) {
		offs[i] = slab_alloc(&tx, SLAB_CLUSTER);
		assert_int_equal(undo_commit(&tx), 0);
	}
	/* First page nearly empty, second nearly full, third full. */
	for (unsigned i = 1; i < PER_PAGE; i++) {
		slab_free(&tx, offs[i]);
		assert_int_equal(undo_commit(&tx), 0);
	}
	slab_free(&tx, offs[PER_PAGE + 5]);
	assert_int_equal(undo_commit(&tx), 0);
	assert_int_equal(slab_alloc(&tx, SLAB_CLUSTER), offs[PER_PAGE + 5]);
	lock_drop(&tx);
}

/* A refused operation gives its pages back; the caller ensures and tries once more. */
static void test_full_is_an_error_and_heals(void **state)
{
	struct segment *seg = *state;
	struct tx tx = take(seg);
	unsigned taken = 0;

	while (slab_alloc(&tx, SLAB_BLOB4K) != 0) {
		assert_int_equal(undo_commit(&tx), 0);
		taken++;
	}
	assert_int_equal(taken, SEGMENT_GROW_PAGES);
	assert_int_equal(undo_commit(&tx), ERR_FULL);
	assert_int_equal(slab_audit(&tx, say_out, NULL), 0);
	lock_drop(&tx);
	/* A hint that went wrong must not hide the reserve. */
	seg->header->free_hint = 100;
	tx = take(seg);
	assert_int_equal(slab_alloc(&tx, SLAB_BLOB4K), 0);
	lock_drop(&tx);
	assert_int_equal(segment_ensure(seg, 1), 0);
	tx = take(seg);
	assert_int_not_equal(slab_alloc(&tx, SLAB_BLOB4K), 0);
	assert_int_equal(undo_commit(&tx), 0);
	lock_drop(&tx);
}

static void test_rollback_sweeps_pages(void **state)
{
	struct segment *seg = *state;
	struct tx tx = take(seg);
	uint64_t before = seg->header->free_hint;

	assert_int_not_equal(slab_alloc(&tx, SLAB_SERVICE), 0);
	assert_int_not_equal(slab_alloc(&tx, SLAB_BLOB4K), 0);
	undo_rollback(&tx);
	assert_int_equal(seg->header->free_hint, before);
	assert_int_equal(slab_audit(&tx, say_out, NULL), 0);
	lock_drop(&tx);
}

static char said[2048];

static void note_said(const char *text, void *arg)
{
	size_t n = strlen(said);

	(void)arg;
	snprintf(said + n, sizeof(said) - n, "%s\n", text);
}

/* Is it one of those that the check finds? */
static void assert_finds(const struct tx *tx, const char *what, uint64_t where, uint64_t found,
                         uint64_t expected)
{
	char line[160];

	said[0] = '\0';
	assert_true(slab_audit(tx, note_said, NULL) > 0);
	snprintf(line, sizeof(line), "slab: shard %u: %s %llu: %llu, expected %llu\n", TEST_SHARD,
	         what, (unsigned long long)where, (unsigned long long)found,
	         (unsigned long long)expected);
	if (strstr(said, line) == NULL)
		fail_msg("not found: %sbut:\n%s", line, said);
}

static void test_check_finds(void **state)
{
	struct segment *seg = *state;
	struct tx tx = take(seg);
	uint32_t off = slab_alloc(&tx, SLAB_SERVICE);
	struct page_desc *desc, good;
	struct slab *slab = &tx.shard->slabs[SLAB_SERVICE];
	uint64_t page;

	assert_int_equal(undo_commit(&tx), 0);
	page = ((uint64_t)off * SEGMENT_UNIT - seg->data_off) / SEGMENT_PAGE;
	desc = &seg->descs[page];
	good = *desc;
	assert_int_equal(slab_audit(&tx, NULL, NULL), 0);
	desc->bitmap[0] |= 2;
	assert_true(slab_audit(&tx, NULL, NULL) > 0);
	assert_finds(&tx, "objects of page", page, 1, 2);
	assert_finds(&tx, "objects of kind", SLAB_SERVICE, 1, 2);
	*desc = good;
	desc->bitmap[3] = 1;
	assert_finds(&tx, "bits beyond the objects of page", page, 1, 0);
	*desc = good;
	desc->bin = 2;
	assert_finds(&tx, "bin of page", page, 2, 0);
	assert_finds(&tx, "link in bin", 0, page + 1, 0);
	assert_finds(&tx, "pages in bin", 2, 0, 1);
	*desc = good;
	desc->prev = 9;
	assert_finds(&tx, "neighbours of page", page, 0, 9);
	assert_finds(&tx, "listed page", page, SLAB_SERVICE, SLAB_SERVICE);
	*desc = good;
	desc->kind = SLAB_CLUSTER;
	assert_finds(&tx, "link in bin", 0, page + 1, 0);
	assert_finds(&tx, "pages of kind", SLAB_CLUSTER, 0, 1);
	*desc = good;
	slab->objects++;
	assert_finds(&tx, "objects of kind", SLAB_SERVICE, 2, 1);
	slab->objects--;
	slab->pages++;
	assert_finds(&tx, "pages of kind", SLAB_SERVICE, 2, 1);
	slab->pages--;
	seg->owners[200] = TEST_SHARD + 1;
	assert_finds(&tx, "page owned but unused", 200, SLAB_NONE, 0);
	assert_int_equal(slab_sweep(&tx), 1);
	assert_int_equal(slab_audit(&tx, say_out, NULL), 0);
	lock_drop(&tx);
}

/* ---- crash campaign: two objects of one root come and go ------------------------------------- */

struct root {
	uint64_t step;
	uint32_t offs[40];
};

static void toggle(struct segment *seg)
{
	struct root *root = root_of(seg);
	uint32_t *slot;
	struct tx tx;

	if (lock_take(seg, TEST_SHARD, &tx) != 0)
		return;
	for (unsigned i = 0; i < 2; i++) {
		slot = &root->offs[(root->step * 7 + i * 20) % 40];
		if (*slot == 0) {
			undo_set32(&tx, slot, slab_alloc(&tx, SLAB_SUBSCRIBER));
		} else {
			slab_free(&tx, *slot);
			undo_set32(&tx, slot, 0);
		}
	}
	undo_set64(&tx, &root->step, root->step + 1);
	if (undo_commit(&tx) != 0)
		abort();
	lock_drop(&tx);
}

static void check_toggle(struct segment *seg, struct tx *tx)
{
	struct root *root = root_of(seg);
	uint64_t objects = 0;

	for (unsigned i = 0; i < 40; i++) {
		if (root->offs[i] == 0)
			continue;
		assert_non_null(slab_at(tx, root->offs[i], SLAB_SUBSCRIBER));
		objects++;
	}
	assert_int_equal(tx->shard->slabs[SLAB_SUBSCRIBER].objects, objects);
}

static void test_killed_anywhere(void **state)
{
	const struct campaign campaign = { toggle, check_toggle };

	for (unsigned i = 0; i < 40; i++) {
		if (i % 13 == 0)
			assert_true(campaign_run(*state, &campaign, 1) > 10);
		toggle(*state);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, open_segment, close_segment)
		ROW(test_every_kind),
		ROW(test_references_are_checked),
		ROW(test_freed_only_after_commit),
		ROW(test_empty_pages_go_back),
		ROW(test_fullest_page_first),
		ROW(test_full_is_an_error_and_heals),
		ROW(test_rollback_sweeps_pages),
		ROW(test_check_finds),
		ROW(test_killed_anywhere),
	};

	return cmocka_run_group_tests_name("slab", tests, NULL, NULL);
}
