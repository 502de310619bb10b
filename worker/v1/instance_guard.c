/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/v1/instance_guard.h"

#include "shared/metrics/metrics.h"
#include "shared/process/process.h"
#include "worker/v1/gate.h"
#include "worker/v1/routes.h"
#include "worker/worker.h"

static struct origin origin_of(const struct request *rq, enum route_flag right, enum cause cause)
{
	bool owns = rq->worker->proc->config.instances_owner == OWNER_SOURCE;

	ROSTER_ASSERT((rq->route->flags & right) != 0);
	return (struct origin){
		.source = SOURCE_CLIENT,
		.cause = (uint8_t)cause,
		.bound = owns && !gate_is_operator(rq),
		.owns = owns,
		.sender = rq->sender,
	};
}

struct origin guard_origin(const struct request *rq, enum cause cause)
{
	return origin_of(rq, ROUTE_INSTANCES, cause);
}

struct origin guard_service_origin(const struct request *rq, enum cause cause)
{
	return origin_of(rq, ROUTE_SERVICES, cause);
}

static bool clamp(const struct config *config, uint64_t *ms)
{
	uint64_t wanted = *ms;

	if (*ms < config->instances_timeout_min_ms)
		*ms = config->instances_timeout_min_ms;
	else if (*ms > config->instances_timeout_max_ms)
		*ms = config->instances_timeout_max_ms;
	return *ms != wanted;
}

void guard_timings(const struct request *rq, struct instance_metadata *metadata)
{
	const struct config *config = &rq->worker->proc->config;
	struct overrides *overrides = &metadata->overrides;
	unsigned clamped;

	if (!overrides->has)
		return;
	clamped = (unsigned)clamp(config, &overrides->interval_ms) + clamp(config, &overrides->timeout_ms) +
	          clamp(config, &overrides->delete_ms);
	if (clamped > 0)
		metric_add(METRIC_TIMINGS_CLAMPED, clamped);
}
