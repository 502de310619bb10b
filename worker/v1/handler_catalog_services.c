/* SPDX-License-Identifier: Apache-2.0 */
/* GET /catalog/services (specification 6.1), with its way of cutting pages. */
#include "shared/base/assert.h"
#include "shared/base/breath.h"
#include "shared/codec/java.h"
#include "shared/codec/json_write.h"
#include "shared/registry/layout.h"
#include "shared/view/list.h"
#include "shared/view/metadata.h"
#include "worker/v1/bound.h"
#include "worker/v1/handlers.h"
#include "worker/v1/pattern.h"
#include "worker/v1/service_names.h"
#include "worker/worker.h"

struct address {
	struct str ip;
	bool any_port;
	int32_t port;
};

struct catalog {
	struct request *rq;
	struct str ns;
	int32_t page, size;
	bool with_instances, only_filled, by_address;
	struct address address;
	struct pattern *pattern; /* NULL: all names */
	struct arena scratch;    /* texts for the pattern */
	struct service_names services;
	struct breath breath;
	int err;
};

#define HOST_WEIGHT 64U /* of a look at one instance in memory */

/* ---- which services -------------------------------------------------------------------------- */

static bool keep(const struct service_row *row, void *arg)
{
	struct catalog *catalog = arg;
	int ret;

	if (catalog->err != 0 || (catalog->only_filled && row->instances == 0))
		return false;
	if (catalog->pattern == NULL)
		return true;
	arena_reset(&catalog->scratch);
	ret = handler_pattern_service(catalog->pattern, &catalog->scratch, row->name);
	if (ret < 0)
		catalog->err = ret;
	return ret == 1;
}

static struct str without_brackets(struct str ip)
{
	return ip.n >= 2 && ip.p[0] == '[' && ip.p[ip.n - 1] == ']' ? str_make(ip.p + 1, ip.n - 2)
	                                                            : ip;
}

/* "ip", "ip:port" or "[ip]:port". A port that is no number matches nothing. */
static struct address read_address(struct str text)
{
	struct address address = { .ip = without_brackets(text), .any_port = true };
	const char *colon = text.n > 0 ? memrchr(text.p, ':', text.n) : NULL;

	if (colon == NULL || (memchr(text.p, ':', text.n) != colon && colon[-1] != ']'))
		return address;
	address.any_port = false;
	if (java_parse_int(str_make(colon + 1, (size_t)(text.p + text.n - colon - 1)),
	                   &address.port) < 0)
		address.port = -1;
	address.ip = without_brackets(str_make(text.p, (size_t)(colon - text.p)));
	return address;
}

/* Returns 1, 0 or an error. */
static int has_address(struct catalog *catalog, const struct service_view *view)
{
	const struct address *address = &catalog->address;
	int ret = 0;

	for (uint32_t i = 0; i < view->instance_count && ret == 0; i++) {
		const struct instance_view *instance = &view->instances[i];

		if (str_eq(without_brackets(instance->ip), address->ip) &&
		    (address->any_port || instance->port == address->port))
			return 1;
		ret = breathe(&catalog->breath, HOST_WEIGHT);
	}
	return ret;
}

/* Copies the service of that row into the request's view. Returns 1, 0 when it has gone meanwhile,
 * or an error. */
static int view_row(struct catalog *catalog, size_t row)
{
	struct request *rq = catalog->rq;
	struct service_key key = { .ns = catalog->ns };
	int ret;

	ROSTER_ASSERT(row < catalog->services.count);
	key.name = catalog->services.rows[row].name;
	ret = registry_view(&rq->worker->registry, &key, v1_request(rq)->view);
	return ret < 0 ? ret : v1_request(rq)->view->stamp.found;
}

static int select_by_address(struct catalog *catalog)
{
	struct service_names *services = &catalog->services;
	size_t kept = 0;
	int ret;

	for (size_t i = 0; i < services->count; i++) {
		if (services->rows[i].instances == 0)
			continue;
		ret = view_row(catalog, i);
		if (ret == 1)
			ret = has_address(catalog, v1_request(catalog->rq)->view);
		if (ret == 1)
			services->rows[kept++] = services->rows[i];
		if (ret < 0 || (ret = breathe(&catalog->breath, SERVICE_WEIGHT)) < 0)
			return ret;
	}
	services->count = kept;
	return 0;
}

/* ---- the answer ------------------------------------------------------------------------------ */

static int put_counts(struct buf *b, struct catalog *catalog, size_t row)
{
	struct str name = catalog->services.rows[row].name;
	struct service_key key = { catalog->ns, name };
	struct service_stamp stamp;
	int ret = registry_poll(&catalog->rq->worker->registry, &key, NULL, &stamp);
	bool reached;

	if (ret < 0 || !stamp.found)
		return ret;
	reached = stamp.instances > 0 &&
	          (float)stamp.healthy / (float)stamp.instances <= stamp.threshold;
	json_comma(b);
	buf_char(b, '{');
	JSON_PUT_STRING(b, "name", list_bare_name(name));
	JSON_PUT_STRING(b, "groupName", handler_group_of(name));
	JSON_PUT_U64(b, "clusterCount", stamp.clusters);
	JSON_PUT_U64(b, "ipCount", stamp.instances);
	JSON_PUT_U64(b, "healthyInstanceCount", stamp.healthy);
	JSON_PUT_STRING(b, "triggerFlag", reached ? STR("true") : STR("false"));
	buf_char(b, '}');
	return 0;
}

static void put_host(struct buf *b, const struct instance_view *instance)
{
	json_comma(b);
	buf_char(b, '{');
	JSON_PUT_BOOL(b, "valid", instance->flags & INSTANCE_HEALTHY);
	if ((instance->flags & INSTANCE_METADATA_NULL) == 0) {
		JSON_KEY(b, "metadata");
		metadata_json(b, instance->metadata);
	}
	JSON_PUT_I64(b, "port", instance->port);
	JSON_PUT_STRING(b, "ip", instance->ip);
	JSON_PUT_DOUBLE(b, "weight", instance->weight);
	JSON_PUT_BOOL(b, "enabled", instance->flags & INSTANCE_ENABLED);
	buf_char(b, '}');
}

/* The instances of a view are in the order of its clusters; *at goes on to the first one of the
 * next cluster. */
static int put_cluster(struct buf *b, struct catalog *catalog, uint32_t cluster, uint32_t *at)
{
	const struct service_view *view = v1_request(catalog->rq)->view;
	int ret = 0;

	ROSTER_ASSERT(cluster < view->cluster_count && *at <= view->instance_count);
	json_comma(b);
	json_string(b, view->clusters[cluster].name);
	BUF_LIT(b, ":{\"hosts\":[");
	for (; *at < view->instance_count && view->instances[*at].cluster == cluster && ret == 0;
	     ++*at) {
		put_host(b, &view->instances[*at]);
		ret = handler_go_on(catalog->rq, b, &catalog->breath,
		                    HOST_WEIGHT + view->instances[*at].metadata.n);
	}
	BUF_LIT(b, "]}");
	return ret;
}

static int put_detail(struct buf *b, struct catalog *catalog, size_t row)
{
	const struct service_view *view = v1_request(catalog->rq)->view;
	int ret = view_row(catalog, row);
	uint32_t at = 0;

	if (ret <= 0)
		return ret;
	json_comma(b);
	buf_char(b, '{');
	JSON_PUT_STRING(b, "serviceName", list_bare_name(view->name));
	JSON_PUT_STRING(b, "groupName", handler_group_of(view->name));
	JSON_PUT_LIT(b, "clusterMap", "{");
	for (uint32_t c = 0; c < view->cluster_count && ret >= 0; c++)
		ret = put_cluster(b, catalog, c, &at);
	buf_char(b, '}');
	JSON_KEY(b, "metadata");
	metadata_json(b, view->metadata);
	buf_char(b, '}');
	return ret < 0 ? ret : 0;
}

/* If all fit into one page, all are shown whatever page is asked for; a page of no rows holds one.
 * With instances, pages are counted from 0. */
static void cut_page(const struct catalog *catalog, size_t *start_r, size_t *end_r)
{
	int64_t count = (int64_t)catalog->services.count,
	        size = catalog->size > 0 ? catalog->size : 1;
	int64_t page = (int64_t)catalog->page - (catalog->with_instances ? 0 : 1);
	int64_t start = page * catalog->size;

	*start_r = 0;
	*end_r = catalog->services.count;
	if (catalog->size >= count)
		return;
	start = start < 0 ? 0 : start;
	start = start < count ? start : count;
	*start_r = (size_t)start;
	*end_r = (size_t)(count - start > size ? start + size : count);
}

/* A service that has gone meanwhile is left out. */
static int put_rows(struct buf *b, struct catalog *catalog, size_t start, size_t end)
{
	int ret = 0;

	ROSTER_ASSERT(start <= end && end <= catalog->services.count);
	for (size_t i = start; i < end && ret >= 0; i++) {
		ret = catalog->with_instances ? put_detail(b, catalog, i)
		                              : put_counts(b, catalog, i);
		if (ret >= 0)
			ret = handler_go_on(catalog->rq, b, &catalog->breath, SERVICE_WEIGHT);
	}
	return ret;
}

static uint64_t rows_of(const struct catalog *catalog, size_t start, size_t end)
{
	uint64_t rows = end - start;

	ROSTER_ASSERT(start <= end && end <= catalog->services.count);
	for (size_t i = start; i < end && catalog->with_instances; i++)
		rows += catalog->services.rows[i].instances;
	return rows;
}

static int put_services(struct buf *b, struct catalog *catalog, size_t start, size_t end)
{
	int ret;

	buf_str(b, catalog->with_instances ? STR("[") : STR("{\"serviceList\":["));
	ret = put_rows(b, catalog, start, end);
	buf_char(b, ']');
	if (!catalog->with_instances) {
		JSON_PUT_U64(b, "count", start < end ? catalog->services.count : 0);
		buf_char(b, '}');
	}
	return ret;
}

static void answer_page(struct catalog *catalog)
{
	size_t start, end;
	struct buf b;

	cut_page(catalog, &start, &end);
	if (!handler_page_fits(catalog->rq, rows_of(catalog, start, end)))
		return;
	buf_init(&b);
	handler_reply_made(catalog->rq, &b, put_services(&b, catalog, start, end));
}

static void answer_catalog(struct catalog *catalog)
{
	struct registry *reg = &catalog->rq->worker->registry;
	int ret = service_names_read(&catalog->services, reg, catalog->ns, keep, catalog);

	if (catalog->err < 0) {
		handler_pattern_failed(catalog->rq, catalog->err);
	} else {
		if (ret == 0 && catalog->by_address)
			ret = select_by_address(catalog);
		if (ret == 0)
			answer_page(catalog);
		else
			reply_registry_error(catalog->rq, ret, STR(""), STR(""));
	}
	service_names_free(&catalog->services);
}

/* ---- the request ----------------------------------------------------------------------------- */

/* Makes .*<group>.*@@.*<service>.* where a blank part is any text. Returns false when the request
 * was answered. */
static bool read_names(struct catalog *catalog)
{
	struct str service = bound_optional(catalog->rq, "serviceNameParam"),
	           group = bound_optional(catalog->rq, "groupNameParam");
	struct buf b;
	bool ok;

	if (str_is_blank(service) && str_is_blank(group))
		return true;
	buf_init(&b);
	BUF_LIT(&b, ".*");
	if (!str_is_blank(group)) {
		buf_str(&b, group);
		BUF_LIT(&b, ".*");
	}
	BUF_LIT(&b, "@@.*");
	if (!str_is_blank(service)) {
		buf_str(&b, service);
		BUF_LIT(&b, ".*");
	}
	ok = handler_pattern(catalog->rq, buf_view(&b), &catalog->pattern);
	buf_free(&b);
	return ok;
}

void handle_catalog_services(struct request *rq)
{
	struct catalog catalog = { .rq = rq };
	struct str instance = bound_optional(rq, "instance");

	if (!bound_bool(rq, "withInstances", &catalog.with_instances) ||
	    !bound_optional_int(rq, "pageNo", &catalog.page) ||
	    !bound_optional_int(rq, "pageSize", &catalog.size) ||
	    !bound_bool(rq, "hasIpCount", &catalog.only_filled) || !read_names(&catalog))
		return;
	catalog.ns = bound_namespace(rq);
	catalog.by_address = !catalog.with_instances && !str_is_blank(instance);
	catalog.address = read_address(instance);
	arena_init(&catalog.scratch, 0);
	answer_catalog(&catalog);
	arena_free(&catalog.scratch);
	pattern_free(&catalog.pattern);
}
