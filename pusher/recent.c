/* SPDX-License-Identifier: Apache-2.0 */
#include "pusher/recent.h"

#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "shared/base/assert.h"

#define WAYS 8U
#define BUCKETS (RECENT_SLOTS / WAYS)
/* A slot is a fingerprint with these two bits of its own; 0: free. */
#define USED 1U
#define ACKED 2U
#define BITS (USED | ACKED)

struct recent {
	uint64_t seed;
	uint64_t slots[BUCKETS][WAYS]; /* the newest first */
};

int recent_new(uint64_t seed, struct recent **recent_r)
{
	struct recent *recent = calloc(1, sizeof(*recent));

	*recent_r = recent;
	if (recent == NULL)
		return ERR_NOMEM;
	recent->seed = seed;
	return 0;
}

void recent_free(struct recent **recent)
{
	free(*recent);
	*recent = NULL;
}

static uint64_t fingerprint(const struct recent *recent, const uint8_t address[16], uint16_t port,
                            uint64_t key)
{
	uint8_t text[26];

	memcpy(text, address, 16);
	memcpy(text + 16, &key, 8);
	memcpy(text + 24, &port, 2);
	/* The two lowest bits of a slot are its own, so the fingerprint has none there. */
	return XXH3_64bits_withSeed(text, sizeof(text), recent->seed) & ~(uint64_t)BITS;
}

/* Returns WAYS when the bucket does not hold the fingerprint. */
static unsigned way_of(const uint64_t *bucket, uint64_t print)
{
	unsigned i = 0;

	ROSTER_ASSERT((print & BITS) == 0);
	while (i < WAYS && ((bucket[i] & USED) == 0 || (bucket[i] & ~(uint64_t)BITS) != print))
		i++;
	return i;
}

void recent_add(struct recent *recent, const uint8_t address[16], uint16_t port, uint64_t key,
                bool acked)
{
	uint64_t print = fingerprint(recent, address, port, key);
	uint64_t *bucket = recent->slots[print >> 32 & (BUCKETS - 1)];
	unsigned way = way_of(bucket, print);

	if (way < WAYS) {
		/* It keeps its place, and what was acknowledged once stays so. */
		bucket[way] |= acked ? ACKED : 0;
		return;
	}
	/* The oldest of the bucket is forgotten. */
	memmove(bucket + 1, bucket, (WAYS - 1) * sizeof(bucket[0]));
	bucket[0] = print | USED | (acked ? ACKED : 0);
}

enum recent_fate recent_find(const struct recent *recent, const uint8_t address[16], uint16_t port,
                             uint64_t key)
{
	uint64_t print = fingerprint(recent, address, port, key);
	const uint64_t *bucket = recent->slots[print >> 32 & (BUCKETS - 1)];
	unsigned way = way_of(bucket, print);

	if (way == WAYS)
		return RECENT_NONE;
	return (bucket[way] & ACKED) != 0 ? RECENT_ACKED : RECENT_LEFT;
}
