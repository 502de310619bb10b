/* SPDX-License-Identifier: Apache-2.0 */
/* handlers.h - the handlers that the route table names, and what they share.
 *
 * Each reads its parameters in the order the specification checks them, reads the registry, or
 * writes instances, services and clusters through shared/naming, and answers once. A handler never
 * sends a push and keeps nothing between requests. */
#ifndef WORKER_V1_HANDLERS_H
#define WORKER_V1_HANDLERS_H

#include <stdbool.h>

#include "shared/base/breath.h"
#include "shared/metrics/metrics.h"
#include "shared/registry/registry.h"
#include "worker/v1/params.h"
#include "worker/v1/reply.h"
#include "worker/v1/v1.h"

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

#define HANDLER_VERSION \
	"1.4.8" /* the protocol spoken, where clients and consoles ask for a version */

/* Reads namespace and grouped service name. Returns false when the request was answered. */
static inline bool handler_service_key(struct request *rq, struct service_key *key_r)
{
	key_r->ns = request_namespace(rq);
	return request_service(rq, &key_r->name);
}

/* ---- what they share: in handler_shared.c, unless it says where ------------------------------ */

/* The same without the format check: bound (an absent name is answered 500) or required (an absent
 * or empty one is answered 400). */
bool handler_bound_service(struct request *rq, struct service_key *key_r);
bool handler_required_service(struct request *rq, struct service_key *key_r);
/* How an unknown service is answered (500): what stands before its name, and what behind. */
struct handler_unknown {
	const char *before, *behind;
};
extern const struct handler_unknown handler_unknown_service; /* "service NAME is not found!" */
/* Copies the settings of the service, without its instances, into the request's view. Returns false
 * when the request was answered instead: the service is unknown, or could not be read. */
bool handler_settings(struct request *rq, const struct service_key *key);
/* Looks at what registry_view(), or one like it, returned for the request's view, and returns as
 * handler_settings(). */
bool handler_viewed(struct request *rq, int ret, const struct service_key *key,
                    const struct handler_unknown *unknown);
/* Reads metadata of any kind (2.6). Returns false when the request was answered. */
bool handler_parse_metadata(struct request *rq, struct str text,
                            struct instance_metadata *metadata_r);
/* Returns the group part of group@@service. */
struct str handler_group_of(struct str grouped);
/* Returns the JSON of a cluster's health checker, TCP when none is set. */
struct str handler_checker_of(const struct cluster_view *cluster);

/* Makes a pattern of a client's regular expression; the caller frees it. Returns false when the
 * request was answered. This and the next two are in handler_names.c. */
bool handler_pattern(struct request *rq, struct str text, struct pattern **pattern_r);
/* Matches it with "group@@service:[]", as 1.4.8 does (5.6). Returns 1, 0 or an error for
 * handler_pattern_failed(), which answers. */
int handler_pattern_service(struct pattern *pattern, struct arena *arena, struct str name);
void handler_pattern_failed(struct request *rq, int err);

/* Says whether limits.page allows a page of so many rows. Returns false when the request was
 * answered. */
bool handler_page_fits(struct request *rq, uint64_t rows);
/* An answer that is longer than http.memory could not be kept for its client. Returns 0, or
 * ERR_ANSWER for reply_registry_error(). Is called now and then while an answer is made, so that it
 * does not grow to what would be thrown away. */
int handler_answer_fits(struct request *rq, const struct buf *b) MUST_CHECK;
int handler_bytes_fit(struct request *rq, uint64_t bytes) MUST_CHECK;
/* The weight of a look into the registry at one of many services, whose pages may be cold: the
 * clock is looked at every second time. */
#define SERVICE_WEIGHT (BREATH_WEIGHT / 2)
/* Is called when a row of that weight (breath.h) was written to b: lets others have their turn.
 * Returns 0, ERR_ANSWER when b is too long, or ERR_GONE. */
int handler_go_on(struct request *rq, const struct buf *b, struct breath *breath,
                  size_t weight) MUST_CHECK;

/* Says what is wrong with the format of a grouped name (2.2), or returns NULL. */
const char *handler_name_refusal(struct str name);

/* Answers ERR_DEPARTURES, that is, brake.deregister was reached. Is in handler_brake.c. */
void handler_reply_departures(struct request *rq);

/* Write "ip:port" of this node as a JSON string, and the node as its cluster would see it. Are in
 * handler_node.c. */
void handler_put_address(struct buf *b, const struct process *proc);
void handler_put_member(struct buf *b, const struct process *proc);

/* Returns the load of the machine, read at most once a second. Is in handler_operator.c. */
const struct host_load *handler_host_load(struct worker *worker);

/* Writes the datum key of 2.5. */
void handler_put_datum_key(struct buf *b, struct str ip, int32_t port, struct str cluster);

/* Answers with b, or with 503 if memory was short while it was made. Leaves *b empty. */
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
