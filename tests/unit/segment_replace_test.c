/* SPDX-License-Identifier: Apache-2.0 */
/* A new segment beside an old one, its way into its place, and what is made of the files that a
 * death left. */
#include "tests/unit/segment_place.h"

static ino_t inode(const struct place *place)
{
	struct stat st;

	assert_int_equal(stat(place->path, &st), 0);
	return st.st_ino;
}

static void test_beside_until_the_commit(void **state)
{
	struct place *place = *state;
	uint64_t epoch;
	ino_t old;

	/* Where there was none, none is left. */
	place->config.later = true;
	assert_int_equal(open_it(place), 0);
	assert_int_equal(count_files(place, "", false), 2);
	segment_discard(place->seg);
	assert_int_equal(count_files(place, "", false), 0);

	segment_close_for_test(&place->seg);
	assert_int_equal(open_it(place), 0);
	assert_int_equal(segment_commit(place->seg), 0);
	assert_int_equal(segment_commit(place->seg), 0);
	segment_discard(place->seg);
	assert_int_equal(count_files(place, "", false), 1);
	epoch = place->seg->header->epoch;
	old = inode(place);

	place->config.forget = true;
	reopen(place, SEGMENT_NEW);
	assert_int_equal(inode(place), old);
	assert_int_equal(count_files(place, ".new", false), 1);
	/* Nobody else begins meanwhile. */
	assert_int_equal(segment_open(&place->config, &(struct segment *){ NULL }, &place->report),
	                 ERR_BUSY);
	segment_discard(place->seg);
	place->config.forget = false;
	reopen(place, SEGMENT_ATTACHED);
	assert_int_equal(place->seg->header->epoch, epoch);
	assert_int_equal(count_files(place, "", false), 1);

	place->config.forget = true;
	reopen(place, SEGMENT_NEW);
	epoch = place->seg->header->epoch;
	assert_int_equal(segment_commit(place->seg), 0);
	assert_int_not_equal(inode(place), old);
	assert_int_equal(segment_open(&place->config, &(struct segment *){ NULL }, &place->report),
	                 ERR_BUSY);
	place->config.forget = false;
	reopen(place, SEGMENT_ATTACHED);
	assert_int_equal(place->seg->header->epoch, epoch);
}

static void test_sweeps_what_a_death_left(void **state)
{
	static const char *const names[] = { ".new", ".aside.1", ".aside.2", ".aside.3", ".other" };
	struct place *place = *state;
	char path[sizeof(place->path) + 16];

	assert_int_equal(open_it(place), 0);
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", place->path, names[i]);
		close(open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
	}
	place->config.only_attach = true;
	reopen(place, SEGMENT_ATTACHED);
	assert_int_equal(count_files(place, "", false), 6);
	place->config.only_attach = false;
	reopen(place, SEGMENT_ATTACHED);
	assert_true(place->report.leftover);
	assert_int_equal(count_files(place, "", false), 4);
	assert_int_equal(count_files(place, ".aside.2", false) +
	                         count_files(place, ".aside.3", false),
	                 2);
	assert_int_equal(count_files(place, ".other", false), 1);
}

/* Copies that somebody made of files set aside are his, whatever follows the number, and do not
 * count. */
static void test_other_names_are_left_alone(void **state)
{
	static const char *const names[] = { ".aside.1.gz", ".aside.2 copy", ".aside.", ".aside.-3",
		                             ".aside.18446744073709551615" };
	struct place *place = *state;
	char path[sizeof(place->path) + 32];

	assert_int_equal(open_it(place), 0);
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", place->path, names[i]);
		close(open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
	}
	reopen(place, SEGMENT_ATTACHED);
	assert_int_equal(count_files(place, ".aside.", false), 5);
	snprintf(path, sizeof(path), "%s.aside.1", place->path);
	segment_close_for_test(&place->seg);
	assert_int_equal(truncate(place->path, 4096), 0);
	assert_int_equal(open_it(place), 0);
	assert_int_equal(segment_commit(place->seg), 0);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(count_files(place, ".aside.", false), 6);
}

/* Set aside, but nothing has taken its place: it is not aside. A name that somebody else gave it is
 * none of ours. */
static void test_second_name(void **state)
{
	struct place *place = *state;
	char path[sizeof(place->path) + 16];

	assert_int_equal(open_it(place), 0);
	snprintf(path, sizeof(path), "%s.aside.7", place->path);
	assert_int_equal(link(place->path, path), 0);
	reopen(place, SEGMENT_ATTACHED);
	assert_int_equal(count_files(place, "", false), 1);
	snprintf(path, sizeof(path), "%s.other", place->path);
	assert_int_equal(link(place->path, path), 0);
	segment_close_for_test(&place->seg);
	assert_int_equal(open_it(place), ERR_IO);
	assert_non_null(strstr(place->report.why, "not a private file"));
	assert_int_equal(count_files(place, "", false), 2);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, place_new, place_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(test_beside_until_the_commit),
		ROW(test_sweeps_what_a_death_left),
		ROW(test_other_names_are_left_alone),
		ROW(test_second_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
