/* SPDX-License-Identifier: Apache-2.0 */
/* gone.h - from which sources instances were removed by expiry within the brake's period, and how many.
 *
 * A table in the segment (shared/shm/brake_state.h): what was removed must count for its source after the death of the keeper.
 * Sets of BRAKE_GONE_WAYS places; a new source takes the place of the one whose last removal is the longest ago, so of many
 * thousand sources within one period those of the last removals are known. Times are numbers of the brake's buckets.
 * Written by the keeper only, in whole words: a death between two leaves a count that is one instance off, or a free place. */
#ifndef KEEPER_GONE_H
#define KEEPER_GONE_H

#include <stdint.h>

#include "shared/shm/brake_state.h"

void gone_clear(struct brake_gone *places);
/* One instance of the source was removed. */
void gone_add(struct brake_gone *places, uint32_t source, uint64_t bucket);
/* 0: none within the period that ends with the bucket. */
uint32_t gone_count(const struct brake_gone *place, uint64_t bucket);

static inline uint32_t gone_source(const struct brake_gone *place)
{
	return (uint32_t)(place->last >> 32);
}

#endif
