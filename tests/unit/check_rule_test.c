/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of active checks, and the heap of what comes next. */
#include "keeper/check_rule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "keeper/due.h"
#include "shared/net/address.h"

static struct health_params params(uint64_t min_ms, uint64_t max_ms, float factor)
{
	struct health_params p = { .max_ms = max_ms, .min_ms = min_ms };

	memcpy(&p.factor, &factor, sizeof(factor));
	return p;
}

/* ---- how often ------------------------------------------------------------------------------- */

static void test_first(void **state)
{
	struct switches switches = { .tcp = params(1000, 5000, 0.75f) };
	struct check_rt rt;

	(void)state;
	check_rt_init(&rt, &switches, 0, 12345);
	assert_int_equal(rt.normalized, 2000);
	check_rt_init(&rt, &switches, 4999, 4998);
	assert_int_equal(rt.normalized, 6998);
	assert_int_equal(rt.best, INT64_MAX);
	assert_int_equal(rt.worst, 0);
	for (uint64_t i = 0; i < 10000; i++) {
		check_rt_init(&rt, &switches, i * 7919, i * 104729);
		assert_in_range(rt.normalized, 2000, 6998);
	}
	switches.tcp.max_ms = 0;
	check_rt_init(&rt, &switches, 7, 7);
	assert_int_equal(rt.normalized, 2000);
}

static const struct {
	const char *name;
	uint64_t normalized, min_ms, max_ms;
	float factor;
	uint64_t ms, expected;
} rt_rows[] = {
	{ "towards a quick answer", 4000, 1000, 5000, 0.75f, 0, 3000 },
	{ "towards a slow one", 2000, 1000, 5000, 0.75f, 4000, 2500 },
	{ "cut below", 1100, 1000, 5000, 0.75f, 1, 1000 },
	{ "cut above", 6500, 1000, 5000, 0.75f, 13000, 5000 },
	{ "HTTP is slower to follow", 4000, 500, 5000, 0.85f, 0, 3400 },
	{ "MySQL keeps within 2 and 3 s", 2000, 2000, 3000, 0.65f, 4000, 2700 },
	{ "factor 1 stays", 2500, 1000, 5000, 1.0f, 5000, 2500 },
	{ "factor 0 follows", 2500, 1000, 5000, 0.0f, 1234, 1234 },
};

static void test_rt(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rt_rows) / sizeof(rt_rows[0]); i++) {
		struct health_params p =
		        params(rt_rows[i].min_ms, rt_rows[i].max_ms, rt_rows[i].factor);
		struct check_rt rt = { .normalized = rt_rows[i].normalized,
			               .best = 100,
			               .worst = 200 };

		check_rt_update(&rt, &p, rt_rows[i].ms);
		if (rt.normalized + 1 < rt_rows[i].expected || rt.normalized > rt_rows[i].expected)
			fail_msg("%s: %llu", rt_rows[i].name, (unsigned long long)rt.normalized);
		assert_int_equal(rt.last, rt_rows[i].ms);
		assert_int_equal(rt.best, rt_rows[i].ms < 100 ? rt_rows[i].ms : 100);
		assert_int_equal(rt.worst, rt_rows[i].ms > 200 ? rt_rows[i].ms : 200);
	}
}

/* ---- when health flips ----------------------------------------------------------------------- */

/* Checks: p passed, f soft failure, r refused, u unmade. Health: H healthy, C confirmed, each
 * followed by what came of it. */
static const struct {
	const char *name, *checks, *flips; /* flips: '-', '^' or 'v' for each check */
	bool healthy, confirmed;
	uint64_t times;
} judge_rows[] = {
	{ "three make it healthy", "pppp", "--^-", false, false, 3 },
	{ "three confirm", "pppp", "--^-", true, false, 3 },
	{ "confirmed stays", "pppp", "----", true, true, 3 },
	{ "three failures", "ffff", "--v-", true, true, 3 },
	{ "not confirmed, all the same", "fff", "--v", true, false, 3 },
	{ "refused at once", "rr", "v-", true, true, 3 },
	{ "unhealthy stays", "frf", "---", false, false, 3 },
	{ "a failure begins anew", "ppfpppp", "-----^-", false, false, 3 },
	{ "a refusal begins anew", "pprppp", "-----^", false, false, 3 },
	{ "a success begins anew", "ffpfff", "-----v", true, true, 3 },
	{ "down and up", "fffppp", "--v--^", true, true, 3 },
	{ "refused and up", "rppp", "v--^", true, true, 3 },
	{ "up and refused", "pppr", "--^v", false, false, 3 },
	{ "unmade is no answer", "fufuupupp", "---------", true, true, 3 },
	{ "unmade counts for nobody", "ffuf", "---v", true, true, 3 },
	{ "times of one", "pfp", "^v^", false, false, 1 },
	{ "unhealthy but confirmed", "r", "v", false, true, 3 },
};

static enum check_verdict verdict_of(char c)
{
	return c == 'p'   ? CHECK_PASSED
	       : c == 'f' ? CHECK_FAILED
	       : c == 'r' ? CHECK_REFUSED
	                  : CHECK_UNMADE;
}

static void test_judge(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(judge_rows) / sizeof(judge_rows[0]); i++) {
		bool healthy = judge_rows[i].healthy, confirmed = judge_rows[i].confirmed;
		struct check_counts counts = { 0, 0 };

		for (size_t n = 0; judge_rows[i].checks[n] != '\0'; n++) {
			enum check_flip flip =
			        check_judge(&counts, verdict_of(judge_rows[i].checks[n]), healthy,
			                    confirmed, judge_rows[i].times);
			char seen = flip == CHECK_UP ? '^' : flip == CHECK_DOWN ? 'v' : '-';

			if (seen != judge_rows[i].flips[n])
				fail_msg("%s: check %zu: %c", judge_rows[i].name, n + 1, seen);
			if (flip != CHECK_STAY)
				healthy = confirmed = flip == CHECK_UP;
		}
	}
}

/* ---- where to -------------------------------------------------------------------------------- */

static const struct {
	const char *address;
	int64_t port;
	bool expected;
} where_rows[] = {
	{ "10.0.0.1", 80, true },
	{ "127.0.0.1", 80, true },
	{ "::1", 80, true },
	{ "2001:db8::1", 80, true },
	{ "10.0.0.1", 0, false },
	{ "10.0.0.1", -1, false },
	{ "10.0.0.1", 65535, true },
	{ "10.0.0.1", 65536, false },
	{ "169.254.169.254", 80, false },
	{ "169.253.255.255", 80, true },
	{ "169.255.0.0", 80, true },
	{ "::ffff:169.254.169.254", 80, false },
	{ "::169.254.169.254", 80, false },
	{ "64:ff9b::169.254.169.254", 80, false },
	{ "64:ff9b::10.0.0.1", 80, true },
	{ "2002:a9fe:a9fe::1", 80, false },
	{ "2002:0a00:0001::1", 80, true },
	{ "fe80::1", 80, false },
	{ "febf::1", 80, false },
	{ "fec0::1", 80, true },
	{ "fd00:ec2::254", 80, false },
	{ "fd00:ec2::253", 80, true },
	{ "100.100.100.200", 80, false },
	{ "100.100.100.201", 80, true },
	{ "0.0.0.0", 80, false },
	{ "::", 80, false },
	{ "224.0.0.1", 80, false },
	{ "255.255.255.255", 80, false },
	{ "ff02::1", 80, false },
};

static void test_where(void **state)
{
	struct config config;

	(void)state;
	config_defaults(&config);
	for (size_t i = 0; i < sizeof(where_rows) / sizeof(where_rows[0]); i++) {
		uint8_t address[16];

		assert_int_equal(address_parse(str_of(where_rows[i].address), address), 0);
		if (check_may_connect(&config, address, where_rows[i].port) !=
		    where_rows[i].expected)
			fail_msg("%s port %lld", where_rows[i].address,
			         (long long)where_rows[i].port);
	}
}

/* ---- what comes next ------------------------------------------------------------------------- */

#define ITEMS 500U

static void assert_heap(const struct due_heap *heap)
{
	for (uint32_t i = 0; i < heap->count; i++) {
		assert_int_equal(heap->items[i]->place, i + 1);
		assert_true(i == 0 || heap->items[(i - 1) / 2]->at_ms <= heap->items[i]->at_ms);
	}
}

static void test_due(void **state)
{
	static struct due items[ITEMS];
	struct due_heap heap = { .items = NULL };
	uint64_t last = 0;
	uint32_t in = 0;

	(void)state;
	srand(4711);
	assert_null(due_first(&heap));
	for (unsigned i = 0; i < 20000; i++) {
		struct due *item = &items[(unsigned)rand() % ITEMS];

		if (rand() % 3 == 0)
			due_drop(&heap, item);
		else
			assert_int_equal(due_set(&heap, item, (uint64_t)rand() % 1000), 0);
		if (i % 100 == 0)
			assert_heap(&heap);
	}
	for (unsigned i = 0; i < ITEMS; i++)
		in += items[i].place != 0;
	assert_int_equal(in, heap.count);
	while (due_first(&heap) != NULL) {
		assert_true(due_first(&heap)->at_ms >= last);
		last = due_first(&heap)->at_ms;
		due_drop(&heap, due_first(&heap));
	}
	due_free(&heap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first), cmocka_unit_test(test_rt),
		cmocka_unit_test(test_judge), cmocka_unit_test(test_where),
		cmocka_unit_test(test_due),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
