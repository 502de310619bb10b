/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/base/discard.h"

#include <stdlib.h>

/* At the begin of what is still there of a block. */
struct rest {
	struct rest *next;
	size_t bytes;
};

static struct {
	void (*wake)(void *arg);
	void *arg;
	struct rest *first;
} list;

void discard_on(void (*wake)(void *arg), void *arg)
{
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
	list.wake = NULL;
}

void discard(void *block, size_t bytes)
{
	struct rest *rest = block;

	if (block == NULL || list.wake == NULL || bytes <= 2 * (size_t)DISCARD_PIECE_BYTES) {
		free(block);
		return;
	}
	*rest = (struct rest){ list.first, bytes };
	if (list.first == NULL)
		list.wake(list.arg);
	list.first = rest;
}

bool discard_is_pending(void)
{
	return list.first != NULL;
}

void discard_step(void)
{
	struct rest *rest = list.first, *shorter = NULL;

	if (rest == NULL)
		return;
	list.first = rest->next;
	if (rest->bytes > 2 * (size_t)DISCARD_PIECE_BYTES)
		shorter = realloc(rest, rest->bytes - DISCARD_PIECE_BYTES);
	if (shorter == NULL) {
		free(rest);
		return;
	}
	shorter->bytes -= DISCARD_PIECE_BYTES;
	list.first = shorter;
}
