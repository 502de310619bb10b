/* SPDX-License-Identifier: Apache-2.0 */
/* slab_internal.h - what slab.c and its audit know of a page; nobody else includes it. */
#ifndef SHM_SLAB_INTERNAL_H
#define SHM_SLAB_INTERNAL_H

#include "shared/base/assert.h"
#include "shared/shm/shard.h"
#include "shared/shm/slab.h"
#include "shared/shm/undo.h"

struct slab_kind_row {
	uint16_t bytes;
	uint16_t units;    /* bytes / SEGMENT_UNIT */
	uint16_t capacity; /* objects a page */
	uint32_t inverse;  /* (unit * inverse) >> 16 == unit / units, exact for unit < 256 */
};

extern const struct slab_kind_row slab_kinds[SLAB_KINDS];

static inline uint8_t slab_owner_mark(const struct tx *tx)
{
	ROSTER_ASSERT(tx->shard != NULL); /* the lock is held */
	return (uint8_t)(tx->shard->index + 1);
}

/* The list that a page with so many objects hangs in; SLAB_BINS for none, if it is full or
 * empty. */
static inline uint16_t slab_bin_for(const struct slab_kind_row *row, uint32_t used)
{
	if (used == 0 || used >= row->capacity)
		return SLAB_BINS;
	return (uint16_t)((used * 4 - 1) / row->capacity);
}

/* The bits of a word of the bitmap that stand for objects; the page has none for the others. */
static inline uint64_t slab_word_mask(const struct slab_kind_row *row, uint32_t word)
{
	uint32_t bits = row->capacity > word * 64 ? row->capacity - word * 64 : 0;

	return bits >= 64 ? UINT64_MAX : (1ULL << bits) - 1;
}

#endif
