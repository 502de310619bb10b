/* SPDX-License-Identifier: Apache-2.0 */
/* /service: create, update, delete, get, checksum (specification 5.1 to 5.4, 5.8). */
#include "shared/base/breath.h"
#include "shared/codec/java.h"
#include "shared/codec/json_write.h"
#include "shared/naming/service.h"
#include "shared/registry/settings.h"
#include "shared/view/list.h"
#include "shared/view/metadata.h"
#include "shared/view/selector.h"
#include "worker/v1/bound.h"
#include "worker/v1/caller.h"
#include "worker/v1/handlers.h"
#include "worker/worker.h"

/* ---- parameters ------------------------------------------------------------------------------ */

static bool read_metadata(struct request *rq, struct str *packed_r)
{
	struct instance_metadata metadata;

	if (!handler_parse_metadata(rq, request_optional(rq, "metadata", STR("")), &metadata))
		return false;
	*packed_r = metadata.packed;
	return true;
}

static bool read_selector(struct request *rq, struct str *selector_r)
{
	char why[200] = "";

	switch (selector_parse(&rq->arena, request_optional(rq, "selector", STR("")), selector_r,
	                       why, sizeof(why))) {
	case SELECTOR_OK:
		return true;
	case SELECTOR_JSON:
		reply_caused2(rq, 500, STR("errCode: 101, errMsg: Nacos deserialize failed.  "),
		              str_of(why));
		break;
	case SELECTOR_NO_TYPE:
		reply_caused(rq, 500, "the selector has no type");
		break;
	case SELECTOR_UNKNOWN:
		reply_caused(rq, 500, "not match any type of selector!");
		break;
	case SELECTOR_NO_SUCH:
		reply_caused(rq, 400, SELECTOR_NO_SUCH_TEXT "%.*s", reply_shown(*selector_r),
		             selector_r->p);
		break;
	case SELECTOR_NO_EXPRESSION:
		reply_caused(rq, 500, "the selector has no expression");
		break;
	case SELECTOR_EXPRESSION:
		reply_caused(rq, 500, "parse expression failed!");
		break;
	case SELECTOR_MEMORY:
		reply_caused(rq, 503, "out of memory");
		break;
	}
	return false;
}

/* ---- writes ---------------------------------------------------------------------------------- */

static void reply_exists(struct request *rq, struct str name)
{
	reply_caused(rq, 400, "specified service already exists, serviceName : %.*s",
	             reply_shown(name), name.p);
}

void handle_service_create(struct request *rq)
{
	const struct naming_caller caller = caller_of(rq);
	struct service_settings settings;
	struct service_stamp stamp;
	struct service_key key;
	int ret;

	if (!handler_bound_service(rq, &key) ||
	    !bound_float(rq, "protectThreshold", &settings.threshold))
		return;
	if (registry_poll(&rq->worker->registry, &key, NULL, &stamp) == 0 && stamp.found) {
		reply_exists(rq, key.name);
		return;
	}
	if (!read_metadata(rq, &settings.metadata) || !read_selector(rq, &settings.selector))
		return;
	ret = naming_create_service(&rq->worker->naming, &caller, &key, &settings);
	if (ret == ERR_EXISTS)
		reply_exists(rq, key.name);
	else if (ret < 0)
		reply_registry_error(rq, ret, key.name, STR(""));
	else
		reply_ok(rq);
}

static void reply_not_found(struct request *rq, struct str name)
{
	reply_caused(rq, 500, "service %.*s not found!", reply_shown(name), name.p);
}

/* An unknown service is told before errors in the values. */
void handle_service_update(struct request *rq)
{
	const struct naming_caller caller = caller_of(rq);
	struct service_settings settings;
	struct service_stamp stamp;
	struct service_key key;
	struct str threshold;
	int ret;

	if (!handler_required_service(rq, &key) ||
	    !request_required(rq, "protectThreshold", &threshold))
		return;
	if (registry_poll(&rq->worker->registry, &key, NULL, &stamp) == 0 && !stamp.found) {
		reply_not_found(rq, key.name);
		return;
	}
	settings.threshold = java_lenient_float(threshold);
	if (!read_metadata(rq, &settings.metadata) || !read_selector(rq, &settings.selector))
		return;
	ret = naming_update_service(&rq->worker->naming, &caller, &key, &settings);
	if (ret == ERR_NOT_FOUND)
		reply_not_found(rq, key.name);
	else if (ret < 0)
		reply_registry_error(rq, ret, key.name, STR(""));
	else
		reply_ok(rq);
}

void handle_service_delete(struct request *rq)
{
	const struct naming_caller caller = caller_of(rq);
	struct service_key key;
	int ret;

	if (!handler_bound_service(rq, &key))
		return;
	ret = naming_remove_service(&rq->worker->naming, &caller, &key);
	if (ret == ERR_NOT_FOUND)
		reply_caused(rq, 400, "specified service not exist, serviceName : %.*s",
		             reply_shown(key.name), key.name.p);
	else if (ret == ERR_DEPARTURES)
		handler_reply_departures(rq);
	else if (ret < 0)
		reply_registry_error(rq, ret, key.name, STR(""));
	else
		reply_ok(rq);
}

/* ---- reads ----------------------------------------------------------------------------------- */

#define CLUSTER_WEIGHT 512U /* its metadata aside */

static int put_clusters(struct buf *b, struct request *rq)
{
	const struct service_view *view = v1_request(rq)->view;
	struct breath breath = { 0 };
	int ret = 0;

	for (uint32_t i = 0; i < view->cluster_count && ret == 0; i++) {
		const struct cluster_view *cluster = &view->clusters[i];

		json_comma(b);
		buf_char(b, '{');
		JSON_PUT_STRING(b, "name", cluster->name);
		JSON_KEY(b, "healthChecker");
		buf_str(b, handler_checker_of(cluster));
		JSON_KEY(b, "metadata");
		metadata_json(b, cluster->metadata);
		buf_char(b, '}');
		ret = handler_go_on(rq, b, &breath, CLUSTER_WEIGHT + cluster->metadata.n);
	}
	return ret;
}

static int put_service(struct buf *b, struct request *rq)
{
	const struct service_view *view = v1_request(rq)->view;
	int ret;

	buf_char(b, '{');
	JSON_PUT_STRING(b, "name", list_bare_name(view->name));
	JSON_PUT_STRING(b, "namespaceId", view->ns);
	JSON_PUT_FLOAT(b, "protectThreshold", view->threshold);
	JSON_KEY(b, "metadata");
	metadata_json(b, view->metadata);
	JSON_KEY(b, "selector");
	buf_str(b, view->selector.n > 0 ? view->selector : SELECTOR_NONE);
	JSON_PUT_STRING(b, "groupName", handler_group_of(view->name));
	JSON_PUT_LIT(b, "clusters", "[");
	ret = put_clusters(b, rq);
	BUF_LIT(b, "]}");
	return ret;
}

void handle_service_get(struct request *rq)
{
	struct service_key key;
	struct buf b;

	if (!handler_bound_service(rq, &key) || !handler_settings(rq, &key))
		return;
	buf_init(&b);
	handler_reply_made(rq, &b, put_service(&b, rq));
}

void handle_service_checksum(struct request *rq)
{
	static const struct handler_unknown unknown = { "serviceName not found: ", "" };
	const struct naming_caller caller = caller_of(rq);
	const struct service_view *view = v1_request(rq)->view;
	struct service_key key;
	uint8_t checksum[16];
	struct buf b;
	int ret;

	if (!handler_required_service(rq, &key) ||
	    !handler_viewed(rq, registry_view(&rq->worker->registry, &key, v1_request(rq)->view),
	                    &key, &unknown))
		return;
	ret = list_checksum(view, checksum);
	if (ret == 0 && !view->loose)
		ret = naming_renew_checksum(&rq->worker->naming, &caller, &key, view->stamp.id,
		                            view->content, checksum);
	if (ret < 0 && ret != ERR_AGAIN && ret != ERR_NOT_FOUND) {
		reply_registry_error(rq, ret, key.name, STR(""));
		return;
	}
	buf_init(&b);
	BUF_LIT(&b, "{\"checksum\":\"");
	for (unsigned i = 0; i < sizeof(checksum); i++)
		buf_printf(&b, "%02x", checksum[i]);
	BUF_LIT(&b, "\"}");
	handler_reply_buf(rq, &b);
}
