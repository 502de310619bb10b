/* SPDX-License-Identifier: Apache-2.0 */
/* PUT /cluster, PUT /health/instance and GET /health/server (specification 6.2, 6.3). */
#include "shared/codec/java.h"
#include "shared/naming/instance.h"
#include "shared/naming/service.h"
#include "shared/registry/settings.h"
#include "shared/view/checker.h"
#include "worker/v1/caller.h"
#include "worker/v1/handlers.h"
#include "worker/worker.h"

#define CHECKER_CLASS "com.alibaba.nacos.api.naming.pojo.healthcheck.AbstractHealthChecker"

/* ---- PUT /cluster ---------------------------------------------------------------------------- */

static bool read_checker(struct request *rq, struct str text, struct str *checker_r)
{
	struct checker checker;
	char why[200] = "No content to map due to end-of-input";
	int ret = text.n == 0 ? ERR_SYNTAX
	                      : checker_parse(&rq->arena, text, &checker, why, sizeof(why));

	if (ret == 0)
		ret = checker_text(&rq->arena, &checker, checker_r);
	if (ret == ERR_SYNTAX)
		reply_caused2(
		        rq, 500,
		        STR("errCode: 101, errMsg: Nacos deserialize for class [" CHECKER_CLASS
		            "] failed.  "),
		        str_of(why));
	else if (ret == ERR_RANGE)
		reply_caused(rq, 400, "path and headers of a health checker are one line each");
	else if (ret < 0)
		reply_registry_error(rq, ret, STR(""), STR(""));
	return ret == 0;
}

/* If none is given the cluster has none: what was there goes, as with a service. */
static bool read_metadata(struct request *rq, struct cluster_settings *settings)
{
	struct instance_metadata metadata;

	if (!handler_parse_metadata(rq, request_optional(rq, "metadata", STR("")), &metadata))
		return false;
	settings->set_metadata = true;
	settings->metadata = metadata.packed;
	return true;
}

static bool service_exists(struct request *rq, const struct service_key *key)
{
	struct service_stamp stamp;
	int ret = registry_poll(&rq->worker->registry, key, NULL, &stamp);

	if (ret < 0)
		reply_registry_error(rq, ret, key->name, STR(""));
	else if (!stamp.found)
		reply_caused(rq, 500, "service not found:%.*s", reply_shown(key->name),
		             key->name.p);
	return ret == 0 && stamp.found;
}

void handle_cluster_update(struct request *rq)
{
	const struct naming_caller caller = caller_of(rq);
	struct cluster_settings settings = { .check_port = 0 };
	struct str cluster, port, flag, checker;
	struct service_key key;
	int ret;

	if (!request_required(rq, "clusterName", &cluster) || !handler_required_service(rq, &key) ||
	    !request_required(rq, "checkPort", &port) || !service_exists(rq, &key) ||
	    !request_required(rq, "useInstancePort4Check", &flag) ||
	    !request_required(rq, "healthChecker", &checker))
		return;
	settings.check_port = java_lenient_int(port);
	settings.use_instance_port = java_loose_bool(flag);
	if (!read_checker(rq, checker, &settings.checker) || !read_metadata(rq, &settings))
		return;
	/* 1.4.8 cannot store such a cluster any more; here nothing has changed. */
	if (settings.check_port == 0) {
		reply_caused(rq, 500, "errCode: 101, errMsg: Nacos deserialize failed.  ");
		return;
	}
	ret = naming_update_cluster(&rq->worker->naming, &caller, &key, cluster, &settings);
	if (ret == ERR_NOT_FOUND)
		reply_caused(rq, 500, "service not found:%.*s", reply_shown(key.name), key.name.p);
	else if (ret < 0)
		reply_registry_error(rq, ret, key.name, cluster);
	else
		reply_ok(rq);
}

/* ---- PUT /health ----------------------------------------------------------------------------- */

/* Health is set by hand only where nothing checks it. */
static bool may_set(struct request *rq, const struct service_key *key, struct str cluster)
{
	const struct service_view *view = v1_request(rq)->view;
	int ret = registry_page(&rq->worker->registry, key, cluster, 0, 0, v1_request(rq)->view);

	if (ret < 0) {
		reply_registry_error(rq, ret, key->name, cluster);
		return false;
	}
	if (!view->stamp.found || view->cluster_count == 0) {
		reply_caused(rq, 500, "no such service or cluster");
		return false;
	}
	if (!str_starts(view->clusters[0].checker, STR("{\"type\":\"NONE\""))) {
		reply_caused(rq, 400, "health check is still working, service: %.*s",
		             reply_shown(key->name), key->name.p);
		return false;
	}
	return true;
}

static bool read_flag(struct request *rq, bool *healthy_r)
{
	struct str flag = request_optional(rq, "healthy", request_optional(rq, "valid", STR("")));

	if (flag.n == 0) {
		reply_caused(rq, 400, "Param 'healthy' is required.");
		return false;
	}
	*healthy_r = java_loose_bool(flag);
	return true;
}

void handle_health_update(struct request *rq)
{
	const struct naming_caller caller = caller_of(rq);
	struct instance_key instance = { .port = 0 };
	struct service_key key;
	struct str port;
	bool healthy;
	int ret;

	if (!read_flag(rq, &healthy) || !handler_required_service(rq, &key) ||
	    !request_required(rq, "ip", &instance.ip) || !request_required(rq, "port", &port) ||
	    !request_int(rq, port, &instance.port))
		return;
	instance.cluster = request_optional(rq, "clusterName", DEFAULT_CLUSTER);
	if (!may_set(rq, &key, instance.cluster))
		return;
	ret = naming_set_health(&rq->worker->naming, &caller, &key, &instance, healthy);
	if (ret < 0 && ret != ERR_NO_INSTANCE)
		reply_registry_error(rq, ret, key.name, instance.cluster);
	else
		reply_ok(rq);
}

void handle_health_server(struct request *rq)
{
	struct registry_stats stats;
	struct buf b;

	registry_stats(&rq->worker->registry, &stats);
	buf_init(&b);
	buf_printf(
	        &b,
	        "{\"msg\":\"Hello! I am Nacos-Naming and healthy! total services: raft %llu, local port:%u\"}",
	        (unsigned long long)stats.services, rq->worker->proc->listen->port);
	handler_reply_buf(rq, &b);
}
