/* SPDX-License-Identifier: Apache-2.0 */
#include "master/signals.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>

#include "master/master.h"
#include "master/reap.h"
#include "master/reload.h"
#include "master/stop.h"
#include "master/upgrade/upgrade.h"
#include "shared/base/log.h"

static void do_stop(struct master *m)
{
	stop_begin(m, SIGTERM, true);
}

static void do_graceful(struct master *m)
{
	stop_begin(m, SIGQUIT, false);
}

static void do_reopen(struct master *m)
{
	int ret = log_reopen();

	if (ret < 0)
		log_error("op=log-reopen err=\"%s\"", log_open_error(ret));
	children_signal(m->children, SIGUSR1);
}

static void do_more(struct master *m)
{
	reload_workers_by(m, 1);
}

static void do_less(struct master *m)
{
	reload_workers_by(m, -1);
}

static const struct {
	int number;
	const char *name;
	void (*act)(struct master *m);
} rows[] = {
	{ SIGCHLD, "CHLD", reap_children }, { SIGHUP, "HUP", reload_config }, { SIGUSR1, "USR1", do_reopen },
	{ SIGUSR2, "USR2", upgrade_begin }, { SIGTERM, "TERM", do_stop },     { SIGINT, "INT", do_stop },
	{ SIGQUIT, "QUIT", do_graceful },   { SIGTTIN, "TTIN", do_more },     { SIGTTOU, "TTOU", do_less },
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static void dispatch(struct master *m, int number)
{
	for (size_t i = 0; i < ROWS; i++) {
		if (rows[i].number != number)
			continue;
		if (number != SIGCHLD)
			log_info("op=signal name=%s", rows[i].name);
		rows[i].act(m);
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

	sigemptyset(&set);
	for (size_t i = 0; i < ROWS; i++)
		sigaddset(&set, rows[i].number);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR ||
	    (m->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)) < 0)
		return ERR_IO;
	ev_io_init(&m->signal_io, on_signal, m->signal_fd, EV_READ);
	m->signal_io.data = m;
	ev_io_start(m->loop, &m->signal_io);
	return 0;
}
