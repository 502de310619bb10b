/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/base/discard.h"

#include <stdlib.h>

#include "shared/base/assert.h"

#define SHARE 32U /* of all that is left, in one piece */
#define SHORT_BYTES (2 * (size_t)DISCARD_PIECE_BYTES)

/* Stands at the beginning of what is still there of a block. */
struct rest {
	struct rest *next;
	size_t bytes;
};

static struct {
	bool on;
	void (*wake)(void *arg);
	void *arg;
	struct rest *first, *last;
	size_t bytes;
} list;

void discard_on(void (*wake)(void *arg), void *arg)
{
	list.on = true;
	list.wake = wake;
	list.arg = arg;
}

void discard_off(void)
{
	struct rest *next;

	for (; list.first != NULL; list.first = next) {
		next = list.first->next;
		free(list.first);
	}
	list.on = false;
	list.last = NULL;
	list.bytes = 0;
}

void discard(void *block, size_t bytes)
{
	struct rest *rest = block;

	if (block == NULL || !list.on || bytes <= SHORT_BYTES) {
		free(block);
		return;
	}
	ROSTER_ASSERT((list.first == NULL) == (list.bytes == 0));
	*rest = (struct rest){ NULL, bytes };
	if (list.first == NULL && list.wake != NULL)
		list.wake(list.arg);
	ROSTER_ASSERT(list.first == NULL || (list.last != NULL && list.last->next == NULL));
	*(list.first == NULL ? &list.first : &list.last->next) = rest;
	list.last = rest;
	list.bytes += bytes;
}

bool discard_is_pending(void)
{
	return list.first != NULL;
}

void discard_step(void)
{
	size_t piece =
	        list.bytes / SHARE > DISCARD_PIECE_BYTES ? list.bytes / SHARE : DISCARD_PIECE_BYTES;
	struct rest *rest = list.first, *next, *shorter = NULL;

	if (rest == NULL)
		return;
	ROSTER_ASSERT(rest->bytes <= list.bytes);
	next = rest->next;
	if (rest->bytes > SHORT_BYTES && rest->bytes > piece + sizeof(*rest))
		shorter = realloc(rest, rest->bytes - piece); /* the end goes back to the system */
	/* A short rest, or one that cannot be made shorter, goes as a whole. */
	if (shorter == NULL) {
		list.bytes -= rest->bytes;
		free(rest);
	} else {
		shorter->bytes -= piece;
		list.bytes -= piece;
	}
	list.first = shorter != NULL ? shorter : next;
	if (next == NULL)
		list.last = shorter;
	ROSTER_ASSERT(list.first != NULL || list.bytes == 0);
}
