/* SPDX-License-Identifier: Apache-2.0 */
/* A step that failed says so where people look. */
#include "master/failure.h"

#include "tests/unit/master_fixture.h"

static void it_is_in_the_log(void **state)
{
	(void)state;
	fixture_init(NULL);
	assert_int_equal(failure_log("sockets", "in use"), ERR_IO);
	assert_int_equal(fixture_log_count("op=start what=sockets why=\"in use\""), 1);
	fixture_deinit();
}

static void or_on_the_terminal(void **state)
{
	int ends[2], before = dup(STDERR_FILENO);
	char text[64] = "";

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
	assert_int_equal(failure_print("no such key", ERR_SYNTAX), ERR_SYNTAX);
	assert_int_equal(dup2(before, STDERR_FILENO), STDERR_FILENO);
	assert_true(read(ends[0], text, sizeof(text) - 1) > 0);
	assert_string_equal(text, "rosterd: no such key\n");
	close(before);
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_in_the_log),
		cmocka_unit_test(or_on_the_terminal),
	};

	return cmocka_run_group_tests_name("failure", tests, NULL, NULL);
}
