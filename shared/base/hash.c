/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/base/hash.h"

#include <string.h>
#include <sys/auxv.h>
#include <xxhash.h>

uint64_t hash_text(struct str text, uint64_t more)
{
	const void *random = (const void *)getauxval(AT_RANDOM); /* 16 bytes */
	uint64_t secret[2] = { 0, 0 };

	if (random != NULL)
		memcpy(secret, random, sizeof(secret));
	return XXH3_64bits_withSeed(text.n > 0 ? text.p : "", text.n, secret[0] + more) ^ secret[1];
}
