/* SPDX-License-Identifier: Apache-2.0 */
/* The next image of a process gets the operator's command line. This test program plays that image:
 * it is executed again and prints how it was called. */
#include "master/renew.h"

#include "tests/unit/child_fixture.h"

#include <fcntl.h>

#include "master/master.h"
#include "shared/base/log.h"

#define NEXT "ROSTER_TEST_NEXT_IMAGE"
#define TOO_LONG (1U << 18) /* for one argument of any exec */

static char *args_of(const char *text)
{
	return (char *)(uintptr_t)text;
}
#define ARGS(...) ((char *[]){ __VA_ARGS__, NULL })
#define A(text) args_of(text)

static struct master master;

static int renew(void *arg)
{
	char own[32];

	snprintf(own, sizeof(own), "%d", (int)getpid());
	CHILD_MUST(setenv(NEXT, own, 1) == 0);
	master.args = arg;
	master.activation.datagram_fd = -1;
	renew_exec(&master);
	return CHILD_BROKEN;
}

static void next_is_called(char **args, const char *expected)
{
	child_expect(renew, args, 0, expected);
}

static void the_same_process_is_called_in_the_foreground(void **state)
{
	(void)state;
	next_is_called(ARGS(A("rosterd")), "same process: [rosterd] [-f]\n");
	next_is_called(ARGS(A("rosterd"), A("-c"), A("a b"), A("-o"), A("x=")),
	               "same process: [rosterd] [-f] [-c] [a b] [-o] [x=]\n");
	next_is_called(ARGS(A("rosterd"), A("-f"), A("")), "same process: [rosterd] [-f] []\n");
}

/* The page behind that option belonged to the image before, and exists no longer. */
static void a_handover_is_not_repeated(void **state)
{
	(void)state;
	next_is_called(ARGS(A("rosterd"), A("--handover=7"), A("-f"), A("-t")),
	               "same process: [rosterd] [-f] [-t]\n");
	next_is_called(ARGS(A("rosterd"), A("--handover=7")), "same process: [rosterd] [-f]\n");
}

static void the_operators_arguments_begin_behind_it(void **state)
{
	(void)state;
	assert_int_equal(renew_first_arg((char *[]){ NULL }), 0);
	assert_int_equal(renew_first_arg(ARGS(A("rosterd"))), 1);
	assert_int_equal(renew_first_arg(ARGS(A("rosterd"), A("-f"), A("--handover=7"))), 1);
	assert_int_equal(renew_first_arg(ARGS(A("rosterd"), A("--handover=7"))), 2);
	assert_int_equal(renew_first_arg(ARGS(A("rosterd"), A("--handover"))), 1);
}

static int renew_with_socket(void *arg)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	char number[16];

	CHILD_MUST(fd >= 0);
	snprintf(number, sizeof(number), "%d", fd);
	master.activation.stream_fds[0] = fd;
	master.activation.stream_count = 1;
	CHILD_MUST(setenv("ROSTER_TEST_INHERITED", number, 1) == 0 &&
	           setenv("LISTEN_PID", "1", 1) == 0);
	return renew(arg);
}

static void sockets_of_the_service_manager_come_along(void **state)
{
	(void)state;
	child_expect(renew_with_socket, ARGS(A("rosterd")), 0, "inherited, for this process\n");
}

static int renew_too_long(void *arg)
{
	char *text = calloc(1, TOO_LONG);

	(void)arg;
	CHILD_MUST(text != NULL && log_open("stderr", LOG_LEVEL_INFO) == 0);
	memset(text, 'x', TOO_LONG - 1);
	master.args = ARGS(A("rosterd"), text);
	master.activation.datagram_fd = -1;
	renew_exec(&master);
	CHILD_MUST(master.failed);
	free(text);
	return 0;
}

static void a_failure_ends_in_an_error(void **state)
{
	(void)state;
	child_expect(renew_too_long, NULL, 0, "op=renew err=\"Argument list too long\"\n");
}

/* The next image. */
static int say_how(int argc, char **argv)
{
	const char *inherited = getenv("ROSTER_TEST_INHERITED"), *listen_pid = getenv("LISTEN_PID");

	if (inherited != NULL && fcntl(atoi(inherited), F_GETFD) >= 0 && listen_pid != NULL &&
	    atoi(listen_pid) == getpid())
		puts("inherited, for this process");
	printf("%s process:", atoi(getenv(NEXT)) == getpid() ? "same" : "another");
	for (int i = 0; i < argc; i++)
		printf(" [%s]", argv[i]);
	puts("");
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_process_is_called_in_the_foreground),
		cmocka_unit_test(a_handover_is_not_repeated),
		cmocka_unit_test(the_operators_arguments_begin_behind_it),
		cmocka_unit_test(sockets_of_the_service_manager_come_along),
		cmocka_unit_test(a_failure_ends_in_an_error),
	};

	if (getenv(NEXT) != NULL)
		return say_how(argc, argv);
	return cmocka_run_group_tests_name("renew", tests, NULL, NULL);
}
