/* SPDX-License-Identifier: Apache-2.0 */
/* Counts, latency and CPU of routes; what several workers counted adds up. */
#include "tests/unit/http_fixture.h"

#include "shared/base/clock.h"
#include "shared/shm/segment.h"
#include "worker/metrics/route_stats.h"
#include "worker/v1/router.h"

#define BEGIN_US 1000000U

static struct fixture f;
static struct segment *seg;

static int set_up(void **state)
{
	(void)state;
	fixture_init(&f);
	if (segment_open_anonymous(0, &seg) < 0)
		return -1;
	f.proc.seg = seg;
	if (router_new(routes, route_count, STR("/nacos"), &f.v1.router) < 0)
		return -1;
	seg->slots[0].generation = seg->slots[3].generation = 1;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	clock_set_for_test(0, 0);
	router_free(&f.v1.router);
	segment_close_for_test(&seg);
	fixture_free(&f);
	return 0;
}

/* A request of that route that took so long. */
static void ask(const struct route *route, int status, uint64_t us)
{
	struct request *rq = fixture_request(&f);

	clock_set_for_test(BEGIN_US, 1);
	rq->began_us = clock_mono_us();
	v1_protocol.begin(rq);
	f.own.route = route;
	rq->status = status;
	v1_protocol.handled(rq);
	clock_set_for_test(BEGIN_US + us, 1);
	v1_protocol.answered(rq, clock_mono_us());
}

static void test_counts(void **state)
{
	struct slot_route sum;

	(void)state;
	ask(&routes[1], 200, 10);
	ask(&routes[1], 404, 50);
	ask(&routes[1], 500, 51);
	ask(NULL, 501, 3);
	f.proc.index = 3;
	ask(&routes[1], 200, 2000000);
	route_stats_sum(seg, 1, &sum);
	assert_int_equal(route_stats_requests(&sum), 4);
	assert_int_equal(sum.errors, 2);
	assert_int_equal(sum.us, 2000111);
	assert_int_equal(sum.buckets[0], 2); /* a bound belongs to its bucket */
	assert_int_equal(sum.buckets[1], 1);
	assert_int_equal(sum.buckets[SLOT_ROUTE_BUCKETS - 1], 1);
	route_stats_sum(seg, ROUTE_STATS_OTHER, &sum);
	assert_int_equal(route_stats_requests(&sum), 1);
	assert_int_equal(sum.errors, 1);
	route_stats_sum(seg, 0, &sum);
	assert_int_equal(route_stats_requests(&sum), 0);
}

/* A row that is not in the table of the server counts as none, never into the memory of others. */
static void test_foreign_row(void **state)
{
	static const struct route foreign = { METHOD_GET, "/x", NULL, 0, "x" };
	struct slot_route sum;

	(void)state;
	ask(&foreign, 200, 1);
	route_stats_sum(seg, ROUTE_STATS_OTHER, &sum);
	assert_int_equal(route_stats_requests(&sum), 1);
}

/* One in 64 in the mean is looked at, and not always the same one of a pattern. */
static void test_samples(void **state)
{
	unsigned samples = 0, even = 0;

	(void)state;
	for (unsigned i = 0; i < 64000; i++) {
		struct request *rq = fixture_request(&f);

		rq->began_us = clock_mono_us();
		v1_protocol.begin(rq);
		samples += f.own.began_cpu_ns != 0;
		even += f.own.began_cpu_ns != 0 && i % 2 == 0;
	}
	assert_in_range(samples, 850, 1150);
	assert_in_range(even, samples / 3, samples * 2 / 3);
}

static void test_without_a_segment(void **state)
{
	(void)state;
	f.proc.seg = NULL;
	ask(&routes[0], 200, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_counts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_foreign_row, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_samples, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_without_a_segment, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
