/* SPDX-License-Identifier: Apache-2.0 */
/* assert: what holds costs nothing; what does not hold ends the process, and its last words say
 * what and where. */
#include <setjmp.h>
#include <signal.h>
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

#include "shared/base/assert.h"

#define PLACE 64U

/* How a child ends that asserts `holds`, with its last words at `place`. */
static int end_of(int holds, char *place, size_t size)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		signal(SIGABRT, SIG_DFL); /* cmocka catches it */
		assert_leave_words(place, size);
		ROSTER_ASSERT(holds == 1);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void what_holds_goes_on(void **state)
{
	int status = end_of(1, NULL, 0);

	(void)state;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void last_words_name_condition_and_place(void **state)
{
	char *place = mmap(NULL, PLACE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;

	(void)state;
	assert_ptr_not_equal(place, MAP_FAILED);
	status = end_of(0, place, PLACE);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_non_null(strstr(place, "assert holds == 1 at "));
	assert_non_null(strstr(place, "assert_test.c:"));
	munmap(place, PLACE);
}

static void last_words_are_cut_to_their_place(void **state)
{
	char *place = mmap(NULL, PLACE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_ptr_not_equal(place, MAP_FAILED);
	memset(place, 'x', PLACE);
	assert_true(WIFSIGNALED(end_of(0, place, 8)));
	assert_string_equal(place, "assert ");
	assert_int_equal(place[8], 'x');
	munmap(place, PLACE);
}

static void without_a_place_they_go_into_the_log(void **state)
{
	char text[256] = "";
	int pipes[2], saved = dup(STDERR_FILENO);
	ssize_t n;

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	assert_true(dup2(pipes[1], STDERR_FILENO) >= 0);
	close(pipes[1]);
	assert_true(WIFSIGNALED(end_of(0, NULL, 0)));
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	close(saved);
	n = read(pipes[0], text, sizeof(text) - 1);
	close(pipes[0]);
	assert_true(n > 0);
	assert_non_null(strstr(text, "assert holds == 1 at "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_holds_goes_on),
		cmocka_unit_test(last_words_name_condition_and_place),
		cmocka_unit_test(last_words_are_cut_to_their_place),
		cmocka_unit_test(without_a_place_they_go_into_the_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
