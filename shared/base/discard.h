/* SPDX-License-Identifier: Apache-2.0 */
/* discard.h - memory of large blocks goes back to the system piece by piece.
 *
 * free() of a block of 100 MB takes the kernel ten milliseconds and more: too long for one turn. Here such a block only joins a
 * list, and the loop of the process gives back one piece a turn, by discard_step(), of the oldest first: DISCARD_PIECE_BYTES, or
 * more when much is left (1/32 of it), so that it does not grow while others make large blocks in each turn. Where nobody said
 * discard_on(), and for short blocks, it is free(). Process-private. */
#ifndef BASE_DISCARD_H
#define BASE_DISCARD_H

#include <stdbool.h>
#include <stddef.h>

#define DISCARD_PIECE_BYTES (2U << 20)

/* wake: the list is no longer empty, so the loop is not to sleep. NULL: it asks discard_is_pending() after each of its turns. */
void discard_on(void (*wake)(void *arg), void *arg);
/* What is left is freed, all later ones at once. */
void discard_off(void);

/* A block of malloc() and the like, of that many bytes; NULL is allowed. */
void discard(void *block, size_t bytes);

bool discard_is_pending(void);
/* Gives back a piece. */
void discard_step(void);

#endif
