/* SPDX-License-Identifier: Apache-2.0 */
/* guard.h - what a caller may do to instances, services and clusters: the one place where origins
 * of clients' writes are made.
 *
 * The right: a protocol says what each kind of its requests writes (enum naming_right). An origin
 * for anything else is a bug of that protocol, not a wish of the client: the process ends
 * (ROSTER_ASSERT).
 *
 * The owner (instances.owner: source; off by default): the address of the connection, which a
 * client cannot choose. Off, since instances behind one proxy have one address, and one that moves
 * has another.
 *     an instance   is changed, beaten and removed by its owner and by operators (operator.allow)
 *     a service     has no owner of its own: its settings, those of its clusters and its checksum
 *                   are changed, and it is removed, by operators and by who owns every instance in
 *                   it that has an owner. An empty one is free. So a client may create a service,
 *                   set it up and register then; once instances of several hosts are in it, it is
 *                   the operators'. A console belongs into operator.allow
 *     what is new   is free for all: a service, an instance in any service
 * Whoever registers an instance owns it, operators too. Registered again it keeps its owner. One
 * that was registered while the key was off has none and may be changed by all; the next client
 * that registers it owns it. An operator takes it over only when it was heard from the operator's
 * own source last: the console that corrects a weight must not lock out who beats. */
#ifndef NAMING_GUARD_H
#define NAMING_GUARD_H

#include "shared/naming/naming.h"
#include "shared/shm/ring.h"

/* Returns the origin of a write. needed: the right that the caller must have for it,
 * NAMING_INSTANCES or NAMING_SERVICES. */
struct origin guard_origin(const struct naming *naming, const struct naming_caller *caller,
                           enum naming_right needed, enum cause cause);
/* Timings from metadata of a client: each is brought within the limits of the configuration
 * (instances.timeout_min, instances.timeout_max) and counted; they are never compared with each
 * other. The functions of this folder that take metadata of an instance call it; a protocol need
 * not. */
void guard_timings(const struct naming *naming, struct instance_metadata *metadata);

/* Departures (brake.deregister; 0: off): instances that one source has taken away within
 * brake.period, whichever process it asked. A unix socket is no source and has no limit.
 * ERR_DEPARTURES, counted: the caller's source has taken away that many already. The one request
 * that reaches the number may go beyond it, by a service with many instances. */
int guard_departure(const struct naming *naming, const struct naming_caller *caller) MUST_CHECK;
/* Counts what a write has taken away for the caller's source. */
void guard_departed(const struct naming *naming, const struct naming_caller *caller,
                    uint32_t taken);

#endif
