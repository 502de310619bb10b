/* SPDX-License-Identifier: Apache-2.0 */
/* datagram: bytes that several deliveries share, and how many are kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pusher/datagram.h"

static struct datagrams set;

static void test_the_last_reference_frees(void **state)
{
	struct datagram *one, *again, *none = NULL;

	(void)state;
	datagrams_init(&set, 1000);
	one = datagram_new(&set, 7, STR("abc"));
	assert_int_equal(one->len, 3);
	assert_memory_equal(one->data, "abc", 3);
	again = datagram_hold(one);
	assert_ptr_equal(again, one);
	datagram_release(&set, &one);
	assert_null(one);
	assert_true(datagrams_live(&set, 7));
	assert_int_equal(set.count, 1);
	assert_int_equal(set.bytes, 3);
	datagram_release(&set, &again);
	assert_false(datagrams_live(&set, 7));
	assert_int_equal(set.count, 0);
	assert_int_equal(set.bytes, 0);
	datagram_release(&set, &none);
	assert_int_equal(set.count, 0);
}

/* Made all the same, but not to be held for a resend. */
static void test_kept_up_to_the_limit(void **state)
{
	struct datagram *first, *second, *third;

	(void)state;
	datagrams_init(&set, 10);
	first = datagram_new(&set, 1, STR("123456"));
	second = datagram_new(&set, 2, STR("1234"));
	third = datagram_new(&set, 3, STR("1"));
	assert_true(first->keep);
	assert_true(second->keep);
	assert_false(third->keep);
	datagram_release(&set, &third);
	datagram_release(&set, &first);
	third = datagram_new(&set, 4, STR("123456"));
	assert_true(third->keep);
	datagram_release(&set, &second);
	datagram_release(&set, &third);
}

/* Rounds of a moment have keys close together, by ones or by thousands: no bucket is long. */
static void test_keys_are_spread(void **state)
{
	static struct datagram *all[DATAGRAM_BUCKETS];

	(void)state;
	for (uint64_t step = 1; step <= 1000000; step *= 10) {
		unsigned longest = 0;

		datagrams_init(&set, 0);
		for (unsigned i = 0; i < DATAGRAM_BUCKETS; i++)
			all[i] = datagram_new(&set, 1795348111531000 + i * step, STR(""));
		for (unsigned i = 0; i < DATAGRAM_BUCKETS; i++) {
			unsigned n = 0;

			for (struct datagram *d = set.buckets[i]; d != NULL; d = d->next)
				n++;
			longest = n > longest ? n : longest;
		}
		assert_in_range(longest, 1, 32);
		for (unsigned i = 0; i < DATAGRAM_BUCKETS; i++)
			datagram_release(&set, &all[i]);
	}
}

/* More than there are buckets, released in another order than made. */
static void test_many(void **state)
{
	enum { MANY = 3 * DATAGRAM_BUCKETS };
	static struct datagram *all[MANY];

	(void)state;
	datagrams_init(&set, MANY);
	for (unsigned i = 0; i < MANY; i++)
		all[i] = datagram_new(&set, i, STR("x"));
	assert_int_equal(set.count, MANY);
	for (unsigned i = 0; i < MANY; i += 2)
		datagram_release(&set, &all[i]);
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(datagrams_live(&set, i), i % 2);
	for (unsigned i = 1; i < MANY; i += 2)
		datagram_release(&set, &all[i]);
	assert_int_equal(set.count, 0);
	assert_int_equal(set.bytes, 0);
	for (unsigned i = 0; i < DATAGRAM_BUCKETS; i++)
		assert_null(set.buckets[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_last_reference_frees),
		cmocka_unit_test(test_kept_up_to_the_limit),
		cmocka_unit_test(test_keys_are_spread),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
