/* SPDX-License-Identifier: Apache-2.0 */
/* subscriber_source.c - how many subscribers, and how many bytes of them, each source address
 * has, as a sketch of counters. */
#include "shared/registry/registry_internal.h"

#include "shared/base/source.h"
#include "shared/shm/shard.h"

void source_columns(const struct registry *reg, const uint8_t source[16],
                    uint32_t columns_r[SOURCE_ROWS])
{
	/* Each row takes other bits, so that two sources hardly ever share all their cells. */
	uint64_t hash = source_hash(reg->seg->header->seed, source);

	for (uint32_t row = 0; row < SOURCE_ROWS; row++)
		columns_r[row] = (uint32_t)(hash >> (row * 32)) % SOURCE_COLUMNS;
}

void source_count(struct op *op, const uint8_t source[16], int change, uint64_t bytes)
{
	uint32_t columns[SOURCE_ROWS], units = (uint32_t)(bytes / SEGMENT_UNIT);

	ROSTER_ASSERT(change == 1 || change == -1);
	source_columns(op->reg, source, columns);
	for (uint32_t row = 0; row < SOURCE_ROWS; row++) {
		struct source_cell *cell = &op->root->sources[row][columns[row]];
		struct source_cell new = { cell->subscribers + (uint32_t)change,
			                   cell->units + (change > 0 ? units : -units) };

		undo_set_bytes(&op->tx, cell, &new, sizeof(new));
	}
}

struct source_use source_subscribers(const struct registry *reg, const uint8_t source[16])
{
	struct source_use least = { UINT64_MAX, UINT64_MAX };
	uint32_t columns[SOURCE_ROWS];

	source_columns(reg, source, columns);
	for (uint32_t row = 0; row < SOURCE_ROWS; row++) {
		struct source_use sum = { 0, 0 };

		for (uint32_t shard = 0; shard < SHARDS; shard++) {
			const struct registry_root *root =
			        (const struct registry_root *)reg->seg->shards[shard].root;
			const struct source_cell *cell = &root->sources[row][columns[row]];

			sum.subscribers += __atomic_load_n(&cell->subscribers, __ATOMIC_RELAXED);
			sum.bytes += (uint64_t)__atomic_load_n(&cell->units, __ATOMIC_RELAXED) *
			             SEGMENT_UNIT;
		}
		/* Who shares a cell makes its sum larger, never smaller. */
		least.subscribers =
		        sum.subscribers < least.subscribers ? sum.subscribers : least.subscribers;
		least.bytes = sum.bytes < least.bytes ? sum.bytes : least.bytes;
	}
	return least;
}
