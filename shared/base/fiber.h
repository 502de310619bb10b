/* SPDX-License-Identifier: Apache-2.0 */
/* fiber.h - long work in pieces, without being taken apart by hand.
 *
 * A fiber is a function with a stack of its own. It runs until it returns, or until its slice of time is over and it comes to
 * a fiber_pause(): there it stands still, fiber_run() returns to the loop of the process, and the next fiber_run() goes on
 * behind it. One fiber runs at a time, no thread is involved, nothing is interrupted anywhere else.
 *
 * Whoever calls fiber_pause() holds no lock, is in no transaction, and expects afterwards that everything shared has changed:
 * the registry, the caches, and all memory that other requests use too. What the work needs throughout belongs to it alone.
 * Outside of fibers fiber_pause() does nothing, so that one piece of code serves short work and long work.
 *
 * The stack is FIBER_STACK_BYTES with a page below it that must not be touched; the last FIBER_SPARE ones that are free are
 * kept. Process-private. */
#ifndef BASE_FIBER_H
#define BASE_FIBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/err.h"

#define FIBER_STACK_BYTES (256U * 1024U)
#define FIBER_SPARE 4U

struct fiber;

typedef void fiber_fn(void *arg);

/* Does not run yet. NULL: no memory. */
struct fiber *fiber_new(fiber_fn *fn, void *arg);

/* Goes on with it for about slice_us, as soon as a pause comes after that. True: fn has returned, and the fiber is gone. `gone`:
 * nobody waits for the work any more; every pause says so from now on, and still ends slices. Not within a fiber. */
bool fiber_run(struct fiber *fiber, uint64_t slice_us, bool gone);

/* Goes on with it until it has given up, in one call; NULL is allowed. Clears *fiber. */
void fiber_end(struct fiber **fiber);

/* 0, perhaps after other work was done; ERR_GONE: give up, clean up and return. Cheap (a look at the clock). */
int fiber_pause(void) MUST_CHECK;

/* The same, but its slice is over here whatever the clock says: what it waits for is done by others. */
int fiber_rest(void) MUST_CHECK;

/* memcpy() with a pause behind each `piece` bytes: what is shorter is copied at once. ERR_GONE: given up on the way. */
int fiber_copy(void *to, const void *from, size_t n, size_t piece) MUST_CHECK;

/* True within a fiber. */
bool fiber_is_inside(void);

/* The stacks that are kept. */
void fiber_free_spare(void);

#endif
