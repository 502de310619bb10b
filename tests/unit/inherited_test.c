/* SPDX-License-Identifier: Apache-2.0 */
/* What a process finds that was started with closed descriptors, or with signals ignored. */
#include "master/inherited.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/unit/child_fixture.h"

static bool is_null(int fd)
{
	struct stat st, null;

	return fstat(fd, &st) == 0 && stat("/dev/null", &null) == 0 && st.st_rdev == null.st_rdev &&
	       S_ISCHR(st.st_mode) && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR &&
	       fcntl(fd, F_GETFD) == 0;
}

/* arg: the bits of the descriptors that are closed. 10 plus the number says which is wrong. */
static int start_without(void *arg)
{
	const unsigned closed = *(const unsigned *)arg;
	int kept = memfd_create("kept", MFD_CLOEXEC), next;

	CHILD_MUST(kept > STDERR_FILENO);
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		CHILD_MUST((closed & 1U << fd) != 0 ? close(fd) == 0 : dup2(kept, fd) == fd);
	if (inherited_mend() < 0)
		return 2;
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (is_null(fd) != ((closed & 1U << fd) != 0))
			return 10 + fd;
	next = open("/dev/null", O_RDONLY);
	return next > STDERR_FILENO ? 0 : 3;
}

static void closed_descriptors_become_null(void **state)
{
	(void)state;
	for (unsigned closed = 0; closed < 8; closed++)
		assert_int_equal(child_run(start_without, &closed), 0);
}

/* Nothing is opened where nothing is missing: an image that comes by exec may have no descriptor
 * left. */
static int start_without_room(void *arg)
{
	const struct rlimit none = { 0, 0 };

	(void)arg;
	CHILD_MUST(setrlimit(RLIMIT_NOFILE, &none) == 0);
	if (inherited_mend() != 0)
		return 1;
	close(STDIN_FILENO);
	return inherited_mend() == ERR_IO ? 0 : 2;
}

static void opens_nothing_else(void **state)
{
	(void)state;
	assert_int_equal(child_run(start_without_room, NULL), 0);
}

static int start_with_ignored_children(void *arg)
{
	struct sigaction now;
	siginfo_t info;
	pid_t pid;

	(void)arg;
	signal(SIGCHLD, SIG_IGN);
	CHILD_MUST(inherited_mend() == 0);
	CHILD_MUST(sigaction(SIGCHLD, NULL, &now) == 0 && now.sa_handler == SIG_DFL);
	if ((pid = fork()) == 0)
		_exit(7);
	CHILD_MUST(pid > 0 && waitid(P_PID, (id_t)pid, &info, WEXITED) == 0);
	return info.si_status == 7 ? 0 : 1;
}

static void children_are_noticed(void **state)
{
	(void)state;
	assert_int_equal(child_run(start_with_ignored_children, NULL), 0);
}

static int start_with_a_dead_child(void *arg)
{
	sigset_t set;

	(void)arg;
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	CHILD_MUST(sigprocmask(SIG_BLOCK, &set, NULL) == 0 && raise(SIGCHLD) == 0);
	CHILD_MUST(inherited_mend() == 0);
	return sigpending(&set) == 0 && sigismember(&set, SIGCHLD) == 1 ? 0 : 1;
}

static void one_that_died_between_two_images_too(void **state)
{
	(void)state;
	assert_int_equal(child_run(start_with_a_dead_child, NULL), 0);
}

static int write_too_much(void *arg)
{
	const struct rlimit small = { 4096, 4096 };
	int fd = memfd_create("small", MFD_CLOEXEC);

	(void)arg;
	signal(SIGXFSZ, SIG_DFL);
	CHILD_MUST(fd >= 0 && setrlimit(RLIMIT_FSIZE, &small) == 0 && inherited_mend() == 0);
	return ftruncate(fd, 8192) < 0 && errno == EFBIG ? 0 : 1;
}

static void a_file_that_is_too_large_is_an_error(void **state)
{
	(void)state;
	assert_int_equal(child_run(write_too_much, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(closed_descriptors_become_null),
		cmocka_unit_test(opens_nothing_else),
		cmocka_unit_test(children_are_noticed),
		cmocka_unit_test(one_that_died_between_two_images_too),
		cmocka_unit_test(a_file_that_is_too_large_is_an_error),
	};

	return cmocka_run_group_tests_name("inherited", tests, NULL, NULL);
}
