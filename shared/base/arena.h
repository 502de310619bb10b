/* SPDX-License-Identifier: Apache-2.0 */
/* arena.h - scratch memory of one request, freed in one step.
 *
 * It is memory of the process. The owner of the arena is the connection or the loop that made it;
 * everything allocated from it lives until arena_reset() or arena_free(). Blocks grow by doubling;
 * a reset keeps the first block for the next request. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "shared/base/str.h"

struct arena_block;

struct arena {
	struct arena_block *first;
	struct arena_block *current;
	size_t used;  /* in current, bytes */
	size_t total; /* handed out since the last reset, bytes */
	size_t max;   /* refuses past this; 0: no limit */
};

void arena_init(struct arena *arena, size_t max_bytes);
/* Returns memory aligned to 16 bytes, or NULL when malloc refuses or max is reached. */
void *arena_alloc(struct arena *arena, size_t bytes);
/* Returns a copy with a zero byte behind it; its p is NULL when there is no memory. */
struct str arena_copy(struct arena *arena, struct str s);
void arena_reset(struct arena *arena);
void arena_free(struct arena *arena);

#endif
