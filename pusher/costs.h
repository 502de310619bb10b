/* SPDX-License-Identifier: Apache-2.0 */
/* costs.h - what the rounds of each service took of late, to say what the next one will.
 *
 * It is a table of COSTS_ENTRIES places, found by the seeded hash of the service. The newest
 * service of a place displaces the one before, which is unknown then. A round that takes less than
 * the one before lowers the figure by half at most, so that a service which is dear now and then
 * counts as dear. The table is private to the process and takes 64 KB. */
#ifndef PUSHER_COSTS_H
#define PUSHER_COSTS_H

#include <stdbool.h>
#include <stdint.h>

#define COSTS_ENTRIES 8192U
/* What a service costs that is not known: more than most do, so that services known to be small
 * come before it. */
#define COSTS_GUESS_US 2000U

struct costs {
	struct {
		uint32_t tag, us;
	} list[COSTS_ENTRIES];
};

/* Returns what the next round of the service probably costs, in microseconds. */
uint32_t costs_of(const struct costs *costs, uint64_t hash);
/* Notes what a round took. `whole` says that it went to its end for the whole audience; any other
 * one tells only the least that a round takes. */
void costs_note(struct costs *costs, uint64_t hash, uint64_t us, bool whole);

#endif
