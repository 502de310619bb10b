/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/registry/registry_internal.h"

#include "shared/base/source.h"
#include "shared/shm/shard.h"

void source_columns(const struct registry *reg, const uint8_t source[16], uint32_t columns_r[SOURCE_ROWS])
{
	uint64_t hash = source_hash(reg->seg->header->seed, source);

	for (uint32_t row = 0; row < SOURCE_ROWS; row++)
		columns_r[row] = (uint32_t)(hash >> (row * 32)) % SOURCE_COLUMNS;
}

void source_count(struct op *op, const uint8_t source[16], int change)
{
	uint32_t columns[SOURCE_ROWS];

	source_columns(op->reg, source, columns);
	for (uint32_t row = 0; row < SOURCE_ROWS; row++) {
		uint32_t *count = &op->root->sources[row][columns[row]];

		undo_set32(&op->tx, count, *count + (uint32_t)change);
	}
}

uint64_t source_subscribers(const struct registry *reg, const uint8_t source[16])
{
	uint32_t columns[SOURCE_ROWS];
	uint64_t least = UINT64_MAX;

	source_columns(reg, source, columns);
	for (uint32_t row = 0; row < SOURCE_ROWS; row++) {
		uint64_t sum = 0;

		for (uint32_t shard = 0; shard < SHARDS; shard++) {
			const struct registry_root *root = (const struct registry_root *)reg->seg->shards[shard].root;

			sum += __atomic_load_n(&root->sources[row][columns[row]], __ATOMIC_RELAXED);
		}
		least = sum < least ? sum : least;
	}
	return least;
}
