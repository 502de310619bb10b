/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/naming/guard.h"

#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/config/config.h"
#include "shared/metrics/metrics.h"
#include "shared/net/address.h"
#include "shared/shm/brake_state.h"
#include "shared/shm/departures.h"

struct origin guard_origin(const struct naming *naming, const struct naming_caller *caller,
                           enum naming_right needed, enum cause cause)
{
	bool owns = naming->config->instances_owner == OWNER_SOURCE;

	ROSTER_ASSERT(needed != NAMING_READS && caller->right == needed);
	return (struct origin){
		.writer = WRITER_CLIENT,
		.cause = (uint8_t)cause,
		.bound = owns && !caller->is_operator,
		.owns = owns,
		.sender = registry_sender(naming->registry, caller->source),
	};
}

/* Brings a timing within the limits of the configuration; returns true when it was outside. */
static bool clamp(const struct config *config, uint64_t *ms)
{
	uint64_t wanted = *ms;

	if (*ms < config->instances_timeout_min_ms)
		*ms = config->instances_timeout_min_ms;
	else if (*ms > config->instances_timeout_max_ms)
		*ms = config->instances_timeout_max_ms;
	return *ms != wanted;
}

void guard_timings(const struct naming *naming, struct instance_metadata *metadata)
{
	const struct config *config = naming->config;
	struct overrides *overrides = &metadata->overrides;
	unsigned clamped;

	if (!overrides->has)
		return;
	clamped = (unsigned)clamp(config, &overrides->interval_ms) +
	          clamp(config, &overrides->timeout_ms) + clamp(config, &overrides->delete_ms);
	if (clamped > 0)
		metric_add(METRIC_TIMINGS_CLAMPED, clamped);
}

int guard_departure(const struct naming *naming, const struct naming_caller *caller)
{
	const struct departures *departures = &naming->registry->seg->brake->departures;
	const struct config *config = naming->config;

	/* All clients of a unix socket have one address, which is none. */
	if (config->brake_deregister == 0 || address_is_zero(caller->source) ||
	    departures_of(departures, departures_key(caller->source), clock_mono_ms(),
	                  config->brake_period_ms) < config->brake_deregister)
		return 0;
	metric_add(METRIC_DEREGISTER_REFUSED, 1);
	return ERR_DEPARTURES;
}

void guard_departed(const struct naming *naming, const struct naming_caller *caller, uint32_t taken)
{
	if (taken > 0 && !address_is_zero(caller->source))
		departures_add(&naming->registry->seg->brake->departures,
		               departures_key(caller->source), clock_mono_ms(),
		               naming->config->brake_period_ms, taken);
}
