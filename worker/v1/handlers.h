/* SPDX-License-Identifier: Apache-2.0 */
/* handlers.h - the handlers that the route table names, and what they share.
 *
 * Each reads its parameters in the order the specification checks them, calls the registry and
 * answers once. A handler never sends a push and keeps nothing between requests. */
#ifndef WORKER_V1_HANDLERS_H
#define WORKER_V1_HANDLERS_H

#include <stdbool.h>

#include "shared/base/breath.h"
#include "shared/metrics/metrics.h"
#include "shared/registry/registry.h"
#include "worker/v1/params.h"
#include "worker/v1/reply.h"

/* handler_instance.c: specification 4.1 to 4.5, 4.8 */
void handle_instance_register(struct request *rq);
void handle_instance_update(struct request *rq);
void handle_instance_patch(struct request *rq);
void handle_instance_deregister(struct request *rq);
void handle_instance_get(struct request *rq);
void handle_instance_statuses(struct request *rq);
/* handler_metadata.c: 4.9 */
void handle_metadata_update(struct request *rq);
void handle_metadata_delete(struct request *rq);
/* handler_list.c: 4.6 */
void handle_instance_list(struct request *rq);
/* handler_beat.c: 4.7 */
void handle_instance_beat(struct request *rq);
/* handler_operator.c: 6.4 */
void handle_operator_metrics(struct request *rq);
void handle_operator_push_state(struct request *rq);
void handle_operator_servers(struct request *rq);
void handle_operator_server_status(struct request *rq);
void handle_operator_distro_server(struct request *rq);
void handle_operator_distro_status(struct request *rq);
void handle_operator_cluster_state(struct request *rq);
void handle_operator_log(struct request *rq);
/* handler_node.c: members and the old election, 1.6 and 7.3 of the cluster's specification */
void handle_node_self(struct request *rq);
void handle_node_health(struct request *rq);
void handle_node_list(struct request *rq);
void handle_node_simple(struct request *rq);
void handle_raft_peer(struct request *rq);
void handle_raft_leader(struct request *rq);
void handle_raft_state(struct request *rq);
/* handler_auth.c: 1.4 of the console's specification */
void handle_login(struct request *rq);
/* handler_pages.c */
void handle_page_index(struct request *rq);
void handle_page_api(struct request *rq);
/* handler_brake.c: the node brake (doc/brake.md) */
void handle_brake_get(struct request *rq);
void handle_brake_release(struct request *rq);
/* handler_switches.c: 10 */
void handle_switches_get(struct request *rq);
void handle_switches_set(struct request *rq);
/* handler_legacy.c: 6.5 */
void handle_legacy_names(struct request *rq);
void handle_legacy_list(struct request *rq);
void handle_legacy_beat(struct request *rq);
/* handler_namespaces.c: section 2 of the console's specification */
void handle_namespace_get(struct request *rq);
void handle_namespace_create(struct request *rq);
void handle_namespace_update(struct request *rq);
void handle_namespace_delete(struct request *rq);
/* handler_service.c: 5.5 */
void handle_service_list(struct request *rq);
/* handler_service_edit.c: 5.1 to 5.4, 5.8 */
void handle_service_create(struct request *rq);
void handle_service_update(struct request *rq);
void handle_service_delete(struct request *rq);
void handle_service_get(struct request *rq);
void handle_service_checksum(struct request *rq);
/* handler_names.c: 5.6, 5.7 */
void handle_service_names(struct request *rq);
void handle_service_status(struct request *rq);
/* handler_catalog.c, handler_catalog_services.c: 6.1 */
void handle_catalog_service(struct request *rq);
void handle_catalog_instances(struct request *rq);
void handle_catalog_rt(struct request *rq);
void handle_catalog_services(struct request *rq);
/* handler_subscribers.c: 5.9 */
void handle_service_subscribers(struct request *rq);
/* handler_cluster.c: 6.2, 6.3 */
void handle_cluster_update(struct request *rq);
void handle_health_update(struct request *rq);
void handle_health_server(struct request *rq);
/* handler_actuator.c */
void handle_actuator_health(struct request *rq);
void handle_actuator_readiness(struct request *rq);
void handle_actuator_prometheus(struct request *rq);
/* handler_console.c */
void handle_console_liveness(struct request *rq);
void handle_console_readiness(struct request *rq);
void handle_console_state(struct request *rq);

struct pattern;
struct process;

#define HANDLER_VERSION "1.4.8" /* the protocol spoken, where clients and consoles ask for a version */

/* Namespace and grouped service name, else answered. */
static inline bool handler_service_key(struct request *rq, struct service_key *key_r)
{
	key_r->ns = request_namespace(rq);
	return request_service(rq, &key_r->name);
}

/* The same without the format check: bound (absent is 500) or required (absent or empty is 400). False: answered. */
bool handler_bound_service(struct request *rq, struct service_key *key_r);
bool handler_required_service(struct request *rq, struct service_key *key_r);
/* How an unknown service is answered (500): what stands before its name, and what behind. */
struct handler_unknown {
	const char *before, *behind;
};
extern const struct handler_unknown handler_unknown_service; /* "service NAME is not found!" */
/* Copies the settings of the service, without its instances, into rq->view. Returns false when the
 * request was answered instead: the service is unknown, or could not be read. */
bool handler_settings(struct request *rq, const struct service_key *key);
/* Looks at what registry_view(), or one like it, returned for rq->view, and returns as handler_settings(). */
bool handler_viewed(struct request *rq, int ret, const struct service_key *key, const struct handler_unknown *unknown);
/* Metadata of any kind (2.6); false: answered. handler_metadata.c */
bool handler_parse_metadata(struct request *rq, struct str text, struct instance_metadata *metadata_r);
/* Group part of group@@service. */
struct str handler_group_of(struct str grouped);
/* JSON of a cluster's health checker, TCP when none is set. */
struct str handler_checker_of(const struct cluster_view *cluster);

/* A regular expression of a client, free it; false: answered. */
bool handler_pattern(struct request *rq, struct str text, struct pattern **pattern_r);
/* Does it match "group@@service:[]", as there (5.6)? 1, 0 or an error for handler_pattern_failed(), which answers. */
int handler_pattern_service(struct pattern *pattern, struct arena *arena, struct str name);
void handler_pattern_failed(struct request *rq, int err);

/* limits.page: may a page have so many rows? False: answered. handler_service.c */
bool handler_page_fits(struct request *rq, uint64_t rows);
/* http.memory: an answer that is longer could not be kept for its client. 0, or ERR_LIMIT for reply_registry_error(). Called now
 * and then while it is made, so that it does not grow to what would be thrown away. */
int handler_answer_fits(struct request *rq, const struct buf *b) MUST_CHECK;
int handler_bytes_fit(struct request *rq, uint64_t bytes) MUST_CHECK;
/* A look into the registry at one of many services, whose pages may be cold: every second time somebody looks at the clock. */
#define SERVICE_WEIGHT (BREATH_WEIGHT / 2)
/* A row of that weight (breath.h) was written to b, which still fits: others have their turn. ERR_LIMIT, ERR_GONE. */
int handler_go_on(struct request *rq, const struct buf *b, struct breath *breath, size_t weight) MUST_CHECK;

/* Format of a grouped name (2.2): NULL, or what is wrong with it. */
const char *handler_name_refusal(struct str name);

/* Answers ERR_DEPARTURES: brake.deregister was reached. handler_brake.c */
void handler_reply_departures(struct request *rq);

/* "ip:port" of this node as a JSON string, and the node as its cluster would see it. handler_node.c */
void handler_put_address(struct buf *b, const struct process *proc);
void handler_put_member(struct buf *b, const struct process *proc);

/* Load of the machine, read at most once a second. handler_operator.c */
const struct host_load *handler_host_load(struct worker *worker);

/* The datum key of 2.5. */
void handler_put_datum_key(struct buf *b, struct str ip, int32_t port, struct str cluster);

/* 503 when memory is short while the answer is made. Leaves *b empty. */
static inline void handler_reply_buf(struct request *rq, struct buf *b)
{
	reply_json_buf(rq, (struct str){ NULL, 0 }, b, (struct str){ NULL, 0 });
}

/* The same, unless an error came up while it was made, which is answered then. Leaves *b empty. */
static inline void handler_reply_made(struct request *rq, struct buf *b, int ret)
{
	if (ret == 0)
		handler_reply_buf(rq, b);
	else
		reply_registry_error(rq, ret, (struct str){ "", 0 }, (struct str){ "", 0 });
	buf_free(b);
}

#endif
