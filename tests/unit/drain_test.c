/* SPDX-License-Identifier: Apache-2.0 */
/* drain: whose changed service comes next, and when, on the change queue of a real registry. */
#include "registry_fixture.h"

#include "pusher/drain.h"
#include "shared/config/config.h"
#include "shared/registry/registry_pusher.h"

#define MANY 300U

static struct fixture f;
static struct config config;
static struct drain drain;
static struct changed_service changed;
static uint8_t shard;
static uint64_t mono_us;

static void pass_ms(uint64_t ms)
{
	mono_us += ms * 1000;
	clock_set_for_test(mono_us, FIXTURE_WALL_US);
}

static uint64_t now_ms(void)
{
	return mono_us / 1000;
}

static int setup(void **state)
{
	(void)state;
	fixture_open(&f, FIXTURE_BYTES);
	mono_us = FIXTURE_MONO_US;
	config_defaults(&config);
	drain = (struct drain){ 0 };
	drain_init(&drain, &f.reg, &config);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_clean(&f);
	fixture_close(&f);
	return 0;
}

/* How many of them fall into each shard. */
static void add_services(unsigned many, unsigned counts_r[SHARDS])
{
	char name[32];

	memset(counts_r, 0, SHARDS * sizeof(counts_r[0]));
	for (unsigned i = 0; i < many; i++) {
		snprintf(name, sizeof(name), "G@@s%u", i);
		struct service_key key = key_for(name);

		add(&f, name, "10.0.0.1", 80);
		counts_r[registry_shard_of(&f.reg, &key)]++;
	}
}

static void expect_none(void)
{
	assert_false(drain_next(&drain, &changed, &shard));
}

/* Each shard gives one service before any gives its next one, so nobody waits for those of another
 * shard. */
static void test_shards_take_turns(void **state)
{
	unsigned counts[SHARDS], taken[SHARDS] = { 0 };

	(void)state;
	add_services(MANY, counts);
	drain_wake(&drain, 1);
	pass_ms(config.push_delay_ms);
	for (unsigned n = 0; n < MANY; n++) {
		assert_true(drain_next(&drain, &changed, &shard));
		taken[shard]++;
		for (unsigned other = 0; other < SHARDS; other++)
			assert_true(taken[other] + 1 >= taken[shard] ||
			            taken[other] == counts[other]);
	}
	expect_none();
	assert_memory_equal(taken, counts, sizeof(taken));
	assert_int_equal(drain_pending(&drain), 0);
	assert_int_equal(drain_due(&drain), UINT64_MAX);
}

static void test_due_after_the_delay(void **state)
{
	unsigned counts[SHARDS];
	uint64_t due_ms;

	(void)state;
	expect_none();
	assert_int_equal(drain_due(&drain), UINT64_MAX);
	add_services(1, counts);
	due_ms = now_ms() + config.push_delay_ms;
	drain_wake(&drain, 1);
	assert_int_equal(drain_due(&drain), 0); /* to be looked at */
	expect_none();
	assert_int_equal(drain_due(&drain), due_ms);
	assert_int_equal(__builtin_popcountll(drain_pending(&drain)), 1);
	pass_ms(config.push_delay_ms - 1);
	expect_none();
	pass_ms(1);
	assert_true(drain_next(&drain, &changed, &shard));
	assert_int_equal(counts[shard], 1);
	expect_none();
	assert_int_equal(drain_pending(&drain), 0);
}

/* One ring for one shard says no more than its bit. A ring without a bit comes from somebody who
 * died before the bit was set: all shards are looked at. */
static void test_rings_without_a_bit(void **state)
{
	unsigned counts[SHARDS];

	(void)state;
	expect_none();
	drain_wake(&drain, 0);
	assert_int_equal(drain_pending(&drain), 0);
	add_services(1, counts);
	drain_wake(&drain, 1);
	assert_int_equal(__builtin_popcountll(drain_pending(&drain)), 1);
	expect_none();
	drain_wake(&drain, 1);
	assert_int_equal(drain_pending(&drain), UINT64_MAX);
	assert_int_equal(drain_due(&drain), 0);
}

static void test_a_shorter_delay_counts_at_once(void **state)
{
	unsigned counts[SHARDS];

	(void)state;
	add_services(1, counts);
	drain_wake(&drain, 1);
	expect_none();
	config.push_delay_ms = 0;
	expect_none();
	drain_reload(&drain);
	assert_true(drain_next(&drain, &changed, &shard));
}

static void test_many_are_a_long_streak(void **state)
{
	unsigned counts[SHARDS];

	(void)state;
	add_services(MANY, counts);
	pass_ms(config.push_delay_ms);
	drain_wake(&drain, 1);
	for (unsigned n = 0; n < 33; n++) {
		assert_false(drain_is_long(&drain));
		assert_true(drain_next(&drain, &changed, &shard));
	}
	assert_true(drain_is_long(&drain));
	while (drain_next(&drain, &changed, &shard))
		;
	assert_false(drain_is_long(&drain));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_shards_take_turns),      CASE(test_due_after_the_delay),
		CASE(test_rings_without_a_bit),    CASE(test_a_shorter_delay_counts_at_once),
		CASE(test_many_are_a_long_streak),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
