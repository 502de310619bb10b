/* SPDX-License-Identifier: Apache-2.0 */
/* death_fixture.h - a child that breaks a rule, and has to end by the assert that states it:
 *
 *     if (death_fork(&death)) {
 *             (breaks it)
 *             _exit(0);
 *     }
 *     death_was_by_assert(&death, "assert condition at "); */
#ifndef UNIT_DEATH_FIXTURE_H
#define UNIT_DEATH_FIXTURE_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/base/assert.h"
#include "tests/unit/spot.h"

#define DEATH_WORDS 256U

struct death {
	pid_t pid;
	char *words; /* the last ones, shared with the child */
};

/* Returns true in the child. */
static inline bool death_fork_at(struct spot spot, struct death *death)
{
	death->words =
	        mmap(NULL, DEATH_WORDS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true_at(spot, death->words != MAP_FAILED);
	death->pid = fork();
	assert_true_at(spot, death->pid >= 0);
	if (death->pid != 0)
		return false;
	signal(SIGABRT, SIG_DFL); /* cmocka catches it */
	assert_leave_words(death->words, DEATH_WORDS);
	return true;
}
#define death_fork(...) death_fork_at(SPOT, __VA_ARGS__)

/* Waits for the child. Its last words begin with those. */
static inline void death_was_by_assert_at(struct spot spot, struct death *death, const char *words)
{
	int status;

	while (waitpid(death->pid, &status, 0) < 0)
		;
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT ||
	    strncmp(death->words, words, strlen(words)) != 0)
		fail_at(spot, "status %#x and last words \"%s\", not SIGABRT and \"%s\"",
		        (unsigned)status, death->words, words);
	munmap(death->words, DEATH_WORDS);
}
#define death_was_by_assert(...) death_was_by_assert_at(SPOT, __VA_ARGS__)

#endif
