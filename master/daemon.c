/* SPDX-License-Identifier: Apache-2.0 */
#include "master/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

static void wait_and_leave(int fd, const char *hint) __attribute__((noreturn));
static void wait_and_leave(int fd, const char *hint)
{
	char ready = 0;
	ssize_t n;

	do
		n = read(fd, &ready, 1);
	while (n < 0 && errno == EINTR);
	if (n != 1)
		fprintf(stderr, "rosterd: start failed, see %s\n",
		        hint[0] != 0 ? hint : "the messages above");
	exit(n == 1 ? EXIT_SUCCESS : EXIT_FAILURE);
}

int daemon_enter(const char *hint, int *fd_r)
{
	int fds[2], saved;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return ERR_IO;
	if ((pid = fork()) < 0) {
		saved = errno;
		close(fds[0]);
		close(fds[1]);
		errno = saved;
		return ERR_IO;
	}
	if (pid > 0) {
		close(fds[1]);
		wait_and_leave(fds[0], hint);
	}
	close(fds[0]);
	*fd_r = fds[1];
	return setsid() < 0 ? ERR_IO : 0;
}

void daemon_ready(int *fd, bool keep_stderr)
{
	int null_fd;

	if (*fd < 0)
		return;
	if ((null_fd = open("/dev/null", O_RDWR | O_CLOEXEC)) >= 0) {
		dup2(null_fd, STDIN_FILENO);
		dup2(null_fd, STDOUT_FILENO);
		if (!keep_stderr)
			dup2(null_fd, STDERR_FILENO);
		close(null_fd);
	}
	/* It fails only when the terminal is gone and nobody waits. */
	ssize_t ignored = write(*fd, "+", 1);
	(void)ignored;
	close(*fd);
	*fd = -1;
}
