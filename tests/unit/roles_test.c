/* SPDX-License-Identifier: Apache-2.0 */
/* The table of roles gives every child a place of its own, and every writer a slot of its own. */
#include "master/roles.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void every_role_has_one_row(void **state)
{
	unsigned rows[ROLES] = { 0 };

	(void)state;
	for (unsigned i = 0; i < ROLE_ROWS; i++) {
		const struct role_row *row = &role_rows[i];

		rows[row->role]++;
		assert_non_null(row->entrance);
		assert_true(role_name(row->role)[0] != 0 && row->most > 0 && row->busy_kill_ms > 0);
		for (unsigned k = 0; k < i; k++)
			assert_string_not_equal(role_name(row->role), role_name(role_rows[k].role));
	}
	assert_int_equal(rows[ROLE_MASTER], 0);
	for (enum role role = ROLE_WORKER; role < ROLES; role++)
		assert_int_equal(rows[role], 1);
}

static void a_place_belongs_to_one_row(void **state)
{
	unsigned places = 0;

	(void)state;
	for (unsigned place = 0; place < CHILDREN; place++) {
		const struct role_row *row = role_of_place(place);

		assert_non_null(row);
		assert_in_range(place, row->first_slot, row->first_slot + row->most - 1);
	}
	for (unsigned i = 0; i < ROLE_ROWS; i++)
		places += role_rows[i].most;
	assert_int_equal(places, CHILDREN);
	assert_null(role_of_place(CHILDREN));
	assert_null(role_of_place(CHILDREN_ALL));
	assert_null(role_of_place(UINT32_MAX));
}

/* In an upgrade two images of a worker run side by side, so they need two slots. A child that is
 * alone in its role keeps one slot, because the old one has left before. */
static void a_slot_has_one_writer(void **state)
{
	unsigned writers[SLOTS_MAX] = { 0 };

	(void)state;
	for (unsigned place = 0; place < CHILDREN; place++) {
		bool many = role_of_place(place)->most > 1;
		unsigned slot = role_slot(place, 0), other = role_slot(place, 1);

		assert_int_equal(slot, place);
		assert_true(slot < SLOTS_MAX && other < SLOTS_MAX);
		assert_int_equal(many, slot != other);
		writers[slot]++;
		writers[other] += many;
	}
	for (unsigned i = 0; i < SLOTS_MAX; i++)
		assert_true(writers[i] <= 1);
}

static void sockets_go_to_whom_they_are_for(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ROLE_ROWS; i++) {
		assert_int_equal(role_rows[i].listens, role_rows[i].role == ROLE_WORKER);
		assert_int_equal(role_rows[i].pushes, role_rows[i].role == ROLE_PUSHER);
	}
}

/* Workers change instances, so they leave before the pusher, which tells clients of the changes. */
static void workers_are_the_first_to_stop(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ROLE_ROWS; i++)
		assert_int_equal(role_rows[i].stop_order == 0, role_rows[i].role == ROLE_WORKER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_role_has_one_row),
		cmocka_unit_test(a_place_belongs_to_one_row),
		cmocka_unit_test(a_slot_has_one_writer),
		cmocka_unit_test(sockets_go_to_whom_they_are_for),
		cmocka_unit_test(workers_are_the_first_to_stop),
	};

	return cmocka_run_group_tests_name("roles", tests, NULL, NULL);
}
