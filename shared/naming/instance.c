/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/naming/instance.h"

#include "shared/metrics/metrics.h"
#include "shared/naming/guard.h"

bool naming_weight_valid(double weight)
{
	return !(weight < 0.0 || weight > INSTANCE_WEIGHT_MAX);
}

/* Makes of what a client says of its instance what may be stored of it. */
static int admit(const struct naming *naming, const struct instance_spec *said,
                 struct instance_spec *spec_r)
{
	if (!naming_weight_valid(said->weight))
		return ERR_RANGE;
	*spec_r = *said;
	guard_timings(naming, &spec_r->metadata);
	return 0;
}

int naming_register(const struct naming *naming, const struct naming_caller *caller,
                    const struct service_key *service, const struct instance_spec *said)
{
	struct origin origin = guard_origin(naming, caller, NAMING_INSTANCES, CAUSE_CLIENT);
	struct instance_spec spec;
	int ret = admit(naming, said, &spec);

	if (ret == 0)
		ret = registry_register(naming->registry, origin, service, &spec);
	if (ret == 0)
		metric_add(METRIC_REGISTERS, 1);
	return ret;
}

int naming_update(const struct naming *naming, const struct naming_caller *caller,
                  const struct service_key *service, const struct instance_spec *said)
{
	struct origin origin = guard_origin(naming, caller, NAMING_INSTANCES, CAUSE_CLIENT);
	struct instance_spec spec;
	int ret = admit(naming, said, &spec);

	return ret < 0 ? ret : registry_update(naming->registry, origin, service, &spec);
}

int naming_patch(const struct naming *naming, const struct naming_caller *caller,
                 const struct service_key *service, const struct instance_key *key,
                 const struct instance_patch *said)
{
	struct origin origin = guard_origin(naming, caller, NAMING_INSTANCES, CAUSE_CLIENT);
	struct instance_patch patch = *said;

	if (patch.set_weight && !naming_weight_valid(patch.weight))
		return ERR_RANGE;
	if (patch.set_metadata)
		guard_timings(naming, &patch.metadata);
	return registry_patch(naming->registry, origin, service, key, &patch);
}

int naming_deregister(const struct naming *naming, const struct naming_caller *caller,
                      const struct service_key *service, const struct instance_key *key)
{
	struct origin origin = guard_origin(naming, caller, NAMING_INSTANCES, CAUSE_CLIENT);
	uint32_t taken;
	int ret;

	if ((ret = guard_departure(naming, caller)) < 0)
		return ret;
	if ((ret = registry_deregister(naming->registry, origin, service, key, &taken)) < 0)
		return ret;
	metric_add(METRIC_DEREGISTERS, 1);
	guard_departed(naming, caller, taken);
	return 0;
}

int naming_set_metadata(const struct naming *naming, const struct naming_caller *caller,
                        const struct service_key *service, const struct instance_key *key,
                        uint64_t id, uint64_t revision, struct instance_metadata *metadata)
{
	struct origin origin = guard_origin(naming, caller, NAMING_INSTANCES, CAUSE_CLIENT);

	guard_timings(naming, metadata);
	return registry_set_metadata(naming->registry, origin, service, key, id, revision,
	                             metadata);
}

int naming_set_health(const struct naming *naming, const struct naming_caller *caller,
                      const struct service_key *service, const struct instance_key *key,
                      bool healthy)
{
	struct origin origin = guard_origin(naming, caller, NAMING_INSTANCES, CAUSE_OPERATOR);

	return registry_set_health(naming->registry, origin, service, key, healthy);
}
