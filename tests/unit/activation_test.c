/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors from number 3 on, as the service manager leaves them: each case in a child of its
 * own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "master/activation.h"

#define FIRST 3

/* 't' TCP, 'u' UDP, 'l' local stream, 'f' file. */
static int make(char kind)
{
	struct sockaddr_in any = { .sin_family = AF_INET,
		                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd;

	if (kind == 'f')
		return open("/dev/null", O_RDONLY);
	if (kind == 'l')
		return socket(AF_UNIX, SOCK_STREAM, 0);
	fd = socket(AF_INET, kind == 't' ? SOCK_STREAM : SOCK_DGRAM, 0);
	return fd >= 0 && bind(fd, (struct sockaddr *)&any, sizeof(any)) == 0 ? fd : -1;
}

static void hand_over(const char *kinds, pid_t pid)
{
	char text[24];
	int made[8];

	for (size_t i = 0; kinds[i] != 0; i++)
		if ((made[i] = fcntl(make(kinds[i]), F_DUPFD, 100)) < 0)
			_exit(99);
	for (int i = 0; kinds[i] != 0; i++)
		dup2(made[i], FIRST + i);
	snprintf(text, sizeof(text), "%zu", strlen(kinds));
	setenv("LISTEN_FDS", text, 1);
	snprintf(text, sizeof(text), "%d", (int)pid);
	setenv("LISTEN_PID", text, 1);
}

/* 0: as expected. */
static int judge(const char *kinds, int expected, unsigned streams, int datagram)
{
	struct activation a;
	char why[100] = "";

	hand_over(kinds, getpid());
	if (activation_read(&a, why, sizeof(why)) != expected)
		return 1;
	if (expected < 0)
		return why[0] != 0 ? 0 : 2;
	for (unsigned i = 0; i < a.stream_count; i++)
		if ((fcntl(a.stream_fds[i], F_GETFL) & O_NONBLOCK) == 0 ||
		    fcntl(a.stream_fds[i], F_GETFD) != FD_CLOEXEC)
			return 3;
	if (a.stream_count != streams || a.datagram_fd != datagram)
		return 4;
	activation_keep_for_exec(&a);
	return streams > 0 && fcntl(a.stream_fds[0], F_GETFD) != 0 ? 5 : 0;
}

static void check(const char *kinds, int expected, unsigned streams, int datagram)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(judge(kinds, expected, streams, datagram));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void sorts_by_kind(void **state)
{
	(void)state;
	check("t", 0, 1, -1);
	check("tu", 0, 1, FIRST + 1);
	check("utt", 0, 2, FIRST);
	check("u", 0, 0, FIRST);
	check("uu", ERR_SYNTAX, 0, 0);
	check("l", ERR_SYNTAX, 0, 0);
	check("tf", ERR_SYNTAX, 0, 0);
}

static void ignores_what_is_for_another_process(void **state)
{
	struct activation a;
	char why[100];

	(void)state;
	setenv("LISTEN_FDS", "1", 1);
	setenv("LISTEN_PID", "1", 1);
	assert_int_equal(activation_read(&a, why, sizeof(why)), 0);
	assert_int_equal(a.stream_count, 0);
	assert_int_equal(a.datagram_fd, -1);
	unsetenv("LISTEN_FDS");
	assert_int_equal(activation_read(&a, why, sizeof(why)), 0);
	assert_int_equal(a.stream_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sorts_by_kind),
		cmocka_unit_test(ignores_what_is_for_another_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
