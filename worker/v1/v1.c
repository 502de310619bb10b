/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/v1/v1.h"

#include <stdlib.h>

#include "shared/base/assert.h"
#include "shared/config/config.h"
#include "worker/v1/list_cache.h"
#include "worker/v1/reply.h"
#include "worker/v1/router.h"

/* What is held for a copy of a service: the copy, and what is written and sorted from it, about
 * twice as much. */
#define TEXTS_OF_VIEW 3U
/* Memory of a view that is kept for the next long request. */
#define SPARE_BYTES (4U << 20)

/* ---- in the life of the worker --------------------------------------------------------------- */

static int v1_new(struct worker *worker)
{
	const struct config *config = &worker->proc->config;
	struct v1 *v1 = calloc(1, sizeof(*v1));
	int ret;

	if ((worker->protocol_state = v1) == NULL)
		return ERR_NOMEM;
	service_view_init(&v1->view);
	service_view_init(&v1->spare);
	buf_init(&v1->hosts);
	if ((ret = list_cache_new(config->http_cache_bytes, &v1->list_cache)) < 0)
		return ret;
	return router_new(routes, route_count, str_of(config->context_path), &v1->router);
}

static void v1_free(struct worker *worker)
{
	struct v1 *v1 = v1_of(worker);

	if (v1 == NULL)
		return;
	router_free(&v1->router);
	list_cache_free(&v1->list_cache);
	service_view_free(&v1->view);
	service_view_free(&v1->spare);
	buf_free(&v1->hosts);
	free(v1);
	worker->protocol_state = NULL;
}

static void v1_reload(struct worker *worker)
{
	list_cache_resize(v1_of(worker)->list_cache, worker->proc->config.http_cache_bytes);
}

/* ---- of one request -------------------------------------------------------------------------- */

/* Returns where the costs of the request are counted, or NULL when nowhere. */
static struct slot_route *row_of(const struct request *rq)
{
	const struct route *route = v1_request(rq)->route;
	unsigned number =
	        route != NULL ? router_number(v1_of(rq->worker)->router, route) : ROUTER_NONE;

	return route_stats_row(rq->worker->proc,
	                       number < ROUTE_STATS_OTHER ? number : ROUTE_STATS_OTHER);
}

static void v1_begin(struct request *rq)
{
	struct v1 *v1 = v1_of(rq->worker);

	/* Long work has a view of its own, which this must not take the place of. */
	ROSTER_ASSERT(rq->work == NULL);
	*v1_request(rq) = (struct v1_request){
		.view = &v1->view,
		.began_cpu_ns = route_stats_begin(&v1->route_stats, rq->began_us),
	};
}

static void v1_dispatch(struct request *rq)
{
	router_dispatch(v1_of(rq->worker)->router, rq);
}

static void v1_handled(struct request *rq)
{
	uint64_t began_cpu_ns = v1_request(rq)->began_cpu_ns;

	if (began_cpu_ns != 0)
		route_stats_handled(row_of(rq), began_cpu_ns);
}

static void v1_answered(struct request *rq, uint64_t now_us)
{
	route_stats_answered(row_of(rq), now_us - rq->began_us, rq->status >= 400);
}

static struct str v1_name(const struct request *rq)
{
	const struct route *route = v1_request(rq)->route;

	return route != NULL ? str_of(route->path) : (struct str){ NULL, 0 };
}

/* ---- of one that is long work ---------------------------------------------------------------- */

static uint64_t view_bytes(const struct service_view *view)
{
	return view->text_cap + view->instance_cap * sizeof(view->instances[0]) +
	       view->cluster_cap * sizeof(view->clusters[0]);
}

static bool v1_work_begin(struct request *rq)
{
	struct v1 *v1 = v1_of(rq->worker);
	struct service_view *view = arena_alloc(&rq->arena, sizeof(*view));

	ROSTER_ASSERT(v1_request(rq)->view == &v1->view);
	if (view == NULL)
		return false;
	*view = v1->spare;
	service_view_init(&v1->spare);
	v1_request(rq)->view = view;
	return true;
}

static uint64_t v1_work_bytes(const struct request *rq)
{
	return TEXTS_OF_VIEW * view_bytes(v1_request(rq)->view);
}

static void v1_work_end(struct request *rq)
{
	struct v1 *v1 = v1_of(rq->worker);
	struct service_view *view = v1_request(rq)->view;

	ROSTER_ASSERT(view != &v1->view);
	if (view_bytes(view) > SPARE_BYTES || v1->spare.text_cap > 0)
		service_view_free(view);
	else
		v1->spare = *view;
	v1_request(rq)->view = &v1->view;
}

/* ---- its answers ----------------------------------------------------------------------------- */

static void v1_fail(struct request *rq, int status, struct str why)
{
	reply_caused2(rq, status, why, STR(""));
}

/* As the container of 1.4.8 does, for it means that the rest of the input cannot be trusted
 * (specification 1.1). */
static bool v1_ends_connection(int status)
{
	switch (status) {
	case 400:
	case 408:
	case 413:
	case 414:
	case 417:
	case 431:
	case 500:
	case 501:
	case 503:
	case 505:
		return true;
	default:
		return false;
	}
}

const struct protocol v1_protocol = {
	.new = v1_new,
	.reload = v1_reload,
	.free = v1_free,
	.request_bytes = sizeof(struct v1_request),
	.begin = v1_begin,
	.dispatch = v1_dispatch,
	.handled = v1_handled,
	.answered = v1_answered,
	.name = v1_name,
	.work_begin = v1_work_begin,
	.work_bytes = v1_work_bytes,
	.work_end = v1_work_end,
	.fail = v1_fail,
	.over_limit = reply_over_limit,
	.ends_connection = v1_ends_connection,
	.headers = STR("Content-Security-Policy: script-src 'self'\r\n"),
	.grant_headers = STR("Access-Control-Max-Age: 18000\r\n"), /* five hours, as 1.4.8 */
};
