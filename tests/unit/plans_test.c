/* SPDX-License-Identifier: Apache-2.0 */
/* The tables at the top of the master: what has to come before what. */
#include "master/plans.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "master/upgrade/convert.h"
#include "master/upgrade/freeze.h"
#include "master/upgrade/upgrade.h"

static unsigned place_of(const char *name)
{
	for (unsigned i = 0; plans_rows[i].name != NULL; i++)
		if (strcmp(plans_rows[i].name, name) == 0)
			return i;
	fail_msg("no plan of the name %s", name);
	return 0;
}

/* Sockets have a sitter before anybody leaves; who may end the server is asked before a start goes
 * on; the stop is asked behind all that may have begun it. */
static void plans_advance_in_order(void **state)
{
	const char *const order[] = { "orphans", "damage", "arrival", "start", "convert", "stop" };

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		assert_non_null(plans_rows[place_of(order[i])].advance);
		if (i > 0)
			assert_true(place_of(order[i - 1]) < place_of(order[i]));
	}
}

/* A death that damages may begin the stop; then nobody calls the old binary back, and no start
 * fails for it. */
static void a_death_is_told_in_order(void **state)
{
	const char *const order[] = { "damage", "arrival", "start" };

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		assert_non_null(plans_rows[place_of(order[i])].child_died);
		if (i > 0)
			assert_true(place_of(order[i - 1]) < place_of(order[i]));
	}
}

/* The conversion is taken back or committed while all stand still; the upgrade ends last. */
static void a_stop_ends_plans_in_order(void **state)
{
	void (*const order[])(struct master *) = { convert_stop, freeze_end, upgrade_stop };
	unsigned n = 0;

	(void)state;
	for (const struct plan *plan = plans_rows; plan->name != NULL; plan++)
		if (plan->stop != NULL)
			assert_true(n < 3 && plan->stop == order[n++]);
	assert_int_equal(n, 3);
}

static void names_are_there_once_and_rows_do_something(void **state)
{
	(void)state;
	for (const struct plan *plan = plans_rows; plan->name != NULL; plan++) {
		assert_int_equal(place_of(plan->name), plan - plans_rows);
		assert_true(plan->advance != NULL || plan->child_ready != NULL ||
		            plan->child_died != NULL || plan->blocks != NULL ||
		            plan->child_forked != NULL || plan->in_child != NULL ||
		            plan->lend != NULL || plan->stop != NULL);
	}
}

static void each_signal_has_one_row(void **state)
{
	const int expected[] = { SIGCHLD, SIGHUP,  SIGUSR1, SIGUSR2, SIGTERM,
		                 SIGINT,  SIGQUIT, SIGTTIN, SIGTTOU };
	sigset_t seen;
	unsigned n = 0;

	(void)state;
	sigemptyset(&seen);
	for (const struct signal_row *row = plans_signals; row->number != 0; row++, n++) {
		assert_true(row->act != NULL && row->name != NULL);
		assert_int_equal(sigismember(&seen, row->number), 0);
		sigaddset(&seen, row->number);
	}
	assert_int_equal(n, 9);
	for (unsigned i = 0; i < 9; i++)
		assert_int_equal(sigismember(&seen, expected[i]), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plans_advance_in_order),
		cmocka_unit_test(a_death_is_told_in_order),
		cmocka_unit_test(a_stop_ends_plans_in_order),
		cmocka_unit_test(names_are_there_once_and_rows_do_something),
		cmocka_unit_test(each_signal_has_one_row),
	};

	return cmocka_run_group_tests_name("plans", tests, NULL, NULL);
}
