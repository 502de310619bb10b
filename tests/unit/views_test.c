/* SPDX-License-Identifier: Apache-2.0 */
/* views: which clusters texts of a service are rendered, and for whom no more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pusher/views.h"

static struct views views;
static struct datagrams datagrams;

static int setup(void **state)
{
	(void)state;
	views_init(&views, 7);
	datagrams_init(&datagrams, 1 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	views_clear(&views, &datagrams);
	assert_int_equal(datagrams.count, 0);
	return 0;
}

static void add(const char *text, bool grouped, uint64_t source)
{
	struct datagram *datagram = datagram_new(&datagrams, views.count + 1, STR("bytes"));

	assert_non_null(views_add(&views, str_of(text), grouped, source, datagram));
}

static void test_found_by_text_and_names(void **state)
{
	char text[16];

	(void)state;
	assert_null(views_find(&views, STR("a"), true));
	for (unsigned i = 0; i < 300; i++) {
		snprintf(text, sizeof(text), "c%u", i);
		add(text, i % 2 == 0, 1);
	}
	for (unsigned i = 0; i < 300; i++) {
		snprintf(text, sizeof(text), "c%u", i);
		assert_int_equal(views_find(&views, str_of(text), i % 2 == 0)->datagram->key, i + 1);
		assert_null(views_find(&views, str_of(text), i % 2 == 1));
	}
	assert_null(views_find(&views, STR("c300"), true));
	assert_null(views_find(&views, STR("c"), true));
	views_clear(&views, &datagrams);
	assert_null(views_find(&views, STR("c1"), false));
	assert_int_equal(datagrams.count, 0);
}

/* No datagram can hold it: known all the same. */
static void test_too_big_is_remembered(void **state)
{
	(void)state;
	assert_non_null(views_add(&views, STR("big"), true, 1, NULL));
	assert_non_null(views_find(&views, STR("big"), true));
	assert_null(views_find(&views, STR("big"), true)->datagram);
}

static void test_limits(void **state)
{
	static const struct views_limits limits = { .all = 5, .per_source = 2 };

	(void)state;
	add("", true, 1);
	add("", false, 1);
	add("a", true, 1);
	assert_int_equal(views_may_add(&views, &limits, STR("x"), 1), VIEWS_OK);
	add("b", true, 1);
	assert_int_equal(views_may_add(&views, &limits, STR("x"), 1), VIEWS_SOURCE);
	assert_int_equal(views_may_add(&views, &limits, STR("x"), 2), VIEWS_OK);
	add("c", true, 2);
	add("d", true, 2);
	assert_int_equal(views_may_add(&views, &limits, STR("x"), 2), VIEWS_SOURCE);
	assert_int_equal(views_may_add(&views, &limits, STR("x"), 3), VIEWS_OK);
	add("e", true, 3);
	assert_int_equal(views_may_add(&views, &limits, STR("x"), 4), VIEWS_TOO_MANY);
	/* All clusters: always. */
	assert_int_equal(views_may_add(&views, &limits, STR(""), 1), VIEWS_OK);
	assert_int_equal(views_may_add(&views, &limits, STR(""), 4), VIEWS_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_found_by_text_and_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_big_is_remembered, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
