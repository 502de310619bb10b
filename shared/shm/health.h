/* SPDX-License-Identifier: Apache-2.0 */
/* health.h - the health clock: milliseconds in which somebody could have heard a beat.
 *
 * 64-bit, in the segment header, advanced only by the keeper: min(elapsed, 1.25 s) a
 * tick of 1 s, and by nothing while no worker could receive. Beats store it. Restart, SIGSTOP,
 * suspend and clock steps then need no repair. Between ticks readers add the time
 * since the last one, at most 1 s. 48 bits of it are stored in a beat word.
 *
 * Beat word: bits 0..47 health-clock ms, 48..55 origin node (0 = here), 56..63 flags (BEAT_HEARD).
 * One aligned 64-bit store without a log entry: a death cannot leave it half done.
 * Written only by beat_touch(), which keeps the maximum. */
#ifndef SHM_HEALTH_H
#define SHM_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/shm/segment.h"

#define HEALTH_TICK_MS 1000U
#define HEALTH_STEP_MAX_MS 1250U
/* Flag of a beat word: a beat was heard since it was begun, not only the registration. */
#define BEAT_HEARD (1ULL << 56)

/* The time now, the part since the last tick included. */
uint64_t health_now(const struct segment *seg);
/* Moves the clock on; called by the keeper only. can_receive: at least one worker is ready, running
 * and not stuck. */
void health_tick(struct segment *seg, uint64_t mono_ms, bool can_receive);
/* For the master, at an attach: the clock goes on where it stood, and monotonic time begins
 * here. */
void health_attach(struct segment *seg, uint64_t mono_ms);

static inline uint64_t beat_word(uint64_t health_ms, uint8_t node)
{
	return (health_ms & 0xffffffffffffULL) | (uint64_t)node << 48;
}

static inline uint64_t beat_ms(uint64_t word)
{
	return word & 0xffffffffffffULL;
}

static inline bool beat_heard(uint64_t word)
{
	return (word & BEAT_HEARD) != 0;
}

/* Stores the later of two times, keeps the flags that are set, and adds `flags`. */
void beat_touch(uint64_t *word, uint64_t health_ms, uint8_t node, uint64_t flags);

#endif
