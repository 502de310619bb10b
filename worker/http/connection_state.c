/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/http/connection_state.h"

#include "shared/base/assert.h"

uint32_t connection_state_begin(struct connection *c)
{
	ROSTER_ASSERT(c->state == CONNECTION_OPEN && c->request == NULL);
	return ++c->served;
}

void connection_state_park(struct connection *c, struct request *rq)
{
	ROSTER_ASSERT(c->state == CONNECTION_OPEN && c->request == NULL && rq->connection == c);
	c->request = rq;
	c->state = CONNECTION_PARKED;
}

void connection_state_answered(struct connection *c, bool stays)
{
	ROSTER_ASSERT(c->state == CONNECTION_OPEN || c->state == CONNECTION_PARKED);
	ROSTER_ASSERT(c->state == CONNECTION_PARKED || c->request == NULL);
	c->request = NULL;
	c->state = stays ? CONNECTION_OPEN : CONNECTION_ENDING;
	c->idle_ms = c->worker->proc->config.http_idle_timeout_ms;
}

void connection_state_refused(struct connection *c)
{
	ROSTER_ASSERT(c->state == CONNECTION_OPEN || c->state == CONNECTION_PARKED);
	ROSTER_ASSERT(c->request == NULL);
	c->state = CONNECTION_ENDING;
	c->linger = true;
}

void connection_state_unread(struct connection *c)
{
	c->linger |= c->state == CONNECTION_ENDING;
}

void connection_state_lingers(struct connection *c)
{
	ROSTER_ASSERT(c->state == CONNECTION_ENDING && c->linger && !sender_is_pending(&c->sender));
	c->state = CONNECTION_LINGER;
}

struct request *connection_state_unpark(struct connection *c)
{
	struct request *rq = c->request;

	ROSTER_ASSERT(rq == NULL || c->state == CONNECTION_PARKED);
	c->request = NULL;
	return rq;
}

void connection_state_adopt(struct connection *c, const struct connection_rest *rest)
{
	uint64_t own_ms = c->worker->proc->config.http_idle_timeout_ms;

	ROSTER_ASSERT(c->state == CONNECTION_OPEN && c->served == 0);
	c->served = rest->served;
	c->idle_ms = own_ms < rest->idle_ms ? rest->idle_ms : own_ms;
	c->linger = rest->linger;
	c->state = rest->ending ? CONNECTION_ENDING : CONNECTION_OPEN;
}
