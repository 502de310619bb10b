/* SPDX-License-Identifier: Apache-2.0 */
/* worker.h - the worker's context: everything hangs from here. */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include <ev.h>
#include <stdint.h>

#include "shared/base/log.h"
#include "shared/naming/naming.h"
#include "shared/process/process.h"
#include "shared/process/turn.h"
#include "shared/registry/registry.h"
#include "shared/registry/switches.h"
#include "worker/http/keep_alive.h"
#include "worker/http/long.h"

struct accept_set; /* worker/http/accept.h */
struct connection;
struct connection_pool; /* worker/http/connection.h */
struct protocol;        /* worker/http/protocol.h */

/* Requests that a handler answers later, sorted by rising id (worker/http/park.h). */
struct parked {
	struct request **rows;
	uint32_t count, capacity;
};

/* Connections that hold much, by the time of their last progress (worker/http/memory.c). */
struct held_list {
	struct connection *first, *last;
};

#define HELD_CLASSES 24U

struct worker {
	struct process *proc;
	struct ev_loop *loop;
	const struct protocol *protocol; /* what HTTP carries */
	void *protocol_state;            /* what that keeps */
	struct registry registry;
	const struct switches *switches;
	/* The rules of the domain, on the registry, the switches and the configuration of this
	 * process. */
	struct naming naming;
	struct keep_alive keep_alive; /* follows http.idle_timeout */
	struct accept_set *accept;
	struct connection *connections; /* all open ones */
	uint32_t connection_count,
	        connection_peak; /* now; the most since memory of closed ones was given back */
	uint64_t held_bytes;     /* buffers of all connections: http.memory */
	struct held_list held[HELD_CLASSES];
	struct log_limit held_log;    /* who was cut off */
	struct connection_pool *pool; /* buffers that all connections share */
	struct parked parked;
	struct long_lane lane;
	struct turn turn;
	uint64_t next_request_id;
	uint64_t started_ms;
	bool stopping;
	bool leaving; /* upgrade: nothing new is accepted, the connections go one by one */
};

#endif
