/* SPDX-License-Identifier: Apache-2.0 */
#include "pusher/costs.h"

static uint32_t costs_place(uint64_t hash)
{
	return (uint32_t)hash & (COSTS_ENTRIES - 1);
}

/* What a place holds to know its service again; never 0, which marks an empty place. */
static uint32_t costs_tag(uint64_t hash)
{
	return (uint32_t)(hash >> 32) | 1U;
}

uint32_t costs_of(const struct costs *costs, uint64_t hash)
{
	uint32_t i = costs_place(hash);

	return costs->list[i].tag == costs_tag(hash) ? costs->list[i].us : COSTS_GUESS_US;
}

/* `least` keeps the figure from falling fast: by half at most, and not at all by a round that did
 * not go to its end. */
void costs_note(struct costs *costs, uint64_t hash, uint64_t us, bool whole)
{
	uint32_t i = costs_place(hash), least = 0;

	if (costs->list[i].tag == costs_tag(hash))
		least = whole ? costs->list[i].us / 2 : costs->list[i].us;
	else if (!whole)
		least = COSTS_GUESS_US;
	us = us > least ? us : least;
	costs->list[i].tag = costs_tag(hash);
	costs->list[i].us = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}
