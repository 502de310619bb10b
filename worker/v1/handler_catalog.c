/* SPDX-License-Identifier: Apache-2.0 */
/* GET /catalog/service, /catalog/instances and /catalog/rt (specification 6.1). */
#include "shared/base/assert.h"
#include "shared/base/breath.h"
#include "shared/base/clock.h"
#include "shared/codec/json_write.h"
#include "shared/shm/health.h"
#include "shared/view/instance_json.h"
#include "shared/view/list.h"
#include "shared/view/metadata.h"
#include "shared/view/selector.h"
#include "worker/v1/bound.h"
#include "worker/v1/handlers.h"
#include "worker/worker.h"

/* ---- GET /catalog/service -------------------------------------------------------------------- */

static void put_cluster(struct buf *b, const struct service_view *view, uint32_t index)
{
	const struct cluster_view *cluster = &view->clusters[index];

	json_comma(b);
	buf_char(b, '{');
	JSON_PUT_STRING(b, "serviceName", view->name);
	JSON_PUT_STRING(b, "name", cluster->name);
	JSON_KEY(b, "healthChecker");
	buf_str(b, handler_checker_of(cluster));
	JSON_PUT_LIT(b, "defaultPort", "80");
	JSON_PUT_LIT(b, "defaultCheckPort", "80");
	JSON_PUT_BOOL(b, "useIPPort4Check", cluster->use_instance_port);
	JSON_KEY(b, "metadata");
	metadata_json(b, cluster->metadata);
	JSON_PUT_LIT(b, "sitegroup", "\"\"");
	JSON_PUT_I64(b, "defCkport", cluster->check_port);
	JSON_PUT_BOOL(b, "empty", cluster->instances == 0);
	JSON_PUT_I64(b, "defIPPort", cluster->check_port);
	buf_char(b, '}');
}

#define ROW_WEIGHT 512U /* of a cluster or an instance, its texts aside */

static int put_service(struct buf *b, struct request *rq)
{
	const struct service_view *view = v1_request(rq)->view;
	struct breath breath = { 0 };
	int ret = 0;

	BUF_LIT(b, "{\"service\":{");
	JSON_PUT_STRING(b, "name", list_bare_name(view->name));
	JSON_PUT_FLOAT(b, "protectThreshold", view->threshold);
	JSON_PUT_STRING(b, "groupName", handler_group_of(view->name));
	JSON_KEY(b, "selector");
	buf_str(b, view->selector.n > 0 ? view->selector : SELECTOR_NONE);
	JSON_KEY(b, "metadata");
	metadata_json(b, view->metadata);
	buf_char(b, '}');
	JSON_PUT_LIT(b, "clusters", "[");
	for (uint32_t i = 0; i < view->cluster_count && ret == 0; i++) {
		put_cluster(b, view, i);
		ret = handler_go_on(rq, b, &breath, ROW_WEIGHT + view->clusters[i].metadata.n);
	}
	BUF_LIT(b, "]}");
	return ret;
}

void handle_catalog_service(struct request *rq)
{
	struct service_key key = { bound_namespace(rq), v1_request(rq)->service_name };
	struct buf b;

	/* This is the one bound name that may be absent; 1.4.8 then looks for a service of the name
	 * null. */
	if (!str_is_set(key.name)) {
		reply_caused(rq, 500, "service null is not found!");
		return;
	}
	if (!handler_settings(rq, &key))
		return;
	buf_init(&b);
	handler_reply_made(rq, &b, put_service(&b, rq));
}

/* ---- GET /catalog/instances ------------------------------------------------------------------ */

struct page {
	int64_t start, end; /* as they follow from number and size, then clipped to [0, count] */
};

static int64_t clip(int64_t value, int64_t count)
{
	if (value < 0)
		return 0;
	return value < count ? value : count;
}

/* The end may be before the start when a negative page is asked for, which is refused, as 1.4.8
 * does. */
static bool cut_page(struct request *rq, struct str cluster, struct page *page)
{
	const struct service_view *view = v1_request(rq)->view;
	int64_t count;

	if (view->cluster_count == 0) {
		reply_caused(rq, 500, "cluster %.*s is not found!", reply_shown(cluster),
		             cluster.p);
		return false;
	}
	count = (int64_t)view->clusters[0].instances;
	page->start = clip(page->start, count);
	page->end = page->end < count ? page->end : count;
	if (page->end >= page->start)
		return true;
	reply_caused(rq, 400, "fromIndex(%lld) > toIndex(%lld)", (long long)page->start,
	             (long long)page->end);
	return false;
}

/* Copies not more than one row above the limit, whatever is asked for. */
static bool copy_page(struct request *rq, const struct service_key *key, struct str cluster,
                      const struct page *page)
{
	uint64_t from = page->start > 0 ? (uint64_t)page->start : 0,
	         to = page->end > 0 ? (uint64_t)page->end : 0;
	uint64_t most = from + rq->worker->proc->config.limit_page + 1;
	int ret = registry_page(&rq->worker->registry, key, cluster, from, to < most ? to : most,
	                        v1_request(rq)->view);

	return handler_viewed(rq, ret, key, &handler_unknown_service) &&
	       handler_page_fits(rq, v1_request(rq)->view->instance_count);
}

static int put_page(struct buf *b, struct request *rq)
{
	struct instance_json_clock now = { health_now(rq->worker->registry.seg), clock_wall_ms() };
	const struct service_view *view = v1_request(rq)->view;
	struct breath breath = { 0 };
	int ret = 0;

	ROSTER_ASSERT(view->cluster_count > 0);
	BUF_LIT(b, "{\"list\":[");
	for (uint32_t i = 0; i < view->instance_count && ret == 0; i++) {
		json_comma(b);
		instance_json(b, view, &view->instances[i], now);
		ret = handler_go_on(rq, b, &breath, ROW_WEIGHT + view->instances[i].metadata.n);
	}
	buf_char(b, ']');
	JSON_PUT_U64(b, "count", view->clusters[0].instances);
	buf_char(b, '}');
	return ret;
}

void handle_catalog_instances(struct request *rq)
{
	struct service_key key;
	struct str cluster;
	struct page page;
	int32_t number, size;
	struct buf b;

	if (!handler_bound_service(rq, &key) || !bound_text(rq, "clusterName", &cluster) ||
	    !bound_int(rq, "pageNo", &number) || !bound_int(rq, "pageSize", &size))
		return;
	page = (struct page){ (number - (int64_t)1) * size, (int64_t)number * size };
	if (!copy_page(rq, &key, cluster, &page) || !cut_page(rq, cluster, &page))
		return;
	buf_init(&b);
	handler_reply_made(rq, &b, put_page(&b, rq));
}

/* ---- GET /catalog/rt/service ----------------------------------------------------------------- */

/* The times are those of a cluster that was not checked yet. */
static void put_times(struct buf *b, const struct cluster_view *cluster)
{
	json_comma(b);
	buf_char(b, '{');
	JSON_PUT_STRING(b, "name", cluster->name);
	JSON_PUT_LIT(b, "checkRTBest", "9223372036854775807");
	JSON_PUT_LIT(b, "checkRTWorst", "0");
	JSON_PUT_LIT(b, "checkRTNormalized", "2000");
	buf_char(b, '}');
}

void handle_catalog_rt(struct request *rq)
{
	const struct service_view *view = v1_request(rq)->view;
	struct breath breath = { 0 };
	struct service_key key;
	struct buf b;
	int ret;

	if (!handler_required_service(rq, &key))
		return;
	if ((ret = registry_settings(&rq->worker->registry, &key, v1_request(rq)->view)) < 0) {
		reply_registry_error(rq, ret, key.name, STR(""));
		return;
	}
	if (!view->stamp.found) {
		reply_caused(rq, 400, "request service doesn't exist");
		return;
	}
	buf_init(&b);
	BUF_LIT(&b, "{\"clusters\":[");
	for (uint32_t i = 0; i < view->cluster_count && ret == 0; i++) {
		put_times(&b, &view->clusters[i]);
		ret = breathe(&breath, ROW_WEIGHT);
	}
	BUF_LIT(&b, "]}");
	handler_reply_made(rq, &b, ret);
}
