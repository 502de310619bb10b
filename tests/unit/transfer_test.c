/* SPDX-License-Identifier: Apache-2.0 */
/* The registry of a stopped server goes into a file and comes out of it, or all stays as it was. */
#include "master/upgrade/transfer.h"

#include "tests/unit/stopped_fixture.h"

#define FILE_NAME "snapshot"

static int export_here(void *name)
{
	struct options options = stopped_options;

	options.snapshot_path = folder_path(name);
	return transfer_export(&options);
}

static int import_here(void *name)
{
	struct options options = stopped_options;

	options.snapshot_path = folder_path(name);
	return transfer_import(&options);
}

static int import_with_force_here(void *name)
{
	stopped_options.forget = true;
	return import_here(name);
}

static void exports(const char *name)
{
	child_expect(export_here, (char *)(uintptr_t)name, EXIT_SUCCESS, "exported ");
}

/* Leaves a file with 3 instances and no segment. */
static void make_file(void)
{
	stopped_add(3);
	exports(FILE_NAME);
	assert_int_equal(remove(folder_path(STOPPED_SEGMENT)), 0);
}

/* ---- export ---------------------------------------------------------------------------------- */

static void a_file_is_made_of_it(void **state)
{
	char expected[256];
	mode_t before;
	struct stat st;

	(void)state;
	stopped_add(3);
	before = umask(0);
	exports(FILE_NAME);
	umask(before);
	assert_int_equal(stat(folder_path(FILE_NAME), &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	snprintf(expected, sizeof(expected),
	         "exported %s/" STOPPED_SEGMENT
	         ": 1 services, 3 instances, 0 subscribers, %lld bytes\n",
	         folder, (long long)st.st_size);
	assert_string_equal(child_text, expected);
	assert_int_equal(stopped_count(), 3);
}

static void a_file_that_is_there_stays(void **state)
{
	(void)state;
	stopped_add(1);
	folder_put(FILE_NAME, "precious");
	child_expect(export_here, (char *)FILE_NAME, EXIT_FAILURE, "snapshot: File exists\n");
	folder_expect(FILE_NAME, "precious");
}

static void without_a_registry_there_is_no_file(void **state)
{
	(void)state;
	child_expect(export_here, (char *)FILE_NAME, EXIT_FAILURE, "rosterd: segment: ");
	assert_false(folder_has(FILE_NAME));
	assert_false(folder_has(STOPPED_SEGMENT));
}

static void another_layout_is_neither_read_nor_set_aside(void **state)
{
	(void)state;
	stopped_add(1);
	stopped_change_layout();
	child_expect(export_here, (char *)FILE_NAME, EXIT_FAILURE, "of another layout");
	assert_false(folder_has(FILE_NAME));
	stopped_change_layout();
	assert_int_equal(stopped_count(), 1);
}

/* ---- import ---------------------------------------------------------------------------------- */

static void a_registry_is_made_of_it(void **state)
{
	(void)state;
	make_file();
	child_expect(import_here, (char *)FILE_NAME, EXIT_SUCCESS,
	             ": 1 services, 3 instances, 0 subscribers, ");
	assert_memory_equal(child_text, "imported ", 9);
	assert_int_equal(stopped_count(), 3);
	exports("again");
}

static void one_that_is_there_is_replaced_only_by_force(void **state)
{
	(void)state;
	make_file();
	stopped_add(1);
	child_expect(import_here, (char *)FILE_NAME, EXIT_FAILURE,
	             "holds a registry; --forget puts the imported one in its place\n");
	assert_int_equal(stopped_count(), 1);
	child_expect(import_with_force_here, (char *)FILE_NAME, EXIT_SUCCESS, "imported ");
	assert_int_equal(stopped_count(), 3);
	assert_false(folder_has(STOPPED_SEGMENT ".aside.1"));
}

static void one_of_another_layout_is_set_aside(void **state)
{
	(void)state;
	make_file();
	stopped_add(1);
	stopped_change_layout();
	child_expect(import_here, (char *)FILE_NAME, EXIT_SUCCESS, "imported ");
	assert_int_equal(stopped_count(), 3);
	assert_int_equal(rename(folder_path(STOPPED_SEGMENT ".aside.1"),
	                        folder_path(STOPPED_SEGMENT)),
	                 0);
	stopped_change_layout();
	assert_int_equal(stopped_count(), 1);
}

/* Not even with --forget: the file is checked before anything is given up for it. */
static void a_file_that_is_not_whole_changes_nothing(void **state)
{
	struct stat st;

	(void)state;
	make_file();
	stopped_add(1);
	assert_int_equal(stat(folder_path(FILE_NAME), &st), 0);
	stopped_change(FILE_NAME, st.st_size / 2);
	child_expect(import_with_force_here, (char *)FILE_NAME, EXIT_FAILURE, "snapshot: ");
	child_expect(import_here, (char *)FILE_NAME, EXIT_FAILURE,
	             "snapshot: "); /* before it looks at the registry */
	assert_int_equal(truncate(folder_path(FILE_NAME), st.st_size / 2), 0);
	child_expect(import_with_force_here, (char *)FILE_NAME, EXIT_FAILURE, "snapshot: ");
	folder_put("text", "just text");
	child_expect(import_with_force_here, (char *)"text", EXIT_FAILURE, "text: ");
	child_expect(import_with_force_here, (char *)"none", EXIT_FAILURE,
	             "none: No such file or directory\n");
	assert_false(folder_has(STOPPED_SEGMENT ".new"));
	assert_false(folder_has(STOPPED_SEGMENT ".aside.1"));
	assert_int_equal(stopped_count(), 1);
}

static void a_segment_that_is_too_small_changes_nothing(void **state)
{
	(void)state;
	stopped_add(1000);
	exports(FILE_NAME);
	assert_int_equal(remove(folder_path(STOPPED_SEGMENT)), 0);
	stopped_configure("8MiB");
	stopped_add(1);
	child_expect(
	        import_with_force_here, (char *)FILE_NAME, EXIT_FAILURE,
	        "the segment is full: it has 8 MiB (segment.limit) or its file system no more room; nothing was changed\n");
	assert_false(folder_has(STOPPED_SEGMENT ".new"));
	assert_int_equal(stopped_count(), 1);
}

/* ---- both ------------------------------------------------------------------------------------ */

static void a_configuration_that_is_wrong_is_said(void **state)
{
	int (*const both[])(void *) = { export_here, import_here };

	(void)state;
	make_file();
	for (int i = 0; i < 2; i++) {
		stopped_options.override_count = 1;
		stopped_options.overrides[0] = "user=no-such-user";
		child_expect(both[i], (char *)FILE_NAME, EXIT_FAILURE,
		             "rosterd: user: user \"no-such-user\" does not exist\n");
		stopped_options.overrides[0] = "no.such=1";
		child_expect(both[i], (char *)FILE_NAME, EXIT_FAILURE,
		             "rosterd: -o: \"no.such\": unknown key\n");
	}
	assert_false(folder_has(STOPPED_SEGMENT));
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, stopped_set_up, folder_tear_down)
	const struct CMUnitTest tests[] = {
		ROW(a_file_is_made_of_it),
		ROW(a_file_that_is_there_stays),
		ROW(without_a_registry_there_is_no_file),
		ROW(another_layout_is_neither_read_nor_set_aside),
		ROW(a_registry_is_made_of_it),
		ROW(one_that_is_there_is_replaced_only_by_force),
		ROW(one_of_another_layout_is_set_aside),
		ROW(a_file_that_is_not_whole_changes_nothing),
		ROW(a_segment_that_is_too_small_changes_nothing),
		ROW(a_configuration_that_is_wrong_is_said),
	};

	return cmocka_run_group_tests_name("transfer", tests, NULL, NULL);
}
