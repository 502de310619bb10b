/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/v1/v1.h"

#include "worker/v1/reply.h"
#include "worker/v1/router.h"
#include "worker/worker.h"

/* Returns where the costs of the request are counted, or NULL when nowhere. */
static struct slot_route *row_of(const struct request *rq)
{
	unsigned number =
	        rq->route != NULL ? router_number(rq->worker->router, rq->route) : ROUTER_NONE;

	return route_stats_row(rq->worker->proc,
	                       number < ROUTE_STATS_OTHER ? number : ROUTE_STATS_OTHER);
}

static void v1_begin(struct request *rq)
{
	rq->began_cpu_ns = route_stats_begin(&rq->worker->v1->route_stats, rq->began_us);
}

static void v1_dispatch(struct request *rq)
{
	router_dispatch(rq->worker->router, rq);
}

static void v1_handled(struct request *rq)
{
	if (rq->began_cpu_ns != 0)
		route_stats_handled(row_of(rq), rq->began_cpu_ns);
}

static void v1_answered(struct request *rq, uint64_t now_us)
{
	route_stats_answered(row_of(rq), now_us - rq->began_us, rq->status >= 400);
}

static void v1_fail(struct request *rq, int status, struct str why)
{
	reply_caused2(rq, status, why, STR(""));
}

static struct str v1_name(const struct request *rq)
{
	return rq->route != NULL ? str_of(rq->route->path) : (struct str){ NULL, 0 };
}

const struct protocol v1_protocol = {
	.begin = v1_begin,
	.dispatch = v1_dispatch,
	.handled = v1_handled,
	.answered = v1_answered,
	.fail = v1_fail,
	.over_limit = reply_over_limit,
	.name = v1_name,
};
