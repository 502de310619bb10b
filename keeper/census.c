/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/census.h"

#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#define ROWS_SMALLEST 64U
#define ROWS_SPARE 8U /* a table with fewer than one row in so many taken is given back */

/* The row of the source, or the free one where it belongs. A source is a hash already, but one without a secret: who has a
 * network to choose addresses from could choose those that stand one behind the other. */
static struct census_row *row_of(const struct census *c, uint32_t source)
{
	uint32_t at = (uint32_t)XXH3_64bits_withSeed(&source, sizeof(source), c->seed) & (c->cap - 1);

	while (c->rows[at].source != 0 && c->rows[at].source != source)
		at = (at + 1) & (c->cap - 1);
	return &c->rows[at];
}

void census_free(struct census *c)
{
	free(c->rows);
	*c = (struct census){ .seed = c->seed };
}

void census_clear(struct census *c)
{
	if (c->cap > ROWS_SMALLEST && c->count.sources < c->cap / ROWS_SPARE)
		census_free(c);
	else if (c->cap > 0)
		memset(c->rows, 0, c->cap * sizeof(c->rows[0]));
	c->count = (struct census_count){ .sources = 0 };
}

static void grow(struct census *c)
{
	struct census larger = { .seed = c->seed, .cap = c->cap == 0 ? ROWS_SMALLEST : c->cap * 2, .count = c->count };

	larger.rows = calloc(larger.cap, sizeof(larger.rows[0]));
	if (larger.rows == NULL)
		return;
	for (uint32_t i = 0; i < c->cap; i++) {
		if (c->rows[i].source != 0)
			*row_of(&larger, c->rows[i].source) = c->rows[i];
	}
	free(c->rows);
	*c = larger;
}

static struct census_row *row_for(struct census *c, uint32_t source)
{
	struct census_row *row = c->cap == 0 ? NULL : row_of(c, source);

	if (row != NULL && row->source == source)
		return row;
	if (c->count.sources >= CENSUS_SOURCES)
		return NULL;
	if (c->count.sources * 2 >= c->cap)
		grow(c);
	if (c->count.sources * 2 >= c->cap)
		return NULL;
	row = row_of(c, source);
	row->source = source;
	c->count.sources++;
	return row;
}

void census_add(struct census *c, uint32_t source, enum expire_state state)
{
	struct census_row *row = row_for(c, source);

	if (row == NULL)
		return;
	c->count.instances++;
	if (state == EXPIRE_HEARD) {
		/* Whatever is lost of it, it is not silent. */
		c->count.silent -= row->heard == 0 && row->lost > 0;
		c->count.carried -= row->heard == 0 ? row->lost : 0;
		row->heard++;
	} else if (state == EXPIRE_LOST) {
		c->count.silent += row->heard == 0 && row->lost == 0;
		c->count.carried += row->heard == 0;
		row->lost++;
	}
}

const struct census_row *census_find(const struct census *c, uint32_t source)
{
	const struct census_row *row = c->cap == 0 ? NULL : row_of(c, source);

	return row != NULL && row->source == source ? row : NULL;
}
