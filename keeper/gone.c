/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/gone.h"

#include "shared/base/word.h"
#include "shared/shm/fault.h"

static uint32_t low(uint64_t word)
{
	return (uint32_t)(word & 0xffffffffU);
}

/* How many buckets ago the last removal was; a free place is older than any other. */
static uint32_t age_of(const struct brake_gone *place, uint64_t bucket)
{
	return place->last == 0 ? UINT32_MAX : low(bucket) - low(place->last);
}

void gone_clear(struct brake_gone *places)
{
	for (unsigned i = 0; i < BRAKE_GONE; i++) {
		if (places[i].last != 0)
			word_store(&places[i].last, 0);
	}
}

uint32_t gone_count(const struct brake_gone *place, uint64_t bucket)
{
	return age_of(place, bucket) < BRAKE_BUCKETS ? low(place->count) : 0;
}

/* Returns the place of the source, else the oldest of its set, which is emptied: nobody inherits a
 * count. */
static struct brake_gone *gone_place(struct brake_gone *places, uint32_t source, uint64_t bucket)
{
	struct brake_gone *set = &places[source % BRAKE_GONE_SETS * BRAKE_GONE_WAYS], *oldest = set;

	for (unsigned i = 0; i < BRAKE_GONE_WAYS; i++) {
		if (gone_source(&set[i]) == source)
			return &set[i];
		if (age_of(&set[i], bucket) > age_of(oldest, bucket))
			oldest = &set[i];
	}
	word_store(&oldest->last, 0);
	return oldest;
}

/* A count that was begun more than a period ago begins again: a source whose process dies time and
 * again is not worth more than what it lost lately. */
void gone_add(struct brake_gone *places, uint32_t source, uint64_t bucket)
{
	struct brake_gone *place = gone_place(places, source, bucket);
	uint32_t first = (uint32_t)(place->count >> 32), count = low(place->count);

	if (place->last == 0 || low(bucket) - first >= BRAKE_BUCKETS) {
		first = low(bucket);
		count = 0;
	}
	word_store(&place->count, (uint64_t)first << 32 | (count < UINT32_MAX ? count + 1 : count));
	FAULT("brake-gone");
	word_store(&place->last, (uint64_t)source << 32 | low(bucket));
}
