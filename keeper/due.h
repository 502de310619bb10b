/* SPDX-License-Identifier: Apache-2.0 */
/* due.h - what comes next: a heap of objects that each embed one struct due.
 *
 * The heap owns only its array; an object is in at most one heap and knows its place, so that it
 * can be moved or taken out from the middle. */
#ifndef KEEPER_DUE_H
#define KEEPER_DUE_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/err.h"

struct due {
	uint64_t at_ms; /* changed by due_set() only */
	uint32_t place; /* in the heap, plus one; 0: in none */
};

struct due_heap {
	struct due **items; /* owned */
	uint32_t count, cap;
};

/* Puts the item into the heap, or moves it there. ERR_NOMEM: it is in no heap. */
int due_set(struct due_heap *heap, struct due *item, uint64_t at_ms) MUST_CHECK;
/* Takes the item out; does nothing when it is in no heap. */
void due_drop(struct due_heap *heap, struct due *item);
/* The earliest item; NULL when there is none. */
struct due *due_first(const struct due_heap *heap);
void due_free(struct due_heap *heap);

#endif
