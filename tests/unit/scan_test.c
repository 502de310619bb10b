/* SPDX-License-Identifier: Apache-2.0 */
/* A scan sees each instance once, whatever goes between its holds and wherever it is told to step
 * back. */
#include "shared/registry/scan.h"
#include "tests/unit/registry_fixture.h"

#define NAME "g@@s"
#define MANY 9000 /* more than all marks of a list cover at first */

static void hold(struct fixture *f, struct op *op)
{
	struct service_key key = key_for(NAME);

	assert_int_equal(op_begin(op, &f->reg, registry_shard_of(&f->reg, &key), client), 0);
}

static void begin(struct fixture *f, struct scan *scan, struct op *op,
                  const struct service_key *key)
{
	struct service *s;
	uint32_t soff;

	hold(f, op);
	soff = service_find(op, key, key_place(&f->reg, key).hash, &s);
	assert_int_not_equal(soff, 0);
	scan_begin(scan, op, key, soff, s, WALK_EPHEMERAL, 0);
}

static void go_on(struct fixture *f, struct scan *scan, struct op *op)
{
	struct service *s;

	hold(f, op);
	assert_int_equal(scan_return(scan, op, &s), 0);
}

/* Returns the port of the next one, in this hold or the next; 0 at the end. */
static int32_t next_port(struct fixture *f, struct scan *scan, struct op *op)
{
	const struct instance *i;

	while ((i = scan_next(scan, op)) == NULL && !scan->end) {
		assert_int_equal(op->tx.err, 0);
		op_end(op);
		go_on(f, scan, op);
	}
	return i == NULL ? 0 : i->port;
}

static void remove_port(struct fixture *f, int32_t port)
{
	struct service_key key = key_for(NAME);
	struct instance_spec spec = spec_for("1.1.1.1", port);

	assert_int_equal(registry_deregister(&f->reg, client, &key, &spec.key, NULL), 0);
}

static void fill(struct fixture *f, int32_t count)
{
	for (int32_t port = 1; port <= count; port++)
		add(f, NAME, "1.1.1.1", port);
}

/* Steps back at n; in between the `gone` before it go, then what comes is n again, and the rest. */
static void step_back_at(struct fixture *f, int32_t n, int32_t gone, int32_t count)
{
	struct service_key key = key_for(NAME);
	struct scan scan;
	struct op op;

	begin(f, &scan, &op, &key);
	for (int32_t port = 1; port <= n; port++)
		assert_int_equal(next_port(f, &scan, &op), port);
	scan_step_back(&scan);
	assert_null(scan_next(&scan, &op)); /* this hold is over */
	assert_false(scan.end);
	op_end(&op);
	for (int32_t port = n - gone > 1 ? n - gone : 1; port < n; port++)
		remove_port(f, port);
	go_on(f, &scan, &op);
	assert_int_equal(scan.moved, gone > 0 && n > 1);
	for (int32_t port = n; port <= count; port++)
		assert_int_equal(next_port(f, &scan, &op), port);
	assert_int_equal(next_port(f, &scan, &op), 0);
	op_end(&op);
}

static void the_last_one_comes_again(void **state)
{
	static const int32_t gone[] = { 0, 1, 2, 63, 64, 65, 1000 };

	for (size_t g = 0; g < sizeof(gone) / sizeof(gone[0]); g++) {
		for (int32_t n = 1; n <= 200; n += n == 1 || n % 64 >= 62 || n % 64 <= 1 ? 1 : 12) {
			struct fixture f;

			(void)state;
			fixture_open(&f, 8U << 20);
			fill(&f, 200);
			step_back_at(&f, n, gone[g], 200);
			assert_clean(&f);
			fixture_close(&f);
		}
	}
}

/* With a step back now and then, and most of those that were passed removed between two holds. */
static void each_comes_once_in_a_long_list(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for(NAME);
	struct scan scan;
	struct op op;

	fill(f, MANY);
	begin(f, &scan, &op, &key);
	for (int32_t port = 1; port <= MANY; port++) {
		assert_int_equal(next_port(f, &scan, &op), port);
		if (port % 7 == 0 || port % 64 == 0) {
			scan_step_back(&scan);
			assert_int_equal(next_port(f, &scan, &op), port);
		}
		if (port % 3000 == 0) {
			op_end(&op);
			for (int32_t gone = port - 2990; gone <= port; gone++)
				remove_port(f, gone);
			go_on(f, &scan, &op);
		}
	}
	assert_int_equal(next_port(f, &scan, &op), 0);
	op_end(&op);
	assert_clean(f);
}

/* The marks lie evenly in what was passed: whatever is gone at the end of it, a few of those that
 * still stand are stepped over again. */
static void the_way_back_is_short(void **state)
{
	enum { PASSED = 6000, NEAR = PASSED / 20 };

	(void)state;
	for (int32_t gone = 500; gone < PASSED; gone += 500) {
		struct fixture f;
		struct service_key key = key_for(NAME);
		struct scan scan;
		struct op op;
		uint64_t left;

		fixture_open(&f, 16U << 20);
		fill(&f, MANY);
		begin(&f, &scan, &op, &key);
		for (int32_t port = 1; port <= PASSED; port++)
			assert_int_equal(next_port(&f, &scan, &op), port);
		op_end(&op);
		for (int32_t port = PASSED - gone + 1; port <= PASSED; port++)
			remove_port(&f, port);
		left = scan.left;
		go_on(&f, &scan, &op);
		assert_int_equal(next_port(&f, &scan, &op), PASSED + 1);
		assert_in_range(left - scan.left, 1, NEAR);
		op_end(&op);
		fixture_close(&f);
	}
}

/* Those that come later are not waited for. */
static void later_ones_are_not_seen(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for(NAME);
	struct scan scan;
	struct op op;

	fill(f, 100);
	begin(f, &scan, &op, &key);
	for (int32_t port = 1; port <= 50; port++)
		assert_int_equal(next_port(f, &scan, &op), port);
	op_end(&op);
	add(f, NAME, "1.1.1.1", 1000);
	go_on(f, &scan, &op);
	assert_true(scan.moved);
	for (int32_t port = 51; port <= 100; port++)
		assert_int_equal(next_port(f, &scan, &op), port);
	assert_int_equal(next_port(f, &scan, &op), 0);
	op_end(&op);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_one_comes_again),
		TEST(each_comes_once_in_a_long_list),
		cmocka_unit_test(the_way_back_is_short),
		TEST(later_ones_are_not_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
