/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/census.h"

#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "shared/base/assert.h"

#define ROWS_SMALLEST 16U
#define ROWS_SPARE 8U /* a table with fewer than one row in so many taken is given back */
#define PART_SOURCES (CENSUS_SOURCES / CENSUS_PARTS)

/* ---- a part ---------------------------------------------------------------------------------- */

/* A source is a hash already, but one without a secret: whoever has a network to choose addresses
 * from could choose those whose rows stand one behind the other. */
static uint64_t census_hash(const struct census *c, uint32_t source)
{
	return XXH3_64bits_withSeed(&source, sizeof(source), c->seed);
}

/* The upper half of the hash chooses the part, the lower half the row in it. */
static struct census_part *part_of(const struct census *c, uint64_t hash)
{
	return (struct census_part *)&c->parts[hash >> 32 & (CENSUS_PARTS - 1)];
}

/* Returns the row of the source, or the free one that it would get. The part has rows. */
static struct census_row *census_row_of(const struct census_part *part, uint64_t hash,
                                        uint32_t source)
{
	uint32_t at = (uint32_t)hash & (part->cap - 1);

	ROSTER_ASSERT(part->sources < part->cap); /* the search ends at a free row */
	while (part->rows[at].source != 0 && part->rows[at].source != source)
		at = (at + 1) & (part->cap - 1);
	return &part->rows[at];
}

static void give_back(struct census_part *part)
{
	free(part->rows);
	*part = (struct census_part){ .round = part->round };
}

/* Empties the part for the first source that it gets in this round. */
static void renew(struct census *c, struct census_part *part)
{
	if (part->cap > ROWS_SMALLEST && part->sources < part->cap / ROWS_SPARE)
		give_back(part);
	else if (part->cap > 0)
		memset(part->rows, 0, part->cap * sizeof(part->rows[0]));
	part->sources = 0;
	part->round = c->round;
}

static void grow_part(const struct census *c, struct census_part *part)
{
	struct census_part larger = *part;

	larger.cap = part->cap == 0 ? ROWS_SMALLEST : part->cap * 2;
	larger.rows = calloc(larger.cap, sizeof(larger.rows[0]));
	/* Without memory the part stays as it is, and row_for() finds no room in it. */
	if (larger.rows == NULL)
		return;
	for (uint32_t i = 0; i < part->cap; i++) {
		const struct census_row *row = &part->rows[i];

		if (row->source != 0)
			*census_row_of(&larger, census_hash(c, row->source), row->source) = *row;
	}
	ROSTER_ASSERT(larger.cap > part->cap);
	free(part->rows);
	*part = larger;
}

/* ---- all of it ------------------------------------------------------------------------------- */

void census_free(struct census *c)
{
	for (uint32_t i = 0; i < CENSUS_PARTS; i++)
		free(c->parts[i].rows);
	*c = (struct census){ .seed = c->seed };
}

/* Parts that had no source in the round that ends would keep their memory until they have one
 * again, so some of them give it back here. */
void census_clear(struct census *c)
{
	unsigned left = CENSUS_GIVE_BACK;

	for (uint32_t i = 0; i < CENSUS_PARTS && left > 0; i++) {
		if (c->parts[i].rows == NULL || c->parts[i].round == c->round)
			continue;
		give_back(&c->parts[i]);
		left--;
	}
	c->round++;
	c->count = (struct census_count){ .sources = 0 };
}

/* Returns the row of the source, made if it is new, or NULL when there is no room for it. */
static struct census_row *row_for(struct census *c, uint32_t source)
{
	uint64_t hash = census_hash(c, source);
	struct census_part *part = part_of(c, hash);
	struct census_row *row;

	if (part->round != c->round)
		renew(c, part);
	row = part->cap == 0 ? NULL : census_row_of(part, hash, source);
	if (row != NULL && row->source == source)
		return row;
	if (part->sources >= PART_SOURCES)
		return NULL;
	if (part->sources * 2 >= part->cap)
		grow_part(c, part);
	if (part->sources * 2 >= part->cap)
		return NULL;
	row = census_row_of(part, hash, source);
	row->source = source;
	part->sources++;
	c->count.sources++;
	return row;
}

void census_add(struct census *c, uint32_t source, enum expire_state state)
{
	struct census_row *row = row_for(c, source);

	if (row == NULL)
		return;
	/* Only a second pass removes, and it counts nothing. */
	ROSTER_ASSERT(state != EXPIRE_REMOVED);
	c->count.instances++;
	if (state == EXPIRE_HEARD) {
		/* Once one of its instances is heard, the source is not silent, whatever else is
		 * lost of it: what was counted for it is taken back. */
		c->count.silent -= row->heard == 0 && row->lost > 0;
		c->count.carried -= row->heard == 0 ? row->lost : 0;
		row->heard++;
	} else if (state == EXPIRE_LOST) {
		c->count.silent += row->heard == 0 && row->lost == 0;
		c->count.carried += row->heard == 0;
		row->lost++;
	}
	ROSTER_ASSERT(c->count.silent <= c->count.sources &&
	              c->count.carried <= c->count.instances);
}

const struct census_row *census_find(const struct census *c, uint32_t source)
{
	uint64_t hash = census_hash(c, source);
	const struct census_part *part = part_of(c, hash);
	const struct census_row *row = part->round != c->round || part->cap == 0
	                                       ? NULL
	                                       : census_row_of(part, hash, source);

	return row != NULL && row->source == source ? row : NULL;
}
