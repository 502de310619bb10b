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

static void add_wish(const struct view_wish *wish)
{
	struct datagram *datagram = datagram_new(&datagrams, views.count + 1, STR("bytes"));

	assert_non_null(views_add(&views, wish, datagram));
}

static void add(const char *text, bool grouped, uint64_t source)
{
	struct view_wish wish = { .clusters = str_of(text), .grouped = grouped, .source = source };

	add_wish(&wish);
}

static const struct views_limits limits = { .all = 5, .per_source = 2 };

/* Adds it if it may be. */
static enum views_refusal ask(const char *text, uint64_t pick, bool plain, uint64_t source)
{
	struct view_wish wish = {
		.clusters = str_of(text), .source = source, .pick = pick, .plain = plain
	};
	enum views_refusal why = views_may_add(&views, &limits, &wish);

	if (why == VIEWS_OK)
		add_wish(&wish);
	return why;
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
		assert_int_equal(views_find(&views, str_of(text), i % 2 == 0)->datagram->key,
		                 i + 1);
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
	struct view_wish wish = { .clusters = STR("big"), .grouped = true, .source = 1 };

	(void)state;
	assert_non_null(views_add(&views, &wish, NULL));
	assert_int_equal(views.bytes, 0);
	assert_non_null(views_find(&views, STR("big"), true));
	assert_null(views_find(&views, STR("big"), true)->datagram);
}

/* Of what one source asked for first; other sources have their own. */
static void test_limit_of_a_source(void **state)
{
	(void)state;
	assert_int_equal(ask("a,b", 1, true, 1), VIEWS_OK);
	assert_int_equal(ask("nothing", 0, false, 1), VIEWS_OK);
	assert_int_equal(ask("b,a", 2, true, 1), VIEWS_SOURCE);
	assert_int_equal(ask("none", 0, false, 1), VIEWS_SOURCE);
	assert_int_equal(ask("b,a", 2, true, 2), VIEWS_OK);
	assert_int_equal(views.picks, 2);
	assert_int_equal(views.texts, 1);
	assert_int_equal(views.bytes, 3 * 5);
}

/* Whoever names one cluster of the service, or all by naming none, is pushed to whatever others ask
 * for. */
static void test_one_cluster_is_always_there(void **state)
{
	struct view_wish all = { .clusters = STR(""), .source = 1, .one = true };
	struct view_wish one = { .clusters = STR("a"), .source = 1, .one = true };
	char text[16];

	(void)state;
	for (unsigned i = 1; i <= 100; i++) {
		snprintf(text, sizeof text, "a,b,%u", i);
		(void)ask(text, i, i % 2 == 0, i);
	}
	assert_int_equal(views.picks, 5);
	assert_int_equal(ask("c,d", 200, true, 200), VIEWS_TOO_MANY);
	assert_int_equal(views_may_add(&views, &limits, &all), VIEWS_OK);
	assert_int_equal(views_may_add(&views, &limits, &one), VIEWS_OK);
	add_wish(&one);
	assert_int_equal(views.picks, 5);
}

/* Datagrams of all texts but "" are bounded, whoever asks. */
static void test_bytes_are_bounded(void **state)
{
	struct view_wish all = { .clusters = STR(""), .source = 1, .one = true };
	struct view_wish one = { .clusters = STR("a"), .source = 1, .one = true };

	(void)state;
	views.bytes = VIEWS_BYTES - 1;
	assert_int_equal(views_may_add(&views, &limits, &one), VIEWS_OK);
	add_wish(&one);
	assert_int_equal(views.bytes, VIEWS_BYTES + 4);
	assert_int_equal(views_may_add(&views, &limits, &one), VIEWS_TOO_LONG);
	assert_int_equal(ask("a,b", 1, true, 9), VIEWS_TOO_LONG);
	assert_int_equal(views_may_add(&views, &limits, &all), VIEWS_OK);
}

/* Any number of texts that name nothing real: the pick they share, or none, is full, others are
 * not; until all are too many. */
static void test_texts_of_a_pick(void **state)
{
	char text[16];
	uint64_t pick;
	unsigned got = 0;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		snprintf(text, sizeof text, "x%u", i);
		got += ask(text, 0, false, i) == VIEWS_OK;
	}
	assert_int_equal(got, limits.all);
	assert_int_equal(views.picks, 0);
	assert_int_equal(ask("a,b,y", 1, false, 1000), VIEWS_OK);
	/* Who names what there is, is not hurt by those who name more. */
	for (unsigned i = 0; i < 100; i++) {
		snprintf(text, sizeof text, "a,b,y%u", i);
		(void)ask(text, 1, false, i + 200);
	}
	assert_int_equal(views.texts, 2 * limits.all);
	assert_int_equal(ask("a,b", 1, true, 1001), VIEWS_OK);
	for (pick = 2; pick <= 4; pick++) {
		for (unsigned i = 0; i < 100; i++) {
			snprintf(text, sizeof text, "%u,z%u", (unsigned)pick, i);
			(void)ask(text, pick, false, 1000 * pick + i);
		}
	}
	assert_int_equal(views.texts, VIEWS_TEXTS * limits.all);
	assert_int_equal(ask("a,c", 5, true, 9000), VIEWS_OK);
	assert_int_equal(views.picks, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_found_by_text_and_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_big_is_remembered, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limit_of_a_source, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_cluster_is_always_there, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bytes_are_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_texts_of_a_pick, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
