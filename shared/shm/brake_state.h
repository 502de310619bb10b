/* SPDX-License-Identifier: Apache-2.0 */
/* brake_state.h - what the node brake (keeper/brake.h) remembers beyond the death of the keeper.
 *
 * Written by the keeper only, except `release` and `departures`, which workers write. Every word is
 * stored whole, and none needs another one to be right: a death between two stores leaves a state
 * that was true a tick ago. Times are of the health clock, so what was held when everything stopped
 * is held for as long afterwards. */
#ifndef SHM_BRAKE_STATE_H
#define SHM_BRAKE_STATE_H

#include <stdint.h>

#include "shared/shm/departures.h"

#define BRAKE_BUCKETS 60U
#define BRAKE_GONE_SETS 1024U
#define BRAKE_GONE_WAYS 8U
#define BRAKE_GONE (BRAKE_GONE_SETS * BRAKE_GONE_WAYS)

enum brake_phase {
	BRAKE_OPEN,     /* removals go on */
	BRAKE_HOLDING,  /* no removal by expiry */
	BRAKE_RELEASED, /* as open, but armed again only by a look that would not make it hold */
};

/* A source whose instances were removed (keeper/gone.h). */
struct brake_gone {
	uint64_t last;  /* source << 32 | number of the bucket of the last removal; 0: free */
	uint64_t count; /* number of the bucket of the first one << 32 | instances */
};

struct brake_state {
	_Alignas(64) uint64_t state; /* enum brake_phase << 56 | health clock when it began */
	/* the `state` that an operator asks to let go: an old request cannot meet a new holding */
	uint64_t release;
	/* What the brake saw when it last judged, for people. */
	uint64_t lost;      /* that have beaten, and are to be removed within a period */
	uint64_t held;      /* those whose time is over, whether they have beaten or not */
	uint64_t removed;   /* by expiry, in the period until then; of those that have beaten */
	uint64_t instances; /* ephemeral ones */
	uint64_t beating;   /* of them, those that have beaten */
	uint64_t sources;   /* where beats come from; those removed of in the period included */
	uint64_t silent;    /* of them */
	uint64_t carried;   /* lost or removed instances of silent sources */
	uint64_t resting;   /* 1: so few sources or instances that it never holds */
	/* Removals by expiry, of instances that have beaten: number of the bucket << 32 | count. */
	uint64_t width_ms; /* stored after the buckets of another width were cleared */
	uint64_t buckets[BRAKE_BUCKETS];
	struct departures departures;
	struct brake_gone gone[BRAKE_GONE];
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
