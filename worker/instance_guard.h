/* SPDX-License-Identifier: Apache-2.0 */
/* instance_guard.h - what a client may do to instances: its own ones only (instances.owner), with timeouts that make sense
 * (instances.timeout_min, instances.timeout_max).
 *
 * Ownership is by the address of the connection, which a client cannot choose. It is off by default: instances behind one
 * proxy have one address, and one that moves has another. An instance that was registered while it was off has no owner; the
 * next one that registers it becomes its owner. Sources of operator.allow may change every instance and own none. */
#ifndef WORKER_INSTANCE_GUARD_H
#define WORKER_INSTANCE_GUARD_H

#include "shared/registry/registry.h"
#include "worker/request.h"

/* The origin of a write to instances. */
struct origin guard_origin(const struct request *rq, enum cause cause);
/* Timings from metadata of a client: each within the limits of the configuration, never compared with each other. Counted. */
void guard_timings(const struct request *rq, struct instance_metadata *metadata);

#endif
