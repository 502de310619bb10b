/* SPDX-License-Identifier: Apache-2.0 */
/* word.h - aligned 64-bit words that processes share without a lock.
 *
 * Each is read and written whole, so nobody sees a half of one, whoever dies in between. Nothing is
 * said about the order in which others see two of them: what must be seen in an order wants a lock,
 * or the fences of its own module. */
#ifndef BASE_WORD_H
#define BASE_WORD_H

#include <stdint.h>

static inline uint64_t word_load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline void word_store(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
}

#endif
