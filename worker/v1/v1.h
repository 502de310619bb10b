/* SPDX-License-Identifier: Apache-2.0 */
/* v1.h - Nacos 1.x as a protocol of the worker (worker/http/protocol.h), and what it keeps between
 * requests.
 *
 * Each worker has one struct v1, which worker_main() owns; handlers reach it by rq->worker->v1. It
 * is private to the process. */
#ifndef WORKER_V1_V1_H
#define WORKER_V1_V1_H

#include "shared/base/buf.h"
#include "shared/base/err.h"
#include "shared/registry/registry.h"
#include "worker/http/protocol.h"
#include "worker/metrics/route_stats.h"
#include "worker/v1/gate.h"

struct config;
struct list_cache; /* list_cache.h */
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
	struct service_view view; /* memory that requests reuse: rq->view, but for long ones */
	struct buf hosts;         /* the same, for a list that is not in list_cache */
	struct gate gate;         /* what follows from the texts of the switches */
	struct route_stats route_stats;
	struct host_load host;
};

extern const struct protocol v1_protocol;

/* config must outlive *v1. v1_free() follows, whatever this returns. */
int v1_init(struct v1 *v1, const struct config *config) MUST_CHECK;
/* No request may be under way. */
void v1_free(struct v1 *v1);
/* Follows what a reload may change. */
void v1_reload(struct v1 *v1, const struct config *config);

#endif
