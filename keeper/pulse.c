/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/pulse.h"

#include <stdbool.h>

#include "shared/base/clock.h"
#include "shared/metrics/metrics.h"
#include "shared/process/process.h"
#include "shared/shm/health.h"
#include "shared/shm/slot.h"

/* A worker that has been busy for long may be stuck, and receives nothing meanwhile. */
static bool receives(const struct slot *slot, uint64_t mono_ms)
{
	uint64_t busy = __atomic_load_n(&slot->busy_since_ms, __ATOMIC_RELAXED);

	return __atomic_load_n(&slot->role, __ATOMIC_RELAXED) == ROLE_WORKER &&
	       __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) == SLOT_READY &&
	       __atomic_load_n(&slot->stopped, __ATOMIC_RELAXED) == 0 &&
	       (busy == 0 || busy + PULSE_STUCK_MS >= mono_ms);
}

static bool can_receive(const struct segment *seg, uint64_t mono_ms)
{
	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		if (receives(&seg->slots[i], mono_ms))
			return true;
	}
	return false;
}

void pulse_tick(struct segment *seg)
{
	uint64_t mono_ms = clock_mono_ms();

	health_tick(seg, mono_ms, can_receive(seg, mono_ms));
	metric_add(METRIC_KEEPER_TICKS, 1);
}
