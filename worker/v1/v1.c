/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/v1/v1.h"

#include "shared/base/assert.h"
#include "shared/config/config.h"
#include "worker/v1/list_cache.h"
#include "worker/v1/reply.h"
#include "worker/v1/router.h"
#include "worker/worker.h"

/* ---- life ------------------------------------------------------------------------------------ */

int v1_init(struct v1 *v1, const struct config *config)
{
	int ret;

	*v1 = (struct v1){ .gate = { .begun = false } };
	service_view_init(&v1->view);
	buf_init(&v1->hosts);
	if ((ret = list_cache_new(config->http_cache_bytes, &v1->list_cache)) < 0)
		return ret;
	return router_new(routes, route_count, str_of(config->context_path), &v1->router);
}

void v1_free(struct v1 *v1)
{
	router_free(&v1->router);
	list_cache_free(&v1->list_cache);
	service_view_free(&v1->view);
	buf_free(&v1->hosts);
}

void v1_reload(struct v1 *v1, const struct config *config)
{
	list_cache_resize(v1->list_cache, config->http_cache_bytes);
}

/* ---- what HTTP asks (worker/http/protocol.h) ------------------------------------------------- */

/* Returns where the costs of the request are counted, or NULL when nowhere. */
static struct slot_route *row_of(const struct request *rq)
{
	const struct router *router = rq->worker->v1->router;
	unsigned number = rq->route != NULL ? router_number(router, rq->route) : ROUTER_NONE;

	return route_stats_row(rq->worker->proc,
	                       number < ROUTE_STATS_OTHER ? number : ROUTE_STATS_OTHER);
}

static void v1_begin(struct request *rq)
{
	struct v1 *v1 = rq->worker->v1;

	/* A long request has a view of its own, which this must not take the place of. */
	ROSTER_ASSERT(rq->view == NULL && rq->work == NULL);
	rq->view = &v1->view;
	rq->began_cpu_ns = route_stats_begin(&v1->route_stats, rq->began_us);
}

static void v1_dispatch(struct request *rq)
{
	router_dispatch(rq->worker->v1->router, rq);
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
