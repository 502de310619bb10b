/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/v1/routes.h"

#include "shared/shm/slot.h"
#include "worker/v1/handlers.h"

#define NAMING_WRITE (ROUTE_NAMING | ROUTE_INSTANCES)
#define SERVICE_WRITE (ROUTE_NAMING | ROUTE_SERVICES)
#define OPERATOR_WRITE (ROUTE_NAMING | ROUTE_OPERATOR)

/* Makes two rows, for two names of the same. */
#define BOTH(method, first, second, path, handler, flags, about) \
	{ method, first path, handler, flags, about }, \
	{ \
		method, second path, handler, flags, about \
	}
#define INSTANCE(method, path, handler, flags, about) BOTH(method, "/v1/ns/instance", "/v1/ns/api", path, handler, flags, about)
#define OPERATOR(method, path, handler, flags, about) BOTH(method, "/v1/ns/operator", "/v1/ns/ops", path, handler, flags, about)

const struct route routes[] = {
	INSTANCE(METHOD_POST, "", handle_instance_register, NAMING_WRITE, "register an instance"),
	INSTANCE(METHOD_PUT, "", handle_instance_update, NAMING_WRITE, "replace an instance"),
	INSTANCE(METHOD_PATCH, "", handle_instance_patch, NAMING_WRITE, "change fields of an instance"),
	INSTANCE(METHOD_DELETE, "", handle_instance_deregister, NAMING_WRITE, "remove an instance"),
	INSTANCE(METHOD_GET, "", handle_instance_get, ROUTE_NAMING, "one instance"),
	INSTANCE(METHOD_GET, "/list", handle_instance_list, ROUTE_NAMING, "the instances of a service; subscribe to pushes"),
	INSTANCE(METHOD_PUT, "/beat", handle_instance_beat, NAMING_WRITE, "beat of an ephemeral instance"),
	INSTANCE(METHOD_GET, "/statuses", handle_instance_statuses, ROUTE_NAMING | ROUTE_LONG,
	         "health of all instances of a service"),
	INSTANCE(METHOD_PUT, "/metadata/batch", handle_metadata_update, NAMING_WRITE | ROUTE_LONG,
	         "set metadata keys of many instances"),
	INSTANCE(METHOD_DELETE, "/metadata/batch", handle_metadata_delete, NAMING_WRITE | ROUTE_LONG,
	         "remove metadata keys of many instances"),
	{ METHOD_GET, "/v1/ns/api/allDomNames", handle_legacy_names, ROUTE_NAMING | ROUTE_LONG,
	  "names of all services by namespace" },
	{ METHOD_GET, "/v1/ns/api/srvIPXT", handle_legacy_list, ROUTE_NAMING, "the instances of DEFAULT_GROUP@@dom" },
	{ METHOD_GET, "/v1/ns/api/clientBeat", handle_legacy_beat, NAMING_WRITE, "beat of an instance of DEFAULT_GROUP@@dom" },
	OPERATOR(METHOD_GET, "/metrics", handle_operator_metrics, ROUTE_NAMING, "status and counts of the node"),
	OPERATOR(METHOD_GET, "/switches", handle_switches_get, ROUTE_NAMING, "the switches"),
	OPERATOR(METHOD_PUT, "/switches", handle_switches_set, OPERATOR_WRITE, "set a switch (doc/switches.md)"),
	OPERATOR(METHOD_GET, "/push/state", handle_operator_push_state, ROUTE_NAMING, "counts of pushes"),
	OPERATOR(METHOD_GET, "/servers", handle_operator_servers, ROUTE_NAMING, "the nodes"),
	OPERATOR(METHOD_GET, "/server/status", handle_operator_server_status, ROUTE_NAMING, "load of a peer; ignored"),
	OPERATOR(METHOD_GET, "/distro/server", handle_operator_distro_server, ROUTE_NAMING, "the node responsible for a service"),
	OPERATOR(METHOD_GET, "/distro/status", handle_operator_distro_status, ROUTE_NAMING, "the nodes"),
	OPERATOR(METHOD_GET, "/cluster/state", handle_operator_cluster_state, ROUTE_NAMING, "the old election, not in use"),
	OPERATOR(METHOD_PUT, "/log", handle_operator_log, OPERATOR_WRITE, "log level, until the configuration is read again"),
	{ METHOD_GET, "/v1/ns/raft/state", handle_raft_state, ROUTE_NAMING, "the old election: all peers" },
	{ METHOD_GET, "/v1/ns/raft/leader", handle_raft_leader, ROUTE_NAMING, "the old election: the leader" },
	{ METHOD_GET, "/v1/ns/raft/peer", handle_raft_peer, ROUTE_NAMING, "the old election: this node" },
	{ METHOD_GET, "/v1/ns/operator/brake", handle_brake_get, ROUTE_NAMING, "the node brake (doc/brake.md)" },
	{ METHOD_PUT, "/v1/ns/operator/brake", handle_brake_release, OPERATOR_WRITE, "let go what the node brake holds" },
	{ METHOD_POST, "/v1/ns/service", handle_service_create, SERVICE_WRITE, "create a service" },
	{ METHOD_PUT, "/v1/ns/service", handle_service_update, SERVICE_WRITE, "change the settings of a service" },
	{ METHOD_DELETE, "/v1/ns/service", handle_service_delete, SERVICE_WRITE, "remove a service with its instances" },
	{ METHOD_GET, "/v1/ns/service", handle_service_get, ROUTE_NAMING | ROUTE_LONG, "one service and its clusters" },
	{ METHOD_PUT, "/v1/ns/service/checksum", handle_service_checksum, SERVICE_WRITE | ROUTE_LONG,
	  "checksum of a service, made anew" },
	{ METHOD_GET, "/v1/ns/service/names", handle_service_names, ROUTE_NAMING | ROUTE_LONG,
	  "names of services that match an expression" },
	{ METHOD_POST, "/v1/ns/service/status", handle_service_status, ROUTE_NAMING, "checksums of another server" },
	{ METHOD_GET, "/v1/ns/service/subscribers", handle_service_subscribers, ROUTE_NAMING | ROUTE_LONG,
	  "who is pushed to; with detail=true also who is not, and why" },
	{ METHOD_GET, "/v1/ns/catalog/service", handle_catalog_service, ROUTE_NAMING | ROUTE_LONG,
	  "one service as the console shows it" },
	{ METHOD_GET, "/v1/ns/catalog/services", handle_catalog_services, ROUTE_NAMING | ROUTE_LONG,
	  "services with their counts or instances, page by page" },
	{ METHOD_GET, "/v1/ns/catalog/instances", handle_catalog_instances, ROUTE_NAMING | ROUTE_LONG,
	  "instances of a cluster in full, page by page" },
	{ METHOD_GET, "/v1/ns/catalog/rt/service", handle_catalog_rt, ROUTE_NAMING | ROUTE_LONG,
	  "times of the active checks of a service" },
	{ METHOD_PUT, "/v1/ns/cluster", handle_cluster_update, SERVICE_WRITE, "settings and health checker of a cluster" },
	{ METHOD_PUT, "/v1/ns/health", handle_health_update, NAMING_WRITE, "set the health of an instance that nothing checks" },
	{ METHOD_PUT, "/v1/ns/health/instance", handle_health_update, NAMING_WRITE, "the same" },
	{ METHOD_GET, "/v1/ns/health/server", handle_health_server, ROUTE_NAMING, "a sign of life" },
	{ METHOD_GET, "/v1/ns/service/list", handle_service_list, ROUTE_NAMING | ROUTE_LONG,
	  "names of the services, page by page" },
	{ METHOD_GET, "/actuator/health", handle_actuator_health, 0, "is the server up" },
	{ METHOD_GET, "/actuator/health/liveness", handle_actuator_health, 0, "is the process alive" },
	{ METHOD_GET, "/actuator/health/readiness", handle_actuator_readiness, 0, "can it serve" },
	{ METHOD_GET, "/actuator/prometheus", handle_actuator_prometheus, 0, "metrics for Prometheus" },
	{ METHOD_POST, "/v1/auth/login", handle_login, 0, "a token, which nobody checks while there are no users" },
	{ METHOD_POST, "/v1/auth/users/login", handle_login, 0, "the same" },
	{ METHOD_GET, "/v1/core/cluster/self", handle_node_self, 0, "this node" },
	{ METHOD_GET, "/v1/core/cluster/node/self", handle_node_self, 0, "the same" },
	{ METHOD_GET, "/v1/core/cluster/health", handle_node_health, 0, "state of this node" },
	{ METHOD_GET, "/v1/core/cluster/node/self/health", handle_node_health, 0, "the same" },
	{ METHOD_GET, "/v1/core/cluster/nodes", handle_node_list, 0, "the nodes" },
	{ METHOD_GET, "/v1/core/cluster/simple/nodes", handle_node_simple, 0, "addresses of the nodes that are up" },
	{ METHOD_GET, "/v1/console/namespaces", handle_namespace_get, ROUTE_LONG, "the namespaces, or one of them" },
	{ METHOD_POST, "/v1/console/namespaces", handle_namespace_create, ROUTE_OPERATOR, "create a namespace" },
	{ METHOD_PUT, "/v1/console/namespaces", handle_namespace_update, ROUTE_OPERATOR, "change the texts of a namespace" },
	{ METHOD_DELETE, "/v1/console/namespaces", handle_namespace_delete, ROUTE_OPERATOR,
	  "remove a namespace, not its services" },
	{ METHOD_GET, "/v1/console/server/state", handle_console_state, 0, "version and mode" },
	{ METHOD_GET, "/v1/console/health/liveness", handle_console_liveness, 0, "is the process alive" },
	{ METHOD_GET, "/v1/console/health/readiness", handle_console_readiness, 0, "can it serve" },
	{ METHOD_GET, "/", handle_page_index, 0, "a page for people" },
	{ METHOD_GET, "/index.html", handle_page_index, 0, "the same" },
	{ METHOD_GET, "/api.html", handle_page_api, 0, "these routes, as a page" },
};

const unsigned route_count = sizeof(routes) / sizeof(routes[0]);

_Static_assert(sizeof(routes) / sizeof(routes[0]) < SLOT_ROUTES, "each route counts into a row of its own");
