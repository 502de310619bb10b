/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/naming/service.h"

#include "shared/naming/guard.h"
#include "shared/registry/settings.h"

static struct origin origin_of(const struct naming *naming, const struct naming_caller *caller)
{
	return guard_origin(naming, caller, NAMING_SERVICES, CAUSE_OPERATOR);
}

int naming_create_service(const struct naming *naming, const struct naming_caller *caller,
                          const struct service_key *service,
                          const struct service_settings *settings)
{
	return registry_create_service(naming->registry, origin_of(naming, caller), service,
	                               settings);
}

int naming_update_service(const struct naming *naming, const struct naming_caller *caller,
                          const struct service_key *service,
                          const struct service_settings *settings)
{
	return registry_update_service(naming->registry, origin_of(naming, caller), service,
	                               settings);
}

int naming_remove_service(const struct naming *naming, const struct naming_caller *caller,
                          const struct service_key *service)
{
	uint32_t taken;
	int ret;

	if ((ret = guard_departure(naming, caller)) < 0)
		return ret;
	if ((ret = registry_remove_service(naming->registry, origin_of(naming, caller), service,
	                                   &taken)) < 0)
		return ret;
	guard_departed(naming, caller, taken);
	return 0;
}

int naming_update_cluster(const struct naming *naming, const struct naming_caller *caller,
                          const struct service_key *service, struct str cluster,
                          const struct cluster_settings *settings)
{
	return registry_update_cluster(naming->registry, origin_of(naming, caller), service,
	                               cluster, settings);
}

int naming_renew_checksum(const struct naming *naming, const struct naming_caller *caller,
                          const struct service_key *service, uint64_t id, uint64_t content,
                          const uint8_t checksum[16])
{
	return registry_renew_checksum(naming->registry, origin_of(naming, caller), service, id,
	                               content, checksum);
}

int naming_keep_checksum(const struct naming *naming, const struct service_key *service,
                         uint64_t id, uint64_t content, const uint8_t checksum[16])
{
	return registry_store_checksum(naming->registry, service, id, content, checksum);
}
