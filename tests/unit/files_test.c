/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime folder is the account's and nobody else's, and the files in it are replaced whole. */
#include "master/files.h"

#include "tests/unit/account_fixture.h"
#include "tests/unit/folder_fixture.h"

#include "shared/config/config.h"

static struct privileges same; /* nobody else to become */
static mode_t umask_before;

static int set_up(void **state)
{
	umask_before = umask(022);
	return folder_set_up(state);
}

static int tear_down(void **state)
{
	umask(umask_before);
	return folder_tear_down(state);
}

static mode_t mode_of(const char *name)
{
	struct stat st;

	assert_int_equal(lstat(folder_path(name), &st), 0);
	return st.st_mode;
}

static void refuses(const char *name, int code, int err)
{
	assert_int_equal(files_prepare(folder_path(name), &same), code);
	assert_int_equal(errno, err);
}

/* ---- the folder ------------------------------------------------------------------------------ */

static void makes_what_is_missing(void **state)
{
	(void)state;
	umask(077);
	assert_int_equal(files_prepare(folder_path("run"), &same), 0);
	umask(0);
	assert_int_equal(files_prepare(folder_path("run2"), &same), 0);
	assert_int_equal(mode_of("run"), S_IFDIR | 0755);
	assert_int_equal(mode_of("run2"), S_IFDIR | 0755);
	refuses("no/such", ERR_IO, ENOENT);
}

static void leaves_alone_what_is_there(void **state)
{
	(void)state;
	assert_int_equal(mkdir(folder_path("run"), 0700), 0);
	assert_int_equal(files_prepare(folder_path("run"), &same), 0);
	assert_int_equal(mode_of("run"), S_IFDIR | 0700);
}

static void refuses_what_others_can_exchange(void **state)
{
	(void)state;
	assert_int_equal(mkdir(folder_path("run"), 0700), 0);
	assert_int_equal(symlink("run", folder_path("link")), 0);
	refuses("link", ERR_IO, ENOTDIR);
	folder_put("file", "");
	refuses("file", ERR_IO, ENOTDIR);
	assert_int_equal(chmod(folder_path("run"), 0777), 0);
	refuses("run", ERR_RANGE, EPERM);
	assert_int_equal(chmod(folder_path("run"), 01777), 0);
	assert_int_equal(files_prepare(folder_path("run"), &same), 0);
}

static void no_folder_is_no_error(void **state)
{
	(void)state;
	assert_int_equal(chdir(folder), 0);
	assert_int_equal(files_prepare("", &same), 0);
	assert_int_equal(files_write("", 8848), 0);
	files_remove("");
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(access("/pid", F_OK), -1);
	assert_false(folder_has("pid"));
}

static int prepare_without_rights(void *name)
{
	account_become();
	CHILD_MUST(files_prepare(folder_path(name), &same) == ERR_IO);
	CHILD_MUST(errno == EACCES);
	return 0;
}

static void needs_to_write_into_it(void **state)
{
	(void)state;
	assert_int_equal(mkdir(folder_path("closed"), 0555), 0);
	assert_int_equal(child_run(prepare_without_rights, (char *)"closed"), 0);
	assert_int_equal(child_run(prepare_without_rights, (char *)"closed/run"), 0);
}

static int prepare_without_a_mode(void *name)
{
	account_become(); /* root may open whatever there is */
	umask(0777);
	CHILD_MUST(files_prepare(folder_path(name), &same) == 0);
	CHILD_MUST(umask(0) == 0777);
	return 0;
}

static void no_umask_makes_it_useless(void **state)
{
	(void)state;
	assert_int_equal(mkdir(folder_path("home"), 0755), 0);
	assert_int_equal(chmod(folder_path("home"), 0777), 0);
	assert_int_equal(child_run(prepare_without_a_mode, (char *)"home/run"), 0);
	assert_int_equal(mode_of("home/run"), S_IFDIR | 0755);
}

/* ---- for another account --------------------------------------------------------------------- */

static int prepare_as_root(const char *name, int *errno_r)
{
	struct privileges p = account_privileges();
	int ret = files_prepare(folder_path(name), &p);

	*errno_r = errno;
	assert_int_equal(geteuid(), 0);
	assert_int_equal(getegid(), 0);
	return ret;
}

static void owner_is(const char *name, uid_t uid, gid_t gid)
{
	struct stat st;

	assert_int_equal(lstat(folder_path(name), &st), 0);
	assert_int_equal(st.st_uid, uid);
	assert_int_equal(st.st_gid, gid);
}

static void root_makes_it_for_the_account(void **state)
{
	struct privileges p = account_privileges();
	int err;

	(void)state;
	umask(077);
	assert_int_equal(prepare_as_root("run", &err), 0);
	assert_int_equal(prepare_as_root("run2//", &err), 0);
	owner_is("run", p.uid, p.gid);
	owner_is("run2", p.uid, p.gid);
	assert_int_equal(mode_of("run"), S_IFDIR | 0755);
}

static void the_account_makes_it_where_it_may(void **state)
{
	struct privileges p = account_privileges();
	int err;

	(void)state;
	assert_int_equal(mkdir(folder_path("home"), 0700), 0);
	assert_int_equal(chown(folder_path("home"), p.uid, p.gid), 0);
	assert_int_equal(prepare_as_root("home/run", &err), 0);
	owner_is("home/run", p.uid, p.gid);
}

/* The account cannot have a folder made, or given to it, behind a link of its own. */
static void root_follows_no_link(void **state)
{
	struct privileges p = account_privileges();
	int err;

	(void)state;
	assert_int_equal(mkdir(folder_path("secret"), 0755), 0);
	assert_int_equal(symlink("secret", folder_path("link")), 0);
	assert_int_equal(lchown(folder_path("link"), p.uid, p.gid), 0);
	assert_int_equal(prepare_as_root("link/run", &err), ERR_IO);
	assert_int_equal(err, ELOOP);
	assert_false(folder_has("secret/run"));
}

static void root_gives_nothing_away_that_was_there(void **state)
{
	int err;

	(void)state;
	account_privileges();
	assert_int_equal(mkdir(folder_path("run"), 0755), 0);
	assert_int_equal(prepare_as_root("run", &err), ERR_IO);
	assert_int_equal(err, EACCES);
	owner_is("run", 0, 0);
}

/* ---- the files ------------------------------------------------------------------------------- */

static void writes_and_removes_both(void **state)
{
	char pid[16];

	(void)state;
	snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	folder_put("pid", "1\n");
	folder_put(".port.new", "of a start that died");
	folder_put("other", "");
	assert_int_equal(files_write(folder, 8848), 0);
	folder_expect("pid", pid);
	folder_expect("port", "8848\n");
	assert_int_equal(mode_of("port"), S_IFREG | 0644);
	assert_false(folder_has(".pid.new"));
	assert_false(folder_has(".port.new"));
	folder_put(".pid.new", "");
	files_remove(folder);
	assert_false(folder_has("pid"));
	assert_false(folder_has("port"));
	assert_false(folder_has(".pid.new"));
	assert_true(folder_has("other"));
	files_remove(folder);
}

static void writes_into_nothing_that_was_laid_there(void **state)
{
	(void)state;
	folder_put("victim", "untouched");
	assert_int_equal(symlink("victim", folder_path("pid")), 0);
	assert_int_equal(symlink("victim", folder_path(".pid.new")), 0);
	assert_int_equal(mkfifo(folder_path(".port.new"), 0600),
	                 0); /* an open() of it would wait */
	assert_int_equal(link(folder_path("victim"), folder_path("port")), 0);
	assert_int_equal(files_write(folder, 1), 0);
	folder_expect("victim", "untouched");
	assert_int_equal(mode_of("pid"), S_IFREG | 0644);
	folder_expect("port", "1\n");
}

/* Who opened the file before sees the old number as a whole. */
static void a_reader_never_sees_half(void **state)
{
	char text[16];
	int fd;

	(void)state;
	folder_put("port", "1234\n");
	fd = open(folder_path("port"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(files_write(folder, 99), 0);
	assert_int_equal(read(fd, text, sizeof(text)), 5);
	assert_memory_equal(text, "1234\n", 5);
	close(fd);
}

static void says_when_it_cannot_write(void **state)
{
	(void)state;
	assert_int_equal(files_write(folder_path("no"), 1), ERR_IO);
	assert_int_equal(mkdir(folder_path("port"), 0700), 0);
	assert_int_equal(files_write(folder, 1), ERR_IO);
	assert_false(folder_has(".port.new"));
}

/* The longest path that the configuration takes. */
static void a_long_path_is_not_cut(void **state)
{
	char name[256], port[300];
	size_t n = sizeof(((struct config *)0)->runtime_dir) - 1 - strlen(folder) - 1;

	(void)state;
	memset(name, 'x', n);
	name[n] = 0;
	assert_int_equal(files_prepare(folder_path(name), &same), 0);
	assert_int_equal(files_write(folder_path(name), 65535), 0);
	snprintf(port, sizeof(port), "%s/port", name);
	folder_expect(port, "65535\n");
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		ROW(makes_what_is_missing),
		ROW(leaves_alone_what_is_there),
		ROW(refuses_what_others_can_exchange),
		ROW(no_folder_is_no_error),
		ROW(needs_to_write_into_it),
		ROW(no_umask_makes_it_useless),
		ROW(root_makes_it_for_the_account),
		ROW(the_account_makes_it_where_it_may),
		ROW(root_follows_no_link),
		ROW(root_gives_nothing_away_that_was_there),
		ROW(writes_and_removes_both),
		ROW(writes_into_nothing_that_was_laid_there),
		ROW(a_reader_never_sees_half),
		ROW(says_when_it_cannot_write),
		ROW(a_long_path_is_not_cut),
	};

	return cmocka_run_group_tests_name("files", tests, NULL, NULL);
}
