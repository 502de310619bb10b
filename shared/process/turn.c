/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/process/turn.h"

#include <inttypes.h>

#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/metrics/metrics.h"

#define MARK_US 1000U

void turn_begin(struct turn *turn, uint64_t now_us)
{
	turn->began_us = now_us;
	if (turn->mark_us != 0 && now_us - turn->mark_us < MARK_US)
		return;
	turn->mark_us = now_us;
	turn->mark_cpu_us = clock_cpu_us();
}

static void note_long_turn(struct turn *turn, uint64_t now_us, uint64_t used_us, const char *kind,
                           struct str what)
{
	char name[300];
	uint64_t skipped;

	metric_add(METRIC_TURN_LONG, 1);
	if (!log_may(&turn->log, now_us / 1000, &skipped))
		return;
	log_warning("op=long-turn kind=%s what=%s ms=%" PRIu64 " cpu_ms=%" PRIu64
	            " skipped=%" PRIu64,
	            kind, log_quote(what, name, sizeof(name)), (now_us - turn->began_us) / 1000,
	            used_us / 1000, skipped);
}

bool turn_end(struct turn *turn, uint64_t now_us, const char *kind, struct str what)
{
	uint64_t us = now_us - turn->began_us, used_us;

	metric_observe(METRIC_TIME_TURN, us);
	if (us < TURN_LONG_US || (used_us = clock_cpu_us() - turn->mark_cpu_us) < TURN_LONG_US)
		return false;
	note_long_turn(turn, now_us, used_us, kind, what);
	return true;
}
