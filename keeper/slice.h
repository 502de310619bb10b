/* SPDX-License-Identifier: Apache-2.0 */
/* slice.h - one step of the keeper: how long it goes on, and what it was busy with.
 *
 * Work of any size is done in steps between two looks at timers and signals. A step begins a slice,
 * does one piece after the other (a hold of a lock, or as little as that) and ends when
 * slice_spent() says so; the work itself remembers where to go on. The last piece begins before the
 * end of the slice and may end behind it, so a slice is shorter than what a step may last
 * (shared/process/turn.h). If the step turns out to be a long turn, the log names what the longest
 * piece was about. */
#ifndef KEEPER_SLICE_H
#define KEEPER_SLICE_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/str.h"

#define SLICE_US 2000U
#define SLICE_WHAT 64U
#define SLICE_NO_SHARD UINT32_MAX

struct slice {
	const char *kind; /* of the turn: "expiry", "brake"; set by the work */
	uint64_t end_us, piece_us;
	/* The longest piece so far. */
	uint64_t longest_us, service;
	uint32_t shard;
};

void slice_begin(struct slice *s, const char *kind);
/* Says that a piece is over; service 0: it was about a whole shard. Returns true when the slice is
 * over as well. */
bool slice_spent(struct slice *s, uint32_t shard, uint64_t service);
/* Names the longest piece, as "shard=3 service=0x30001"; the text is empty when there was none. */
struct str slice_what(const struct slice *s, char out[SLICE_WHAT]);

#endif
