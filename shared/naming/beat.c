/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/naming/beat.h"

#include "shared/base/assert.h"
#include "shared/metrics/metrics.h"
#include "shared/naming/guard.h"
#include "shared/registry/switches.h"

/* Registers the instance of a full beat, which nobody knows. */
static int compensate(const struct naming *naming, const struct naming_caller *caller,
                      const struct naming_beat *beat)
{
	const struct instance_spec spec = {
		.key = beat->key,
		.weight = beat->weight,
		.enabled = true,
		.healthy = true,
		.metadata = beat->metadata,
	};
	struct origin origin = guard_origin(naming, caller, NAMING_INSTANCES, CAUSE_COMPENSATION);
	int ret;

	ROSTER_ASSERT(!beat->light); /* it does not say enough of its instance */
	if (beat->key.ip.n == 0)
		return ERR_RANGE;
	if ((ret = registry_register(naming->registry, origin, &beat->service, &spec)) < 0)
		return ret;
	metric_add(METRIC_REGISTERS, 1);
	return 0;
}

static int beat_unknown(const struct naming *naming, const struct naming_caller *caller,
                        const struct naming_beat *beat, struct naming_beat_result *result_r)
{
	const struct overrides *overrides = &beat->metadata.overrides;
	int ret;

	metric_add(METRIC_BEATS_UNKNOWN, 1);
	result_r->outcome = NAMING_BEAT_UNKNOWN;
	if (beat->light)
		return 0;
	if ((ret = compensate(naming, caller, beat)) < 0)
		return ret;
	result_r->outcome = NAMING_BEAT_REGISTERED;
	/* The registry has not told the interval, so it comes from the beat itself. */
	if (overrides->has_interval)
		result_r->interval_ms = overrides->interval_ms;
	return 0;
}

int naming_beat(const struct naming *naming, const struct naming_caller *caller,
                const struct naming_beat *beat, struct naming_beat_result *result_r)
{
	struct origin origin = guard_origin(naming, caller, NAMING_INSTANCES, CAUSE_BEAT);
	struct naming_beat guarded;
	struct beat_result known;
	int ret;

	metric_add(METRIC_BEATS, 1);
	if (!beat->light) {
		guarded = *beat;
		guard_timings(naming, &guarded.metadata);
		beat = &guarded;
	}
	ret = registry_beat(naming->registry, origin, &beat->service, &beat->key, &known);
	*result_r = (struct naming_beat_result){ NAMING_BEAT_RENEWED,
		                                 naming->switches->beat_interval_ms };
	if (ret == ERR_NOT_FOUND)
		return beat_unknown(naming, caller, beat, result_r);
	if (ret < 0)
		return ret;
	if (known.revived)
		metric_add(METRIC_BEATS_REVIVED, 1);
	if (known.has_interval)
		result_r->interval_ms = known.interval_ms;
	return 0;
}
