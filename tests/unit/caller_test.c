/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks, and what the row of the route lets it write. */
#include "tests/unit/http_fixture.h"

#include "shared/net/address.h"
#include "worker/v1/caller.h"
#include "worker/v1/routes.h"

static struct fixture f;

static struct naming_caller of_row(unsigned flags, const char *source)
{
	static struct route row;
	struct request *rq = fixture_request(&f);

	row = (struct route){ .flags = flags };
	f.own.route = &row;
	assert_int_equal(address_parse(str_of(source), rq->source), 0);
	return caller_of(rq);
}

static void rights(void **state)
{
	(void)state;
	fixture_init(&f);
	assert_int_equal(of_row(ROUTE_NAMING | ROUTE_INSTANCES, "10.0.0.1").right,
	                 NAMING_INSTANCES);
	assert_int_equal(of_row(ROUTE_NAMING | ROUTE_SERVICES | ROUTE_LONG, "10.0.0.1").right,
	                 NAMING_SERVICES);
	assert_int_equal(of_row(ROUTE_NAMING, "10.0.0.1").right, NAMING_READS);
	assert_int_equal(of_row(ROUTE_NAMING | ROUTE_OPERATOR, "10.0.0.1").right, NAMING_READS);
	fixture_free(&f);
}

static void sources(void **state)
{
	struct naming_caller caller;

	(void)state;
	fixture_init(&f);
	f.proc.config.operator_allow_count = 1;
	assert_int_equal(address_parse_range(STR("127.0.0.0/8"),
	                                     f.proc.config.operator_allow[0].address,
	                                     &f.proc.config.operator_allow[0].bits),
	                 0);
	caller = of_row(ROUTE_INSTANCES, "127.0.0.1");
	assert_true(caller.is_operator);
	assert_ptr_equal(caller.agent, &f.own.agent);
	caller = of_row(ROUTE_INSTANCES, "10.0.0.1");
	assert_false(caller.is_operator);
	assert_memory_equal(caller.source, f.rq.source, 16);
	fixture_free(&f);
}

/* A row writes one kind of thing, or nothing. */
static void rows_say_what_they_write(void **state)
{
	unsigned kinds[3] = { 0 };

	(void)state;
	for (unsigned i = 0; i < route_count; i++) {
		unsigned writes = routes[i].flags & ROUTE_WRITES;

		assert_int_equal(writes & (writes - 1), 0);
		kinds[0] += writes == ROUTE_INSTANCES;
		kinds[1] += writes == ROUTE_SERVICES;
		kinds[2] += writes == ROUTE_OPERATOR;
	}
	assert_true(kinds[0] > 0 && kinds[1] > 0 && kinds[2] > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(rights), cmocka_unit_test(sources),
		                            cmocka_unit_test(rows_say_what_they_write) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
