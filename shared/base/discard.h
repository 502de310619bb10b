/* SPDX-License-Identifier: Apache-2.0 */
/* discard.h - memory of large blocks goes back to the system piece by piece.
 *
 * free() of a block of 100 MB takes the kernel ten milliseconds and more, which is too long for one
 * turn. Here such a block only joins a list, and the loop of the process gives back one piece a
 * turn of the oldest, by discard_step(). A piece has DISCARD_PIECE_BYTES, or 1/32 of all that is
 * left where that is more, so that the list does not grow while others make large blocks in each
 * turn. Where nobody said discard_on(), and for short blocks, discard() is free(). The list is the
 * process's own. */
#ifndef BASE_DISCARD_H
#define BASE_DISCARD_H

#include <stdbool.h>
#include <stddef.h>

#define DISCARD_PIECE_BYTES (2U << 20)

/* From now on large blocks join the list. wake is called when it is no longer empty, so that the
 * loop does not sleep; with NULL the loop asks discard_is_pending() after each of its turns. */
void discard_on(void (*wake)(void *arg), void *arg);
/* Frees what is left; from now on every block is freed at once. */
void discard_off(void);

/* Gives up a block of malloc() and the like, of that many bytes; NULL is allowed. */
void discard(void *block, size_t bytes);

bool discard_is_pending(void);
/* Gives back one piece; does nothing when the list is empty. */
void discard_step(void);

#endif
