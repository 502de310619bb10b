/* SPDX-License-Identifier: Apache-2.0 */
/* activation.h - sockets handed over by the service manager (LISTEN_FDS).
 *
 * Stream sockets become the listening sockets of worker 0, 1, ...; a datagram socket
 * becomes the push socket. The descriptors keep their numbers and belong to the master. */
#ifndef MASTER_ACTIVATION_H
#define MASTER_ACTIVATION_H

#include <stddef.h>

#include "shared/base/err.h"
#include "shared/shm/slot.h"

struct activation {
	int stream_fds[WORKERS_MAX];
	unsigned stream_count;
	int datagram_fd; /* -1: none */
};

/* Returns ERR_SYNTAX when there is a socket that nobody can use, and why names it. No sockets at
 * all are no error. */
int activation_read(struct activation *activation_r, char *why, size_t why_size) MUST_CHECK;
/* Is called before an exec of ourselves, so that the next image finds them again. */
void activation_keep_for_exec(const struct activation *activation);

#endif
