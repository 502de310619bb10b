/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/death_fixture.h"
#include "worker/v1/list_cache.h"

static struct list_cache_key key_of(uint64_t id, uint64_t revision)
{
	return (struct list_cache_key){
		.epoch = 1, .service_id = id, .revision = revision, .clusters = STR("")
	};
}

static void put(struct list_cache *cache, struct list_cache_key key, const char *hosts)
{
	struct list_cache_entry entry = { .hosts = str_of(hosts),
		                          .metadata_json = STR("{\"m\":\"1\"}") };

	entry.shape.hosts = (uint32_t)strlen(hosts);
	list_cache_put(cache, &key, &entry);
}

static bool has(struct list_cache *cache, struct list_cache_key key, const char *hosts)
{
	const struct list_cache_entry *entry = list_cache_hold(cache, &key);
	bool same;

	if (entry == NULL)
		return false;
	assert_int_equal(entry->shape.hosts, strlen(hosts));
	assert_true(str_eq(entry->metadata_json, STR("{\"m\":\"1\"}")));
	same = str_eq(entry->hosts, str_of(hosts));
	list_cache_release(entry);
	return same;
}

static void test_copies(void **state)
{
	struct list_cache *cache;
	char hosts[] = "[1]", clusters[] = "a,b";
	struct list_cache_key key = key_of(7, 3);

	(void)state;
	assert_int_equal(list_cache_new(1 << 20, &cache), 0);
	key.clusters = str_of(clusters);
	put(cache, key, hosts);
	memset(hosts, 'x', 3);
	memset(clusters, 'x', 3);
	key.clusters = STR("a,b");
	assert_true(has(cache, key, "[1]"));
	list_cache_free(&cache);
	assert_null(cache);
}

/* What was made of an older entry may have its texts. */
static void test_older_entry_with_pieces(void **state)
{
	struct list_cache_key key = key_of(7, 3), newer = key_of(7, 4), other = key_of(8, 4);
	struct list_piece pieces[2] = { { 1, 2, 3 }, { 4, 5, 6 } };
	struct list_cache_entry entry = { .hosts = STR("[1]"),
		                          .metadata_json = STR("{}"),
		                          .content = 9,
		                          .pieces = pieces,
		                          .piece_count = 2 };
	const struct list_cache_entry *held;
	struct list_cache *cache;

	(void)state;
	assert_int_equal(list_cache_new(1 << 20, &cache), 0);
	assert_null(list_cache_older(cache, &newer));
	list_cache_put(cache, &key, &entry);
	assert_null(list_cache_older(cache, &other));
	assert_non_null(list_cache_older(cache, &newer));
	entry = *list_cache_older(cache, &newer);
	assert_true(entry.pieces != pieces);
	assert_memory_equal(entry.pieces, pieces, sizeof(pieces));
	list_cache_put(cache, &newer, &entry);
	assert_null(list_cache_hold(cache, &key));
	held = list_cache_hold(cache, &newer);
	assert_non_null(held);
	assert_int_equal(held->content, 9);
	assert_true(str_eq(held->hosts, STR("[1]")));
	assert_memory_equal(held->pieces, pieces, sizeof(pieces));
	list_cache_release(held);
	list_cache_free(&cache);
}

/* Whatever becomes of it in the cache: replaced, thrown out, the cache itself gone. */
static void test_what_is_held_stays(void **state)
{
	const struct list_cache_entry *first, *second, *again;
	struct list_cache_key key = key_of(7, 3), newer = key_of(7, 4);
	struct list_cache *cache;

	(void)state;
	assert_int_equal(list_cache_new(1 << 20, &cache), 0);
	assert_null(list_cache_hold(cache, &key));
	put(cache, key, "[1]");
	assert_null(list_cache_hold(cache, &newer));
	first = list_cache_hold(cache, &key);
	again = list_cache_hold(cache, &key);
	assert_ptr_equal(first, again);
	put(cache, newer, "[2]"); /* would fit into its place */
	assert_true(str_eq(first->hosts, STR("[1]")));
	assert_true(has(cache, newer, "[2]"));
	second = list_cache_hold(cache, &newer);
	list_cache_release(again);
	assert_true(str_eq(first->hosts, STR("[1]")));
	list_cache_resize(cache, 0);
	assert_true(str_eq(second->hosts, STR("[2]")));
	list_cache_free(&cache);
	assert_true(str_eq(first->hosts, STR("[1]")));
	list_cache_release(first);
	list_cache_release(second);
	/* One that nobody holds any more is used again. */
	assert_int_equal(list_cache_new(1 << 20, &cache), 0);
	put(cache, key, "[1]");
	list_cache_release(list_cache_hold(cache, &key));
	put(cache, newer, "[2]");
	assert_true(has(cache, newer, "[2]"));
	list_cache_free(&cache);
}

static void test_every_part_of_the_key_counts(void **state)
{
	struct list_cache *cache;
	struct list_cache_key key = key_of(7, 3), other;

	(void)state;
	assert_int_equal(list_cache_new(1 << 20, &cache), 0);
	put(cache, key, "[1]");
	other = key, other.epoch = 2;
	assert_false(has(cache, other, "[1]"));
	other = key, other.service_id = 8;
	assert_false(has(cache, other, "[1]"));
	other = key, other.revision = 4;
	assert_false(has(cache, other, "[1]"));
	other = key, other.clusters = STR("a");
	assert_false(has(cache, other, "[1]"));
	other = key, other.grouped = true;
	assert_false(has(cache, other, "[1]"));
	other = key, other.healthy_only = true;
	assert_false(has(cache, other, "[1]"));
	assert_true(has(cache, key, "[1]"));
	list_cache_free(&cache);
}

static void test_newer_revision_replaces(void **state)
{
	struct list_cache *cache;

	(void)state;
	assert_int_equal(list_cache_new(1 << 20, &cache), 0);
	put(cache, key_of(7, 3), "[3]");
	put(cache, key_of(7, 4), "[44]");
	assert_false(has(cache, key_of(7, 3), "[3]"));
	assert_true(has(cache, key_of(7, 4), "[44]"));
	/* Only one of them takes room: as many revisions as would overflow leave a neighbour
	 * alone. */
	put(cache, key_of(8, 1), "[8]");
	for (uint64_t revision = 5; revision < 20000; revision++)
		put(cache, key_of(7, revision),
		    "[....................................................]");
	assert_true(has(cache, key_of(8, 1), "[8]"));
	list_cache_free(&cache);
}

static void test_least_recently_used_goes(void **state)
{
	struct list_cache *cache;
	char hosts[1001];

	(void)state;
	memset(hosts, 'h', 1000);
	hosts[1000] = '\0';
	assert_int_equal(list_cache_new(10000, &cache), 0);
	for (uint64_t id = 1; id <= 8; id++)
		put(cache, key_of(id, 1), hosts);
	assert_true(has(cache, key_of(1, 1), hosts));
	put(cache, key_of(9, 1), hosts);
	put(cache, key_of(10, 1), hosts);
	assert_true(has(cache, key_of(1, 1), hosts));
	assert_false(has(cache, key_of(2, 1), hosts));
	assert_true(has(cache, key_of(10, 1), hosts));
	list_cache_free(&cache);
}

static void test_too_large(void **state)
{
	struct list_cache *cache;
	char hosts[2001];

	(void)state;
	memset(hosts, 'h', 2000);
	hosts[2000] = '\0';
	assert_int_equal(list_cache_new(2000, &cache), 0);
	put(cache, key_of(1, 1), "[]");
	put(cache, key_of(2, 1), hosts);
	assert_true(has(cache, key_of(1, 1), "[]"));
	assert_false(has(cache, key_of(2, 1), hosts));
	/* An older revision does not survive its refused successor. */
	put(cache, key_of(1, 2), hosts);
	assert_false(has(cache, key_of(1, 1), "[]"));
	list_cache_free(&cache);
}

static void test_resize(void **state)
{
	struct list_cache *cache;

	(void)state;
	assert_int_equal(list_cache_new(1 << 20, &cache), 0);
	for (uint64_t id = 0; id < 3000; id++)
		put(cache, key_of(id, 1), "[]");
	for (uint64_t id = 0; id < 3000; id++)
		assert_true(has(cache, key_of(id, 1), "[]"));
	list_cache_resize(cache, 0);
	for (uint64_t id = 0; id < 3000; id++)
		assert_false(has(cache, key_of(id, 1), "[]"));
	put(cache, key_of(1, 1), "[]");
	assert_false(has(cache, key_of(1, 1), "[]"));
	list_cache_free(&cache);
}

/* An entry that is released once more than it was held would be freed under somebody who holds
 * it. */
static void test_one_release_too_many_ends_the_process(void **state)
{
	struct death death;

	(void)state;
	if (death_fork(&death)) {
		const struct list_cache_key key = key_of(7, 3);
		const struct list_cache_entry *entry;
		struct list_cache *cache;

		if (list_cache_new(1 << 20, &cache) < 0)
			_exit(1);
		put(cache, key, "[1]");
		if ((entry = list_cache_hold(cache, &key)) == NULL)
			_exit(1);
		list_cache_release(entry);
		list_cache_release(entry);
		_exit(0);
	}
	death_was_by_assert(&death, "assert ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_older_entry_with_pieces),
		cmocka_unit_test(test_what_is_held_stays),
		cmocka_unit_test(test_every_part_of_the_key_counts),
		cmocka_unit_test(test_newer_revision_replaces),
		cmocka_unit_test(test_least_recently_used_goes),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_resize),
		cmocka_unit_test(test_one_release_too_many_ends_the_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
