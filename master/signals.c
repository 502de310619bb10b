/* SPDX-License-Identifier: Apache-2.0 */
#include "master/signals.h"

#include <signal.h>
#include <sys/signalfd.h>

#include "master/master.h"
#include "shared/base/assert.h"
#include "shared/base/log.h"

static void dispatch(struct master *m, int number)
{
	for (const struct signal_row *row = m->signals; row->number != 0; row++) {
		if (row->number != number)
			continue;
		if (number != SIGCHLD)
			log_info("op=signal name=%s", row->name);
		row->act(m);
		return;
	}
}

static void on_signal(struct ev_loop *loop, ev_io *io, int revents)
{
	struct master *m = io->data;
	int number;

	(void)loop;
	(void)revents;
	while ((number = process_next_signal(m->signal_fd)) != 0)
		dispatch(m, number);
}

int signals_start(struct master *m)
{
	sigset_t set;

	ROSTER_ASSERT(m->signals != NULL && m->loop != NULL);
	sigemptyset(&set);
	for (const struct signal_row *row = m->signals; row->number != 0; row++)
		sigaddset(&set, row->number);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR ||
	    (m->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)) < 0)
		return ERR_IO;
	ev_io_init(&m->signal_io, on_signal, m->signal_fd, EV_READ);
	m->signal_io.data = m;
	ev_io_start(m->loop, &m->signal_io);
	return 0;
}
