/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of hooks: who is called, in which order, and who is asked no more. */
#include "master/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "master/master.h"

static char calls[64];
static struct master m;
static struct child child;
static siginfo_t info;
static bool second_blocks;

static void note(char c)
{
	size_t n = strlen(calls);

	assert_true(n + 1 < sizeof(calls));
	calls[n] = c;
}

static void a(struct master *of)
{
	assert_ptr_equal(of, &m);
	note('a');
}

static void b(struct master *of)
{
	assert_ptr_equal(of, &m);
	note('b');
}

static void c(struct master *of)
{
	assert_ptr_equal(of, &m);
	note('c');
}

static void of_child_a(struct master *of, const struct child *which)
{
	a(of);
	assert_ptr_equal(which, &child);
}

static void of_child_b(struct master *of, const struct child *which)
{
	b(of);
	assert_ptr_equal(which, &child);
}

static void death_a(struct master *of, const struct child *which, const siginfo_t *how)
{
	of_child_a(of, which);
	assert_ptr_equal(how, &info);
}

static void death_c(struct master *of, const struct child *which, const siginfo_t *how)
{
	c(of);
	assert_ptr_equal(which, &child);
	assert_ptr_equal(how, &info);
}

static void lend_a(const struct master *of, const struct child *which, struct process *proc)
{
	assert_true(of == &m && which == &child);
	proc->index = 7;
	note('a');
}

static void lend_c(const struct master *of, const struct child *which, struct process *proc)
{
	assert_true(of == &m && which == &child);
	assert_int_equal(proc->index, 7); /* the same one */
	note('c');
}

static bool blocks_not(const struct master *of, const struct child *which)
{
	assert_true(of == &m && which == &child);
	note('1');
	return false;
}

static bool blocks_perhaps(const struct master *of, const struct child *which)
{
	assert_true(of == &m && which == &child);
	note('2');
	return second_blocks;
}

static const struct plan rows[] = {
	{ "first", .advance = a, .child_ready = of_child_a, .child_died = death_a,
	  .blocks = blocks_not, .lend = lend_a, .stop = c },
	{ "second", .advance = b, .in_child = of_child_b, .blocks = blocks_perhaps,
	  .child_forked = b },
	{ "third", .advance = c, .child_ready = of_child_b, .child_died = death_c,
	  .in_child = of_child_a, .lend = lend_c, .stop = a },
	{ "fourth", .blocks = blocks_not, .child_forked = a },
	{ .name = NULL },
};

static int set_up(void **state)
{
	(void)state;
	memset(calls, 0, sizeof(calls));
	m = (struct master){ .plans = rows };
	return 0;
}

static void each_hook_is_called_in_the_order_of_the_rows(void **state)
{
	struct process proc = { .index = 0 };

	(void)state;
	plan_advance(&m);
	assert_string_equal(calls, "abc");
	plan_child_ready(&m, &child);
	assert_string_equal(calls, "abcab");
	plan_child_died(&m, &child, &info);
	assert_string_equal(calls, "abcabac");
	plan_child_forked(&m);
	assert_string_equal(calls, "abcabacba");
	plan_in_child(&m, &child);
	assert_string_equal(calls, "abcabacbaba");
	plan_lend(&m, &child, &proc);
	assert_string_equal(calls, "abcabacbabaac");
	plan_stop(&m);
	assert_string_equal(calls, "abcabacbabaacca");
}

static void the_first_that_blocks_is_the_last_that_is_asked(void **state)
{
	(void)state;
	second_blocks = true;
	assert_true(plan_blocks(&m, &child));
	assert_string_equal(calls, "12");
	second_blocks = false;
	assert_false(plan_blocks(&m, &child));
	assert_string_equal(calls, "12121");
}

static void a_master_without_rows_has_no_plans(void **state)
{
	(void)state;
	m.plans = NULL;
	plan_advance(&m);
	plan_child_ready(&m, &child);
	plan_child_died(&m, &child, &info);
	plan_child_forked(&m);
	plan_in_child(&m, &child);
	plan_lend(&m, &child, NULL);
	plan_stop(&m);
	assert_false(plan_blocks(&m, &child));
	assert_string_equal(calls, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(each_hook_is_called_in_the_order_of_the_rows, set_up),
		cmocka_unit_test_setup(the_first_that_blocks_is_the_last_that_is_asked, set_up),
		cmocka_unit_test_setup(a_master_without_rows_has_no_plans, set_up),
	};

	return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
