/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/exodus.h"

#include "keeper/brake.h"
#include "shared/base/log.h"
#include "shared/metrics/metrics.h"
#include "shared/shm/brake_state.h"

static void begin(struct departures_source *source, uint64_t key, uint64_t count, uint64_t of)
{
	char text[DEPARTURES_TEXT];

	__atomic_store_n(&source->alarm, 1, __ATOMIC_RELAXED);
	metric_add(METRIC_DEREGISTER_ALARMS, 1);
	log_error("op=deregister-alarm state=begin source=%s deregistered=%llu of=%llu", departures_text(key, text),
	          (unsigned long long)count, (unsigned long long)of);
}

static void end(struct departures_source *source, uint64_t key, uint64_t count)
{
	char text[DEPARTURES_TEXT];

	__atomic_store_n(&source->alarm, 0, __ATOMIC_RELAXED);
	log_info("op=deregister-alarm state=end source=%s deregistered=%llu", departures_text(key, text),
	         (unsigned long long)count);
}

void exodus_tick(struct segment *seg, const struct config *config, uint64_t instances, uint64_t mono_ms)
{
	for (unsigned i = 0; i < DEPARTURES; i++) {
		struct departures_source *source = &seg->brake->departures.sources[i];
		uint64_t key = __atomic_load_n(&source->key, __ATOMIC_RELAXED), count, of;
		bool alarm = __atomic_load_n(&source->alarm, __ATOMIC_RELAXED) != 0;

		if (key == 0)
			continue;
		count = departures_count(source, mono_ms, config->brake_period_ms);
		of = instances + count;
		if (!alarm && config->brake_enabled && brake_too_many(config, count, of))
			begin(source, key, count, of);
		else if (alarm && !(config->brake_enabled && brake_too_many(config, count, of)))
			end(source, key, count);
	}
}
