/* SPDX-License-Identifier: Apache-2.0 */
/* costs.h - what the rounds of each service took of late, to say what the next one will.
 *
 * A table of COSTS_ENTRIES, by the seeded hash of the service: the newest of a place stays, who was displaced is unknown again.
 * A round that takes less than the one before lowers the figure by half only, so that one which is dear now and then counts as
 * dear. Process-private; 64 KB. */
#ifndef PUSHER_COSTS_H
#define PUSHER_COSTS_H

#include <stdbool.h>
#include <stdint.h>

#define COSTS_ENTRIES 8192U
/* Of a service that is not known: more than most, so that known small ones come before it. */
#define COSTS_GUESS_US 2000U

struct costs {
	struct {
		uint32_t tag, us;
	} list[COSTS_ENTRIES];
};

/* Microseconds. */
uint32_t costs_of(const struct costs *costs, uint64_t hash);
/* whole: the round went through to its end, for the whole audience; else it tells the least only. */
void costs_note(struct costs *costs, uint64_t hash, uint64_t us, bool whole);

#endif
