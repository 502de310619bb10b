#include "worker/routes.h"

#include "worker/handlers.h"

#define NAMING_WRITE (ROUTE_NAMING | ROUTE_RESPONSIBLE | ROUTE_WRITE)

const struct route routes[] = {
	{ METHOD_POST, "/v1/ns/instance", handle_instance_register, NAMING_WRITE, "register an instance" },
	{ METHOD_PUT, "/v1/ns/instance", handle_instance_update, NAMING_WRITE, "replace an instance" },
	{ METHOD_PATCH, "/v1/ns/instance", handle_instance_patch, NAMING_WRITE, "change fields of an instance" },
	{ METHOD_DELETE, "/v1/ns/instance", handle_instance_deregister, NAMING_WRITE, "remove an instance" },
	{ METHOD_GET, "/v1/ns/instance", handle_instance_get, ROUTE_NAMING, "one instance" },
	{ METHOD_GET, "/v1/ns/instance/list", handle_instance_list, ROUTE_NAMING,
	  "the instances of a service; subscribe to pushes" },
	{ METHOD_PUT, "/v1/ns/instance/beat", handle_instance_beat, NAMING_WRITE, "beat of an ephemeral instance" },
	{ METHOD_GET, "/v1/ns/instance/statuses", handle_instance_statuses, ROUTE_NAMING,
	  "health of all instances of a service" },
	{ METHOD_PUT, "/v1/ns/instance/metadata/batch", handle_metadata_update, NAMING_WRITE,
	  "set metadata keys of many instances" },
	{ METHOD_DELETE, "/v1/ns/instance/metadata/batch", handle_metadata_delete, NAMING_WRITE,
	  "remove metadata keys of many instances" },
	{ METHOD_GET, "/v1/ns/operator/metrics", handle_operator_metrics, ROUTE_NAMING, "status and counts of the node" },
	{ METHOD_GET, "/v1/ns/operator/switches", handle_operator_switches, ROUTE_NAMING, "the switches" },
	{ METHOD_POST, "/v1/ns/service", handle_service_create, ROUTE_NAMING | ROUTE_WRITE, "create a service" },
	{ METHOD_PUT, "/v1/ns/service", handle_service_update, ROUTE_NAMING | ROUTE_WRITE, "change the settings of a service" },
	{ METHOD_DELETE, "/v1/ns/service", handle_service_delete, ROUTE_NAMING | ROUTE_WRITE,
	  "remove a service with its instances" },
	{ METHOD_GET, "/v1/ns/service", handle_service_get, ROUTE_NAMING, "one service and its clusters" },
	{ METHOD_PUT, "/v1/ns/service/checksum", handle_service_checksum, ROUTE_NAMING | ROUTE_WRITE,
	  "checksum of a service, made anew" },
	{ METHOD_GET, "/v1/ns/service/subscribers", handle_service_subscribers, ROUTE_NAMING, "who is pushed to" },
	{ METHOD_GET, "/v1/ns/service/names", handle_service_names, ROUTE_NAMING, "names of services that match an expression" },
	{ METHOD_POST, "/v1/ns/service/status", handle_service_status, ROUTE_NAMING, "checksums of another server" },
	{ METHOD_GET, "/v1/ns/catalog/service", handle_catalog_service, ROUTE_NAMING, "one service as the console shows it" },
	{ METHOD_GET, "/v1/ns/catalog/services", handle_catalog_services, ROUTE_NAMING,
	  "services with their counts or instances, page by page" },
	{ METHOD_GET, "/v1/ns/catalog/instances", handle_catalog_instances, ROUTE_NAMING,
	  "instances of a cluster in full, page by page" },
	{ METHOD_GET, "/v1/ns/catalog/rt/service", handle_catalog_rt, ROUTE_NAMING, "times of the active checks of a service" },
	{ METHOD_PUT, "/v1/ns/cluster", handle_cluster_update, ROUTE_NAMING | ROUTE_WRITE,
	  "settings and health checker of a cluster" },
	{ METHOD_PUT, "/v1/ns/health", handle_health_update, NAMING_WRITE, "set the health of an instance that nothing checks" },
	{ METHOD_PUT, "/v1/ns/health/instance", handle_health_update, NAMING_WRITE, "the same" },
	{ METHOD_GET, "/v1/ns/health/server", handle_health_server, ROUTE_NAMING, "a sign of life" },
	{ METHOD_GET, "/v1/ns/service/list", handle_service_list, ROUTE_NAMING, "names of the services, page by page" },
	{ METHOD_GET, "/v1/console/health/liveness", handle_console_liveness, 0, "is the process alive" },
	{ METHOD_GET, "/v1/console/health/readiness", handle_console_readiness, 0, "can it serve" },
};

const unsigned route_count = sizeof(routes) / sizeof(routes[0]);
