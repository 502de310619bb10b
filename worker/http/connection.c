/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/http/connection.h"

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/metrics/metrics.h"
#include "shared/net/address.h"
#include "worker/http/connection_state.h"
#include "worker/http/exchange.h"
#include "worker/http/head.h"
#include "worker/http/long.h"
#include "worker/http/memory.h"
#include "worker/http/park.h"
#include "worker/http/protocol.h"
#include "worker/http/answer.h"

#define MOVED_ENOUGH (16U * 1024U) /* bytes that earn a body or an answer its time again */
#define LINGER_MS 2000U
#define STOOD_STILL_MS \
	500U /* a timer that comes so late: the process was stopped, or the machine was */
#define GRACE_MS 200U
#define LINGER_BYTES (1024U * 1024U)
#define REFUSED_RETRY_S 1U

static const struct carrier carrier;

static void connection_step(struct connection *c);

/* ---- life ------------------------------------------------------------------------------------ */

int connection_pool_new(struct worker *worker)
{
	struct connection_pool *pool = calloc(1, sizeof(*pool));

	if (pool == NULL)
		return ERR_NOMEM;
	buf_init(&pool->in);
	buf_init(&pool->out);
	pool->carrier = &carrier;
	http_head_init();
	worker->pool = pool;
	long_init(worker);
	return 0;
}

void connection_pool_free(struct worker *worker)
{
	struct connection_pool *pool = worker->pool;

	if (pool == NULL)
		return;
	long_free(worker);
	connection_close_all(worker);
	ROSTER_ASSERT(worker->connection_count == 0 && worker->held_bytes == 0);
	request_free(&pool->request);
	buf_free(&pool->in);
	buf_free(&pool->out);
	free(pool);
	park_free(worker);
	worker->pool = NULL;
}

static void count(struct worker *worker, int change)
{
	worker->connection_count += (uint32_t)change;
	if (worker->connection_peak < worker->connection_count)
		worker->connection_peak = worker->connection_count;
	__atomic_store_n(&worker->proc->slot->connections, worker->connection_count,
	                 __ATOMIC_RELAXED);
}

static void link_in(struct connection *c)
{
	struct worker *worker = c->worker;

	ROSTER_ASSERT(c->prev == NULL &&
	              (worker->connections == NULL || worker->connections->prev == NULL));
	c->next = worker->connections;
	if (c->next != NULL)
		c->next->prev = c;
	worker->connections = c;
	count(worker, 1);
}

static void unlink_from(struct connection *c)
{
	ROSTER_ASSERT(c->worker->connection_count > 0);
	ROSTER_ASSERT(c->prev != NULL ? c->prev->next == c : c->worker->connections == c);
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		c->worker->connections = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	count(c->worker, -1);
}

/* The texts of a parked request are in the input, so a long work that goes on takes both over. */
static void forget_request(struct connection *c)
{
	struct request *rq = connection_state_unpark(c);

	if (rq == NULL)
		return;
	if (rq->work != NULL) {
		long_abandon(rq, &c->input.own);
	} else {
		park_forget(rq);
		request_free(&rq);
	}
}

static void close_now(struct connection *c)
{
	struct worker *worker = c->worker;

	ev_io_stop(worker->loop, &c->reader);
	ev_io_stop(worker->loop, &c->writer);
	ev_timer_stop(worker->loop, &c->timer);
	unlink_from(c);
	source_limit_close(worker, &c->mark);
	memory_forget(c);
	close(c->fd);
	forget_request(c);
	/* Answers made for this socket must not go out on the next one, nor what it sent become
	 * another's request. */
	sender_free(&c->sender);
	input_free(&c->input);
	input_forget_received(&c->input);
	free(c);
	memory_crowd_left(worker);
	if ((worker->stopping || worker->leaving) && worker->connection_count == 0)
		ev_break(worker->loop, EVBREAK_ALL);
}

/* ---- time ------------------------------------------------------------------------------------ */

static void start_timer(struct connection *c, uint64_t now_ms)
{
	uint64_t wait_ms = c->deadline_ms > now_ms ? c->deadline_ms - now_ms : 0;

	ev_timer_stop(c->worker->loop, &c->timer);
	ev_timer_set(&c->timer, (double)wait_ms / 1000.0 + 0.001, 0.0);
	ev_timer_start(c->worker->loop, &c->timer);
	c->timer_at_ms = c->deadline_ms;
}

static uint64_t phase_time_ms(const struct connection *c)
{
	const struct config *config = &c->worker->proc->config;

	switch (c->phase) {
	case PHASE_FIRST:
	case PHASE_HEAD:
		return config->http_head_timeout_ms;
	case PHASE_IDLE:
		return c->idle_ms;
	case PHASE_BODY:
		return config->http_body_timeout_ms;
	case PHASE_WRITE:
		return config->http_write_timeout_ms;
	case PHASE_LINGER:
		return LINGER_MS;
	case PHASE_NONE:
		break;
	}
	return 0;
}

static enum connection_phase phase_of(const struct connection *c)
{
	if (sender_is_pending(&c->sender))
		return PHASE_WRITE;
	if (c->state == CONNECTION_PARKED)
		return PHASE_NONE;
	if (c->state == CONNECTION_LINGER)
		return PHASE_LINGER;
	if (c->input.head_done)
		return PHASE_BODY;
	if (input_has_begun(&c->input))
		return PHASE_HEAD;
	return c->served == 0 ? PHASE_FIRST : PHASE_IDLE;
}

/* Returns how many bytes have passed since the deadline was set. */
static uint64_t moved(const struct connection *c)
{
	return connection_passed(c) - c->phase_passed;
}

/* A later deadline leaves the timer as it is: on_connection_timer() finds it too early and starts
 * it anew. That costs a busy connection no call for each request. */
static void set_deadline(struct connection *c)
{
	enum connection_phase phase = phase_of(c);
	bool moving = (phase == PHASE_BODY || phase == PHASE_WRITE) && moved(c) >= MOVED_ENOUGH;
	uint64_t now_ms, time_ms;

	if (phase == c->phase && c->served == c->phase_served && !moving)
		return;
	c->phase = phase;
	c->phase_served = c->served;
	c->phase_passed = connection_passed(c);
	time_ms = phase_time_ms(c);
	if (time_ms == 0) {
		c->deadline_ms = 0;
		return;
	}
	now_ms = clock_mono_ms();
	c->deadline_ms = now_ms + time_ms;
	if (!ev_is_active(&c->timer) || c->deadline_ms < c->timer_at_ms)
		start_timer(c, now_ms);
}

static void late(struct connection *c)
{
	bool reading = c->phase == PHASE_BODY || (c->phase == PHASE_HEAD && c->input.own.len > 0);

	if (c->held.cut != CUT_NOT) {
		connection_step(c);
		return;
	}
	if (c->phase != PHASE_IDLE && c->phase != PHASE_LINGER)
		metric_add(METRIC_HTTP_TIMEOUTS, 1);
	if (!reading) {
		close_now(c);
		return;
	}
	exchange_refuse(c, 408);
	input_reset(&c->input);
	connection_step(c);
}

static void on_connection_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct connection *c = timer->data;
	uint64_t now_ms = clock_mono_ms();

	(void)loop;
	(void)events;
	if (c->deadline_ms == 0)
		return;
	/* This process stood still when the time was over. What came meanwhile is read before the
	 * client is blamed. */
	if (now_ms > c->deadline_ms + STOOD_STILL_MS)
		c->deadline_ms = now_ms + GRACE_MS;
	if (now_ms < c->deadline_ms)
		start_timer(c, now_ms);
	else
		late(c);
}

/* ---- input ----------------------------------------------------------------------------------- */

static void watch(struct connection *c, ev_io *watcher, bool on)
{
	if (on)
		ev_io_start(c->worker->loop, watcher);
	else
		ev_io_stop(c->worker->loop, watcher);
}

/* Is called when the last answer is with the kernel. */
static void end_after_last_answer(struct connection *c)
{
	if (!c->linger || shutdown(c->fd, SHUT_WR) < 0) {
		close_now(c);
		return;
	}
	connection_state_lingers(c);
	c->phase_passed = connection_passed(c);
	input_free(&c->input);
	memory_count(c);
	watch(c, &c->writer, false);
	watch(c, &c->reader, true);
	set_deadline(c);
}

static void cut_off(struct connection *c)
{
	if (c->held.cut == CUT_CLOSED) {
		close_now(c);
		return;
	}
	memory_told(c);
	/* What has just come belongs to the request that is refused. */
	input_forget_received(&c->input);
	exchange_refuse(c, 503);
	connection_step(c);
}

/* Nothing of a request has come, and nothing waits to be written. */
static bool is_idle(const struct connection *c)
{
	return c->state == CONNECTION_OPEN && c->input.own.len == 0 &&
	       !sender_is_pending(&c->sender);
}

/* Sets the watchers for what comes next. unread says that the input was not looked at to its end:
 * then the writer, which is ready at once, gives this connection its next turn. */
static void wait_for_more(struct connection *c, bool unread)
{
	bool pending = sender_is_pending(&c->sender);
	bool waiting = unread && c->state == CONNECTION_OPEN && c->input.own.len > 0;

	watch(c, &c->reader, c->state == CONNECTION_OPEN && !pending && !waiting);
	watch(c, &c->writer, pending || waiting);
	set_deadline(c);
}

/* Does everything that can be done now, then waits for what comes next. May free the connection. */
static void connection_step(struct connection *c)
{
	/* Nobody looks at the input when the rest of an answer goes out only now. */
	bool unread = true;

	ROSTER_ASSERT(c->state != CONNECTION_LINGER);
	if (c->held.cut != CUT_NOT) {
		cut_off(c);
		return;
	}
	if (sender_is_pending(&c->sender))
		(void)sender_flush(&c->sender, c->fd);
	if (c->state == CONNECTION_OPEN && !sender_is_pending(&c->sender))
		unread = exchange_run(c);
	if (connection_is_broken(c) || !sender_flush(&c->sender, c->fd)) {
		close_now(c);
		return;
	}
	if (c->state == CONNECTION_ENDING && !sender_is_pending(&c->sender)) {
		end_after_last_answer(c);
		return;
	}
	if (c->worker->stopping && is_idle(c)) {
		close_now(c);
		return;
	}
	memory_count(c);
	memory_make_room(c);
	if (c->held.cut != CUT_NOT)
		cut_off(c);
	else
		wait_for_more(c, unread);
}

/* Reads and forgets, up to LINGER_BYTES. */
static void drain_lingering(struct connection *c)
{
	ssize_t n = input_receive(&c->input, c->fd);

	input_forget_received(&c->input);
	if (n < 0 || moved(c) > LINGER_BYTES)
		close_now(c);
}

static void readable(struct connection *c)
{
	if (c->state == CONNECTION_LINGER)
		drain_lingering(c);
	else if (input_receive(&c->input, c->fd) < 0)
		close_now(c);
	else
		connection_step(c);
}

static void on_connection_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
	(void)loop;
	(void)events;
	readable(watcher->data);
}

static void on_connection_writable(struct ev_loop *loop, ev_io *watcher, int events)
{
	(void)loop;
	(void)events;
	connection_step(watcher->data);
}

/* ---- entrances ------------------------------------------------------------------------------- */

static struct connection *connection_new(struct worker *worker, int fd)
{
	struct connection *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		close(fd);
		return NULL;
	}
	c->worker = worker;
	c->fd = fd;
	input_init(&c->input, &worker->pool->in);
	sender_init(&c->sender, &worker->pool->out);
	ev_io_init(&c->reader, on_connection_readable, fd, EV_READ);
	ev_io_init(&c->writer, on_connection_writable, fd, EV_WRITE);
	ev_timer_init(&c->timer, on_connection_timer, 0.0, 0.0);
	c->reader.data = c->writer.data = c->timer.data = c;
	link_in(c);
	return c;
}

/* The answer is made already: nothing is read, the answer goes out and the connection ends. */
static void refuse_connection(struct connection *c)
{
	connection_state_refused(c);
	connection_step(c);
}

/* Refuses in the words of the protocol, as the limits of requests do. */
static void refuse_source(struct connection *c)
{
	struct worker *worker = c->worker;
	struct request rq = { .worker = worker,
		              .output = { .bytes = c->sender.answers },
		              .close_after = true };

	worker->protocol->over_limit(&rq, "limits.connections_per_source",
	                             worker->proc->config.limit_connections_per_source,
	                             REFUSED_RETRY_S);
	refuse_connection(c);
}

/* peer is NULL for a unix socket, whose address is all zero. */
static void set_source(struct connection *c, const struct sockaddr_storage *peer)
{
	if (peer != NULL)
		address_of_sockaddr(peer, c->source, &c->source_port);
}

void connection_open(struct worker *worker, int fd, const struct sockaddr_storage *peer)
{
	struct connection *c = connection_new(worker, fd);

	if (c == NULL)
		return;
	metric_add(METRIC_HTTP_CONNECTIONS, 1);
	set_source(c, peer);
	switch (source_limit_open(worker, c->source, &c->mark)) {
	case SOURCE_ADMIT:
		/* The first request is mostly there already, which saves a wake-up. */
		readable(c);
		break;
	case SOURCE_REFUSE:
		refuse_source(c);
		break;
	case SOURCE_DROP:
		close_now(c);
		break;
	}
}

void connection_adopt(struct worker *worker, int fd, struct connection_rest *rest)
{
	struct sockaddr_storage peer = { .ss_family = AF_UNSPEC };
	struct connection *c = connection_new(worker, fd);
	socklen_t n = sizeof(peer);
	bool known;

	if (c == NULL) {
		buf_free(&rest->in);
		buf_free(&rest->out);
		return;
	}
	known = getpeername(fd, (struct sockaddr *)&peer, &n) == 0 &&
	        (peer.ss_family == AF_INET || peer.ss_family == AF_INET6);
	set_source(c, known ? &peer : NULL);
	source_limit_adopt(worker, c->source, &c->mark);
	input_adopt(&c->input, &rest->in);
	sender_adopt(&c->sender, &rest->out);
	connection_state_adopt(c, rest);
	connection_step(c);
}

void connection_refuse(struct worker *worker, int fd)
{
	struct connection *c = connection_new(worker, fd);

	if (c == NULL)
		return;
	answer_refuse(c->sender.answers, 503);
	refuse_connection(c);
}

/* ---- what a request may do to it: struct carrier --------------------------------------------- */

static void carrier_take(struct request *rq)
{
	sender_take(&rq->connection->sender, rq->connection->fd, &rq->output);
}

static void carrier_resume(struct request *rq)
{
	struct sender *sender = &rq->connection->sender;

	sender_use_own(sender);
	rq->output.bytes = sender->answers;
}

static void carrier_complete(struct request *rq)
{
	struct connection *c = rq->connection;

	ROSTER_ASSERT(rq->answered);
	sender_use_own(&c->sender);
	carrier_take(rq);
	exchange_finish(c, rq, clock_mono_us());
	if (input_is_left(&c->input))
		connection_state_unread(c);
	connection_step(c);
}

static void carrier_give_up(struct request *rq)
{
	struct connection *c = rq->connection;

	ROSTER_ASSERT(!rq->answered && c->request == rq);
	forget_request(c);
	input_reset(&c->input);
	sender_use_own(&c->sender);
	exchange_refuse(c, 503);
	connection_step(c);
}

static bool carrier_has_left(const struct request *rq)
{
	struct pollfd look = { .fd = rq->connection->fd, .events = POLLRDHUP };

	return poll(&look, 1, 0) > 0;
}

static void carrier_close(struct request *rq)
{
	close_now(rq->connection);
}

static const struct carrier carrier = {
	.take = carrier_take,
	.resume = carrier_resume,
	.complete = carrier_complete,
	.give_up = carrier_give_up,
	.has_left = carrier_has_left,
	.close = carrier_close,
};

/* ---- all of them ----------------------------------------------------------------------------- */

void connection_stop_all(struct worker *worker)
{
	struct connection *c, *next;

	ROSTER_ASSERT(worker->stopping);
	for (c = worker->connections; c != NULL; c = next) {
		next = c->next;
		/* A request that has arrived is answered, with "Connection: close". One that has
		 * not will be tried elsewhere. */
		if (is_idle(c))
			readable(c);
	}
	if (worker->connection_count == 0)
		ev_break(worker->loop, EVBREAK_ALL);
}

void connection_close_all(struct worker *worker)
{
	struct connection *c, *next;

	for (c = worker->connections; c != NULL; c = next) {
		next = c->next;
		close_now(c);
	}
}

/* The timers stay as they are: each finds the later deadline when it fires. */
void connection_postpone_all(struct worker *worker, uint64_t ms)
{
	for (struct connection *c = worker->connections; c != NULL; c = c->next) {
		if (c->deadline_ms != 0)
			c->deadline_ms += ms;
	}
}
