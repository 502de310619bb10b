/* SPDX-License-Identifier: Apache-2.0 */
/* The segment of a start: made beside its place, prepared, and put there last. */
#include "master/storage.h"

#include <sys/mman.h>

#include "tests/unit/master_fixture.h"

static int set_up(void **state)
{
	(void)state;
	fixture_init(NULL);
	segment_close_for_test(&m.seg);
	snprintf(m.config.segment_dir, sizeof(m.config.segment_dir), "%s", fixture_folder);
	m.config.segment_limit = 64 << 20;
	return 0;
}

static const char *path_of(const char *name)
{
	static char path[96];

	snprintf(path, sizeof(path), "%s/%s", fixture_folder, name);
	return path;
}

static bool there(const char *name)
{
	return access(path_of(name), F_OK) == 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path_of("segment"));
	unlink(path_of("segment.new"));
	fixture_deinit();
	return 0;
}

static void the_configuration_says_where_it_is(void **state)
{
	struct segment_config config;

	(void)state;
	m.config.segment_max_age_ms = 5;
	config = storage_config(&m.config, true);
	assert_string_equal(config.dir, fixture_folder);
	assert_string_equal(config.name, "segment");
	assert_true(config.limit_bytes == 64 << 20 && config.max_age_ms == 5 && config.forget &&
	            !config.later);
	assert_non_null(config.damaged);
}

static void it_gets_its_name_at_the_commit(void **state)
{
	(void)state;
	assert_int_equal(storage_open(&m), 0);
	assert_int_equal(m.origin, SEGMENT_NEW);
	assert_true(there("segment.new"));
	assert_int_equal(m.seg->board->workers, 2);
	assert_int_equal(m.seg->board->master_pid, getpid());
	assert_true(m.seg->wake_fd[QUEUE_PUSHER] >= 0);
	assert_int_equal(storage_commit(&m), 0);
	assert_true(there("segment") && !there("segment.new"));
	assert_int_equal(storage_commit(&m), 0); /* it has its name */
	assert_int_equal(fixture_log_count("op=segment-commit"), 1);
	close(m.seg->wake_fd[QUEUE_PUSHER]);
}

static void the_next_start_finds_it_with_empty_slots(void **state)
{
	(void)state;
	assert_int_equal(storage_open(&m), 0);
	assert_int_equal(storage_commit(&m), 0);
	m.seg->slots[3].generation = 9;
	m.seg->slots[3].counters[0] = 5;
	m.seg->routes[slot_routes_at(0, 3)].us = 7;
	close(m.seg->wake_fd[QUEUE_PUSHER]);
	segment_close_for_test(&m.seg);
	assert_int_equal(storage_open(&m), 0);
	assert_int_equal(m.origin, SEGMENT_ATTACHED);
	assert_true(m.seg->slots[3].generation == 0 && m.seg->slots[3].counters[0] == 0);
	assert_int_equal(m.seg->routes[slot_routes_at(0, 3)].us, 0);
	close(m.seg->wake_fd[QUEUE_PUSHER]);
}

static void what_failed_is_in_the_log(void **state)
{
	(void)state;
	snprintf(m.config.segment_dir, sizeof(m.config.segment_dir), "%s/log",
	         fixture_folder); /* a file */
	assert_true(storage_open(&m) < 0);
	assert_int_equal(fixture_log_count("op=start what=segment why="), 1);
	assert_int_equal(segment_open_anonymous(0, &m.seg), 0); /* for the tear down */
}

static void the_first_keeper_deals_with_an_old_one(void **state)
{
	(void)state;
	assert_int_equal(segment_open_anonymous(0, &m.seg), 0);
	m.stale = true;
	storage_child_ready(&m, &m.children[0]);
	storage_child_ready(&m, &m.children[PUSHER]);
	assert_true(m.stale);
	storage_child_ready(&m, &m.children[KEEPER]);
	assert_false(m.stale);
}

static bool is_told(unsigned place)
{
	struct process proc = { .stale = false };

	storage_lend(&m, &m.children[place], &proc);
	return proc.stale;
}

static void only_the_keeper_is_told_of_an_old_one(void **state)
{
	(void)state;
	assert_int_equal(segment_open_anonymous(0, &m.seg), 0);
	assert_false(is_told(KEEPER));
	m.stale = true;
	assert_true(is_told(KEEPER) && !is_told(PUSHER) && !is_told(0));
}

static void without_a_snapshot_there_is_nothing_to_convert(void **state)
{
	char why[160] = "";
	int empty = memfd_create("snapshot", MFD_CLOEXEC);
	struct segment *before;

	(void)state;
	assert_int_equal(storage_open(&m), 0);
	assert_int_equal(storage_commit(&m), 0);
	close(m.seg->wake_fd[QUEUE_PUSHER]);
	before = m.seg;
	m.convert.snapshot_fd = empty;
	assert_true(storage_open_converted(&m, why, sizeof(why)) < 0);
	assert_true(why[0] != 0);
	assert_true(there("segment") && !there("segment.new")); /* as it was */
	close(empty);
	segment_close_for_test(&before);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		ROW(the_configuration_says_where_it_is),
		ROW(it_gets_its_name_at_the_commit),
		ROW(the_next_start_finds_it_with_empty_slots),
		ROW(what_failed_is_in_the_log),
		ROW(the_first_keeper_deals_with_an_old_one),
		ROW(only_the_keeper_is_told_of_an_old_one),
		ROW(without_a_snapshot_there_is_nothing_to_convert),
	};

	return cmocka_run_group_tests_name("storage", tests, NULL, NULL);
}
