/* SPDX-License-Identifier: Apache-2.0 */
/* Requests out of the input buffer, answers into the output buffer; no system call but through
 * connection_flush(). */
#include "worker/http/connection_state.h"

#include <stdlib.h>

#include "shared/base/clock.h"
#include "shared/metrics/metrics.h"
#include "worker/http/head.h"
#include "worker/http/long.h"
#include "worker/http/park.h"
#include "worker/http/reply.h"
#include "worker/v1/router.h"

#define ANSWERS_HIGH (256U * 1024U) /* bytes of answers after which they are written before the next is made */
#define BUFFER_KEEP (8U * 1024U)    /* a connection gives larger buffers back when they are empty */
#define TURN_US 2000U               /* of pipelined requests, after which the other connections have their turn */
#define ARENA_MAX (64U * 1024U * 1024U)

enum next { NEXT_MORE, NEXT_REQUEST, NEXT_BAD };

struct piece {
	size_t used; /* bytes of the whole request */
	struct str body;
	int status; /* after NEXT_BAD */
};

/* ---- framing ------------------------------------------------------------------- */

static enum next bad(struct piece *piece, int status)
{
	piece->status = status;
	return NEXT_BAD;
}

static enum next read_head(struct connection *c, const char *data, size_t n, struct piece *piece)
{
	const struct config *config = &c->worker->proc->config;
	const struct head_limits limits = { config->http_head_bytes, config->http_line_bytes, config->http_headers };

	switch (head_check_feed(&c->head, data, n, &limits)) {
	case HEAD_MORE:
		return NEXT_MORE;
	case HEAD_BAD:
		return bad(piece, c->head.status);
	case HEAD_DONE:
		break;
	}
	if (c->head.content_length > config->http_body_bytes)
		return bad(piece, 413);
	c->head_done = true;
	chunked_begin(&c->chunked, c->head.length);
	return NEXT_REQUEST;
}

static enum next read_chunked(struct connection *c, char *data, size_t n, struct piece *piece)
{
	switch (chunked_feed(&c->chunked, data, n, c->worker->proc->config.http_body_bytes)) {
	case CHUNKED_MORE:
		return NEXT_MORE;
	case CHUNKED_BAD:
		return bad(piece, c->chunked.status);
	case CHUNKED_DONE:
		break;
	}
	piece->body = str_make(data + c->head.length, c->chunked.out - c->chunked.start);
	piece->used = c->chunked.in;
	return NEXT_REQUEST;
}

static enum next read_body(struct connection *c, char *data, size_t n, struct piece *piece)
{
	if (c->head.chunked)
		return read_chunked(c, data, n, piece);
	if (n - c->head.length < c->head.content_length)
		return NEXT_MORE;
	piece->body = str_make(data + c->head.length, (size_t)c->head.content_length);
	piece->used = c->head.length + (size_t)c->head.content_length;
	return NEXT_REQUEST;
}

static enum next next_request(struct connection *c, char *data, size_t n, struct piece *piece)
{
	bool fresh = !c->head_done;
	enum next next;

	if (fresh && (next = read_head(c, data, n, piece)) != NEXT_REQUEST)
		return next;
	next = read_body(c, data, n, piece);
	if (next == NEXT_MORE && fresh && c->head.expect_continue && c->head.minor == 1 && n == c->head.length)
		BUF_LIT(c->answers, "HTTP/1.1 100 Continue\r\n\r\n");
	return next;
}

/* ---- one request ------------------------------------------------------------------ */

void request_free(struct request **rq)
{
	if (*rq != NULL)
		arena_free(&(*rq)->arena);
	free(*rq);
	*rq = NULL;
}

/* A clean one; its arena keeps its first block from request to request. */
static struct request *request_take(struct connection_pool *pool)
{
	struct request *rq = pool->request;
	struct arena arena;

	pool->request = NULL;
	if (rq == NULL) {
		if ((rq = malloc(sizeof(*rq))) == NULL)
			return NULL;
		arena_init(&rq->arena, ARENA_MAX);
	}
	arena_reset(&rq->arena);
	arena = rq->arena;
	*rq = (struct request){ .arena = arena };
	return rq;
}

static void request_give_back(struct connection_pool *pool, struct request *rq)
{
	if (pool->request == NULL)
		pool->request = rq;
	else
		request_free(&rq);
}

static void address_request(struct connection *c, struct request *rq)
{
	const struct config *config = &c->worker->proc->config;

	rq->worker = c->worker;
	rq->connection = c;
	rq->out = c->answers;
	rq->view = &c->worker->view;
	memcpy(rq->source, c->source, sizeof(rq->source));
	rq->source_port = c->source_port;
	rq->sender = c->sender;
	c->served++;
	rq->close_after =
	        c->worker->stopping || c->worker->leaving || (config->http_requests != 0 && c->served >= config->http_requests);
}

void exchange_refuse(struct connection *c, int status)
{
	metric_add(METRIC_HTTP_BAD_REQUESTS, 1);
	reply_refuse(c->answers, status);
	c->state = CONNECTION_ENDING;
	c->linger = true;
}

void exchange_finish(struct connection *c, struct request *rq, uint64_t now_us)
{
	route_stats_answered(rq, now_us);
	park_forget(rq);
	c->state = !rq->keep_alive || rq->close_after ? CONNECTION_ENDING : CONNECTION_OPEN;
	c->idle_ms = c->worker->proc->config.http_idle_timeout_ms;
	c->request = NULL;
	request_give_back(c->worker->pool, rq);
}

static void dispatch(struct request *rq)
{
	router_dispatch(rq->worker->router, rq);
}

/* Returns when it was over (clock_mono_us()), 0: it was not looked at. */
static uint64_t answer(struct connection *c, const char *head, struct str body)
{
	struct worker *worker = c->worker;
	struct connection_pool *pool = worker->pool;
	struct request *rq = request_take(pool);
	uint64_t now_us;
	int status;

	if (rq == NULL) {
		exchange_refuse(c, 503);
		return 0;
	}
	metric_add(METRIC_HTTP_REQUESTS, 1);
	address_request(c, rq);
	if ((status = http_head_parse(head, &c->head, rq)) != 0) {
		request_give_back(pool, rq);
		exchange_refuse(c, status);
		return 0;
	}
	rq->body = body;
	route_stats_begin(rq);
	turn_begin(&worker->turn, rq->began_us);
	if (body.n > LONG_BODY_BYTES)
		long_start(rq, dispatch);
	else
		dispatch(rq);
	route_stats_handled(rq);
	now_us = clock_mono_us();
	turn_end(&worker->turn, now_us, "request", rq->route != NULL ? str_of(rq->route->path) : rq->path);
	/* A long request may have its answer and still be at its end. */
	if (rq->parked && (!rq->answered || rq->work != NULL)) {
		c->request = rq;
		c->state = CONNECTION_PARKED;
	} else {
		exchange_finish(c, rq, now_us);
	}
	return now_us;
}

/* ---- the input buffer ---------------------------------------------------------------- */

/* A chunked body that is not whole yet: the raw bytes behind it close up to the decoded ones. */
static void close_up(struct connection *c, struct buf *in, size_t at)
{
	size_t gap = c->chunked.in - c->chunked.out;
	char *data = in->data + at;

	if (!c->head_done || !c->head.chunked || gap == 0)
		return;
	memmove(data + c->chunked.out, data + c->chunked.in, in->len - at - c->chunked.in);
	in->len -= gap;
	c->chunked.in = c->chunked.out;
}

/* A parked request has views into the buffer: the buffer goes to the connection as it is. */
static void keep_for_parked(struct connection *c, struct buf *in, size_t at)
{
	if (in != &c->in) {
		buf_free(&c->in);
		c->in = *in;
		buf_init(in);
	}
	c->in_at = at;
}

static void keep_rest(struct connection *c, struct buf *in, size_t at)
{
	size_t rest = in->len - at;

	c->in_at = 0;
	if (in != &c->in) {
		if (rest > 0)
			buf_put(&c->in, in->data + at, rest);
		c->broken |= buf_failed(&c->in);
		buf_reset(in);
		return;
	}
	if (at > 0 && rest > 0)
		memmove(in->data, in->data + at, rest);
	in->len = rest;
	if (rest == 0 && in->cap > BUFFER_KEEP)
		buf_free(in);
}

/* True: go on with the next request. After a number of them, or some time, the other connections have their turn, however much
 * this one has sent ahead. */
static bool may_go_on(struct connection *c, unsigned answers, uint64_t us)
{
	const struct config *config = &c->worker->proc->config;

	if (c->state != CONNECTION_OPEN || c->broken)
		return false;
	if (c->body.len == 0 && answers < config->http_pipeline && c->answers->len < ANSWERS_HIGH && us < TURN_US)
		return true;
	c->turn_over = true;
	return false;
}

static void next_begins(struct connection *c)
{
	head_check_reset(&c->head);
	c->head_done = false;
}

void exchange_run(struct connection *c)
{
	struct buf *in = c->in.len > 0 ? &c->in : &c->worker->pool->in;
	size_t at = c->in_at;
	uint64_t began_us = 0, now_us;
	unsigned answers = 0;
	bool more = true;

	c->turn_over = false;
	while (more && at < in->len) {
		struct piece piece = { 0 };
		enum next next;

		/* An empty line does not begin a request: the connection is as idle behind it as it was before. */
		if (in->data[at] == '\r' && (at += head_check_skip(&c->head, in->data + at, in->len - at)) == in->len)
			break;
		next = next_request(c, in->data + at, in->len - at, &piece);
		if (next == NEXT_MORE) {
			close_up(c, in, at);
			break;
		}
		if (next == NEXT_BAD) {
			exchange_refuse(c, piece.status);
			break;
		}
		now_us = answer(c, in->data + at, piece.body);
		if (began_us == 0)
			began_us = c->worker->turn.began_us;
		at += piece.used;
		next_begins(c);
		more = may_go_on(c, ++answers, now_us - began_us);
	}
	if (c->state == CONNECTION_PARKED) {
		keep_for_parked(c, in, at);
		return;
	}
	c->linger |= c->state == CONNECTION_ENDING && at < in->len;
	keep_rest(c, in, c->state == CONNECTION_ENDING ? in->len : at);
}
