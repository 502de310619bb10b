/* SPDX-License-Identifier: Apache-2.0 */
/* due: a heap of many items that enter, move and leave at random, against a look at all of them. */
#include "keeper/due.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/random.h"

#define ITEMS 301U
#define STEPS 40000U

static struct due items[ITEMS];
static struct due_heap heap;

/* The first one of the heap is as early as any, and each item knows whether it is in it. */
static void assert_in_order(unsigned in)
{
	const struct due *first = due_first(&heap);
	uint64_t earliest = UINT64_MAX;
	unsigned n = 0;

	for (unsigned i = 0; i < ITEMS; i++) {
		if (items[i].place == 0)
			continue;
		assert_ptr_equal(heap.items[items[i].place - 1], &items[i]);
		earliest = items[i].at_ms < earliest ? items[i].at_ms : earliest;
		n++;
	}
	assert_int_equal(n, in);
	assert_int_equal(heap.count, in);
	assert_int_equal(first != NULL, in > 0);
	if (first != NULL)
		assert_int_equal(first->at_ms, earliest);
}

/* The heap fills and empties in turns. */
static void test_against_a_model(void **state)
{
	unsigned in = 0;

	(void)state;
	for (unsigned step = 0; step < STEPS; step++) {
		struct due *item = &items[random_below(ITEMS)];
		bool fills = step / 2000 % 2 == 0;

		if (random_below(4) == (fills ? 0 : 3)) {
			in -= item->place != 0;
			due_drop(&heap, item);
			assert_int_equal(item->place, 0);
		} else if (fills || item->place != 0) {
			uint64_t at_ms = random_below(1000);

			in += item->place == 0;
			assert_int_equal(due_set(&heap, item, at_ms), 0);
			assert_int_equal(item->at_ms, at_ms);
		} else if (due_first(&heap) != NULL) {
			due_drop(&heap, due_first(&heap));
			in--;
		}
		if (step % 16 == 0)
			assert_in_order(in);
	}
	due_free(&heap);
}

/* They leave by their time, and the array becomes small again. */
static void test_sorts(void **state)
{
	uint64_t last = 0;

	(void)state;
	for (unsigned i = 0; i < ITEMS; i++) {
		items[i] = (struct due){ 0 };
		assert_int_equal(due_set(&heap, &items[i], random_below(1000)), 0);
	}
	for (unsigned i = 0; i < ITEMS; i++) {
		struct due *first = due_first(&heap);

		assert_true(first->at_ms >= last);
		last = first->at_ms;
		due_drop(&heap, first);
	}
	assert_null(due_first(&heap));
	assert_true(heap.cap < ITEMS);
	due_free(&heap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_a_model),
		cmocka_unit_test(test_sorts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
