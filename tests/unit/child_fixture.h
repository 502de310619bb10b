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

#include "tests/unit/spot.h"

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
static inline int wait_for_end_at(struct spot spot, pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		assert_int_equal_at(spot, errno, EINTR);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}
#define wait_for_end(...) wait_for_end_at(SPOT, __VA_ARGS__)

/* Standard output and error of the child are out_fd. */
static inline pid_t child_start_at(struct spot spot, int out_fd, int (*body)(void *arg), void *arg)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	assert_true_at(spot, pid >= 0);
	if (pid > 0)
		return pid;
	if (dup2(out_fd, STDOUT_FILENO) < 0 || dup2(out_fd, STDERR_FILENO) < 0)
		_exit(CHILD_BROKEN);
	int code = body(arg);

	fflush(NULL);
	_exit(code);
}
#define child_start(...) child_start_at(SPOT, __VA_ARGS__)

static inline void child_hear_at(struct spot spot, int out_fd)
{
	ssize_t n = pread(out_fd, child_text, sizeof(child_text) - 1, 0);

	assert_true_at(spot, n >= 0);
	child_text[n] = 0;
	assert_true_at(spot, (size_t)n < sizeof(child_text) - 1);
}
#define child_hear(...) child_hear_at(SPOT, __VA_ARGS__)

/* Returns as wait_for_end(). When a CHILD_MUST was not so, the test fails with what the child
 * said. */
static inline int child_run_at(struct spot spot, int (*body)(void *arg), void *arg)
{
	int out_fd = memfd_create("said", MFD_CLOEXEC), code;

	assert_true_at(spot, out_fd >= 0);
	code = wait_for_end_at(spot, child_start_at(spot, out_fd, body, arg));
	child_hear_at(spot, out_fd);
	close(out_fd);
	if (code == CHILD_BROKEN)
		fail_at(spot, "%s", child_text);
	return code;
}
#define child_run(...) child_run_at(SPOT, __VA_ARGS__)

static inline void child_expect_at(struct spot spot, int (*body)(void *arg), void *arg, int code,
                                   const char *text)
{
	int got = child_run_at(spot, body, arg);

	if (got != code || strstr(child_text, text) == NULL)
		fail_at(spot, "expected end %d and \"%s\", not end %d and: %s", code, text, got,
		        child_text);
}
#define child_expect(...) child_expect_at(SPOT, __VA_ARGS__)

#endif
