/* SPDX-License-Identifier: Apache-2.0 */
/* gone.h - from which sources instances were removed by expiry within the brake's period, and how
 * many.
 *
 * The table is in the segment (shared/shm/brake_state.h): what was removed must count for its
 * source after the death of the keeper. It consists of sets of BRAKE_GONE_WAYS places. In its set a
 * new source takes the place of the one whose last removal is longest ago; so of many thousand
 * sources within one period those of the last removals are known. Times are numbers of the buckets
 * of the brake. Only the keeper writes, in whole words: a death between two leaves a count that is
 * one instance off, or a free place. */
#ifndef KEEPER_GONE_H
#define KEEPER_GONE_H

#include <stdint.h>

#include "shared/shm/brake_state.h"

void gone_clear(struct brake_gone *places);
/* Notes that one instance of the source was removed. */
void gone_add(struct brake_gone *places, uint32_t source, uint64_t bucket);
/* How many were removed within the period that ends with the bucket. */
uint32_t gone_count(const struct brake_gone *place, uint64_t bucket);

static inline uint32_t gone_source(const struct brake_gone *place)
{
	return (uint32_t)(place->last >> 32);
}

#endif
