/* SPDX-License-Identifier: Apache-2.0 */
/* sort: any number of rows of any size, stable, in pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "shared/base/fiber.h"
#include "shared/base/sort.h"

struct row {
	uint32_t key, place;
	char rest[33]; /* not a power of two */
};

static int compare(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return x->key < y->key ? -1 : x->key > y->key;
}

static struct row *make(size_t count, uint32_t keys)
{
	struct row *rows = calloc(count + 1, sizeof(*rows));
	uint32_t random = 1;

	for (size_t i = 0; i < count; i++) {
		random = random * 1103515245 + 12345;
		rows[i] = (struct row){ .key = (random >> 8) % keys, .place = (uint32_t)i };
		memset(rows[i].rest, (int)rows[i].key, sizeof(rows[i].rest));
	}
	return rows;
}

static void check(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(rows[i].rest[32], (char)rows[i].key);
		if (i > 0)
			assert_true(rows[i - 1].key < rows[i].key ||
			            (rows[i - 1].key == rows[i].key &&
			             rows[i - 1].place < rows[i].place));
	}
}

static void rows_come_in_order_and_equal_ones_stay_so(void **state)
{
	(void)state;
	for (size_t count = 0; count < 70; count++) {
		struct row *rows = make(count, 9);

		assert_int_equal(sort_rows(rows, count, sizeof(*rows), compare), 0);
		check(rows, count);
		free(rows);
	}
}

struct work {
	struct row *rows;
	size_t count;
	int ret;
};

static void sort_them(void *arg)
{
	struct work *work = arg;

	work->ret = sort_rows(work->rows, work->count, sizeof(*work->rows), compare);
}

static void many_rows_are_sorted_with_pauses(void **state)
{
	struct work work = { .count = 20000, .ret = 1 };
	struct fiber *fiber;
	unsigned pauses = 0;

	(void)state;
	work.rows = make(work.count, 1000);
	fiber = fiber_new(sort_them, &work);
	while (!fiber_run(fiber, 0, false))
		pauses++;
	assert_int_equal(work.ret, 0);
	/* 15 times all rows, and back; a pause for every 160 rows or so. */
	assert_in_range(pauses, 15 * 20000 / 300, 16 * 20000 / 100);
	check(work.rows, work.count);
	free(work.rows);
}

static void nobody_waits(void **state)
{
	struct work work = { .count = 20000 };
	struct fiber *fiber;

	(void)state;
	work.rows = make(work.count, 1000);
	fiber = fiber_new(sort_them, &work);
	assert_false(fiber_run(fiber, 0, false));
	assert_true(fiber_run(fiber, 0, true));
	assert_int_equal(work.ret, ERR_GONE);
	free(work.rows);
}

static void end(void **state)
{
	(void)state;
	fiber_free_spare();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_come_in_order_and_equal_ones_stay_so),
		cmocka_unit_test(many_rows_are_sorted_with_pauses),
		cmocka_unit_test(nobody_waits),
		cmocka_unit_test(end),
	};

	return cmocka_run_group_tests_name("sort", tests, NULL, NULL);
}
