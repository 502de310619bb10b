/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/due.h"

#include <stdlib.h>

#include "shared/base/assert.h"

#define SMALLEST 64U

static void due_put(struct due_heap *heap, uint32_t at, struct due *item)
{
	ROSTER_ASSERT(at < heap->count);
	heap->items[at] = item;
	item->place = at + 1;
}

/* Moves parents down that are later than the item. Returns the place that becomes free. */
static uint32_t rise(struct due_heap *heap, uint32_t at, const struct due *item)
{
	for (; at > 0 && heap->items[(at - 1) / 2]->at_ms > item->at_ms; at = (at - 1) / 2)
		due_put(heap, at, heap->items[(at - 1) / 2]);
	return at;
}

/* Moves the earlier of two children up, as long as it is earlier than the item. Returns the place
 * that becomes free. */
static uint32_t sink(struct due_heap *heap, uint32_t at, const struct due *item)
{
	uint32_t child;

	while ((child = 2 * at + 1) < heap->count) {
		if (child + 1 < heap->count &&
		    heap->items[child + 1]->at_ms < heap->items[child]->at_ms)
			child++;
		if (heap->items[child]->at_ms >= item->at_ms)
			break;
		due_put(heap, at, heap->items[child]);
		at = child;
	}
	return at;
}

/* Puts the item where it belongs. The place `at` is free, or holds the item itself. */
static void settle(struct due_heap *heap, uint32_t at, struct due *item)
{
	due_put(heap, sink(heap, rise(heap, at, item), item), item);
}

static int due_resize(struct due_heap *heap, uint32_t cap)
{
	struct due **items;

	ROSTER_ASSERT(cap >= heap->count);
	items = realloc(heap->items, cap * sizeof(items[0]));
	if (items == NULL)
		return ERR_NOMEM;
	heap->items = items;
	heap->cap = cap;
	return 0;
}

int due_set(struct due_heap *heap, struct due *item, uint64_t at_ms)
{
	uint32_t at = item->place - 1;

	if (item->place == 0) {
		if (heap->count == heap->cap &&
		    due_resize(heap, heap->cap == 0 ? SMALLEST : heap->cap * 2) < 0)
			return ERR_NOMEM;
		at = heap->count++;
	} else {
		/* It is not in another heap. */
		ROSTER_ASSERT(at < heap->count && heap->items[at] == item);
	}
	item->at_ms = at_ms;
	settle(heap, at, item);
	return 0;
}

void due_drop(struct due_heap *heap, struct due *item)
{
	uint32_t at = item->place - 1;
	struct due *last;

	if (item->place == 0)
		return;
	ROSTER_ASSERT(at < heap->count && heap->items[at] == item); /* not in another heap */
	item->place = 0;
	last = heap->items[--heap->count];
	/* The last item fills the gap. From there it may have to go up or down. */
	if (last != item)
		settle(heap, at, last);
	/* If memory is refused, the larger array stays. */
	if (heap->cap > SMALLEST && heap->count < heap->cap / 4)
		(void)!due_resize(heap, heap->cap / 2);
}

struct due *due_first(const struct due_heap *heap)
{
	return heap->count == 0 ? NULL : heap->items[0];
}

void due_free(struct due_heap *heap)
{
	free(heap->items);
	*heap = (struct due_heap){ .items = NULL };
}
