/* SPDX-License-Identifier: Apache-2.0 */
/* split.h - hash tables that grow by one bucket at a time (linear hashing), so that no single call
 * has many entries to move.
 *
 * Of n buckets, with p the largest power of two that is not above n, the first n - p are divided
 * already: their entries stand by the hash modulo 2p, all others by the hash modulo p. To add
 * bucket n, bucket n - p is divided: each of its entries stays or goes to the new one, as
 * split_place() says for n + 1. There has to be one bucket at least. */
#ifndef BASE_SPLIT_H
#define BASE_SPLIT_H

#include <stdint.h>

#include "shared/base/assert.h"

static inline uint32_t split_power(uint32_t buckets)
{
	ROSTER_ASSERT(buckets > 0);
	return 1U << (31 - __builtin_clz(buckets));
}

/* The bucket of a hash. */
static inline uint32_t split_place(uint32_t hash, uint32_t buckets)
{
	uint32_t power = split_power(buckets), at = hash & (2 * power - 1);

	return at < buckets ? at : at - power;
}

/* The bucket that is divided next. */
static inline uint32_t split_next(uint32_t buckets)
{
	return buckets - split_power(buckets);
}

#endif
