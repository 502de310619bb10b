/* SPDX-License-Identifier: Apache-2.0 */
/* random.h - numbers without an order, the same ones in every run (xorshift64). */
#ifndef TESTS_RANDOM_H
#define TESTS_RANDOM_H

#include <stdint.h>

static inline uint64_t random_next(void)
{
	static uint64_t x = 88172645463325252ULL;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

static inline uint64_t random_below(uint64_t n)
{
	return random_next() % n;
}

#endif
