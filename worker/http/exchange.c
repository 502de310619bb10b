/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/http/exchange.h"

#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/metrics/metrics.h"
#include "worker/http/connection_state.h"
#include "worker/http/head.h"
#include "worker/http/long.h"
#include "worker/http/park.h"
#include "worker/http/protocol.h"
#include "worker/http/answer.h"

#define ANSWERS_HIGH \
	(256U * 1024U) /* bytes of answers after which they are written before the next is made */
#define TURN_US 2000U /* of pipelined requests, after which the other connections have their turn */

/* ---- one request ----------------------------------------------------------------------------- */

static void address_request(struct connection *c, struct request *rq)
{
	const struct worker *worker = c->worker;
	uint32_t most = worker->proc->config.http_requests, served = connection_state_begin(c);

	rq->worker = c->worker;
	rq->connection = c;
	rq->carrier = worker->pool->carrier;
	rq->output.bytes = c->sender.answers;
	memcpy(rq->source, c->source, sizeof(rq->source));
	rq->source_port = c->source_port;
	rq->close_after = worker->stopping || worker->leaving || (most != 0 && served >= most);
}

void exchange_refuse(struct connection *c, int status)
{
	metric_add(METRIC_HTTP_BAD_REQUESTS, 1);
	answer_refuse(c->sender.answers, status);
	connection_state_refused(c);
}

void exchange_finish(struct connection *c, struct request *rq, uint64_t now_us)
{
	ROSTER_ASSERT(rq->answered);
	c->worker->protocol->answered(rq, now_us);
	park_forget(rq);
	connection_state_answered(c, rq->keep_alive && !rq->close_after);
	request_give_back(&c->worker->pool->request, rq);
}

/* Returns the time at which it was over (clock_mono_us()). */
static uint64_t handle(struct connection *c, struct request *rq)
{
	const struct protocol *protocol = c->worker->protocol;
	uint64_t now_us;
	struct str name;

	rq->began_us = clock_mono_us();
	protocol->begin(rq);
	turn_begin(&c->worker->turn, rq->began_us);
	if (rq->body.n > LONG_BODY_BYTES)
		long_start(rq, protocol->dispatch);
	else
		protocol->dispatch(rq);
	sender_take(&c->sender, c->fd, &rq->output);
	protocol->handled(rq);
	now_us = clock_mono_us();
	name = protocol->name(rq);
	turn_end(&c->worker->turn, now_us, "request", str_is_set(name) ? name : rq->path);
	return now_us;
}

/* Returns the time at which it was over (clock_mono_us()), or 0 when the request was refused
 * unread. */
static uint64_t answer(struct connection *c, const struct input_request *next)
{
	struct request **spare = &c->worker->pool->request,
	               *rq = request_new(spare, c->worker->protocol);
	uint64_t now_us;
	int status;

	if (rq == NULL) {
		exchange_refuse(c, 503);
		return 0;
	}
	metric_add(METRIC_HTTP_REQUESTS, 1);
	address_request(c, rq);
	if ((status = http_head_parse(next->head, &c->input.head, rq)) != 0) {
		request_give_back(spare, rq);
		exchange_refuse(c, status);
		return 0;
	}
	rq->body = next->body;
	now_us = handle(c, rq);
	/* A long request may have its answer while its handler has not returned yet. */
	if (rq->parked && (!rq->answered || rq->work != NULL))
		connection_state_park(c, rq);
	else
		exchange_finish(c, rq, now_us);
	return now_us;
}

/* ---- all that are there ---------------------------------------------------------------------- */

/* Says whether the next request may follow. After a number of them, or some time, the other
 * connections have their turn, however much this one has sent ahead. */
static bool may_go_on(const struct connection *c, unsigned answers, uint64_t us)
{
	const struct sender *sender = &c->sender;

	return sender->body.len == 0 && answers < c->worker->proc->config.http_pipeline &&
	       sender->answers->len < ANSWERS_HIGH && us < TURN_US;
}

bool exchange_run(struct connection *c)
{
	const struct config *config = &c->worker->proc->config;
	uint64_t began_us = 0, now_us;
	struct input_request next;
	enum input_verdict verdict;
	unsigned answers = 0;
	bool turn_over = false;

	ROSTER_ASSERT(c->state == CONNECTION_OPEN && !sender_is_pending(&c->sender));
	while ((verdict = input_next(&c->input, config, &next)) == INPUT_REQUEST) {
		now_us = answer(c, &next);
		if (began_us == 0)
			began_us = c->worker->turn.began_us;
		input_pass(&c->input, &next);
		if (c->state != CONNECTION_OPEN || connection_is_broken(c))
			break;
		if ((turn_over = !may_go_on(c, ++answers, now_us - began_us)))
			break;
	}
	if (verdict == INPUT_BAD)
		exchange_refuse(c, next.status);
	else if (verdict == INPUT_MORE && next.expects)
		BUF_LIT(c->sender.answers, "HTTP/1.1 100 Continue\r\n\r\n");
	if (c->state == CONNECTION_PARKED) {
		input_keep_all(&c->input);
		return turn_over;
	}
	if (input_is_left(&c->input))
		connection_state_unread(c);
	input_keep_rest(&c->input, c->state == CONNECTION_ENDING);
	return turn_over;
}
