/* SPDX-License-Identifier: Apache-2.0 */
/* What the buffers of the connections hold together: http.memory. */
#include "worker/connection_state.h"

#define HELD_FREE (16U * 1024U) /* a connection with no more than this is not to blame */

void connection_count_held(struct connection *c)
{
	uint64_t held = c->in.cap + c->out.cap;

	c->worker->held_bytes += held - c->held_bytes;
	c->held_bytes = held;
}

void connection_forget_held(struct connection *c)
{
	c->worker->held_bytes -= c->held_bytes;
	c->held_bytes = 0;
}

bool connection_holds_too_much(const struct connection *c)
{
	uint64_t limit = c->worker->proc->config.http_memory_bytes;

	return limit != 0 && c->worker->held_bytes > limit && c->held_bytes > HELD_FREE;
}
