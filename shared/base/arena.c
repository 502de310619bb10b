/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/assert.h"

#define ARENA_ALIGN 16U
#define ARENA_FIRST 4096U
#define ARENA_BLOCK_MAX (1024U * 1024U)

struct arena_block {
	struct arena_block *next;
	size_t size; /* bytes behind this header */
	_Alignas(ARENA_ALIGN) char data[];
};

void arena_init(struct arena *arena, size_t max_bytes)
{
	*arena = (struct arena){ .max = max_bytes };
}

static struct arena_block *block_new(size_t size)
{
	struct arena_block *block;

	ROSTER_ASSERT(size <= SIZE_MAX - sizeof(*block));
	block = malloc(sizeof(*block) + size);
	if (block != NULL) {
		block->next = NULL;
		block->size = size;
	}
	return block;
}

/* Makes a block that can hold `bytes`, and makes it the current one. What is left of the one before
 * stays unused. */
static struct arena_block *arena_grow(struct arena *arena, size_t bytes)
{
	size_t size = arena->current == NULL ? ARENA_FIRST : arena->current->size * 2;
	struct arena_block *block;

	ROSTER_ASSERT((arena->first == NULL) == (arena->current == NULL));
	if (size > ARENA_BLOCK_MAX)
		size = ARENA_BLOCK_MAX;
	if (size < bytes)
		size = bytes;
	block = block_new(size);
	if (block == NULL)
		return NULL;
	if (arena->current == NULL)
		arena->first = block;
	else
		arena->current->next = block;
	arena->current = block;
	arena->used = 0;
	return block;
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
	size_t need = (bytes + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
	void *p;

	/* A size that wraps around when it is rounded up is larger than any memory. */
	if (need < bytes || (arena->max != 0 && arena->total + need > arena->max))
		return NULL;
	if (arena->current == NULL || arena->current->size - arena->used < need)
		if (arena_grow(arena, need) == NULL)
			return NULL;
	ROSTER_ASSERT(arena->used <= arena->current->size - need);
	p = arena->current->data + arena->used;
	arena->used += need;
	arena->total += need;
	return p;
}

struct str arena_copy(struct arena *arena, struct str s)
{
	char *p = arena_alloc(arena, s.n + 1);

	ROSTER_ASSERT(s.n < SIZE_MAX && (s.p != NULL || s.n == 0));
	if (p == NULL)
		return str_make(NULL, 0);
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return str_make(p, s.n);
}

static void blocks_free(struct arena_block *block)
{
	while (block != NULL) {
		struct arena_block *next = block->next;

		free(block);
		block = next;
	}
}

void arena_reset(struct arena *arena)
{
	/* One block is enough for most requests. What a large one needed is not kept. */
	if (arena->first != NULL && arena->first->next != NULL) {
		blocks_free(arena->first->next);
		arena->first->next = NULL;
	}
	arena->current = arena->first;
	arena->used = 0;
	arena->total = 0;
}

void arena_free(struct arena *arena)
{
	blocks_free(arena->first);
	arena_init(arena, arena->max);
}
