/* SPDX-License-Identifier: Apache-2.0 */
/* handler_node.c - this node as the only member of its cluster, and as the leader of an election
 * that nobody else took part in: what consoles, operators and scripts ask to see who is up. */
#include <stdio.h>

#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/codec/json_write.h"
#include "worker/v1/bound.h"
#include "worker/v1/handlers.h"
#include "worker/worker.h"

#define RAFT_PORT_OFFSET 1000U

/* ---- members --------------------------------------------------------------------------------- */

#define ADDRESS_SIZE (sizeof(((struct config *)NULL)->node_address) + 6)

static struct str address_of(const struct process *proc, char text[ADDRESS_SIZE])
{
	int n = snprintf(text, ADDRESS_SIZE, "%s:%u", proc->config.node_address,
	                 (unsigned)proc->listen->port);

	ROSTER_ASSERT(n > 0 && (size_t)n < ADDRESS_SIZE);
	return str_make(text, (size_t)n);
}

void handler_put_address(struct buf *b, const struct process *proc)
{
	char text[ADDRESS_SIZE];

	json_string(b, address_of(proc, text));
}

void handler_put_member(struct buf *b, const struct process *proc)
{
	unsigned port = proc->listen->port;

	buf_char(b, '{');
	JSON_PUT_STRING(b, "ip", str_of(proc->config.node_address));
	JSON_PUT_U64(b, "port", port);
	JSON_PUT_LIT(b, "state", "\"UP\"");
	JSON_PUT_LIT(b, "extendInfo", "{");
	JSON_PUT_U64(b, "lastRefreshTime", clock_wall_ms());
	JSON_KEY(b, "raftPort");
	buf_printf(b, "\"%u\"", port > RAFT_PORT_OFFSET ? port - RAFT_PORT_OFFSET : 0);
	JSON_PUT_LIT(b, "version", "\"" HANDLER_VERSION "\"");
	buf_char(b, '}');
	JSON_KEY(b, "address");
	handler_put_address(b, proc);
	JSON_PUT_LIT(b, "failAccessCnt", "0");
	buf_char(b, '}');
}

#define RESULT_BEGIN "{\"code\":200,\"message\":null,\"data\":"

void handle_node_self(struct request *rq)
{
	struct buf b;

	buf_init(&b);
	BUF_LIT(&b, RESULT_BEGIN);
	handler_put_member(&b, rq->worker->proc);
	buf_char(&b, '}');
	handler_reply_buf(rq, &b);
}

void handle_node_health(struct request *rq)
{
	reply_json(rq, STR(RESULT_BEGIN "\"UP\"}"), (struct str){ NULL, 0 },
	           (struct str){ NULL, 0 });
}

/* `keyword` is the beginning of an address, blank for all. The console also sends page and
 * withInstances, which are not looked at, as in 1.4.8. */
void handle_node_list(struct request *rq)
{
	struct str keyword = bound_optional(rq, "keyword");
	const struct process *proc = rq->worker->proc;
	char text[ADDRESS_SIZE];
	struct buf b;

	buf_init(&b);
	BUF_LIT(&b, RESULT_BEGIN "[");
	if (str_is_blank(keyword) || str_starts(address_of(proc, text), keyword))
		handler_put_member(&b, proc);
	BUF_LIT(&b, "]}");
	handler_reply_buf(rq, &b);
}

void handle_node_simple(struct request *rq)
{
	struct buf b;

	buf_init(&b);
	BUF_LIT(&b, RESULT_BEGIN "[");
	handler_put_address(&b, rq->worker->proc);
	BUF_LIT(&b, "]}");
	handler_reply_buf(rq, &b);
}

/* ---- the old election ------------------------------------------------------------------------ */

/* This node was elected once, by itself. Nothing counts down, so the times are those after a reset.
 * operator/cluster/state shows what a 1.4.8 keeps there, a follower of nobody, as recorded. */
static void put_peer(struct buf *b, const struct process *proc)
{
	buf_char(b, '{');
	JSON_KEY(b, "ip");
	handler_put_address(b, proc);
	JSON_KEY(b, "voteFor");
	handler_put_address(b, proc);
	JSON_PUT_LIT(b, "term", "1");
	JSON_PUT_LIT(b, "leaderDueMs", "15000");
	JSON_PUT_LIT(b, "heartbeatDueMs", "5000");
	JSON_PUT_LIT(b, "state", "\"LEADER\"");
	buf_char(b, '}');
}

void handle_raft_peer(struct request *rq)
{
	struct buf b;

	buf_init(&b);
	put_peer(&b, rq->worker->proc);
	handler_reply_buf(rq, &b);
}

/* The leader is a text that holds JSON, as in 1.4.8. */
void handle_raft_leader(struct request *rq)
{
	struct buf peer, b;

	buf_init(&peer);
	buf_init(&b);
	put_peer(&peer, rq->worker->proc);
	buf_char(&b, '{');
	JSON_PUT_STRING(&b, "leader", buf_view(&peer));
	buf_char(&b, '}');
	b.failed = b.failed || buf_failed(&peer);
	buf_free(&peer);
	handler_reply_buf(rq, &b);
}

void handle_raft_state(struct request *rq)
{
	struct registry_stats stats;
	struct buf b;

	registry_stats(&rq->worker->registry, &stats);
	buf_init(&b);
	buf_char(&b, '{');
	JSON_PUT_U64(&b, "services", stats.services);
	JSON_PUT_LIT(&b, "peers", "[");
	put_peer(&b, rq->worker->proc);
	BUF_LIT(&b, "]}");
	if (buf_failed(&b))
		reply_caused(rq, 503, "out of memory");
	else
		reply_as(rq, STR("application/json;charset=UTF-8"), buf_view(&b));
	buf_free(&b);
}
