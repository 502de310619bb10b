/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - the pusher: what wakes it.
 *
 * It wakes for the eventfd of the change queue, for ACKs, for the next due time, and for what every
 * child hears of (shared/process/child.h). The work itself is schedule.h. On SIGTERM the rounds
 * under way are finished; what is still owed stands in the segment, and the next pusher sends
 * it. */
#include <ev.h>
#include <unistd.h>

#include "pusher/schedule.h"
#include "shared/base/discard.h"
#include "shared/metrics/metrics.h"
#include "shared/process/child.h"
#include "shared/process/process.h"
#include "shared/registry/registry.h"

/* If the buffer of the socket stays full for so long at the stop, the rounds are left to the next
 * pusher. */
#define STOP_LIMIT_MS 1000U
/* No event tells when a socket that gave ENOBUFS can send again, so it is tried after a while. */
#define SHORT_RETRY_S 0.005
/* After a wake-up no other one is heard for so long, or for a quarter of push.delay if that is
 * less: a stream of changes must not cost a wake-up each. Nothing is late by it, since no change is
 * due before push.delay is over. */
#define DEAF_MAX_MS 50U

struct pusher {
	struct process *proc;
	struct ev_loop *loop;
	struct registry registry;
	struct schedule schedule;
	ev_io wake, acks, writable;
	ev_timer due, deaf;
};

/* ---- running --------------------------------------------------------------------------------- */

static void set_due(struct pusher *pusher, double seconds)
{
	ev_timer_stop(pusher->loop, &pusher->due);
	ev_now_update(pusher->loop);
	ev_timer_set(&pusher->due, seconds, 0.);
	ev_timer_start(pusher->loop, &pusher->due);
}

/* Says what wakes the loop next. Half a millisecond is added to a wait: the clock is cut to whole
 * ones, and waking too early would be for nothing. */
static void plan_wakeup(struct pusher *pusher, bool more)
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

static void run_schedule(struct pusher *pusher)
{
	bool more;

	discard_step();
	more = schedule_run(&pusher->schedule) || discard_is_pending();
	if (schedule_is_over(&pusher->schedule))
		ev_break(pusher->loop, EVBREAK_ALL);
	plan_wakeup(pusher, more);
}

static void on_due(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct pusher *pusher = timer->data;

	(void)loop, (void)events;
	deliver_unblock(&pusher->schedule.deliver);
	run_schedule(pusher);
}

static void on_push_writable(struct ev_loop *loop, ev_io *io, int events)
{
	struct pusher *pusher = io->data;

	(void)loop, (void)events;
	deliver_unblock(&pusher->schedule.deliver);
	run_schedule(pusher);
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
	/* The eventfd is read before the word is taken: a change in between rings again. */
	if (read(io->fd, &rings, sizeof rings) == (ssize_t)sizeof rings) {
		schedule_wake(&pusher->schedule, rings);
		run_schedule(pusher);
		be_deaf(pusher);
	}
}

static void on_acks(struct ev_loop *loop, ev_io *io, int events)
{
	struct pusher *pusher = io->data;

	(void)loop, (void)events;
	/* The wake-up that is planned may now be too early, but never too late, so it stays. */
	schedule_receive(&pusher->schedule);
}

/* ---- what the loop calls (child.h) ----------------------------------------------------------- */

static void pusher_begin(void *role)
{
	run_schedule(role);
}

static void pusher_reload(void *role)
{
	struct pusher *pusher = role;

	schedule_reload(&pusher->schedule);
	run_schedule(pusher);
}

static void pusher_stop(void *role)
{
	struct pusher *pusher = role;

	pusher->schedule.stopping = true;
	run_schedule(pusher);
}

static unsigned pusher_unfinished(const void *role)
{
	const struct schedule *schedule = &((const struct pusher *)role)->schedule;

	return schedule->rounds.count + schedule->deliver.out_count;
}

/* ---- life ------------------------------------------------------------------------------------ */

static void watch_sources(struct pusher *pusher)
{
	struct process *proc = pusher->proc;

	ev_io_init(&pusher->wake, on_wake, proc->seg->wake_fd[QUEUE_PUSHER], EV_READ);
	ev_io_init(&pusher->acks, on_acks, proc->udp_fd, EV_READ);
	ev_io_init(&pusher->writable, on_push_writable, proc->udp_fd, EV_WRITE);
	ev_timer_init(&pusher->due, on_due, 0., 0.);
	ev_timer_init(&pusher->deaf, on_deaf_over, 0., 0.);
	pusher->wake.data = pusher->acks.data = pusher->writable.data = pusher->due.data =
	        pusher->deaf.data = pusher;
	ev_io_start(pusher->loop, &pusher->wake);
	ev_io_start(pusher->loop, &pusher->acks);
}

static int pusher_init(void *role, struct ev_loop *loop)
{
	struct pusher *pusher = role;
	struct process *proc = pusher->proc;
	uint32_t overflow = (uint32_t)proc->slot->counters[METRIC_PUSH_RXQ_OVERFLOW];
	int ret;

	pusher->loop = loop;
	registry_init(&pusher->registry, proc->seg);
	ret = schedule_init(&pusher->schedule, &pusher->registry, &proc->config, proc->udp_fd,
	                    overflow);
	if (ret < 0)
		return ret;
	watch_sources(pusher);
	discard_on(NULL, NULL);
	return 0;
}

static void pusher_deinit(void *role)
{
	schedule_free(&((struct pusher *)role)->schedule);
}

/* While the server stands still ACKs wait in the socket; what is in flight goes on afterwards. */
static const struct child_hooks pusher_hooks = {
	.init = pusher_init,
	.deinit = pusher_deinit,
	.begin = pusher_begin,
	.reload = pusher_reload,
	.stop = pusher_stop,
	.unfinished = pusher_unfinished,
	.stop_limit_ms = STOP_LIMIT_MS,
	.quit_limit_ms = STOP_LIMIT_MS,
};

int pusher_main(struct process *proc)
{
	/* Too large for a stack. Most of its tables are never touched (schedule.h). */
	static struct pusher pusher;

	pusher.proc = proc;
	return child_run(proc, &pusher_hooks, &pusher);
}
