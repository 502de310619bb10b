/* SPDX-License-Identifier: Apache-2.0 */
/* handler_actuator.c - answers what watches a server: is it up, and the metrics for Prometheus
 * (worker/metrics/prometheus.h). */
#include "worker/metrics/prometheus.h"
#include "worker/v1/handlers.h"
#include "worker/v1/router.h"
#include "worker/v1/v1.h"
#include "worker/worker.h"

void handle_actuator_health(struct request *rq)
{
	reply_as(rq, STR("application/vnd.spring-boot.actuator.v3+json"),
	         STR("{\"status\":\"UP\"}"));
}

/* Says what handle_console_readiness() says, in the words of this path. */
void handle_actuator_readiness(struct request *rq)
{
	if (rq->worker->stopping)
		reply_text(rq, 503, STR("OUT_OF_SERVICE"));
	else
		handle_actuator_health(rq);
}

/* Routes and reasons by the names that clients know. */
struct names {
	struct prometheus_route routes[SLOT_ROUTES];
	struct prometheus_label unpushed[UNPUSHED_REASONS];
	unsigned route_count;
};

static void name_all(const struct router *router, struct names *names)
{
	const struct route *rows = router_rows(router, &names->route_count);

	if (names->route_count > ROUTE_STATS_OTHER)
		names->route_count = ROUTE_STATS_OTHER;
	for (unsigned i = 0; i < names->route_count; i++)
		names->routes[i] =
		        (struct prometheus_route){ method_name(rows[i].method), rows[i].path };
	for (unsigned i = 0; i < UNPUSHED_REASONS; i++)
		names->unpushed[i] =
		        (struct prometheus_label){ unpushed_word(i), unpushed_metric(i) };
}

static bool put_metrics(struct request *rq, struct buf *b)
{
	const struct host_load *host = handler_host_load(rq->worker);
	struct names *names = arena_alloc(&rq->arena, sizeof(*names));
	struct prometheus_input input = { .seg = rq->worker->proc->seg,
		                          .cpu = host->cpu,
		                          .load = host->load };
	struct registry_stats stats;

	if (names == NULL)
		return false;
	name_all(v1_of(rq->worker)->router, names);
	registry_stats(&rq->worker->registry, &stats);
	input.stats = &stats;
	input.routes = names->routes;
	input.route_count = names->route_count;
	input.unpushed = names->unpushed;
	input.unpushed_count = UNPUSHED_REASONS;
	return prometheus_put(b, &rq->arena, &input);
}

void handle_actuator_prometheus(struct request *rq)
{
	struct buf b;

	buf_init(&b);
	if (put_metrics(rq, &b))
		reply_as(rq, STR("text/plain;version=0.0.4;charset=utf-8"), buf_view(&b));
	else
		reply_caused(rq, 503, "out of memory");
	buf_free(&b);
}
