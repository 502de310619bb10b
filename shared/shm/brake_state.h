/* brake_state.h - what the node brake (keeper/brake.h) remembers beyond the death of the keeper.
 *
 * Written by the keeper only, except `release` and `departures`, which workers write. Every word is stored whole, and none
 * needs another one to be right: a death between two stores leaves a state that was true a tick ago. Times are of the
 * health clock, so what was held when everything stopped is held for as long afterwards. */
#ifndef SHM_BRAKE_STATE_H
#define SHM_BRAKE_STATE_H

#include <stdint.h>

#include "shared/shm/departures.h"

#define BRAKE_BUCKETS 60U

enum brake_phase {
	BRAKE_OPEN,     /* removals go on */
	BRAKE_HOLDING,  /* no removal by expiry */
	BRAKE_RELEASED, /* let go; not armed again before fewer are lost than the share */
};

struct brake_state {
	_Alignas(64) uint64_t state; /* enum brake_phase << 56 | health clock when it began */
	uint64_t release;            /* the `state` that an operator asks to let go: an old request cannot meet a new holding */
	/* As last judged, for people. */
	uint64_t lost;      /* without beats, to be removed within a period */
	uint64_t held;      /* of them, those whose time is over */
	uint64_t removed;   /* by expiry, in the period until then */
	uint64_t instances; /* ephemeral ones */
	/* Removals by expiry: number of the bucket << 32 | count. */
	uint64_t width_ms; /* stored after the buckets of another width were cleared */
	uint64_t buckets[BRAKE_BUCKETS];
	struct departures departures;
};

static inline uint64_t brake_state_word(enum brake_phase phase, uint64_t health_ms)
{
	return (uint64_t)phase << 56 | (health_ms & 0xffffffffffffffULL);
}

static inline enum brake_phase brake_state_phase(uint64_t word)
{
	return word >> 56 <= BRAKE_RELEASED ? (enum brake_phase)(word >> 56) : BRAKE_OPEN;
}

static inline uint64_t brake_state_since(uint64_t word)
{
	return word & 0xffffffffffffffULL;
}

#endif
