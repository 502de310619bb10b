/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/http/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "shared/base/clock.h"
#include "shared/metrics/metrics.h"
#include "shared/net/address.h"
#include "worker/http/connection_state.h"
#include "worker/http/head.h"
#include "worker/http/long.h"
#include "worker/http/park.h"
#include "worker/http/reply.h"

#define READ_BYTES (64U * 1024U)
#define BUFFER_KEEP (8U * 1024U)       /* of a connection */
#define POOL_KEEP (4U * 1024U * 1024U) /* of the worker */
#define MOVED_ENOUGH (16U * 1024U)     /* bytes that earn a body or an answer its time again */
#define SEND_MOST (1024U * 1024U)      /* bytes in one write: the other side may take them as fast as they are copied */
#define LINGER_MS 2000U
#define STOOD_STILL_MS 500U /* a timer that comes so late: the process was stopped, or the machine was */
#define GRACE_MS 200U
#define LINGER_BYTES (1024U * 1024U)
#define PIECES_MAX 8
#define REFUSED_RETRY_S 1U

static void step(struct connection *c);

/* ---- life ---------------------------------------------------------------------- */

int connection_pool_new(struct worker *worker)
{
	struct connection_pool *pool = calloc(1, sizeof(*pool));

	if (pool == NULL)
		return ERR_NOMEM;
	buf_init(&pool->in);
	buf_init(&pool->out);
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
	request_free(&pool->request);
	buf_free(&pool->in);
	buf_free(&pool->out);
	free(pool);
	free(worker->parked.rows);
	worker->parked = (struct parked){ 0 };
	worker->pool = NULL;
}

static void count(struct worker *worker, int change)
{
	worker->connection_count += (uint32_t)change;
	if (worker->connection_peak < worker->connection_count)
		worker->connection_peak = worker->connection_count;
	__atomic_store_n(&worker->proc->slot->connections, worker->connection_count, __ATOMIC_RELAXED);
}

static void link_in(struct connection *c)
{
	struct worker *worker = c->worker;

	c->next = worker->connections;
	if (c->next != NULL)
		c->next->prev = c;
	worker->connections = c;
	count(worker, 1);
}

static void unlink_from(struct connection *c)
{
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		c->worker->connections = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	count(c->worker, -1);
}

static void forget_request(struct connection *c)
{
	struct request *rq = c->request;

	c->request = NULL;
	if (rq == NULL)
		return;
	if (rq->work != NULL) {
		long_abandon(rq, &c->in);
	} else {
		park_forget(rq);
		request_free(&rq);
	}
}

void connection_close(struct connection *c)
{
	struct worker *worker = c->worker;

	ev_io_stop(worker->loop, &c->reader);
	ev_io_stop(worker->loop, &c->writer);
	ev_timer_stop(worker->loop, &c->timer);
	unlink_from(c);
	source_limit_close(worker, &c->mark);
	connection_forget_held(c);
	close(c->fd);
	forget_request(c);
	buf_free(&c->in);
	buf_free(&c->out);
	buf_free(&c->body);
	/* Answers made for this socket must not go out on the next one. */
	buf_reset(&worker->pool->out);
	buf_reset(&worker->pool->in);
	free(c);
	connection_crowd_left(worker);
	if ((worker->stopping || worker->leaving) && worker->connection_count == 0)
		ev_break(worker->loop, EVBREAK_ALL);
}

/* ---- output ---------------------------------------------------------------------- */

/* All of the answers are with the kernel. */
static void answers_gone(struct connection *c)
{
	struct connection_pool *pool = c->worker->pool;
	size_t keep = c->answers == &pool->out ? POOL_KEEP : BUFFER_KEEP;

	c->out_at = 0;
	if (c->answers->cap > keep)
		buf_free(c->answers);
	buf_reset(c->answers);
	c->answers = &pool->out;
	if (c->body.len == 0)
		return;
	buf_free(&c->out);
	c->out = c->body;
	buf_init(&c->body);
	c->answers = &c->out;
}

static bool keep_answers(struct connection *c)
{
	struct connection_pool *pool = c->worker->pool;

	if (c->answers != &pool->out)
		return true;
	buf_put(&c->out, pool->out.data + c->out_at, pool->out.len - c->out_at);
	buf_reset(&pool->out);
	c->out_at = 0;
	c->answers = &c->out;
	return !buf_failed(&c->out);
}

/* Shortens what is too much for one turn. Returns how many pieces are left. */
static int cut_pieces(struct iovec *pieces, int n)
{
	size_t left = SEND_MOST;

	for (int i = 0; i < n; i++) {
		if (pieces[i].iov_len >= left) {
			pieces[i].iov_len = left;
			return i + 1;
		}
		left -= pieces[i].iov_len;
	}
	return n;
}

/* Bytes sent; 0: the socket is full; -1: broken. */
static ssize_t send_pieces(struct connection *c, struct iovec *pieces, int given)
{
	int n = cut_pieces(pieces, given);
	struct msghdr msg = { .msg_iov = pieces, .msg_iovlen = (size_t)n };
	ssize_t sent;

	do
		sent = n == 1 ? send(c->fd, pieces->iov_base, pieces->iov_len, MSG_NOSIGNAL) : sendmsg(c->fd, &msg, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
	c->moved += (uint64_t)sent;
	c->passed += (uint64_t)sent;
	return sent;
}

bool connection_flush(struct connection *c)
{
	struct buf *answers = c->answers;
	struct iovec piece;
	ssize_t sent;

	if (c->broken || buf_failed(answers))
		return false;
	if (answers->len > c->out_at) {
		piece = (struct iovec){ answers->data + c->out_at, answers->len - c->out_at };
		if ((sent = send_pieces(c, &piece, 1)) < 0)
			return false;
		c->out_at += (size_t)sent;
	}
	if (answers->len > c->out_at)
		return keep_answers(c);
	answers_gone(c);
	return true;
}

void connection_write_through(struct connection *c, const struct iovec *pieces, int count_given)
{
	struct buf *answers = c->answers;
	size_t before = answers->len - c->out_at, left;
	struct iovec all[PIECES_MAX] = { { answers->data + c->out_at, before } };
	ssize_t sent;

	if (c->broken || buf_failed(answers))
		return;
	for (int i = 0; i < count_given; i++)
		all[i + 1] = pieces[i];
	if ((sent = send_pieces(c, all, count_given + 1)) < 0) {
		c->broken = true;
		return;
	}
	left = (size_t)sent;
	if (left >= before) {
		left -= before;
		buf_reset(answers);
		c->out_at = 0;
	} else {
		c->out_at += left;
		left = 0;
	}
	for (int i = 0; i < count_given; i++) {
		size_t gone = left < pieces[i].iov_len ? left : pieces[i].iov_len;

		buf_put(answers, (const char *)pieces[i].iov_base + gone, pieces[i].iov_len - gone);
		left -= gone;
	}
}

void connection_give(struct connection *c, struct buf *body)
{
	struct buf *answers = c->answers;
	size_t before = answers->len - c->out_at;
	struct iovec pieces[2] = { { answers->data + c->out_at, before }, { body->data, body->len } };
	ssize_t sent = 0;

	c->broken |= buf_failed(answers) || buf_failed(body);
	if (!c->broken && (sent = send_pieces(c, pieces, 2)) < 0)
		c->broken = true;
	if (c->broken) {
		buf_free(body);
	} else if ((size_t)sent < before) {
		c->out_at += (size_t)sent;
		c->body = *body; /* no answer follows before all of it is gone: exchange.c */
		buf_init(body);
	} else {
		buf_free(&c->out);
		buf_reset(answers);
		c->out = *body;
		c->out_at = (size_t)sent - before;
		c->answers = &c->out;
		buf_init(body);
	}
}

/* ---- time ------------------------------------------------------------------------- */

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

/* Something of a request has come. The first half of an empty line is none yet: who sends such lines byte by byte gains no
 * time. */
static bool has_begun(const struct connection *c)
{
	bool half_line = c->in.len == 1 && c->in.data[0] == '\r' && c->head.empty < HEAD_EMPTY_MAX;

	return c->in.len > 0 && !half_line;
}

static enum connection_phase phase_of(const struct connection *c)
{
	if (connection_pending(c))
		return PHASE_WRITE;
	if (c->state == CONNECTION_PARKED)
		return PHASE_NONE;
	if (c->state == CONNECTION_LINGER)
		return PHASE_LINGER;
	if (c->head_done)
		return PHASE_BODY;
	if (has_begun(c))
		return PHASE_HEAD;
	return c->served == 0 ? PHASE_FIRST : PHASE_IDLE;
}

/* A later deadline leaves the timer alone: it finds out when it fires. */
static void set_deadline(struct connection *c)
{
	enum connection_phase phase = phase_of(c);
	bool moving = (phase == PHASE_BODY || phase == PHASE_WRITE) && c->moved >= MOVED_ENOUGH;
	uint64_t now_ms, time_ms;

	if (phase == c->phase && c->served == c->phase_served && !moving)
		return;
	c->phase = phase;
	c->phase_served = c->served;
	c->moved = 0;
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
	bool reading = c->phase == PHASE_BODY || (c->phase == PHASE_HEAD && c->in.len > 0);

	if (c->phase != PHASE_IDLE && c->phase != PHASE_LINGER)
		metric_add(METRIC_HTTP_TIMEOUTS, 1);
	if (!reading) {
		connection_close(c);
		return;
	}
	exchange_refuse(c, 408);
	buf_reset(&c->in);
	step(c);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct connection *c = timer->data;
	uint64_t now_ms = clock_mono_ms();

	(void)loop;
	(void)events;
	if (c->deadline_ms == 0)
		return;
	/* This process was not there when the time was over: what came meanwhile is read before the client is blamed. */
	if (now_ms > c->deadline_ms + STOOD_STILL_MS)
		c->deadline_ms = now_ms + GRACE_MS;
	if (now_ms < c->deadline_ms)
		start_timer(c, now_ms);
	else
		late(c);
}

/* ---- input ------------------------------------------------------------------------ */

static void watch(struct connection *c, ev_io *watcher, bool on)
{
	if (on)
		ev_io_start(c->worker->loop, watcher);
	else
		ev_io_stop(c->worker->loop, watcher);
}

/* The last answer is with the kernel. */
static void end(struct connection *c)
{
	if (!c->linger || shutdown(c->fd, SHUT_WR) < 0) {
		connection_close(c);
		return;
	}
	c->state = CONNECTION_LINGER;
	c->moved = 0;
	c->in_at = 0;
	buf_free(&c->in);
	connection_count_held(c);
	watch(c, &c->writer, false);
	watch(c, &c->reader, true);
	set_deadline(c);
}

/* ---- memory ------------------------------------------------------------------------ */

static void cut_off(struct connection *c)
{
	if (c->cut == CUT_CLOSED) {
		connection_close(c);
		return;
	}
	c->cut = CUT_NOT;
	buf_reset(&c->worker->pool->in); /* what has just come belongs to the request that is refused */
	exchange_refuse(c, 503);
	step(c);
}

/* Nothing of a request has come, nothing waits to be written. */
static bool is_idle(const struct connection *c)
{
	return c->state == CONNECTION_OPEN && c->in.len == 0 && !connection_pending(c);
}

/* Everything that can be done now, then wait for what comes next. May free the connection. */
static void step(struct connection *c)
{
	bool ran, waiting;

	if (c->cut != CUT_NOT) {
		cut_off(c);
		return;
	}
	if (connection_pending(c))
		c->broken |= !connection_flush(c);
	ran = c->state == CONNECTION_OPEN && !connection_pending(c);
	if (ran)
		exchange_run(c);
	if (c->broken || !connection_flush(c)) {
		connection_close(c);
		return;
	}
	if (c->state == CONNECTION_ENDING && !connection_pending(c)) {
		end(c);
		return;
	}
	if (c->worker->stopping && is_idle(c)) {
		connection_close(c);
		return;
	}
	connection_count_held(c);
	connection_make_room(c);
	if (c->cut != CUT_NOT) {
		cut_off(c);
		return;
	}
	/* Nobody looked at the input when the rest of an answer went out only now. */
	waiting = c->state == CONNECTION_OPEN && c->in.len > 0 && (c->turn_over || !ran);
	watch(c, &c->reader, c->state == CONNECTION_OPEN && !connection_pending(c) && !waiting);
	watch(c, &c->writer, connection_pending(c) || waiting);
	set_deadline(c);
}

/* How much to make room for: the rest of a body, but no more than a client has earned by sending. */
static size_t wanted(const struct connection *c, const struct buf *in)
{
	uint64_t whole = c->head_done && !c->head.chunked ? c->head.length + c->head.content_length : 0;

	if (in != &c->in)
		return READ_BYTES;
	if (whole > in->len && whole - in->len < READ_BYTES)
		return (size_t)(whole - in->len);
	return whole > in->len || c->head.chunked ? READ_BYTES : 4096;
}

/* Bytes read; 0: nothing there yet; -1: the end, or broken. */
static ssize_t receive(struct connection *c)
{
	struct buf *in = c->in.len > 0 ? &c->in : &c->worker->pool->in;
	ssize_t n;

	if (!buf_reserve(in, wanted(c, in)))
		return -1;
	do
		n = recv(c->fd, in->data + in->len, in->cap - in->len < READ_BYTES ? in->cap - in->len : READ_BYTES, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
	if (n == 0)
		return -1;
	in->len += (size_t)n;
	c->moved += (uint64_t)n;
	c->passed += (uint64_t)n;
	return n;
}

/* Reads and forgets; not for ever. */
static void drain(struct connection *c)
{
	struct buf *in = &c->worker->pool->in;
	ssize_t n = receive(c);

	buf_reset(in);
	if (n < 0 || c->moved > LINGER_BYTES)
		connection_close(c);
}

static void readable(struct connection *c)
{
	if (c->state == CONNECTION_LINGER)
		drain(c);
	else if (receive(c) < 0)
		connection_close(c);
	else
		step(c);
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
	(void)loop;
	(void)events;
	readable(watcher->data);
}

static void on_writable(struct ev_loop *loop, ev_io *watcher, int events)
{
	(void)loop;
	(void)events;
	step(watcher->data);
}

/* ---- entrances ---------------------------------------------------------------------- */

static struct connection *connection_new(struct worker *worker, int fd)
{
	struct connection *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		close(fd);
		return NULL;
	}
	c->worker = worker;
	c->fd = fd;
	c->answers = &worker->pool->out;
	ev_io_init(&c->reader, on_readable, fd, EV_READ);
	ev_io_init(&c->writer, on_writable, fd, EV_WRITE);
	ev_timer_init(&c->timer, on_timer, 0.0, 0.0);
	c->reader.data = c->writer.data = c->timer.data = c;
	link_in(c);
	return c;
}

/* The answer is made: nothing is read, it goes out and the connection ends. */
static void refuse(struct connection *c)
{
	c->state = CONNECTION_ENDING;
	c->linger = true;
	step(c);
}

/* peer NULL: a unix socket; its address is all zero. */
static void set_source(struct connection *c, const struct sockaddr_storage *peer)
{
	if (peer != NULL)
		address_of_sockaddr(peer, c->source, &c->source_port);
	c->sender = registry_sender(&c->worker->registry, c->source);
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
		/* The first request is mostly there already. */
		readable(c);
		break;
	case SOURCE_REFUSE:
		reply_refuse_source(c->answers, "limits.connections_per_source",
		                    worker->proc->config.limit_connections_per_source, REFUSED_RETRY_S);
		refuse(c);
		break;
	case SOURCE_DROP:
		connection_close(c);
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
	known = getpeername(fd, (struct sockaddr *)&peer, &n) == 0 && (peer.ss_family == AF_INET || peer.ss_family == AF_INET6);
	set_source(c, known ? &peer : NULL);
	c->in = rest->in;
	c->out = rest->out;
	c->answers = c->out.len > 0 ? &c->out : c->answers;
	c->served = rest->served;
	c->idle_ms = worker->proc->config.http_idle_timeout_ms;
	if (c->idle_ms < rest->idle_ms)
		c->idle_ms = rest->idle_ms;
	c->linger = rest->linger;
	c->state = rest->ending ? CONNECTION_ENDING : CONNECTION_OPEN;
	step(c);
}

void connection_refuse(struct worker *worker, int fd)
{
	struct connection *c = connection_new(worker, fd);

	if (c == NULL)
		return;
	reply_refuse(c->answers, 503);
	refuse(c);
}

void connection_answered(struct connection *c)
{
	c->answers = &c->out;
	exchange_finish(c, c->request, clock_mono_us());
	c->linger |= c->state == CONNECTION_ENDING && c->in.len > c->in_at;
	step(c);
}

void connection_give_up(struct connection *c)
{
	forget_request(c);
	c->in_at = 0;
	buf_reset(&c->in);
	c->answers = &c->out;
	exchange_refuse(c, 503);
	step(c);
}

void connection_stop_all(struct worker *worker)
{
	struct connection *c, *next;

	for (c = worker->connections; c != NULL; c = next) {
		next = c->next;
		/* What has arrived is answered, with "Connection: close"; what has not will be tried elsewhere. */
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
		connection_close(c);
	}
}

/* The timers stay: they find out when they fire. */
void connection_postpone_all(struct worker *worker, uint64_t ms)
{
	for (struct connection *c = worker->connections; c != NULL; c = c->next) {
		if (c->deadline_ms != 0)
			c->deadline_ms += ms;
	}
}
