/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/shm/health.h"

#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/shm/fault.h"

/* Bits of a beat word that are not the time. */
#define BEAT_NODE_SHIFT 48
#define BEAT_TIME_MASK 0xffffffffffffULL

static uint64_t since(uint64_t mono_ms, uint64_t then_ms)
{
	return mono_ms > then_ms ? mono_ms - then_ms : 0;
}

/* The keeper stores the instant before the sum. So what a reader can see between the two is a clock
 * that is one tick behind for some nanoseconds, and never one that runs ahead. */
uint64_t health_now(const struct segment *seg)
{
	uint64_t health, mono, elapsed;

	do {
		health = __atomic_load_n(&seg->header->health_ms, __ATOMIC_ACQUIRE);
		mono = __atomic_load_n(&seg->header->health_mono_ms, __ATOMIC_ACQUIRE);
	} while (health != __atomic_load_n(&seg->header->health_ms, __ATOMIC_ACQUIRE));
	elapsed = since(clock_mono_ms(), mono);
	return health + (elapsed < HEALTH_TICK_MS ? elapsed : HEALTH_TICK_MS);
}

void health_tick(struct segment *seg, uint64_t mono_ms, bool can_receive)
{
	struct segment_header *header = seg->header;
	uint64_t elapsed = since(mono_ms, header->health_mono_ms);

	/* While the keeper stood still, perhaps nobody could be heard: better to expire late than
	 * early. */
	if (elapsed > HEALTH_STEP_MAX_MS)
		elapsed = HEALTH_STEP_MAX_MS;
	__atomic_store_n(&header->health_mono_ms, mono_ms, __ATOMIC_RELEASE);
	FAULT("health-instant");
	if (!can_receive)
		return;
	__atomic_store_n(&header->health_ms, header->health_ms + elapsed, __ATOMIC_RELEASE);
	__atomic_store_n(&header->health_guard, ~header->health_ms, __ATOMIC_RELEASE);
	FAULT("health-sum");
	__atomic_store_n(&header->served_at_ms, clock_boot_ms(), __ATOMIC_RELAXED);
}

void health_attach(struct segment *seg, uint64_t mono_ms)
{
	__atomic_store_n(&seg->header->health_mono_ms, mono_ms, __ATOMIC_RELEASE);
}

void beat_touch(uint64_t *word, uint64_t health_ms, uint8_t node, uint64_t flags)
{
	uint64_t old = __atomic_load_n(word, __ATOMIC_RELAXED);
	uint64_t kept = old & ~(BEAT_TIME_MASK | 0xffULL << BEAT_NODE_SHIFT);

	ROSTER_ASSERT((uintptr_t)word % sizeof(*word) == 0); /* or the store would not be whole */
	ROSTER_ASSERT(flags << 8 == 0);
	/* Not a compare-and-swap: writers of one instance have its shard's lock, readers need only
	 * whole words. */
	if ((health_ms & BEAT_TIME_MASK) >= beat_ms(old))
		__atomic_store_n(word, beat_word(health_ms, node) | kept | flags, __ATOMIC_RELAXED);
	FAULT("beat-touched");
}
