/* SPDX-License-Identifier: Apache-2.0 */
#include "master/activation.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "shared/base/assert.h"

static int refuse_inherited(int fd, const char *what, char *why, size_t why_size)
{
	snprintf(why, why_size, "inherited descriptor %d %s", fd, what);
	return ERR_SYNTAX;
}

static int take_inherited(struct activation *a, int fd, char *why, size_t why_size)
{
	ROSTER_ASSERT(a->stream_count <= WORKERS_MAX);
	if (sd_is_socket_inet(fd, AF_UNSPEC, SOCK_STREAM, -1, 0) > 0) {
		if (a->stream_count == WORKERS_MAX)
			return refuse_inherited(fd, "is one stream socket too many", why, why_size);
		a->stream_fds[a->stream_count++] = fd;
	} else if (sd_is_socket_inet(fd, AF_UNSPEC, SOCK_DGRAM, -1, 0) > 0) {
		if (a->datagram_fd >= 0)
			return refuse_inherited(fd, "is a second datagram socket", why, why_size);
		a->datagram_fd = fd;
	} else {
		return refuse_inherited(fd, "is neither a TCP nor a UDP socket", why, why_size);
	}
	return fcntl(fd, F_SETFL, O_NONBLOCK) < 0
	               ? refuse_inherited(fd, "cannot be made non-blocking", why, why_size)
	               : 0;
}

int activation_read(struct activation *activation_r, char *why, size_t why_size)
{
	int count = sd_listen_fds(0);
	int ret;

	*activation_r = (struct activation){ .datagram_fd = -1 };
	if (count < 0) {
		snprintf(why, why_size, "LISTEN_FDS cannot be read: %s", strerror(-count));
		return ERR_SYNTAX;
	}
	for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + count; fd++)
		if ((ret = take_inherited(activation_r, fd, why, why_size)) < 0)
			return ret;
	return 0;
}

void activation_keep_for_exec(const struct activation *activation)
{
	char pid[16];

	for (unsigned i = 0; i < activation->stream_count; i++)
		fcntl(activation->stream_fds[i], F_SETFD, 0);
	if (activation->datagram_fd >= 0)
		fcntl(activation->datagram_fd, F_SETFD, 0);
	/* In the background we are no longer the process that the service manager named. */
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	if (getenv("LISTEN_PID") != NULL)
		setenv("LISTEN_PID", pid, 1);
}
