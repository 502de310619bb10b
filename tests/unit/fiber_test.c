/* SPDX-License-Identifier: Apache-2.0 */
/* fiber: work that stands still and goes on, on a stack of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "shared/base/breath.h"
#include "shared/base/fiber.h"

struct work {
	unsigned steps, done;
	int said;
	bool inside;
};

static void count_up(void *arg)
{
	struct work *work = arg;

	work->inside = fiber_is_inside();
	while (work->done < work->steps && work->said == 0) {
		work->done++;
		work->said = fiber_pause();
	}
}

static void a_pause_without_a_fiber_is_nothing(void **state)
{
	(void)state;
	assert_false(fiber_is_inside());
	assert_int_equal(fiber_pause(), 0);
}

static void short_work_ends_in_one_run(void **state)
{
	struct work work = { .steps = 1000 };

	(void)state;
	assert_true(fiber_run(fiber_new(count_up, &work), 60000000, false));
	assert_int_equal(work.done, 1000);
	assert_true(work.inside);
	assert_false(fiber_is_inside());
}

/* A slice of nothing: every pause ends it. */
static void works_take_turns(void **state)
{
	struct work a = { .steps = 5 }, b = { .steps = 3 };
	struct fiber *first = fiber_new(count_up, &a), *second = fiber_new(count_up, &b);

	(void)state;
	for (unsigned i = 1; i <= 3; i++) {
		assert_false(fiber_run(first, 0, false));
		assert_false(fiber_run(second, 0, false));
		assert_int_equal(a.done, i);
		assert_int_equal(b.done, i);
	}
	assert_true(fiber_run(second, 0, false));
	assert_true(fiber_run(first, 60000000, false));
	assert_int_equal(a.done, 5);
}

static void rest_thrice(void *arg)
{
	struct work *work = arg;

	while (work->done < 3 && work->said == 0) {
		work->done++;
		work->said = fiber_rest();
	}
}

/* However long the slice is. */
static void a_rest_ends_the_slice(void **state)
{
	struct work work = { .said = 0 };
	struct fiber *fiber = fiber_new(rest_thrice, &work);

	(void)state;
	assert_int_equal(fiber_rest(), 0);
	for (unsigned i = 1; i <= 2; i++) {
		assert_false(fiber_run(fiber, 60000000, false));
		assert_int_equal(work.done, i);
	}
	assert_true(fiber_run(fiber, 0, true));
	assert_int_equal(work.said, ERR_GONE);
}

static void a_work_that_nobody_waits_for_is_told(void **state)
{
	struct work work = { .steps = 5 };
	struct fiber *fiber = fiber_new(count_up, &work);

	(void)state;
	assert_false(fiber_run(fiber, 0, false));
	assert_int_equal(work.said, 0);
	assert_true(fiber_run(fiber, 0, true));
	assert_int_equal(work.said, ERR_GONE);
	assert_int_equal(work.done, 1);
}

static void note_what_is_said(void *arg)
{
	int *said = arg;

	for (unsigned i = 0; i < 3; i++)
		said[i] = fiber_pause();
}

/* Also by those that it comes to when the caller does not say so again. */
static void every_pause_says_so_from_then_on(void **state)
{
	int said[3] = { 1, 1, 1 };
	struct fiber *fiber = fiber_new(note_what_is_said, said);

	(void)state;
	assert_false(fiber_run(fiber, 0, false));
	assert_false(fiber_run(fiber, 0, true));
	assert_false(fiber_run(fiber, 0, false));
	assert_true(fiber_run(fiber, 0, false));
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(said[i], ERR_GONE);
}

/* One that has begun and pauses on its way out, one that has not begun, and none. */
static void an_end_goes_through_all_pauses(void **state)
{
	int said[3] = { 1, 1, 1 };
	struct work work = { .steps = 5 };
	struct fiber *begun = fiber_new(note_what_is_said, said),
	             *fresh = fiber_new(count_up, &work), *none = NULL;

	(void)state;
	assert_false(fiber_run(begun, 0, false));
	fiber_end(&begun);
	assert_null(begun);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(said[i], ERR_GONE);
	fiber_end(&fresh);
	assert_null(fresh);
	assert_int_equal(work.done, 1);
	fiber_end(&none);
}

/* Looks at the clock once for so much weight, not more often and not less. */
static void weigh(void *arg)
{
	struct work *work = arg;
	struct breath breath = { 0 };

	for (; work->done < work->steps && work->said == 0; work->done++)
		work->said = breathe(&breath, BREATH_WEIGHT / 4);
}

static void loops_breathe_by_weight(void **state)
{
	struct work work = { .steps = 12 };
	struct fiber *fiber = fiber_new(weigh, &work);

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		assert_false(fiber_run(fiber, 0, false));
		assert_int_equal(work.done, 4 * i + 3);
	}
	assert_true(fiber_run(fiber, 0, true));
	assert_int_equal(work.said, ERR_GONE);
}

static int compare_slowly(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	assert_int_equal(fiber_pause(), 0);
	return *x < *y ? -1 : *x > *y;
}

static void sort(void *arg)
{
	uint32_t *numbers = arg;

	qsort(numbers, 1000, sizeof(numbers[0]), compare_slowly);
}

/* The library's own function on the stack below. */
static void a_sort_stands_still_in_its_middle(void **state)
{
	static uint32_t numbers[2][1000];
	struct fiber *fibers[2];
	unsigned runs = 0, over = 0;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		for (uint32_t n = 0; n < 1000; n++)
			numbers[i][n] = n * 7919 % 1000;
		fibers[i] = fiber_new(sort, numbers[i]);
	}
	while (over < 2) {
		for (unsigned i = 0; i < 2; i++) {
			if (fibers[i] != NULL && fiber_run(fibers[i], 0, false)) {
				fibers[i] = NULL;
				over++;
			}
			runs++;
		}
	}
	assert_true(runs > 2000);
	for (uint32_t n = 0; n < 1000; n++)
		assert_true(numbers[0][n] == n && numbers[1][n] == n);
}

/* Stacks are used again, and each is as large as the header says. */
static void use_most(void *arg)
{
	volatile char room[FIBER_STACK_BYTES - 16384];
	struct work *work = arg;

	memset((char *)room, (int)work->steps, sizeof(room));
	work->said = fiber_pause();
	work->done = (unsigned)room[0] + (unsigned)room[sizeof(room) - 1];
}

static void stacks_are_large_and_their_own(void **state)
{
	struct work works[3 * FIBER_SPARE];
	struct fiber *fibers[3 * FIBER_SPARE];

	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 3 * FIBER_SPARE; i++) {
			works[i] = (struct work){ .steps = i + 1 };
			fibers[i] = fiber_new(use_most, &works[i]);
			assert_false(fiber_run(fibers[i], 0, false));
		}
		for (unsigned i = 0; i < 3 * FIBER_SPARE; i++) {
			assert_true(fiber_run(fibers[i], 0, false));
			assert_int_equal(works[i].done, 2 * (i + 1));
		}
	}
	fiber_free_spare();
}

static unsigned depth = 100000;

static void dig(void *arg)
{
	volatile char room[4096];

	memset((char *)room, 1, sizeof(room));
	if (depth-- > 0)
		dig(arg);
	room[0] = room[1];
}

/* Below its stack is a page that ends the process before it writes into somebody else's memory. */
static void too_deep_a_stack_ends_the_process(void **state)
{
	int status;
	pid_t child = fork();

	(void)state;
	if (child == 0) {
		close(STDERR_FILENO);
		(void)fiber_run(fiber_new(dig, NULL), 0, false);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pause_without_a_fiber_is_nothing),
		cmocka_unit_test(short_work_ends_in_one_run),
		cmocka_unit_test(works_take_turns),
		cmocka_unit_test(a_rest_ends_the_slice),
		cmocka_unit_test(a_work_that_nobody_waits_for_is_told),
		cmocka_unit_test(every_pause_says_so_from_then_on),
		cmocka_unit_test(an_end_goes_through_all_pauses),
		cmocka_unit_test(loops_breathe_by_weight),
		cmocka_unit_test(a_sort_stands_still_in_its_middle),
		cmocka_unit_test(stacks_are_large_and_their_own),
		cmocka_unit_test(too_deep_a_stack_ends_the_process),
	};

	return cmocka_run_group_tests_name("fiber", tests, NULL, NULL);
}
