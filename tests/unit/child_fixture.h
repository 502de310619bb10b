/* SPDX-License-Identifier: Apache-2.0 */
/* child_fixture.h - a function in a process of its own: what it says there, and how it ends.
 *
 * cmocka's assertions do not work in such a child, because they would jump back into its copy of
 * the test. The child uses CHILD_MUST(), which ends it with CHILD_BROKEN and a line about what was
 * not so. */
#ifndef TESTS_CHILD_FIXTURE_H
#define TESTS_CHILD_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define CHILD_BROKEN 99

#define CHILD_MUST(condition) \
	do { \
		if (!(condition)) { \
			dprintf(STDERR_FILENO, "%s:%d: not so: %s (errno: %s)\n", __FILE__, \
			        __LINE__, #condition, strerror(errno)); \
			_exit(CHILD_BROKEN); \
		} \
	} while (0)

static char child_text[1U << 19]; /* what the last child said on standard output and error */

/* In a child that is to be ended from outside. A limit ends it, long after, when nobody does. */
static inline int child_stay(void)
{
	alarm(600);
	while (pause() < 0)
		;
	return 0;
}

/* The exit code, or the number of the signal below zero. */
static inline int wait_for_end(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Standard output and error of the child are out_fd. */
static inline pid_t child_start(int out_fd, int (*body)(void *arg), void *arg)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	if (dup2(out_fd, STDOUT_FILENO) < 0 || dup2(out_fd, STDERR_FILENO) < 0)
		_exit(CHILD_BROKEN);
	int code = body(arg);

	fflush(NULL);
	_exit(code);
}

static inline void child_hear(int out_fd)
{
	ssize_t n = pread(out_fd, child_text, sizeof(child_text) - 1, 0);

	assert_in_range(n, 0, sizeof(child_text) - 2);
	child_text[n] = 0;
}

/* Returns as wait_for_end(). When a CHILD_MUST was not so, the test fails with what the child
 * said. */
static inline int child_run(int (*body)(void *arg), void *arg)
{
	int out_fd = memfd_create("said", MFD_CLOEXEC), code;

	assert_true(out_fd >= 0);
	code = wait_for_end(child_start(out_fd, body, arg));
	child_hear(out_fd);
	close(out_fd);
	if (code == CHILD_BROKEN)
		fail_msg("%s", child_text);
	return code;
}

static inline void child_expect(int (*body)(void *arg), void *arg, int code, const char *text)
{
	int got = child_run(body, arg);

	if (got != code || strstr(child_text, text) == NULL)
		fail_msg("ended with %d instead of %d, and said: %s", got, code, child_text);
}

#endif
