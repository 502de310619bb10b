/* SPDX-License-Identifier: Apache-2.0 */
/* Root becomes an account and root again, opens files for it, and a child has no way back. */
#include "master/privileges.h"

#include "tests/unit/account_fixture.h"
#include "tests/unit/folder_fixture.h"

#include <dlfcn.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static const gid_t roots_groups[] = { 0, 4, 7 };
#define ROOTS_GROUPS (int)(sizeof(roots_groups) / sizeof(roots_groups[0]))

static struct privileges account;

/* Stands in front of the library's, which asks name services: they may leave any errno although all
 * is well. */
int initgroups(const char *user, gid_t group)
{
	int (*real)(const char *, gid_t) =
	        (int (*)(const char *, gid_t))dlsym(RTLD_NEXT, "initgroups");
	int ret = real(user, group);

	if (ret == 0)
		errno = EXDEV;
	return ret;
}

/* ---- who to become --------------------------------------------------------------------------- */

static void stays_who_it_is(void **state)
{
	const struct passwd *own = getpwuid(geteuid());
	struct privileges p = { .change = true };
	char why[128] = "";

	(void)state;
	assert_int_equal(privileges_find(&p, "", why, sizeof(why)), 0);
	assert_false(p.change);
	assert_non_null(own);
	assert_int_equal(privileges_find(&p, own->pw_name, why, sizeof(why)), 0);
	assert_false(p.change);
	assert_string_equal(why, "");
	/* And then nothing is lowered, raised or dropped. */
	assert_int_equal(privileges_lower(&p), 0);
	assert_int_equal(privileges_raise(&p), 0);
	assert_int_equal(privileges_drop(&p), 0);
	assert_int_equal(geteuid(), own->pw_uid);
}

static void an_unknown_user_is_refused(void **state)
{
	struct privileges p;
	char why[128] = "";

	(void)state;
	assert_int_equal(privileges_find(&p, "no-such-user", why, sizeof(why)), ERR_NOT_FOUND);
	assert_string_equal(why, "user \"no-such-user\" does not exist");
	assert_false(p.change);
}

static int find_without_rights(void *arg)
{
	struct privileges p;
	char why[128] = "";

	(void)arg;
	account_become();
	CHILD_MUST(privileges_find(&p, "root", why, sizeof(why)) == ERR_IO);
	CHILD_MUST(!p.change && strcmp(why, "only root can become user \"root\"") == 0);
	return 0;
}

static void only_root_becomes_another(void **state)
{
	(void)state;
	assert_int_equal(child_run(find_without_rights, NULL), 0);
}

/* ---- down and up again ----------------------------------------------------------------------- */

static bool has_only_its_groups(void)
{
	gid_t groups[PRIVILEGES_GROUPS];
	int n = getgroups(PRIVILEGES_GROUPS, groups);

	for (int i = 0; i < n; i++)
		for (int k = 0; k < ROOTS_GROUPS; k++)
			if (groups[i] == roots_groups[k])
				return false;
	return n >= 0;
}

static bool has_roots_groups(void)
{
	gid_t groups[PRIVILEGES_GROUPS];

	return getgroups(PRIVILEGES_GROUPS, groups) == ROOTS_GROUPS &&
	       memcmp(groups, roots_groups, sizeof(roots_groups)) == 0;
}

static int go_down_and_up(void *arg)
{
	(void)arg;
	CHILD_MUST(setgroups(ROOTS_GROUPS, roots_groups) == 0);
	for (int i = 0; i < 2; i++) {
		CHILD_MUST(privileges_lower(&account) == 0);
		CHILD_MUST(geteuid() == account.uid && getegid() == account.gid &&
		           has_only_its_groups());
		CHILD_MUST(getuid() == 0); /* the way back */
		CHILD_MUST(privileges_raise(&account) == 0);
		CHILD_MUST(geteuid() == 0 && getegid() == 0 && has_roots_groups());
	}
	return 0;
}

static void rights_are_lowered_and_raised(void **state)
{
	(void)state;
	account = account_privileges();
	assert_true(account.change);
	assert_string_equal(account.user, ACCOUNT);
	assert_int_equal(child_run(go_down_and_up, NULL), 0);
}

static int lower_with_too_many_groups(void *arg)
{
	gid_t groups[PRIVILEGES_GROUPS + 1];

	(void)arg;
	for (unsigned i = 0; i <= PRIVILEGES_GROUPS; i++)
		groups[i] = i + 1;
	CHILD_MUST(setgroups(PRIVILEGES_GROUPS + 1, groups) == 0);
	CHILD_MUST(privileges_lower(&account) == ERR_IO);
	CHILD_MUST(geteuid() == 0);
	CHILD_MUST(setgroups(PRIVILEGES_GROUPS, groups) == 0);
	CHILD_MUST(privileges_lower(&account) == 0);
	return 0;
}

/* Groups that cannot be remembered could not be given back. */
static void more_groups_than_there_is_room_for_are_refused(void **state)
{
	(void)state;
	account = account_privileges();
	assert_int_equal(child_run(lower_with_too_many_groups, NULL), 0);
}

static int drop(void *arg)
{
	uid_t real, effective, saved;

	(void)arg;
	CHILD_MUST(setgroups(ROOTS_GROUPS, roots_groups) == 0);
	CHILD_MUST(privileges_drop(&account) == 0);
	CHILD_MUST(getresuid(&real, &effective, &saved) == 0);
	CHILD_MUST(real == account.uid && effective == account.uid && saved == account.uid);
	CHILD_MUST(getgid() == account.gid && getegid() == account.gid && has_only_its_groups());
	CHILD_MUST(setuid(0) < 0 && seteuid(0) < 0 && setgroups(0, NULL) < 0);
	return 0;
}

static void what_is_dropped_is_gone_for_good(void **state)
{
	(void)state;
	account = account_privileges();
	assert_int_equal(child_run(drop, NULL), 0);
}

/* ---- opening --------------------------------------------------------------------------------- */

static void without_another_account_it_is_open(void **state)
{
	struct privileges p = { .change = false };
	int fd;

	(void)state;
	folder_put("file", "text");
	assert_int_equal(symlink("file", folder_path("link")), 0);
	fd = privileges_open(&p, folder_path("link"), O_RDONLY | O_CLOEXEC, 0);
	assert_true(fd >= 0);
	close(fd);
	assert_true(privileges_open(&p, folder_path("none"), O_RDONLY | O_CLOEXEC, 0) < 0);
	assert_int_equal(errno, ENOENT);
}

static int open_for_account(void *arg)
{
	struct stat st;
	int fd;

	(void)arg;
	umask(0);
	/* Its own: as the account. */
	fd = privileges_open(&account, folder_path("home/new"),
	                     O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	CHILD_MUST(fd >= 0 && fstat(fd, &st) == 0);
	CHILD_MUST(st.st_uid == account.uid && (st.st_mode & 0777) == 0640 &&
	           geteuid() == account.uid);
	/* An operator's: with the rights of the caller. */
	CHILD_MUST(privileges_raise(&account) == 0);
	fd = privileges_open(&account, folder_path("closed/file"), O_RDONLY | O_CLOEXEC, 0);
	CHILD_MUST(fd >= 0 && geteuid() == account.uid);
	return 0;
}

static int open_refused(void *arg)
{
	static const struct {
		const char *name;
		int err;
	} rows[] = {
		{ "closed/link", ELOOP },    /* the last part */
		{ "home/link/file", ELOOP }, /* one on the way, which the account could have laid */
		{ "closed/none", ENOENT },   /* only root can know */
		{ "none", ENOENT },          /* the account knows */
	};

	(void)arg;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CHILD_MUST(privileges_open(&account, folder_path(rows[i].name),
		                           O_RDONLY | O_CLOEXEC, 0) < 0);
		CHILD_MUST(errno == rows[i].err);
		CHILD_MUST(geteuid() == account.uid);
		CHILD_MUST(privileges_raise(&account) == 0);
	}
	/* Root is asked for what the account may not reach, not for what else it is refused. */
	CHILD_MUST(privileges_open(&account, folder_path("public"),
	                           O_RDONLY | O_NOATIME | O_CLOEXEC, 0) < 0);
	CHILD_MUST(errno == EPERM);
	return 0;
}

static void make_folders(void)
{
	account = account_privileges();
	assert_int_equal(mkdir(folder_path("closed"), 0700), 0);
	assert_int_equal(mkdir(folder_path("home"), 0755), 0);
	assert_int_equal(chown(folder_path("home"), account.uid, account.gid), 0);
	folder_put("closed/file", "secret");
	folder_put("public", "");
	assert_int_equal(symlink("file", folder_path("closed/link")), 0);
	assert_int_equal(symlink("../closed", folder_path("home/link")), 0);
	assert_int_equal(lchown(folder_path("home/link"), account.uid, account.gid), 0);
}

static void opens_as_the_account_or_as_the_caller(void **state)
{
	(void)state;
	make_folders();
	assert_int_equal(child_run(open_for_account, NULL), 0);
}

static void root_opens_nothing_through_a_link(void **state)
{
	(void)state;
	make_folders();
	assert_int_equal(child_run(open_refused, NULL), 0);
}

static void no_part_of_an_unlinked_path_is_a_link(void **state)
{
	static const char *const linked[] = { "link", "way/file", "way/link" };
	struct stat st;
	int fd;

	(void)state;
	assert_int_equal(mkdir(folder_path("dir"), 0755), 0);
	folder_put("dir/file", "");
	folder_put("file", "");
	assert_int_equal(symlink("file", folder_path("link")), 0);
	assert_int_equal(symlink("dir", folder_path("way")), 0);
	assert_int_equal(symlink("file", folder_path("dir/link")), 0);
	for (size_t i = 0; i < sizeof(linked) / sizeof(linked[0]); i++) {
		assert_int_equal(privileges_open_unlinked(folder_path(linked[i]),
		                                          O_RDONLY | O_CLOEXEC, 0),
		                 -1);
		assert_int_equal(errno, ELOOP);
	}
	/* A mode is for what is made, and no reason to refuse elsewhere. */
	fd = privileges_open_unlinked(folder_path("dir/file"), O_RDONLY | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	close(fd);
	fd = privileges_open_unlinked(folder_path("dir/new"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	close(fd);
}

/* ---- a child --------------------------------------------------------------------------------- */

static int bind_here(void *master_pid)
{
	int on_death = 0;

	CHILD_MUST(privileges_bind_child(*(pid_t *)master_pid));
	CHILD_MUST(prctl(PR_GET_PDEATHSIG, &on_death) == 0 && on_death == SIGKILL);
	CHILD_MUST(prctl(PR_GET_DUMPABLE) == 0);
	CHILD_MUST(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	return 0;
}

static int bind_to_nobody(void *arg)
{
	(void)arg;
	return privileges_bind_child(
	        getpid()); /* not its parent: as if the master had died before */
}

static void a_child_is_bound(void **state)
{
	pid_t own = getpid();

	(void)state;
	assert_int_equal(child_run(bind_here, &own), 0);
	assert_int_equal(child_run(bind_to_nobody, NULL), false);
}

/* A master with one child, which writes its pid when it is bound. Both would stay for ever. */
static int be_master(void *pipe_fd)
{
	pid_t own = getpid(), pid = fork();

	if (pid == 0) {
		pid = getpid();
		CHILD_MUST(privileges_bind_child(own));
		CHILD_MUST(write(*(int *)pipe_fd, &pid, sizeof(pid)) == sizeof(pid));
	}
	return child_stay();
}

static void a_child_dies_with_its_master(void **state)
{
	int fds[2];
	pid_t master, child = 0;

	(void)state;
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0); /* the orphan becomes ours */
	assert_int_equal(pipe(fds), 0);
	master = child_start(STDERR_FILENO, be_master, &fds[1]);
	close(fds[1]);
	assert_int_equal(read(fds[0], &child, sizeof(child)), sizeof(child));
	close(fds[0]);
	assert_int_equal(kill(master, SIGKILL), 0);
	assert_int_equal(wait_for_end(master), -SIGKILL);
	assert_int_equal(wait_for_end(child), -SIGKILL);
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, folder_set_up, folder_tear_down)
	const struct CMUnitTest tests[] = {
		ROW(stays_who_it_is),
		ROW(an_unknown_user_is_refused),
		ROW(only_root_becomes_another),
		ROW(rights_are_lowered_and_raised),
		ROW(more_groups_than_there_is_room_for_are_refused),
		ROW(what_is_dropped_is_gone_for_good),
		ROW(without_another_account_it_is_open),
		ROW(opens_as_the_account_or_as_the_caller),
		ROW(root_opens_nothing_through_a_link),
		ROW(no_part_of_an_unlinked_path_is_a_link),
		ROW(a_child_is_bound),
		ROW(a_child_dies_with_its_master),
	};

	return cmocka_run_group_tests_name("privileges", tests, NULL, NULL);
}
