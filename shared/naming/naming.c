/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/naming/naming.h"

#include "shared/config/config.h"
#include "shared/registry/switches.h"

#define SOURCE_BYTES (64ULL << 20) /* limits.subscriber_bytes_per_source in a large segment */

/* Sets limits that go by the size of the segment, unless the configuration sets them. */
static void share_segment(struct registry_limits *limits, const struct segment *seg)
{
	uint64_t bytes = (uint64_t)seg->pages * SEGMENT_PAGE;

	if (limits->subscriber_bytes == 0)
		limits->subscriber_bytes = bytes / 2;
	if (limits->subscriber_bytes_per_source == 0)
		limits->subscriber_bytes_per_source =
		        bytes / 4 < SOURCE_BYTES ? bytes / 4 : SOURCE_BYTES;
}

void naming_init(struct naming *naming, struct registry *registry, const struct config *config)
{
	*naming = (struct naming){ .registry = registry,
		                   .switches = switches_of(registry->seg),
		                   .config = config };
	naming_reload(naming);
}

void naming_reload(struct naming *naming)
{
	const struct config *config = naming->config;

	naming->registry->limits = (struct registry_limits){
		.instances = config->limit_instances,
		.instances_per_service = config->limit_instances_per_service,
		.services = config->limit_services,
		.subscribers = config->limit_subscribers,
		.subscribers_per_service = config->limit_subscribers_per_service,
		.subscribers_per_source = config->limit_subscribers_per_source,
		.metadata_bytes = config->limit_metadata_bytes,
		.name_bytes = config->limit_name_bytes,
		.clusters_per_service = config->limit_clusters_per_service,
		.namespaces = config->limit_namespaces,
		.service_bytes = config->limit_service_bytes,
		.subscriber_bytes = config->limit_subscriber_bytes,
		.subscriber_bytes_per_source = config->limit_subscriber_bytes_per_source,
	};
	share_segment(&naming->registry->limits, naming->registry->seg);
	destination_init(&naming->destinations, config->push_trusted, config->push_trusted_count);
}
