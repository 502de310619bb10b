/* SPDX-License-Identifier: Apache-2.0 */
/* fiber.h - long work in pieces, without being taken apart by hand.
 *
 * A fiber is a function with a stack of its own. It runs until it returns, or until its slice of
 * time is over and it comes to a fiber_pause(): there it stands still, fiber_run() returns to the
 * loop of the process, and the next fiber_run() goes on behind it. One fiber runs at a time, no
 * thread is involved, nothing is interrupted anywhere else.
 *
 * Whoever calls fiber_pause() holds no lock, is in no transaction, and expects afterwards that
 * everything shared has changed: the registry, the caches, and all memory that other requests use
 * too. What the work needs throughout belongs to it alone. Outside of fibers fiber_pause() does
 * nothing, so that one piece of code serves short work and long work.
 *
 * The stack has FIBER_STACK_BYTES, and below it a page that must not be touched. Of the stacks that
 * are free FIBER_SPARE are kept. Fibers are the process's own. */
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

/* Makes a fiber that does not run yet. NULL: there is no memory. */
struct fiber *fiber_new(fiber_fn *fn, void *arg);

/* Goes on with the fiber for about slice_us: until the first pause after that time. Returns true
 * when fn has returned; then the fiber is gone. `gone` says that nobody waits for the work any
 * more: from now on every pause says so, and still ends slices. Never called within a fiber
 * (ROSTER_ASSERT). */
bool fiber_run(struct fiber *fiber, uint64_t slice_us, bool gone);

/* Goes on with the fiber until it has given up, in one call; NULL is allowed. Clears *fiber. */
void fiber_end(struct fiber **fiber);

/* Returns 0, perhaps after other work was done. ERR_GONE: give up, clean up and return. It is cheap
 * (a look at the clock). */
int fiber_pause(void) MUST_CHECK;

/* The same, but the slice is over here whatever the clock says: what the fiber waits for is done by
 * others. */
int fiber_rest(void) MUST_CHECK;

/* Does what memcpy() does, with a pause behind each `piece` bytes: what is shorter is copied at
 * once. ERR_GONE: the copy was given up on the way. */
int fiber_copy(void *to, const void *from, size_t n, size_t piece) MUST_CHECK;

/* Is this code running within a fiber? */
bool fiber_is_inside(void);

/* Gives back the stacks that are kept. */
void fiber_free_spare(void);

#endif
