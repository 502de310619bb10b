/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/process/child.h"

#include <errno.h>
#include <ev.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/process/freeze.h"
#include "shared/process/process.h"

enum phase { SERVES, LEAVES, STOPS };

struct child_loop {
	struct process *proc;
	const struct child_hooks *hooks;
	void *role;
	struct ev_loop *loop;
	enum phase phase;
	int signal_fd;
	ev_io signals, alive, notice;
	ev_prepare before_wait;
	ev_check after_wait;
	ev_timer limit;
};

static void call_hook(void (*hook)(void *role), const struct child_loop *child)
{
	if (hook != NULL)
		hook(child->role);
}

/* ---- the board ------------------------------------------------------------------------------- */

static void stand_still(struct child_loop *child)
{
	uint64_t since_ms;

	call_hook(child->hooks->freeze_begin, child);
	since_ms = clock_mono_ms();
	switch (freeze_here(child->proc)) {
	case FREEZE_GIVE:
		call_hook(child->hooks->freeze_give, child); /* fall through */
	case FREEZE_LEAVE:
		_exit(EXIT_SUCCESS);
	case FREEZE_OVER:
		break;
	}
	if (child->hooks->freeze_over != NULL)
		child->hooks->freeze_over(child->role, clock_mono_ms() - since_ms);
}

static void look_at_board(struct child_loop *child)
{
	if (freeze_wanted(child->proc))
		stand_still(child);
	ev_now_update(child->loop);
	/* The hook is called after a freeze too, because the wait in there has read the notices. */
	call_hook(child->hooks->notice, child);
}

static void on_notice(struct ev_loop *loop, ev_io *io, int events)
{
	uint64_t times;

	(void)loop;
	(void)events;
	if (read(io->fd, &times, sizeof(times)) == (ssize_t)sizeof(times))
		look_at_board(io->data);
}

/* ---- the end --------------------------------------------------------------------------------- */

/* The master never writes to that pipe, so only its death makes it readable. Without a master
 * nobody would start us again, and the next one opens sockets of its own. */
static void on_alive(struct ev_loop *loop, ev_io *io, int events)
{
	char byte;

	(void)events;
	if (read(io->fd, &byte, 1) == 0)
		ev_break(loop, EVBREAK_ALL);
}

static void on_child_limit(struct ev_loop *loop, ev_timer *timer, int events)
{
	const struct child_loop *child = timer->data;

	(void)events;
	ROSTER_ASSERT(child->phase == STOPS);
	log_warning("op=stop result=bounded unfinished=%u",
	            child->hooks->unfinished != NULL ? child->hooks->unfinished(child->role) : 0);
	ev_break(loop, EVBREAK_ALL);
}

static void begin_stopping(struct child_loop *child, uint32_t limit_ms)
{
	if (limit_ms != 0 && !ev_is_active(&child->limit)) {
		ev_timer_set(&child->limit, limit_ms / 1000.0, 0.0);
		ev_timer_start(child->loop, &child->limit);
	}
	if (child->phase == STOPS)
		return;
	child->phase = STOPS;
	process_stopping(child->proc);
	call_hook(child->hooks->stop, child);
}

static void begin_leaving(struct child_loop *child)
{
	if (child->hooks->leave == NULL) {
		begin_stopping(child, child->hooks->stop_limit_ms);
		return;
	}
	if (child->phase != SERVES)
		return;
	child->phase = LEAVES;
	process_stopping(child->proc);
	call_hook(child->hooks->leave, child);
}

/* ---- signals --------------------------------------------------------------------------------- */

static void reload_role(struct child_loop *child)
{
	process_reload(child->proc);
	call_hook(child->hooks->reload, child);
}

static void reopen_log(void)
{
	int ret = log_reopen();

	if (ret < 0)
		log_error("op=log-reopen err=\"%s\"", log_open_error(ret));
}

static void on_signals(struct ev_loop *loop, ev_io *io, int events)
{
	struct child_loop *child = io->data;
	int number;

	(void)loop;
	(void)events;
	while ((number = process_next_signal(io->fd)) != 0) {
		switch (number) {
		case SIGTERM:
		case SIGINT:
			begin_stopping(child, child->hooks->stop_limit_ms);
			break;
		case SIGQUIT:
			begin_stopping(child, child->hooks->quit_limit_ms);
			break;
		case SIGUSR2:
			begin_leaving(child);
			break;
		case SIGHUP:
			reload_role(child);
			break;
		case SIGUSR1:
			reopen_log();
			break;
		default:
			break;
		}
	}
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void on_before_wait(struct ev_loop *loop, ev_prepare *prepare, int events)
{
	(void)loop;
	(void)events;
	process_idle(((struct child_loop *)prepare->data)->proc);
}

static void on_after_wait(struct ev_loop *loop, ev_check *check, int events)
{
	(void)loop;
	(void)events;
	process_busy(((struct child_loop *)check->data)->proc);
}

static int open_loop(struct child_loop *child)
{
	if ((child->signal_fd = process_signal_fd()) < 0)
		return child->signal_fd;
	if ((child->loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV)) != NULL)
		return 0;
	close(child->signal_fd);
	return ERR_IO;
}

static void close_loop(struct child_loop *child)
{
	ev_loop_destroy(child->loop);
	close(child->signal_fd);
}

static void watch_fd(struct child_loop *child, ev_io *io,
                     void (*fn)(struct ev_loop *, ev_io *, int), int fd)
{
	ev_io_init(io, fn, fd, EV_READ);
	io->data = child;
	if (fd >= 0)
		ev_io_start(child->loop, io);
}

static void watch_events(struct child_loop *child)
{
	watch_fd(child, &child->signals, on_signals, child->signal_fd);
	watch_fd(child, &child->alive, on_alive, child->proc->alive_fd);
	watch_fd(child, &child->notice, on_notice, child->proc->notice_fd);
	ev_timer_init(&child->limit, on_child_limit, 0.0, 0.0);
	ev_prepare_init(&child->before_wait, on_before_wait);
	ev_check_init(&child->after_wait, on_after_wait);
	/* The child is busy from before the first event until after the last. */
	ev_set_priority(&child->before_wait, EV_MINPRI);
	ev_set_priority(&child->after_wait, EV_MAXPRI);
	child->limit.data = child->before_wait.data = child->after_wait.data = child;
	ev_prepare_start(child->loop, &child->before_wait);
	ev_check_start(child->loop, &child->after_wait);
}

static void serve_role(struct child_loop *child)
{
	const struct child_hooks *hooks = child->hooks;

	ROSTER_ASSERT(child->phase == SERVES);
	watch_events(child);
	if (hooks->ready == NULL || hooks->ready(child->role))
		process_ready(child->proc);
	look_at_board(child);
	call_hook(hooks->begin, child);
	ev_run(child->loop, 0);
}

static void log_failed(int code)
{
	log_error("op=init err=\"%s\" errno=\"%s\"", err_str(code), strerror(errno));
}

int child_run(struct process *proc, const struct child_hooks *hooks, void *role)
{
	struct child_loop child = { .proc = proc, .hooks = hooks, .role = role };
	int ret;

	ROSTER_ASSERT(hooks->init != NULL && hooks->deinit != NULL && hooks->stop != NULL);
	if ((ret = open_loop(&child)) < 0) {
		log_failed(ret);
		return EXIT_FAILURE;
	}
	if ((ret = hooks->init(role, child.loop)) < 0)
		log_failed(ret);
	else
		serve_role(&child);
	hooks->deinit(role);
	close_loop(&child);
	return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
