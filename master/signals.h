/* SPDX-License-Identifier: Apache-2.0 */
/* signals.h - the signals of the master: each row of m->signals says what one does; the rows stand
 * in plans.c.
 *
 * They are read from a signalfd, because handlers of libev would be inherited by the children. All
 * signals of the table stay blocked in a child until it takes its own with process_signal_fd(). */
#ifndef MASTER_SIGNALS_H
#define MASTER_SIGNALS_H

#include "shared/base/err.h"

struct master;

struct signal_row {
	int number;       /* 0: the end of the rows */
	const char *name; /* for the log; SIGCHLD is not logged */
	void (*act)(struct master *m);
};

/* Needs m->signals and m->loop. Returns ERR_IO with errno. */
int signals_start(struct master *m) MUST_CHECK;

#endif
