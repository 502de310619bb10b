/* SPDX-License-Identifier: Apache-2.0 */
/* source.h - what counts as one source of requests: the address a connection comes from, whatever
 * is claimed in it.
 *
 * IPv4 counts by the whole address. IPv6 counts by its first 64 bits: everybody who has one address
 * of such a network has all of them. Behind a proxy all clients are one source. */
#ifndef BASE_SOURCE_H
#define BASE_SOURCE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <xxhash.h>

/* Is there an address? A local socket has none. */
static inline bool source_is_set(const uint8_t address[16])
{
	static const uint8_t none[16];

	return memcmp(address, none, sizeof(none)) != 0;
}

/* The address is IPv6, or IPv4 mapped. With a secret seed nobody can aim at the place of another
 * source. */
static inline uint64_t source_hash(uint64_t seed, const uint8_t address[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	bool whole = memcmp(address, mapped, sizeof(mapped)) == 0;

	return XXH3_64bits_withSeed(address, whole ? 16 : 8, seed);
}

#endif
