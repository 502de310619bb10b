/* SPDX-License-Identifier: Apache-2.0 */
/* The process in the terminal waits until the server is ready or has failed, and says which. */
#include "master/daemon.h"

#include "tests/unit/account_fixture.h"

#include <fcntl.h>
#include <stdbool.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* One start: the process in the terminal, the server that it forks, and two pipes between the
 * server and the test. */
struct start {
	const char *hint;
	bool fails, keep_stderr;
	pid_t terminal, server;
	int out_fd;
	int hello[2], go[2]; /* from the server, and to it */
};

/* Is it the null device? */
static bool is_null(int fd)
{
	struct stat st, null;

	return fstat(fd, &st) == 0 && stat("/dev/null", &null) == 0 && S_ISCHR(st.st_mode) &&
	       st.st_rdev == null.st_rdev;
}

static bool is_same(int fd, int other)
{
	struct stat st, st2;

	return fstat(fd, &st) == 0 && fstat(other, &st2) == 0 && st.st_dev == st2.st_dev &&
	       st.st_ino == st2.st_ino;
}

static int start_server(void *arg)
{
	const struct start *start = arg;
	pid_t terminal = getpid(), own;
	char word;
	int fd = -1;

	CHILD_MUST(dup2(start->go[0], STDIN_FILENO) == STDIN_FILENO); /* no null device yet */
	CHILD_MUST(daemon_enter(start->hint, &fd) == 0);
	own = getpid();
	CHILD_MUST(own != terminal && getsid(0) == own && getpgid(0) == own);
	CHILD_MUST(fcntl(fd, F_GETFD) == FD_CLOEXEC);
	CHILD_MUST(write(start->hello[1], &own, sizeof(own)) == sizeof(own));
	CHILD_MUST(read(start->go[0], &word, 1) == 1);
	if (start->fails)
		return 1;
	daemon_ready(&fd, start->keep_stderr);
	CHILD_MUST(fd == -1);
	CHILD_MUST(is_null(STDIN_FILENO) && is_null(STDOUT_FILENO));
	CHILD_MUST(start->keep_stderr ? is_same(STDERR_FILENO, start->out_fd)
	                              : is_null(STDERR_FILENO));
	return 0;
}

/* Returns when the server runs; the server then waits for end() to let it go on. */
static void begin(struct start *start)
{
	assert_true((start->out_fd = memfd_create("said", MFD_CLOEXEC)) >= 0);
	assert_true(pipe2(start->hello, O_CLOEXEC) == 0 && pipe2(start->go, O_CLOEXEC) == 0);
	start->terminal = child_start(start->out_fd, start_server, start);
	close(start->hello[1]);
	if (read(start->hello[0], &start->server, sizeof(start->server)) != sizeof(start->server)) {
		child_hear(start->out_fd);
		fail_msg("no server: %s", child_text);
	}
	assert_int_equal(waitpid(start->terminal, NULL, WNOHANG), 0); /* it waits */
}

static void end(struct start *start, int terminal_code)
{
	assert_int_equal(write(start->go[1], "+", 1), 1);
	assert_int_equal(wait_for_end(start->terminal), terminal_code);
	assert_int_equal(wait_for_end(start->server), start->fails ? 1 : 0);
	child_hear(start->out_fd);
	close(start->out_fd);
	close(start->hello[0]);
	close(start->go[0]);
	close(start->go[1]);
}

static void the_terminal_waits_until_it_is_ready(void **state)
{
	(void)state;
	for (int keep_stderr = 0; keep_stderr < 2; keep_stderr++) {
		struct start start = { .hint = "", .keep_stderr = keep_stderr };

		begin(&start);
		end(&start, 0);
		assert_string_equal(child_text, "");
	}
}

static void a_start_that_failed_is_told(void **state)
{
	struct start with_log = { .hint = "/var/log/roster.log", .fails = true };
	struct start without = { .hint = "", .fails = true };

	(void)state;
	begin(&with_log);
	end(&with_log, 1);
	assert_string_equal(child_text, "rosterd: start failed, see /var/log/roster.log\n");
	begin(&without);
	end(&without, 1);
	assert_string_equal(child_text, "rosterd: start failed, see the messages above\n");
}

static int be_ready_alone(void *arg)
{
	int fd = -1;

	(void)arg;
	daemon_ready(&fd, false);
	CHILD_MUST(fd == -1 && !is_null(STDOUT_FILENO) && !is_null(STDERR_FILENO));
	return 0;
}

/* In the foreground nobody waits, and the streams stay. */
static void in_the_foreground_nothing_happens(void **state)
{
	(void)state;
	assert_int_equal(child_run(be_ready_alone, NULL), 0);
}

static int be_ready_late(void *arg)
{
	int fds[2];

	(void)arg;
	CHILD_MUST(pipe(fds) == 0 && close(fds[0]) == 0 && signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	daemon_ready(&fds[1], true);
	CHILD_MUST(fds[1] == -1);
	return 0;
}

static void a_terminal_that_is_gone_is_no_matter(void **state)
{
	(void)state;
	assert_int_equal(child_run(be_ready_late, NULL), 0);
}

static int enter_without_descriptors(void *arg)
{
	const struct rlimit none = { 0, 0 };
	pid_t own = getpid();
	int fd = -1;

	(void)arg;
	CHILD_MUST(setrlimit(RLIMIT_NOFILE, &none) == 0);
	CHILD_MUST(daemon_enter("", &fd) == ERR_IO);
	CHILD_MUST(getpid() == own);
	return 0;
}

/* The limit does not bind root. */
static int enter_without_processes(void *arg)
{
	const struct rlimit none = { 0, 0 };
	int fd = -1, lowest = dup(STDERR_FILENO);

	(void)arg;
	account_become();
	CHILD_MUST(lowest >= 0 && close(lowest) == 0);
	CHILD_MUST(setrlimit(RLIMIT_NPROC, &none) == 0);
	CHILD_MUST(daemon_enter("", &fd) == ERR_IO && errno == EAGAIN);
	CHILD_MUST(fd == -1 && dup(STDERR_FILENO) == lowest); /* nothing stays open */
	return 0;
}

static void says_when_it_cannot(void **state)
{
	(void)state;
	assert_int_equal(child_run(enter_without_descriptors, NULL), 0);
	assert_int_equal(child_run(enter_without_processes, NULL), 0);
}

static int take_orphans(void **state)
{
	(void)state;
	return prctl(PR_SET_CHILD_SUBREAPER,
	             1); /* the server becomes ours when the terminal leaves */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_terminal_waits_until_it_is_ready),
		cmocka_unit_test(a_start_that_failed_is_told),
		cmocka_unit_test(in_the_foreground_nothing_happens),
		cmocka_unit_test(a_terminal_that_is_gone_is_no_matter),
		cmocka_unit_test(says_when_it_cannot),
	};

	return cmocka_run_group_tests_name("daemon", tests, take_orphans, NULL);
}
