/* SPDX-License-Identifier: Apache-2.0 */
/* pick: which clusters a text asks for, in its normal form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "shared/view/pick.h"

#define MANY 4096U

static struct cluster_view clusters[MANY];
static struct instance_view instances[2 * MANY];
static char names[MANY][16];

static struct service_view view_of(uint32_t cluster_count)
{
	return (struct service_view){ .clusters = clusters,
		                      .cluster_count = cluster_count,
		                      .instances = instances };
}

/* a: 2 instances, b: 1, c: none, d: 1. */
static struct service_view small_view(void)
{
	static const uint32_t of[] = { 0, 0, 1, 3 };
	struct service_view view = view_of(4);

	for (unsigned i = 0; i < 4; i++) {
		clusters[i] = (struct cluster_view){ .name = str_of((const char *[]){ "a", "b", "c",
			                                                              "d" }[i]) };
		instances[i] = (struct instance_view){ .cluster = of[i] };
	}
	view.instance_count = 4;
	return view;
}

static const char *picked(const struct service_view *view, const char *text)
{
	static char out[64];
	struct pick pick;
	size_t n = 0;

	assert_int_equal(pick_make(&pick, view, str_of(text)), 0);
	for (uint32_t i = 0; i < pick.count; i++)
		n += (size_t)snprintf(out + n, sizeof(out) - n, "%.*s",
		                      (int)clusters[pick.order[i]].name.n,
		                      clusters[pick.order[i]].name.p);
	out[n] = '\0';
	pick_free(&pick);
	return out;
}

/* "" and texts without a name ask for all; the order asked for stays; what shows nothing is left
 * out. */
static void test_normal_form(void **state)
{
	static const struct {
		const char *text, *expected;
	} rows[] = {
		{ "", "abd" },   { ",", "abd" },        { ",,,", "abd" },     { "a", "a" },
		{ "b,a", "ba" }, { "a,b", "ab" },       { "d,,b,x,b", "db" }, { "x", "" },
		{ "c", "" },     { "a ", "" },          { "c,a", "a" },       { "a,a,a", "a" },
		{ "A", "" },     { "aa,ab,a,b", "ab" }, { "d,c,b,a", "dba" }, { "a,b,d", "abd" },
	};
	struct service_view view = small_view();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(picked(&view, rows[i].text), rows[i].expected);
}

/* One text of those with a pick is plain. The name of one cluster is that, with instances or
 * without. */
static void test_plain_and_one(void **state)
{
	static const struct {
		const char *text;
		bool plain, one;
	} rows[] = {
		{ "", false, false },      { ",", false, false },   { "a", true, true },
		{ "c", false, true },      { "x", false, false },   { "a,", false, false },
		{ "a,b", true, false },    { "b,a", true, false },  { "a,b,d", true, false },
		{ "a,b,a", false, false }, { "a,x", false, false }, { "a,c", false, false },
		{ "a,,b", false, false },  { "ab", false, false },
	};
	struct service_view view = small_view();
	struct pick pick;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(pick_make(&pick, &view, str_of(rows[i].text)), 0);
		assert_int_equal(pick.plain, rows[i].plain);
		assert_int_equal(pick_is_one(&view, str_of(rows[i].text)), rows[i].one);
		pick_free(&pick);
	}
}

static void test_where_instances_begin(void **state)
{
	struct service_view view = small_view();
	struct pick pick;

	(void)state;
	assert_int_equal(pick_make(&pick, &view, STR("")), 0);
	for (uint32_t c = 0; c <= 4; c++)
		assert_int_equal(pick.first[c], ((const uint32_t[]){ 0, 2, 3, 3, 4 })[c]);
	pick_free(&pick);
	view.cluster_count = view.instance_count = 0;
	assert_int_equal(pick_make(&pick, &view, STR("a,b")), 0);
	assert_int_equal(pick.count, 0);
	pick_free(&pick);
	pick_free(&pick);
}

static void test_same(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} rows[] = {
		{ "", "a,b,d", true },    { "", "a,b", false }, { "a,b", "b,a", false },
		{ "a,x1", "a,x2", true }, { "x", "y", true },   { "a", "a,a,c,", true },
		{ "a", "b", false },
	};
	struct service_view view = small_view();
	struct pick a, b;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(pick_make(&a, &view, str_of(rows[i].a)), 0);
		assert_int_equal(pick_make(&b, &view, str_of(rows[i].b)), 0);
		assert_int_equal(pick_same(&a, &b), rows[i].same);
		pick_free(&a);
		pick_free(&b);
	}
}

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* So many clusters in any order, asked for from the last to the first, each twice and one that
 * there is not between them. */
static uint64_t cost_of(uint32_t count)
{
	struct service_view view = view_of(count);
	char *text = malloc((size_t)count * 24);
	size_t n = 0;
	uint64_t begun, best = UINT64_MAX;
	struct pick pick;

	for (uint32_t c = 0; c < count; c++) {
		snprintf(names[c], sizeof(names[c]), "c%05u", c * 1237 % count);
		clusters[c] = (struct cluster_view){ .name = str_of(names[c]) };
		instances[c] = (struct instance_view){ .cluster = c };
	}
	view.instance_count = count;
	for (uint32_t c = count; c-- > 0;)
		n += (size_t)sprintf(text + n, "%s,%s,x%u,", names[c], names[c], c);
	for (unsigned tries = 0; tries < 5; tries++) {
		begun = cpu_ns();
		assert_int_equal(pick_make(&pick, &view, str_make(text, n)), 0);
		if (cpu_ns() - begun < best)
			best = cpu_ns() - begun;
		assert_int_equal(pick.count, count);
		for (uint32_t c = 0; c < count; c++)
			assert_int_equal(pick.order[c], count - 1 - c);
		pick_free(&pick);
	}
	free(text);
	return best;
}

/* Sixteen times as many names of sixteen times as many clusters: twenty times the time; each
 * compared with each: 256 times. */
static void test_time_is_linear(void **state)
{
	uint64_t few = cost_of(MANY / 16), many = cost_of(MANY);

	(void)state;
	print_message("%u clusters: %.1f us, %u: %.1f us\n", MANY / 16, (double)few / 1000, MANY,
	              (double)many / 1000);
	assert_true(many < 80 * few);
}

static void test_text_of_the_normal_form(void **state)
{
	static const struct {
		const char *text, *normal;
	} rows[] = {
		{ "", "" },        { ",,", "" },         { "a", "a" },      { "b,a", "b,a" },
		{ ",a,,a,", "a" }, { "c", " " },         { "nobody", " " }, { " ", " " },
		{ "c,b", "b" },    { "d,x,a,d", "d,a" },
	};
	struct service_view view = small_view();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char again[64];
		struct buf b;

		buf_init(&b);
		assert_int_equal(pick_normal(&view, str_of(rows[i].text), &b), 0);
		assert_true(str_eq(buf_view(&b), str_of(rows[i].normal)));
		snprintf(again, sizeof(again), "%s", picked(&view, rows[i].normal));
		assert_string_equal(again, picked(&view, rows[i].text));
		buf_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_normal_form),
		cmocka_unit_test(test_plain_and_one),
		cmocka_unit_test(test_where_instances_begin),
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_text_of_the_normal_form),
		cmocka_unit_test(test_time_is_linear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
