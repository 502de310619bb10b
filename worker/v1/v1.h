/* SPDX-License-Identifier: Apache-2.0 */
/* v1.h - Nacos 1.x as a protocol of the worker (worker/http/protocol.h): what it keeps between
 * requests, and what of each request.
 *
 * Both are private to the process. A worker has one struct v1; a request has its struct v1_request
 * from v1_protocol.begin() until its answer is complete. */
#ifndef WORKER_V1_V1_H
#define WORKER_V1_V1_H

#include "shared/base/buf.h"
#include "shared/codec/url.h"
#include "shared/net/agent.h"
#include "shared/registry/registry.h"
#include "worker/http/protocol.h"
#include "worker/http/request.h"
#include "worker/metrics/route_stats.h"
#include "worker/v1/gate.h"
#include "worker/worker.h"

struct charset;
struct list_cache; /* list_cache.h */
struct route;      /* routes.h */
struct router;     /* router.h */

/* Load of the machine for /operator/metrics, read at most once a second (handler_operator.c). */
struct host_load {
	uint64_t read_ms;     /* 0: never */
	uint64_t busy, total; /* ticks of /proc/stat at that time */
	float cpu, load, mem;
};

struct v1 {
	struct router *router;
	struct list_cache *list_cache;
	struct service_view view;  /* memory that requests reuse, but for long ones */
	struct buf hosts;          /* the same, for a list that is not in list_cache */
	struct service_view spare; /* memory of a view, for the next long one */
	struct gate gate;          /* what follows from the texts of the switches */
	struct route_stats route_stats;
	struct host_load host;
};

/* The path and the route are written by router_dispatch(), what follows by router_prepare(). */
struct v1_request {
	/* The path decoded (path.h), with which all others are compared; unset until then. */
	struct str plain;
	const struct route *route; /* NULL until routed */
	struct url_param *params;  /* form first, then query: the last of equal names wins */
	unsigned param_count;
	const struct charset *encoding; /* values are read again with it; NULL: they are not */
	struct agent agent;
	/* Grouped (specification 1.3 step 5); unset: absent; blank: as it was given. */
	struct str service_name;
	/* Memory for a copy of a service: the one of struct v1, or of long work its own. What is in
	 * it stays until the handler returns. */
	struct service_view *view;
	uint64_t began_cpu_ns; /* of route_stats_begin() */
};

extern const struct protocol v1_protocol;

static inline struct v1 *v1_of(const struct worker *worker)
{
	return worker->protocol_state;
}

static inline struct v1_request *v1_request(const struct request *rq)
{
	return rq->own;
}

#endif
