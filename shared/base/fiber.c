/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/base/fiber.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/base/sanitized.h"

#if SANITIZED
#include <sanitizer/common_interface_defs.h>
#endif

#define GUARD_BYTES 4096U

struct fiber {
	ucontext_t here, caller;
	uint64_t until_us;
	fiber_fn *fn;
	void *arg;
	void *stack; /* the guard page first */
	bool gone, over;
};

static struct fiber *current;
static void *spare[FIBER_SPARE];
static unsigned spare_count;

/* ---- stacks ---------------------------------------------------------------------------------- */

static void *stack_take(void)
{
	char *at;

	ROSTER_ASSERT(spare_count <= FIBER_SPARE);
	if (spare_count > 0)
		return spare[--spare_count];
	at = mmap(NULL, GUARD_BYTES + FIBER_STACK_BYTES, PROT_READ | PROT_WRITE,
	          MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (at == MAP_FAILED)
		return NULL;
	/* Who comes to the end of the stack ends by SIGSEGV instead of writing into what lies
	 * below. */
	if (mprotect(at, GUARD_BYTES, PROT_NONE) < 0) {
		munmap(at, GUARD_BYTES + FIBER_STACK_BYTES);
		return NULL;
	}
	return at;
}

static void stack_give_back(void *at)
{
	ROSTER_ASSERT(at != NULL);
	if (spare_count < FIBER_SPARE)
		spare[spare_count++] = at;
	else
		munmap(at, GUARD_BYTES + FIBER_STACK_BYTES);
}

void fiber_free_spare(void)
{
	while (spare_count > 0)
		munmap(spare[--spare_count], GUARD_BYTES + FIBER_STACK_BYTES);
}

/* ---- changing stacks ------------------------------------------------------------------------- */

/* The address sanitizer has to be told which stack is in use. */
#if SANITIZED
static const void *caller_stack;
static size_t caller_bytes;

static void enter(struct fiber *fiber)
{
	void *kept = NULL;

	__sanitizer_start_switch_fiber(&kept, (char *)fiber->stack + GUARD_BYTES,
	                               FIBER_STACK_BYTES);
	swapcontext(&fiber->caller, &fiber->here);
	__sanitizer_finish_switch_fiber(kept, NULL, NULL);
}

static void leave(struct fiber *fiber)
{
	void *kept = NULL;

	__sanitizer_start_switch_fiber(fiber->over ? NULL : &kept, caller_stack, caller_bytes);
	swapcontext(&fiber->here, &fiber->caller);
	__sanitizer_finish_switch_fiber(kept, &caller_stack, &caller_bytes);
}

static void arrived(void)
{
	__sanitizer_finish_switch_fiber(NULL, &caller_stack, &caller_bytes);
}
#else
static void enter(struct fiber *fiber)
{
	swapcontext(&fiber->caller, &fiber->here);
}

static void leave(struct fiber *fiber)
{
	swapcontext(&fiber->here, &fiber->caller);
}

static void arrived(void)
{
}
#endif

/* The first function on the stack of a fiber. It must not return, for there is nothing to return
 * to: the last leave() never comes back, because a fiber that is over is not run again. */
static void fiber_begin(void)
{
	struct fiber *fiber = current;

	arrived();
	fiber->fn(fiber->arg);
	ROSTER_ASSERT(current == fiber);
	fiber->over = true;
	leave(fiber);
	abort();
}

/* ---- fibers ---------------------------------------------------------------------------------- */

static bool fiber_prepare(struct fiber *fiber)
{
	if (getcontext(&fiber->here) < 0)
		return false;
	fiber->here.uc_stack.ss_sp = (char *)fiber->stack + GUARD_BYTES;
	fiber->here.uc_stack.ss_size = FIBER_STACK_BYTES;
	fiber->here.uc_link = NULL;
	makecontext(&fiber->here, fiber_begin, 0);
	return true;
}

struct fiber *fiber_new(fiber_fn *fn, void *arg)
{
	struct fiber *fiber = calloc(1, sizeof(*fiber));

	ROSTER_ASSERT(fn != NULL);
	if (fiber == NULL)
		return NULL;
	fiber->fn = fn;
	fiber->arg = arg;
	fiber->stack = stack_take();
	if (fiber->stack != NULL && fiber_prepare(fiber))
		return fiber;
	if (fiber->stack != NULL)
		stack_give_back(fiber->stack);
	free(fiber);
	return NULL;
}

bool fiber_run(struct fiber *fiber, uint64_t slice_us, bool gone)
{
	ROSTER_ASSERT(current == NULL); /* not within a fiber */
	fiber->until_us = clock_mono_us() + slice_us;
	fiber->gone |= gone;
	current = fiber;
	enter(fiber);
	current = NULL;
	/* The stack is given back here, by its caller: a fiber cannot free the stack on which it
	 * runs. */
	if (!fiber->over)
		return false;
	stack_give_back(fiber->stack);
	free(fiber);
	return true;
}

void fiber_end(struct fiber **fiber)
{
	while (*fiber != NULL && !fiber_run(*fiber, 0, true))
		;
	*fiber = NULL;
}

int fiber_pause(void)
{
	if (current == NULL)
		return 0;
	if (clock_mono_us() >= current->until_us)
		return fiber_rest();
	return current->gone ? ERR_GONE : 0;
}

int fiber_rest(void)
{
	struct fiber *fiber = current;

	if (fiber == NULL)
		return 0;
	leave(fiber);
	ROSTER_ASSERT(current == fiber); /* whoever goes on with it has said so */
	return fiber->gone ? ERR_GONE : 0;
}

int fiber_copy(void *to, const void *from, size_t n, size_t piece)
{
	int ret = 0;

	ROSTER_ASSERT(piece > 0); /* or it never ends */
	for (; n >= piece && ret == 0; n -= piece) {
		to = mempcpy(to, from, piece);
		from = (const char *)from + piece;
		ret = fiber_pause();
	}
	if (n > 0 && ret == 0)
		memcpy(to, from, n);
	return ret;
}

bool fiber_is_inside(void)
{
	return current != NULL;
}
