/* SPDX-License-Identifier: Apache-2.0 */
/* instance.h - what a client does to its instances.
 *
 * The caller has the right NAMING_INSTANCES. ERR_OWNER: the instance belongs to somebody else
 * (guard.h). Timings in metadata are brought within the limits of the configuration
 * (guard_timings()). ERR_RANGE: a weight that naming_weight_valid() refuses. What the other codes
 * mean, and which of the calls may pause in a fiber, stands in registry.h at the operation of the
 * same name. */
#ifndef NAMING_INSTANCE_H
#define NAMING_INSTANCE_H

#include "shared/naming/naming.h"

/* May a client give this weight? From 0 to INSTANCE_WEIGHT_MAX, and NaN, as in 1.4.8. The functions
 * below ask this; a protocol asks it too where its answers have an order. */
bool naming_weight_valid(double weight);

int naming_register(const struct naming *naming, const struct naming_caller *caller,
                    const struct service_key *service, const struct instance_spec *said) MUST_CHECK;
/* Changes only what is there: ERR_NOT_FOUND, ERR_NO_INSTANCE. */
int naming_update(const struct naming *naming, const struct naming_caller *caller,
                  const struct service_key *service, const struct instance_spec *said) MUST_CHECK;
int naming_patch(const struct naming *naming, const struct naming_caller *caller,
                 const struct service_key *service, const struct instance_key *key,
                 const struct instance_patch *said) MUST_CHECK;
/* Returns 0 also when there was no such instance. ERR_DEPARTURES: guard.h. */
int naming_deregister(const struct naming *naming, const struct naming_caller *caller,
                      const struct service_key *service, const struct instance_key *key) MUST_CHECK;
/* Replaces the metadata of the instance that the caller has read (id, revision). ERR_AGAIN: it has
 * changed since. The timings in *metadata, which may come from what was stored under other limits,
 * become those that are stored. */
int naming_set_metadata(const struct naming *naming, const struct naming_caller *caller,
                        const struct service_key *service, const struct instance_key *key,
                        uint64_t id, uint64_t revision,
                        struct instance_metadata *metadata) MUST_CHECK;
/* Sets health by hand. Whether something else checks this instance is for the caller to ask. */
int naming_set_health(const struct naming *naming, const struct naming_caller *caller,
                      const struct service_key *service, const struct instance_key *key,
                      bool healthy) MUST_CHECK;

#endif
