/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "pusher/datagram.h"
#include "pusher/inflight.h"

static struct inflight *make(void)
{
	struct inflight *f;

	assert_int_equal(inflight_new(7, &f), 0);
	return f;
}

static struct inflight_entry *add(struct inflight *f, uint64_t id, uint16_t port, uint64_t key)
{
	struct inflight_entry fields = {
		.sub_id = id, .port = port, .key = key, .shard = (uint8_t)(id % 64), .tries = 1
	};

	assert_int_equal(inflight_reserve(f, 1), 0);
	fields.address[15] = 1;
	return inflight_add(f, &fields);
}

static const uint8_t address[16] = { [15] = 1 };

static void test_found_both_ways(void **state)
{
	struct inflight *f = make();
	struct inflight_entry *a;

	(void)state;
	a = add(f, 5, 4000, 99);
	assert_ptr_equal(inflight_find(f, 5, 5), a);
	assert_null(inflight_find(f, 6, 5));
	assert_ptr_equal(inflight_match(f, address, 4000, 99), a);
	assert_null(inflight_match(f, address, 4001, 99));
	assert_null(inflight_match(f, address, 4000, 98));
	assert_null(inflight_match(f, (const uint8_t[16]){ [15] = 2 }, 4000, 99));
	inflight_remove(f, a);
	assert_null(inflight_find(f, 5, 5));
	assert_null(inflight_match(f, address, 4000, 99));
	assert_int_equal(inflight_count(f), 0);
	inflight_free(&f);
	assert_null(f);
}

static void test_shared_socket(void **state)
{
	struct inflight *f = make();
	struct inflight_entry *entry, *next;
	unsigned n = 0;

	(void)state;
	add(f, 1, 4000, 99);
	add(f, 2, 4000, 99);
	add(f, 3, 4000, 100);
	for (entry = inflight_match(f, address, 4000, 99); entry != NULL; entry = next) {
		next = inflight_match_next(f, entry);
		inflight_remove(f, entry);
		n++;
	}
	assert_int_equal(n, 2);
	assert_non_null(inflight_find(f, 3, 3));
	inflight_free(&f);
}

static void test_waits_in_order(void **state)
{
	struct inflight *f = make();
	uint64_t id;

	(void)state;
	assert_null(inflight_oldest(f));
	for (id = 1; id <= 5; id++)
		inflight_wait(f, add(f, id, 4000, id));
	inflight_remove(f, inflight_find(f, 3, 3));
	/* Sent again: to the end. */
	inflight_wait(f, inflight_find(f, 1, 1));
	inflight_wait_first(f, add(f, 6, 4000, 6));
	static const uint64_t order[] = { 6, 2, 4, 5, 1 };
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(inflight_oldest(f)->sub_id, order[i]);
		inflight_remove(f, inflight_oldest(f));
	}
	assert_null(inflight_oldest(f));
	inflight_free(&f);
}

static void test_wheel(void **state)
{
	static const uint32_t delays[] = { 500, 3, 1000, 40, 41, 999 };
	struct inflight *f = make();
	uint64_t now_ms = 123456, got = 0, at, due;
	struct inflight_entry *entry;
	unsigned i;

	(void)state;
	assert_int_equal(inflight_next_due(f), UINT64_MAX);
	for (i = 0; i < 6; i++)
		inflight_delay(f, add(f, i + 1, 4000, i), now_ms, now_ms + delays[i]);
	assert_null(inflight_due(f, now_ms));
	for (at = now_ms; got < 6; at++) {
		due = inflight_next_due(f);
		while ((entry = inflight_due(f, at)) != NULL) {
			uint32_t wanted = delays[entry->sub_id - 1];

			/* Never early; late by less than a slot. */
			assert_in_range(at - now_ms, wanted, wanted + 4);
			assert_true(due <= at);
			inflight_remove(f, entry);
			got++;
		}
		assert_true(at < now_ms + 1010);
	}
	assert_int_equal(inflight_next_due(f), UINT64_MAX);
	/* Long afterwards, from empty. */
	inflight_delay(f, add(f, 9, 4000, 9), now_ms + 5000000, now_ms + 5000100);
	assert_null(inflight_due(f, now_ms + 5000050));
	assert_non_null(inflight_due(f, now_ms + 5000104));
	inflight_free(&f);
}

/* Grows to a large round and shrinks again; everything stays found on the way. */
static void test_many(void **state)
{
	enum { MANY = 100000 };
	struct inflight *f = make();
	uint64_t id;

	(void)state;
	for (id = 1; id <= MANY; id++)
		inflight_wait(f, add(f, id, (uint16_t)id, 7));
	assert_int_equal(inflight_count(f), MANY);
	for (id = 1; id <= MANY; id += 2)
		inflight_remove(f, inflight_find(f, (uint8_t)(id % 64), id));
	for (id = 1; id <= MANY; id++)
		assert_true((inflight_find(f, (uint8_t)(id % 64), id) != NULL) == (id % 2 == 0));
	for (id = 2; id <= MANY; id += 2) {
		assert_int_equal(inflight_oldest(f)->sub_id, id);
		inflight_remove(f, inflight_oldest(f));
	}
	inflight_trim(f);
	inflight_wait(f, add(f, 1, 1, 1));
	assert_int_equal(inflight_oldest(f)->sub_id, 1);
	inflight_free(&f);
}

/* All of one key, among others: none is looked for among the others of its key. The order of
 * sending is the worst one. */
static void test_many_of_one_key(void **state)
{
	enum { MANY = 100000 };
	struct inflight *f = make();
	struct inflight_entry *entry, *next;
	unsigned left = 0;
	uint64_t id;

	(void)state;
	for (id = 1; id <= MANY; id++)
		inflight_wait(f, add(f, id, id % 100 == 0 ? (uint16_t)id : 4000, 7));
	for (id = 1; id <= MANY / 2; id++) {
		assert_int_equal(inflight_oldest(f)->sub_id, id);
		inflight_remove(f, inflight_oldest(f));
	}
	/* What one ACK clears; the others stay. */
	for (entry = inflight_match(f, address, 4000, 7); entry != NULL; entry = next, left++) {
		next = inflight_match_next(f, entry);
		assert_int_equal(entry->port, 4000);
		inflight_remove(f, entry);
	}
	assert_int_equal(inflight_count(f) + left, MANY / 2);
	assert_true(left >= MANY / 2 - MANY / 200);
	for (id = MANY / 2 + 1; id <= MANY; id++) {
		entry = inflight_find(f, (uint8_t)(id % 64), id);
		assert_true((entry != NULL) == (id % 100 == 0 && (uint16_t)id != 4000));
		if (entry != NULL)
			assert_int_equal(inflight_match(f, address, (uint16_t)id, 7)->port,
			                 (uint16_t)id);
	}
	inflight_free(&f);
}

static void test_datagrams(void **state)
{
	struct datagrams set;
	struct datagram *a, *b, *c;

	(void)state;
	datagrams_init(&set, 10);
	a = datagram_new(&set, 77, STR("abcdef"));
	b = datagram_hold(a);
	assert_true(a->keep);
	assert_true(datagrams_live(&set, 77));
	assert_false(datagrams_live(&set, 78));
	/* Past the limit it is still made, but not to be kept. */
	c = datagram_new(&set, 78, STR("ghijkl"));
	assert_false(c->keep);
	datagram_release(&set, &c);
	datagram_release(&set, &a);
	assert_null(a);
	assert_memory_equal(b->data, "abcdef", 6);
	datagram_release(&set, &b);
	assert_false(datagrams_live(&set, 77));
	assert_int_equal(set.count, 0);
	assert_int_equal(set.bytes, 0);
	datagram_release(&set, &b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found_both_ways),
		cmocka_unit_test(test_shared_socket),
		cmocka_unit_test(test_waits_in_order),
		cmocka_unit_test(test_wheel),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_many_of_one_key),
		cmocka_unit_test(test_datagrams),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
