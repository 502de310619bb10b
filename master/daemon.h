/* SPDX-License-Identifier: Apache-2.0 */
/* daemon.h - going into the background: the parent in the terminal waits until the
 * server is ready and leaves with 0, or with 1 when the start failed. */
#ifndef MASTER_DAEMON_H
#define MASTER_DAEMON_H

#include <stdbool.h>

#include "shared/base/err.h"

/* Returns in the background process only; *fd_r is for daemon_ready(). hint says where the log
 * is. */
int daemon_enter(const char *hint, int *fd_r) MUST_CHECK;
/* Lets the parent go. keep_stderr is true when the log goes there. */
void daemon_ready(int *fd, bool keep_stderr);

#endif
