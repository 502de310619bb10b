/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - the pusher process: its loop and what wakes it (design: pusher).
 *
 * Woken by the change queue's eventfd, by ACKs, by the next due time, by signals, by the master's death. The
 * work itself is schedule.h. On SIGTERM the rounds under way are finished; what is still owed stands in the
 * segment and is made by the next pusher. */
#include <errno.h>
#include <ev.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pusher/schedule.h"
#include "shared/base/discard.h"
#include "shared/base/log.h"
#include "shared/metrics/metrics.h"
#include "shared/process/freeze.h"
#include "shared/process/process.h"
#include "shared/registry/registry.h"

/* The socket's buffer is full and nobody ends it: the round is left to the next pusher. */
#define STOP_LIMIT_S 1.0
/* ENOBUFS is told by no event. */
#define SHORT_RETRY_S 0.005
/* After a wake-up the next one is heard only that much later, or after a quarter of push.delay: a stream of changes
 * must not cost a wake-up each. Nothing is late by it, since no change is due before push.delay. */
#define DEAF_MAX_MS 50U

struct pusher {
	struct process *proc;
	struct ev_loop *loop;
	struct registry registry;
	struct schedule schedule;
	int signal_fd;
	ev_io wake, acks, writable, signals, alive, notice;
	ev_timer due, stop_limit, deaf;
	ev_prepare before_poll;
	ev_check after_poll;
};

/* ---- running ---------------------------------------------------------------------- */

static void set_due(struct pusher *pusher, double seconds)
{
	ev_timer_stop(pusher->loop, &pusher->due);
	ev_now_update(pusher->loop);
	ev_timer_set(&pusher->due, seconds, 0.);
	ev_timer_start(pusher->loop, &pusher->due);
}

/* Half a millisecond over: the clock is cut to whole ones, and waking too early would be for nothing. */
static void plan(struct pusher *pusher, bool more)
{
	const struct schedule *schedule = &pusher->schedule;
	uint64_t wait_ms = schedule_wait(schedule);

	ev_io_stop(pusher->loop, &pusher->writable);
	ev_timer_stop(pusher->loop, &pusher->due);
	if (schedule->deliver.blocked == UDP_FULL)
		ev_io_start(pusher->loop, &pusher->writable);
	else if (schedule->deliver.blocked == UDP_SHORT)
		set_due(pusher, SHORT_RETRY_S);
	else if (more)
		set_due(pusher, 0.);
	else if (wait_ms != UINT64_MAX)
		set_due(pusher, (double)wait_ms / 1000 + 0.0005);
}

static void run(struct pusher *pusher)
{
	bool more;

	discard_step();
	more = schedule_run(&pusher->schedule) || discard_is_pending();
	if (schedule_is_over(&pusher->schedule))
		ev_break(pusher->loop, EVBREAK_ALL);
	plan(pusher, more);
}

static void on_due(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct pusher *pusher = timer->data;

	(void)loop, (void)events;
	deliver_unblock(&pusher->schedule.deliver);
	run(pusher);
}

static void on_writable(struct ev_loop *loop, ev_io *io, int events)
{
	struct pusher *pusher = io->data;

	(void)loop, (void)events;
	deliver_unblock(&pusher->schedule.deliver);
	run(pusher);
}

static void be_deaf(struct pusher *pusher)
{
	uint64_t ms = pusher->proc->config.push_delay_ms / 4;

	if (ms == 0)
		return;
	ev_io_stop(pusher->loop, &pusher->wake);
	ev_timer_set(&pusher->deaf, (double)(ms < DEAF_MAX_MS ? ms : DEAF_MAX_MS) / 1000, 0.);
	ev_timer_start(pusher->loop, &pusher->deaf);
}

static void on_deaf_over(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)events;
	ev_io_start(loop, &((struct pusher *)timer->data)->wake);
}

static void on_wake(struct ev_loop *loop, ev_io *io, int events)
{
	struct pusher *pusher = io->data;
	uint64_t rings;

	(void)loop, (void)events;
	/* Read before the word is taken: a change in between rings again. */
	if (read(io->fd, &rings, sizeof rings) == (ssize_t)sizeof rings) {
		schedule_wake(&pusher->schedule, rings);
		run(pusher);
		be_deaf(pusher);
	}
}

static void on_acks(struct ev_loop *loop, ev_io *io, int events)
{
	struct pusher *pusher = io->data;

	(void)loop, (void)events;
	/* The time planned for may now be too early, never too late: it stays. */
	schedule_receive(&pusher->schedule);
}

/* ---- signals ---------------------------------------------------------------------- */

static void on_stop_limit(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)timer, (void)events;
	log_warning("op=pusher-stop result=unfinished");
	ev_break(loop, EVBREAK_ALL);
}

static void stop(struct pusher *pusher)
{
	if (pusher->schedule.stopping)
		return;
	process_stopping(pusher->proc);
	pusher->schedule.stopping = true;
	ev_timer_start(pusher->loop, &pusher->stop_limit);
	run(pusher);
}

static void reload(struct pusher *pusher)
{
	process_reload(pusher->proc);
	schedule_reload(&pusher->schedule);
	run(pusher);
}

static void on_signal(struct ev_loop *loop, ev_io *io, int events)
{
	struct pusher *pusher = io->data;
	int number;

	(void)loop, (void)events;
	while ((number = process_next_signal(pusher->signal_fd)) != 0) {
		if (number == SIGHUP)
			reload(pusher);
		else if (number == SIGUSR1 && log_reopen() < 0)
			log_warning("op=log-reopen err=\"%s\"", strerror(errno));
		else if (number != SIGUSR1)
			stop(pusher);
	}
}

static void on_alive(struct ev_loop *loop, ev_io *io, int events)
{
	char byte;

	(void)events;
	if (read(io->fd, &byte, 1) == 0)
		ev_break(loop, EVBREAK_ALL);
}

/* What is in flight goes on afterwards; ACKs wait in the socket. */
static void stand_still(struct pusher *pusher)
{
	if (freeze_here(pusher->proc) != FREEZE_OVER)
		_exit(EXIT_SUCCESS);
	ev_now_update(pusher->loop);
}

static void on_notice(struct ev_loop *loop, ev_io *io, int events)
{
	uint64_t times;

	(void)loop, (void)events;
	if (read(io->fd, &times, sizeof times) == (ssize_t)sizeof times)
		stand_still(io->data);
}

static void on_before_poll(struct ev_loop *loop, ev_prepare *prepare, int events)
{
	(void)loop, (void)events;
	process_idle(((struct pusher *)prepare->data)->proc);
}

static void on_after_poll(struct ev_loop *loop, ev_check *check, int events)
{
	(void)loop, (void)events;
	process_busy(((struct pusher *)check->data)->proc);
}

/* ---- process ---------------------------------------------------------------------- */

static void watch(struct pusher *pusher, ev_io *io, void (*fn)(struct ev_loop *, ev_io *, int), int fd, int events)
{
	ev_io_init(io, fn, fd, events);
	io->data = pusher;
	if (fd >= 0 && events == EV_READ)
		ev_io_start(pusher->loop, io);
}

static void watch_all(struct pusher *pusher)
{
	struct process *proc = pusher->proc;

	watch(pusher, &pusher->wake, on_wake, proc->seg->wake_fd[QUEUE_PUSHER], EV_READ);
	watch(pusher, &pusher->acks, on_acks, proc->udp_fd, EV_READ);
	watch(pusher, &pusher->writable, on_writable, proc->udp_fd, EV_WRITE);
	watch(pusher, &pusher->signals, on_signal, pusher->signal_fd, EV_READ);
	watch(pusher, &pusher->alive, on_alive, proc->alive_fd, EV_READ);
	watch(pusher, &pusher->notice, on_notice, proc->notice_fd, EV_READ);
	ev_timer_init(&pusher->due, on_due, 0., 0.);
	ev_timer_init(&pusher->stop_limit, on_stop_limit, STOP_LIMIT_S, 0.);
	ev_timer_init(&pusher->deaf, on_deaf_over, 0., 0.);
	ev_prepare_init(&pusher->before_poll, on_before_poll);
	ev_check_init(&pusher->after_poll, on_after_poll);
	pusher->due.data = pusher->stop_limit.data = pusher->deaf.data = pusher->before_poll.data = pusher->after_poll.data =
	        pusher;
	ev_prepare_start(pusher->loop, &pusher->before_poll);
	ev_check_start(pusher->loop, &pusher->after_poll);
}

static int pusher_init(struct pusher *pusher)
{
	struct process *proc = pusher->proc;
	uint32_t overflow = (uint32_t)proc->slot->counters[METRIC_PUSH_RXQ_OVERFLOW];
	int ret;

	if ((pusher->signal_fd = process_signal_fd()) < 0)
		return pusher->signal_fd;
	if ((pusher->loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOSIGMASK)) == NULL)
		return ERR_IO;
	registry_init(&pusher->registry, proc->seg);
	ret = schedule_init(&pusher->schedule, &pusher->registry, &proc->config, proc->udp_fd, overflow);
	if (ret < 0)
		return ret;
	watch_all(pusher);
	return 0;
}

static void pusher_deinit(struct pusher *pusher)
{
	schedule_free(&pusher->schedule);
	ev_loop_destroy(pusher->loop);
	close(pusher->signal_fd);
}

int pusher_main(struct process *proc)
{
	struct pusher *pusher = calloc(1, sizeof *pusher);
	int ret;

	if (pusher == NULL) {
		log_error("op=pusher-init err=\"%s\"", err_str(ERR_NOMEM));
		return EXIT_FAILURE;
	}
	pusher->proc = proc;
	if ((ret = pusher_init(pusher)) < 0) {
		log_error("op=pusher-init err=\"%s\" errno=\"%s\"", err_str(ret), strerror(errno));
		free(pusher);
		return EXIT_FAILURE;
	}
	discard_on(NULL, NULL);
	process_ready(proc);
	stand_still(pusher);
	run(pusher);
	ev_run(pusher->loop, 0);
	pusher_deinit(pusher);
	free(pusher);
	return EXIT_SUCCESS;
}
