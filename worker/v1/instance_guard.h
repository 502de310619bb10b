/* SPDX-License-Identifier: Apache-2.0 */
/* instance_guard.h - what a request may do to instances, services and clusters: the one place where origins of writes are made.
 *
 * The right: a row of the route table says what its handler writes (enum route_flag). An origin for anything else is a bug here,
 * not a wish of the client: the worker ends (ROSTER_ASSERT). Rows of ROUTE_OPERATOR write nothing of this and need no origin.
 *
 * The owner (instances.owner: source; off by default): the address of the connection, which a client cannot choose. Off, since
 * instances behind one proxy have one address, and one that moves has another.
 *     an instance   is changed, beaten and removed by its owner and by operators (operator.allow)
 *     a service     has no owner of its own: its settings, those of its clusters and its checksum are changed, and it is
 *                   removed, by operators and by who owns every instance in it that has an owner. An empty one is free. So a
 *                   client may create a service, set it up and register then; once instances of several hosts are in it, it
 *                   is the operators'. A console belongs into operator.allow
 *     what is new   is free for all: a service, an instance in any service
 * Whoever registers an instance owns it, operators too. Registered again it keeps its owner. One that was registered while the
 * key was off has none and may be changed by all; the next client that registers it owns it. An operator takes it over only when
 * it was heard from the operator's own source last: the console that corrects a weight must not lock out who beats. */
#ifndef WORKER_V1_INSTANCE_GUARD_H
#define WORKER_V1_INSTANCE_GUARD_H

#include "shared/registry/registry.h"
#include "worker/http/request.h"

/* The origin of a write to instances: the route has ROUTE_INSTANCES. */
struct origin guard_origin(const struct request *rq, enum cause cause);
/* The origin of a write to a service or to its clusters: the route has ROUTE_SERVICES. */
struct origin guard_service_origin(const struct request *rq, enum cause cause);
/* Timings from metadata of a client: each within the limits of the configuration (instances.timeout_min, instances.timeout_max),
 * never compared with each other. Counted. */
void guard_timings(const struct request *rq, struct instance_metadata *metadata);

#endif
