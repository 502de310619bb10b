/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/http/long.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/base/discard.h"
#include "shared/base/fiber.h"
#include "shared/metrics/metrics.h"
#include "shared/process/turn.h"
#include "worker/http/park.h"
#include "worker/http/protocol.h"
#include "worker/http/request.h"
#include "worker/worker.h"

/* Less than this after a wake-up, and nobody else wanted anything. */
#define QUIET_US 30U
/* In one turn, for places and refusals. */
#define FILL_US 500U
/* At those that wait, in one turn. */
#define LOOKS 16U

struct long_work {
	struct long_work *next, *before;
	struct long_list *list; /* the one it is in */
	struct request *rq;
	long_fn *fn;
	struct fiber *fiber; /* NULL: waits for a place */
	uint64_t id;         /* rising, in the order in which they began; 0: it has not */
	uint64_t since_ms, looked_ms;
	bool gone;
	uint64_t held_bytes; /* about: its part of the lane's */
	struct buf in, sink; /* after long_abandon() */
};

/* ---- the lane -------------------------------------------------------------------------------- */

static struct long_lane *lane_of(const struct request *rq)
{
	return &rq->worker->lane;
}

static void stay_awake(struct long_lane *lane)
{
	if (lane->count > 0 || discard_is_pending())
		ev_idle_start(lane->worker->loop, &lane->busy);
	else
		ev_idle_stop(lane->worker->loop, &lane->busy);
}

static void leave_list(struct long_lane *lane, struct long_work *work)
{
	struct long_list *list = work->list;

	ROSTER_ASSERT(work->before != NULL ? work->before->next == work : list->first == work);
	ROSTER_ASSERT(work->next != NULL ? work->next->before == work : list->last == work);
	if (lane->look == work)
		lane->look = work->next;
	*(work->before != NULL ? &work->before->next : &list->first) = work->next;
	*(work->next != NULL ? &work->next->before : &list->last) = work->before;
}

static void join_list(struct long_list *list, struct long_work *work)
{
	ROSTER_ASSERT(list->last == NULL || list->last->next == NULL);
	work->list = list;
	work->next = NULL;
	work->before = list->last;
	*(list->last != NULL ? &list->last->next : &list->first) = work;
	list->last = work;
}

static void append_work(struct long_lane *lane, struct long_work *work)
{
	join_list(&lane->waiting, work);
	lane->count++;
	stay_awake(lane);
}

static void unlink_work(struct long_lane *lane, struct long_work *work)
{
	ROSTER_ASSERT(lane->count > lane->active_count);
	leave_list(lane, work);
	lane->count--;
	stay_awake(lane);
}

static void work_free(struct long_lane *lane, struct long_work *work)
{
	ROSTER_ASSERT(work->fiber == NULL && lane->held_bytes >= work->held_bytes);
	lane->held_bytes -= work->held_bytes;
	if (work->id != 0)
		lane->worker->protocol->work_end(work->rq);
	if (work->gone)
		request_free(&work->rq);
	buf_free(&work->in);
	buf_free(&work->sink);
	free(work);
}

/* ---- one slice ------------------------------------------------------------------------------- */

/* Answers in the words of the protocol. */
static void fail_request(struct request *rq, int status, struct str why)
{
	rq->worker->protocol->fail(rq, status, why);
}

static void fail_late(struct request *rq)
{
	char why[64];
	int n = snprintf(why, sizeof(why), "http.long_wait reached: %" PRIu64,
	                 rq->worker->proc->config.http_long_wait_ms);

	fail_request(rq, 503, str_make(why, (size_t)n));
}

static void run_work(void *arg)
{
	struct long_work *work = arg;
	struct request *rq = work->rq;

	work->fn(rq);
	if (!rq->answered && !rq->outlasts_work && !work->gone)
		fail_request(rq, 500, STR("the handler gave no answer"));
}

static void count_held(struct long_lane *lane, struct long_work *work)
{
	uint64_t held = lane->worker->protocol->work_bytes(work->rq);

	lane->held_bytes += held - work->held_bytes;
	work->held_bytes = held;
}

/* Gives the work one slice. Returns true when its function has returned. What it has borrowed for
 * its answer may change in the next slice, so it is sent now. */
static bool work_slice(struct long_lane *lane, struct long_work *work)
{
	uint64_t before_us = clock_mono_us();
	bool over;

	ROSTER_ASSERT(work->fiber != NULL && work->list == &lane->active && lane->active_count > 0);
	over = fiber_run(work->fiber, LONG_SLICE_US, work->gone);
	/* Else the answer could come while the handler is still at work. */
	ROSTER_ASSERT(over || !work->rq->outlasts_work);
	if (!work->gone)
		work->rq->carrier->take(work->rq);
	count_held(lane, work);
	lane->owed_us += clock_mono_us() - before_us;
	if (over) {
		work->fiber = NULL;
		lane->active_count--;
	}
	return over;
}

/* The work is done with; its request goes on without it. */
static void part(struct long_lane *lane, struct long_work *work)
{
	unlink_work(lane, work);
	work->rq->work = NULL;
	work_free(lane, work);
}

/* The answer of a parked request is made, or there is nobody to answer, or the request stays parked
 * without its work. May free the connection. */
static void finish_work(struct long_lane *lane, struct long_work *work)
{
	struct request *rq = work->rq;
	bool gone = work->gone;

	part(lane, work);
	if (!gone && rq->answered)
		request_complete(rq);
}

/* Answers go to the connection's own buffer: the worker's is used by others meanwhile. */
static void find_out(struct long_work *work)
{
	if (!work->gone)
		(void)request_resume(work->rq->worker, work->rq->id);
}

/* ---- places ---------------------------------------------------------------------------------- */

static bool is_same_source(const struct long_work *a, const struct long_work *b)
{
	return memcmp(a->rq->source, b->rq->source, sizeof(a->rq->source)) == 0;
}

static bool has_place(const struct long_lane *lane, const struct long_work *asks)
{
	uint64_t places = lane->worker->proc->config.http_long_requests, of_source = 0;

	if (lane->active_count >= places)
		return false;
	for (const struct long_work *work = lane->active.first; work != NULL; work = work->next)
		of_source += is_same_source(work, asks);
	return of_source < (places + 1) / 2;
}

static bool begin_work(struct long_lane *lane, struct long_work *work)
{
	const struct protocol *protocol = lane->worker->protocol;

	ROSTER_ASSERT(work->fiber == NULL && work->id == 0 && work->list != &lane->active);
	if (!protocol->work_begin(work->rq))
		return false;
	if ((work->fiber = fiber_new(run_work, work)) == NULL) {
		protocol->work_end(work->rq);
		return false;
	}
	leave_list(lane, work);
	join_list(&lane->active, work);
	work->id = ++lane->last_id;
	lane->active_count++;
	return true;
}

/* Refuses a work that has not begun. */
static void refuse_work(struct long_lane *lane, struct long_work *work, bool late)
{
	find_out(work);
	metric_add(METRIC_LONG_REFUSED, 1);
	if (late)
		fail_late(work->rq);
	else
		fail_request(work->rq, 503, STR("out of memory"));
	finish_work(lane, work);
}

/* Returns who has waited too long, the oldest first, or NULL when nobody has. */
static struct long_work *next_late(const struct long_lane *lane, uint64_t now_ms)
{
	struct long_work *work =
	        lane->aside.first != NULL ? lane->aside.first : lane->waiting.first;

	return work != NULL && now_ms - work->since_ms >=
	                               lane->worker->proc->config.http_long_wait_ms
	               ? work
	               : NULL;
}

/* Returns who has waited longest of those who may have a place, or NULL when nobody may. */
static struct long_work *next_waiting(struct long_lane *lane)
{
	struct long_work *aside = lane->aside.first, *work;

	if (lane->active_count >= lane->worker->proc->config.http_long_requests)
		return NULL;
	if (aside != NULL && has_place(lane, aside))
		return aside;
	while ((work = lane->waiting.first) != NULL) {
		bool is_full = aside != NULL && is_same_source(aside, work);

		if (!is_full && has_place(lane, work))
			return work;
		/* Two sources have their half and yet a place is free. That is so for a while after
		 * http.long_requests was made smaller. */
		if (!is_full && aside != NULL)
			return NULL;
		leave_list(lane, work);
		join_list(&lane->aside, work);
		aside = lane->aside.first;
	}
	return NULL;
}

/* Refusals take time too: what is left of them is done after the next look at the sockets. */
static void fill_long_places(struct long_lane *lane)
{
	uint64_t now_us = clock_mono_us(), until_us = now_us + FILL_US;
	struct long_work *work;

	while (now_us < until_us && (work = next_late(lane, now_us / 1000)) != NULL) {
		refuse_work(lane, work, true);
		now_us = clock_mono_us();
	}
	while (now_us < until_us && (work = next_waiting(lane)) != NULL) {
		if (!begin_work(lane, work))
			refuse_work(lane, work, false);
		now_us = clock_mono_us();
	}
}

/* Returns the one behind the last that had a slice, so that each has one in turn. While all
 * together hold more than http.memory only the oldest goes on, until it gives back what it
 * holds. */
static struct long_work *next_work(const struct long_lane *lane)
{
	uint64_t most = lane->worker->proc->config.http_memory_bytes;
	struct long_work *work = lane->active.first;

	if (most != 0 && lane->held_bytes > most)
		return work;
	while (work != NULL && work->id <= lane->turn)
		work = work->next;
	return work != NULL ? work : lane->active.first;
}

/* ---- in the loop ----------------------------------------------------------------------------- */

static bool has_left(struct long_work *work, uint64_t now_ms)
{
	if (work->gone || now_ms - work->looked_ms < LONG_LOOK_MS)
		return false;
	work->looked_ms = now_ms;
	return work->rq->carrier->has_left(work->rq);
}

/* Looks at some of those that wait, a few each time. A client that has left needs no place, and its
 * connection is wanted by others. */
static void look_at_waiting(struct long_lane *lane, uint64_t now_ms)
{
	for (unsigned n = 0; n < LOOKS; n++) {
		struct long_work *work = lane->look;

		if (work == NULL) {
			lane->look_aside = !lane->look_aside;
			lane->look = lane->look_aside ? lane->aside.first : lane->waiting.first;
			return;
		}
		lane->look = work->next;
		if (has_left(work, now_ms))
			work->rq->carrier->close(work->rq);
	}
}

static void go_on_with_work(struct long_lane *lane, struct long_work *work, uint64_t now_us)
{
	struct worker *worker = lane->worker;
	struct str what = worker->protocol->name(work->rq);
	bool over;

	lane->turn = work->id;
	if (has_left(work, now_us / 1000))
		work->rq->carrier->close(work->rq);
	find_out(work);
	turn_begin(&worker->turn, now_us);
	over = work_slice(lane, work);
	/* What the end of this one begins, such as the next request of its connection, are turns of
	 * their own. */
	turn_end(&worker->turn, clock_mono_us(), "request", str_is_set(what) ? what : STR(""));
	if (over)
		finish_work(lane, work);
}

/* Runs after the events of this wake-up. `owed` is the time that long requests have used and the
 * others have not had yet: while there are others, they have as much first. */
static void on_after_poll(struct ev_loop *loop, ev_check *watcher, int events)
{
	struct long_lane *lane = watcher->data;
	uint64_t now_us, others_us;
	struct long_work *work;

	(void)loop;
	(void)events;
	discard_step();
	stay_awake(lane);
	now_us = clock_mono_us();
	others_us = now_us - lane->worker->proc->woke_us - lane->inline_us;
	lane->inline_us = 0;
	lane->owed_us =
	        others_us < QUIET_US || others_us >= lane->owed_us ? 0 : lane->owed_us - others_us;
	if (lane->owed_us > 0 || lane->count == 0)
		return;
	look_at_waiting(lane, now_us / 1000);
	fill_long_places(lane);
	if ((work = next_work(lane)) != NULL)
		go_on_with_work(lane, work, now_us);
}

static void on_discard(void *arg)
{
	struct long_lane *lane = arg;

	ev_idle_start(lane->worker->loop, &lane->busy);
}

static void on_idle(struct ev_loop *loop, ev_idle *watcher, int events)
{
	(void)loop;
	(void)watcher;
	(void)events;
}

void long_init(struct worker *worker)
{
	struct long_lane *lane = &worker->lane;

	*lane = (struct long_lane){ .worker = worker };
	ev_check_init(&lane->after_poll, on_after_poll);
	ev_set_priority(&lane->after_poll, EV_MINPRI);
	ev_idle_init(&lane->busy, on_idle);
	lane->after_poll.data = lane;
	ev_check_start(worker->loop, &lane->after_poll);
	discard_on(on_discard, lane);
}

/* Returns NULL when there is none. */
static struct long_work *first_of(const struct long_lane *lane)
{
	const struct long_list *list = lane->active.first != NULL ? &lane->active : &lane->aside;

	return list->first != NULL ? list->first : lane->waiting.first;
}

void long_free(struct worker *worker)
{
	struct long_lane *lane = &worker->lane;
	struct long_work *work;

	if (lane->worker == NULL)
		return;
	while ((work = first_of(lane)) != NULL) {
		bool begun = work->fiber != NULL;

		/* One that has not begun is gone with it. */
		if (!work->gone)
			work->rq->carrier->close(work->rq);
		if (!begun)
			continue;
		while (!work_slice(lane, work))
			continue;
		finish_work(lane, work);
	}
	ROSTER_ASSERT(lane->count == 0 && lane->active_count == 0 && lane->held_bytes == 0);
	ev_check_stop(worker->loop, &lane->after_poll);
	discard_off();
	ev_idle_stop(worker->loop, &lane->busy);
	fiber_free_spare();
}

/* ---- requests -------------------------------------------------------------------------------- */

static struct long_work *work_new(struct request *rq, long_fn *fn)
{
	struct long_work *work = calloc(1, sizeof(*work));

	if (work == NULL)
		return NULL;
	work->rq = rq;
	work->fn = fn;
	work->since_ms = work->looked_ms = clock_mono_ms();
	buf_init(&work->in);
	buf_init(&work->sink);
	return work;
}

/* Nothing else is being worked on and the others have had their time, so the first slice is now. */
static void begin_now(struct long_lane *lane, struct long_work *work)
{
	if (!begin_work(lane, work)) {
		fail_request(work->rq, 503, STR("out of memory"));
	} else {
		bool over = work_slice(lane, work);

		lane->inline_us = lane->owed_us;
		if (!over) {
			metric_add(METRIC_LONG_REQUESTS, 1);
			return;
		}
	}
	part(lane, work);
}

void long_start(struct request *rq, long_fn *fn)
{
	struct long_lane *lane = lane_of(rq);
	bool now = lane->count == 0 && lane->owed_us == 0;
	struct long_work *work;

	if (fiber_is_inside()) {
		fn(rq);
		return;
	}
	ROSTER_ASSERT(rq->work == NULL);
	if ((work = work_new(rq, fn)) == NULL) {
		fail_request(rq, 503, STR("out of memory"));
		return;
	}
	request_park(rq);
	if (rq->answered) {
		free(work);
		return;
	}
	rq->work = work;
	append_work(lane, work);
	if (now)
		begin_now(lane, work);
	else
		metric_add(METRIC_LONG_REQUESTS, 1);
}

void long_abandon(struct request *rq, struct buf *in)
{
	struct long_work *work = rq->work;

	ROSTER_ASSERT(work->rq == rq && !work->gone);
	park_forget(rq);
	work->gone = true;
	work->in = *in;
	buf_init(in);
	rq->connection = NULL;
	output_drop(&rq->output);
	rq->output.bytes = &work->sink;
	if (work->fiber == NULL)
		finish_work(lane_of(rq), work);
}

static void refuse_all(struct long_list *list)
{
	struct long_work *next;

	for (struct long_work *work = list->first; work != NULL; work = next) {
		next = work->next;
		if (!work->gone && !work->rq->answered)
			work->rq->carrier->give_up(work->rq);
	}
}

void long_settle(struct worker *worker, uint64_t ms, bool refuse_rest)
{
	struct long_lane *lane = &worker->lane;
	uint64_t until_ms = clock_mono_ms() + ms;
	struct long_work *work;

	while (lane->count > 0 && clock_mono_ms() < until_ms) {
		fill_long_places(lane);
		if ((work = next_work(lane)) != NULL)
			go_on_with_work(lane, work, clock_mono_us());
	}
	if (!refuse_rest)
		return;
	refuse_all(&lane->active);
	refuse_all(&lane->aside);
	refuse_all(&lane->waiting);
}
