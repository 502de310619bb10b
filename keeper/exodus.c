/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/exodus.h"

#include "keeper/brake.h"
#include "shared/base/log.h"
#include "shared/base/word.h"
#include "shared/metrics/metrics.h"
#include "shared/shm/brake_state.h"

static void alarm_begin(struct departures_source *source, uint64_t key, uint64_t count, uint64_t of)
{
	char text[DEPARTURES_TEXT];

	/* The mark comes first: a keeper that dies behind it leaves an alarm unsaid, instead of a
	 * successor that says it again. */
	word_store(&source->alarm, 1);
	metric_add(METRIC_DEREGISTER_ALARMS, 1);
	log_error("op=deregister-alarm state=begin source=%s deregistered=%llu of=%llu",
	          departures_text(key, text), (unsigned long long)count, (unsigned long long)of);
}

static void alarm_end(struct departures_source *source, uint64_t key, uint64_t count)
{
	char text[DEPARTURES_TEXT];

	word_store(&source->alarm, 0);
	log_info("op=deregister-alarm state=end source=%s deregistered=%llu",
	         departures_text(key, text), (unsigned long long)count);
}

/* A share is that of the instances that were there: those of now and those the source took. */
void exodus_tick(struct segment *seg, const struct config *config, uint64_t instances,
                 uint64_t mono_ms)
{
	for (unsigned i = 0; i < DEPARTURES; i++) {
		struct departures_source *source = &seg->brake->departures.sources[i];
		uint64_t key = word_load(&source->key), count, of;
		bool alarm = word_load(&source->alarm) != 0;

		if (key == 0)
			continue;
		count = departures_count(source, mono_ms, config->brake_period_ms);
		of = instances + count;
		/* With the brake switched off there are no alarms, and those that there were
		 * end. */
		if (!alarm && config->brake_enabled && brake_too_many(config, count, of))
			alarm_begin(source, key, count, of);
		else if (alarm && !(config->brake_enabled && brake_too_many(config, count, of)))
			alarm_end(source, key, count);
	}
}
