/* SPDX-License-Identifier: Apache-2.0 */
/* /instance: register, update, deregister, patch, get, statuses (specification 4.1 to 4.5, 4.8). */
#include "shared/base/assert.h"
#include "shared/base/breath.h"
#include "shared/codec/java.h"
#include "shared/codec/json_write.h"
#include "shared/naming/instance.h"
#include "shared/registry/layout.h"
#include "shared/view/list.h"
#include "shared/view/metadata.h"
#include "worker/v1/caller.h"
#include "worker/v1/handlers.h"
#include "worker/worker.h"

struct instance_request {
	struct service_key service;
	struct instance_spec spec;
};

/* ---- parameters ------------------------------------------------------------------------------ */

static bool read_flag(struct request *rq, const char *name, const char *fallback)
{
	return java_loose_bool(request_optional(rq, name, str_of(fallback)));
}

static struct str read_cluster(struct request *rq)
{
	return request_optional(rq, "clusterName",
	                        request_optional(rq, "cluster", DEFAULT_CLUSTER));
}

static bool read_ephemeral(struct request *rq)
{
	return read_flag(rq, "ephemeral", rq->worker->switches->ephemeral ? "true" : "false");
}

/* `enable` is the old name of `enabled`. */
static bool read_enabled(struct request *rq)
{
	return java_loose_bool(
	        request_optional(rq, "enabled", request_optional(rq, "enable", STR("true"))));
}

/* ip and port are both looked for before the number is read. */
static bool read_address(struct request *rq, struct instance_key *key)
{
	struct str port;

	return request_required(rq, "ip", &key->ip) && request_required(rq, "port", &port) &&
	       request_int(rq, port, &key->port);
}

static bool check_weight(struct request *rq, double weight)
{
	if (naming_weight_valid(weight))
		return true;
	reply_caused(rq, 500, "instance format invalid: The weights range from 0.0 to 10000.0");
	return false;
}

/* Keeps to the order of 4.1. */
static bool read_instance(struct request *rq, struct instance_request *in)
{
	struct instance_spec *spec = &in->spec;

	if (!handler_service_key(rq, &in->service) || !read_address(rq, &spec->key))
		return false;
	if (!request_double(rq, request_optional(rq, "weight", STR("1")), &spec->weight))
		return false;
	spec->key.cluster = read_cluster(rq);
	spec->key.ephemeral = read_ephemeral(rq);
	spec->enabled = read_enabled(rq);
	spec->healthy = read_flag(rq, "healthy", "true");
	spec->app = request_optional(rq, "app", STR("DEFAULT"));
	if (!handler_parse_metadata(rq, request_optional(rq, "metadata", STR("")), &spec->metadata))
		return false;
	return check_weight(rq, spec->weight);
}

/* ---- POST, PUT ------------------------------------------------------------------------------- */

static void register_instance(struct request *rq, const struct instance_request *in)
{
	const struct naming_caller caller = caller_of(rq);
	int ret = naming_register(&rq->worker->naming, &caller, &in->service, &in->spec);

	if (ret < 0)
		reply_registry_error(rq, ret, in->service.name, in->spec.key.cluster);
	else
		reply_ok(rq);
}

/* This is a long request: the smallest free number is looked for among all instances of the
 * service. */
static void register_numbered(struct request *rq)
{
	struct instance_request in;

	if (read_instance(rq, &in))
		register_instance(rq, &in);
}

static void start_register(struct request *rq, const struct instance_request *in)
{
	if (in->spec.metadata.snowflake)
		long_start(rq, register_numbered);
	else
		register_instance(rq, in);
}

void handle_instance_register(struct request *rq)
{
	struct instance_request in;

	if (read_instance(rq, &in))
		start_register(rq, &in);
}

static void reply_no_instance(struct request *rq, const struct instance_spec *spec)
{
	char weight[JAVA_DOUBLE_TEXT];
	unsigned n = java_double_text(spec->weight, weight);
	struct buf b;

	buf_init(&b);
	handler_put_datum_key(&b, spec->key.ip, spec->key.port, spec->key.cluster);
	buf_char(&b, '_');
	buf_put(&b, weight, n);
	buf_printf(&b, "_%s_false_", spec->healthy ? "true" : "false");
	buf_str(&b, spec->key.cluster);
	reply_caused(rq, 500, "instance not exist: %.*s", reply_shown(buf_view(&b)),
	             b.len > 0 ? b.data : "");
	buf_free(&b);
}

static void update_instance(struct request *rq, const struct instance_request *in)
{
	const struct naming_caller caller = caller_of(rq);
	const struct service_key *service = &in->service;
	int ret = naming_update(&rq->worker->naming, &caller, service, &in->spec);

	if (ret == ERR_NOT_FOUND) {
		reply_caused(rq, 500, "service not found, namespace: %.*s, service: %.*s",
		             reply_shown(service->ns), service->ns.p, reply_shown(service->name),
		             service->name.p);
	} else if (ret == ERR_NO_INSTANCE) {
		reply_no_instance(rq, &in->spec);
	} else if (ret < 0) {
		reply_registry_error(rq, ret, service->name, in->spec.key.cluster);
	} else {
		reply_ok(rq);
	}
}

/* Port 0 means any instance of that address, which is looked for among all; so this is a long
 * request. */
static void update_any_port(struct request *rq)
{
	struct instance_request in;

	if (read_instance(rq, &in))
		update_instance(rq, &in);
}

/* Only Java clients from 1.0 on must name what exists; for all others PUT registers. */
void handle_instance_update(struct request *rq)
{
	struct instance_request in;

	if (!read_instance(rq, &in))
		return;
	if (v1_request(rq)->agent.kind == AGENT_JAVA && !v1_request(rq)->agent.has_version)
		reply_caused(rq, 500, "the version of the client cannot be read");
	else if (agent_is_java1(&v1_request(rq)->agent) && in.spec.key.port == 0)
		long_start(rq, update_any_port);
	else if (agent_is_java1(&v1_request(rq)->agent))
		update_instance(rq, &in);
	else
		start_register(rq, &in);
}

/* ---- DELETE ---------------------------------------------------------------------------------- */

/* Address and weight are looked at before the service name (4.2). */
void handle_instance_deregister(struct request *rq)
{
	const struct naming_caller caller = caller_of(rq);
	struct instance_key key;
	struct service_key service;
	double weight;
	int ret;

	if (!read_address(rq, &key) ||
	    !request_double(rq, request_optional(rq, "weight", STR("1")), &weight))
		return;
	key.cluster = read_cluster(rq);
	key.ephemeral = read_ephemeral(rq);
	if (!handler_service_key(rq, &service))
		return;
	ret = naming_deregister(&rq->worker->naming, &caller, &service, &key);
	if (ret == ERR_DEPARTURES)
		handler_reply_departures(rq);
	else if (ret < 0)
		reply_registry_error(rq, ret, service.name, key.cluster);
	else
		reply_ok(rq);
}

/* ---- PATCH ----------------------------------------------------------------------------------- */

static bool is_missing(int err)
{
	return err == ERR_NOT_FOUND || err == ERR_NO_INSTANCE;
}

static bool patch_known(struct request *rq, const struct service_key *service,
                        const struct instance_key *key)
{
	bool cluster_known;
	int ret = registry_get(&rq->worker->registry, service, key, -1, v1_request(rq)->view,
	                       &cluster_known);

	if (is_missing(ret))
		reply_caused(rq, 400, "instance not found");
	else if (ret < 0)
		reply_registry_error(rq, ret, service->name, key->cluster);
	return ret == 0;
}

/* The weight is checked before anything changes; the original server sets it first and refuses
 * then. */
static bool read_patch(struct request *rq, struct instance_patch *patch)
{
	struct str none = { NULL, 0 };
	struct str metadata = request_optional(rq, "metadata", none), weight;

	patch->set_metadata = metadata.n > 0;
	if (patch->set_metadata && !handler_parse_metadata(rq, metadata, &patch->metadata))
		return false;
	patch->app = request_optional(rq, "app", none);
	patch->set_app = patch->app.n > 0;
	weight = request_optional(rq, "weight", none);
	patch->set_weight = weight.n > 0;
	if (patch->set_weight &&
	    (!request_double(rq, weight, &patch->weight) || !check_weight(rq, patch->weight)))
		return false;
	patch->set_healthy = request_optional(rq, "healthy", none).n > 0;
	patch->healthy = patch->set_healthy && read_flag(rq, "healthy", "");
	patch->set_enabled = request_optional(rq, "enabled", none).n > 0;
	patch->enabled = patch->set_enabled && read_flag(rq, "enabled", "");
	return true;
}

void handle_instance_patch(struct request *rq)
{
	const struct naming_caller caller = caller_of(rq);
	struct service_key service;
	struct instance_key key = { .ephemeral = true };
	struct instance_patch patch = { .set_app = false };
	int ret;

	if (!handler_service_key(rq, &service) || !read_address(rq, &key))
		return;
	key.cluster = read_cluster(rq);
	if (!patch_known(rq, &service, &key) || !read_patch(rq, &patch))
		return;
	ret = naming_patch(&rq->worker->naming, &caller, &service, &key, &patch);
	if (is_missing(ret))
		reply_caused(rq, 400, "instance not found");
	else if (ret < 0)
		reply_registry_error(rq, ret, service.name, key.cluster);
	else
		reply_ok(rq);
}

/* ---- GET ------------------------------------------------------------------------------------- */

static void answer_instance(struct request *rq, const struct service_key *service,
                            struct service_view *view)
{
	const struct instance_view *instance = &view->instances[0];
	struct buf b;

	ROSTER_ASSERT(view->instance_count > 0);
	buf_init(&b);
	buf_char(&b, '{');
	JSON_PUT_STRING(&b, "service", service->name);
	JSON_PUT_STRING(&b, "ip", instance->ip);
	JSON_PUT_I64(&b, "port", instance->port);
	JSON_PUT_STRING(&b, "clusterName", view->clusters[instance->cluster].name);
	JSON_PUT_DOUBLE(&b, "weight", instance->weight);
	JSON_PUT_BOOL(&b, "healthy", instance->flags & INSTANCE_HEALTHY);
	JSON_PUT_LIT(&b, "instanceId", "\"");
	list_instance_id(&b, view, instance);
	buf_char(&b, '"');
	if ((instance->flags & INSTANCE_METADATA_NULL) == 0) {
		JSON_KEY(&b, "metadata");
		metadata_json(&b, instance->metadata);
	}
	buf_char(&b, '}');
	handler_reply_buf(rq, &b);
}

static void answer_no_instance(struct request *rq, const struct service_key *service,
                               struct str cluster, bool cluster_known)
{
	if (cluster_known)
		reply_caused(rq, 500, "no matched ip found!");
	else
		reply_caused(rq, 500, "no ips found for cluster %.*s in service %.*s",
		             reply_shown(cluster), cluster.p, reply_shown(service->name),
		             service->name.p);
}

void handle_instance_get(struct request *rq)
{
	struct service_view *view = v1_request(rq)->view;
	struct service_key service;
	struct instance_key key = { .ephemeral = true };
	bool cluster_known = false;
	int ret;

	if (!handler_service_key(rq, &service) || !read_address(rq, &key))
		return;
	key.cluster = request_optional(rq, "clusterName", DEFAULT_CLUSTER);
	ret = registry_get(&rq->worker->registry, &service, &key, -1, view, &cluster_known);
	if (ret == ERR_NOT_FOUND)
		reply_caused(rq, 500, "no service %.*s found!", reply_shown(service.name),
		             service.name.p);
	else if (ret == ERR_NO_INSTANCE)
		answer_no_instance(rq, &service, key.cluster, cluster_known);
	else if (ret < 0)
		reply_registry_error(rq, ret, service.name, key.cluster);
	else
		answer_instance(rq, &service, view);
}

/* ---- statuses -------------------------------------------------------------------------------- */

/* key = [namespace##]group@@service; no grouping of bare names here. */
static struct service_key split_key(struct str text)
{
	const char *at = text.n > 0 ? memmem(text.p, text.n, "##", 2) : NULL;
	const char *next;
	struct str name;

	if (at == NULL)
		return (struct service_key){ STR("public"), text };
	name = str_make(at + 2, (size_t)(text.p + text.n - at - 2));
	next = memmem(name.p, name.n, "##", 2);
	if (next != NULL)
		name.n = (size_t)(next - name.p);
	return (struct service_key){ str_make(text.p, (size_t)(at - text.p)), name };
}

#define STATUS_WEIGHT 128U

static void answer_statuses(struct request *rq, const struct service_view *view)
{
	struct breath breath = { 0 };
	struct buf b;

	buf_init(&b);
	BUF_LIT(&b, "{\"ips\":[");
	for (uint32_t i = 0; i < view->instance_count && breathe(&breath, STATUS_WEIGHT) == 0;
	     i++) {
		const struct instance_view *instance = &view->instances[i];

		json_comma(&b);
		buf_char(&b, '"');
		json_escape(&b, instance->ip);
		buf_char(&b, ':');
		buf_i64(&b, instance->port);
		buf_printf(&b, "_%s\"", instance->flags & INSTANCE_HEALTHY ? "true" : "false");
	}
	BUF_LIT(&b, "]}");
	handler_reply_buf(rq, &b);
}

void handle_instance_statuses(struct request *rq)
{
	struct str text = request_param(rq, STR("key"));
	struct service_view *view = v1_request(rq)->view;
	struct service_key key;
	const char *refusal;
	int ret;

	if (!str_is_set(text)) {
		reply_missing(rq, "key", "String");
		return;
	}
	key = split_key(text);
	if ((refusal = handler_name_refusal(key.name)) != NULL) {
		reply_caused(rq, 400, "Param 'serviceName' is illegal, %s", refusal);
		return;
	}
	if ((ret = registry_view(&rq->worker->registry, &key, view)) < 0)
		reply_registry_error(rq, ret, key.name, STR(""));
	else if (!view->stamp.found)
		reply_caused(rq, 500, "service: %.*s not found.", reply_shown(key.name),
		             key.name.p);
	else
		answer_statuses(rq, view);
}
