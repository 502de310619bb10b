/* SPDX-License-Identifier: Apache-2.0 */
/* settings.h - what is set on purpose for a service or a cluster (specification 5.1-5.4, 6.2).
 *
 * Settings live in the segment: they survive the death of every process, not a reboot. A change
 * raises the service's revision (caches) and is queued as CHANGE_SETTINGS, which does not push.
 * Same rules as registry.h: one shard lock, wholly or not at all, ERR_FULL / ERR_LOCK / ERR_UNDO /
 * ERR_CORRUPT / ERR_LIMIT / ERR_NOMEM common to all, ERR_OWNER (origin.bound) to changes of what is
 * there. */
#ifndef REGISTRY_SETTINGS_H
#define REGISTRY_SETTINGS_H

#include "shared/registry/registry.h"

struct service_settings {
	float threshold;
	struct str metadata; /* msgpack map, unset: {} */
	struct str selector; /* JSON text exactly as it is shown, unset: none */
};

/* Makes a service without clusters that is SERVICE_EXPLICIT. ERR_EXISTS, ERR_SERVICE_NAME. */
int registry_create_service(struct registry *reg, struct origin origin,
                            const struct service_key *service,
                            const struct service_settings *settings) MUST_CHECK;
/* Replaces all three settings. ERR_NOT_FOUND. */
int registry_update_service(struct registry *reg, struct origin origin,
                            const struct service_key *service,
                            const struct service_settings *settings) MUST_CHECK;

struct cluster_settings {
	int32_t check_port;
	bool use_instance_port;
	struct str checker; /* JSON text as shown, "type" first; unset: TCP */
	bool set_metadata;
	struct str metadata; /* msgpack map, unset: {} */
};

/* Sets up a cluster and creates an unknown one (ERR_CLUSTER_NAME). ERR_NOT_FOUND: there is no
 * service. */
int registry_update_cluster(struct registry *reg, struct origin origin,
                            const struct service_key *service, struct str cluster,
                            const struct cluster_settings *settings) MUST_CHECK;

#endif
