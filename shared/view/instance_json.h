/* SPDX-License-Identifier: Apache-2.0 */
/* instance_json.h - the full JSON of one instance: catalog and console, later between nodes
 * (specification 6.1). */
#ifndef VIEW_INSTANCE_JSON_H
#define VIEW_INSTANCE_JSON_H

#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/registry/registry.h"

/* Two clocks read at the same time: beats are kept by the health clock and shown by the wall
 * clock. */
struct instance_json_clock {
	uint64_t health_ms, wall_ms;
};

/* Writes the object. Fields that are null (metadata, app) are left out. The cluster of the instance
 * has to be in the view, as it is in a page of a cluster (registry_page()). */
void instance_json(struct buf *b, const struct service_view *view,
                   const struct instance_view *instance, struct instance_json_clock now);

#endif
