/* SPDX-License-Identifier: Apache-2.0 */
/* trial.h - a child runs the new binary before anything depends on it.
 *
 * It gets the handover page and the segment read-only (opened anew, so it holds no flock), the
 * sockets without a reason to accept, and nothing else of ours. What it must do is in trial_run.h.
 * It may be any program: so it has a process group of its own, dies with the master, is killed
 * after `upgrade.trial_limit`, and has passed only when it said so. Whatever it prints is kept, up
 * to a line, for the log. */
#ifndef MASTER_UPGRADE_TRIAL_H
#define MASTER_UPGRADE_TRIAL_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "shared/base/err.h"

struct handover;
struct master;

#define TRIAL_EXIT_LAYOUT 3 /* all is well but the layout of the segment */
#define TRIAL_PASSED "roster: trial passed\n"

enum trial_result { TRIAL_OK, TRIAL_FAILED, TRIAL_LAYOUT };

struct trial {
	struct master *master;
	pid_t pid; /* 0: none runs */
	int out_fd;
	bool late;
	char said[400];
	size_t said_n;
	ev_io out;
	ev_timer limit;
};

/* binary_fd is an O_PATH descriptor of the new binary. Returns ERR_IO when it could not be
 * forked. */
int trial_start(struct master *m, const struct handover *h, int binary_fd) MUST_CHECK;
/* Is called on SIGCHLD. Returns true once the trial has ended, with its result, and what the
 * operator should know about it. */
bool trial_reap(struct master *m, enum trial_result *result_r, char *why, size_t why_size);
/* The server stops, and nobody waits for the result any more. */
void trial_cancel(struct master *m);

#endif
