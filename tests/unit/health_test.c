/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/base/clock.h"
#include "shared/shm/health.h"
#include "tests/unit/shm_common.h"

static uint64_t mono_ms;

static void at(uint64_t ms)
{
	mono_ms = ms;
	clock_set_for_test(ms * 1000, 1700000000000000ULL + ms * 1000);
}

static int open_at_zero(void **state)
{
	at(1000000);
	return open_segment(state);
}

static int close_and_reset(void **state)
{
	clock_set_for_test(0, 0);
	return close_segment(state);
}

static void test_runs_between_ticks(void **state)
{
	struct segment *seg = *state;
	uint64_t start = health_now(seg);

	at(mono_ms + 400);
	assert_int_equal(health_now(seg), start + 400);
	at(mono_ms + 600);
	health_tick(seg, mono_ms, true);
	assert_int_equal(health_now(seg), start + 1000);
	assert_true(start > 1000000);
}

/* A dead or stopped keeper: the clock stands still after a second. */
static void test_without_ticks(void **state)
{
	struct segment *seg = *state;
	uint64_t start = health_now(seg);

	at(mono_ms + 60000);
	assert_int_equal(health_now(seg), start + HEALTH_TICK_MS);
	health_tick(seg, mono_ms, true);
	assert_int_equal(health_now(seg), start + HEALTH_STEP_MAX_MS);
}

static void test_nobody_could_receive(void **state)
{
	struct segment *seg = *state;
	uint64_t start = health_now(seg);

	for (unsigned i = 0; i < 5; i++) {
		at(mono_ms + 1000);
		health_tick(seg, mono_ms, false);
	}
	assert_int_equal(health_now(seg), start);
	at(mono_ms + 1000);
	health_tick(seg, mono_ms, true);
	assert_int_equal(health_now(seg), start + 1000);
}

static void test_attach_and_clock_steps(void **state)
{
	struct segment *seg = *state;
	uint64_t start = health_now(seg);

	health_attach(seg, 5);
	at(10);
	assert_int_equal(health_now(seg), start + 5);
	at(3);
	assert_int_equal(health_now(seg), start);
	health_tick(seg, 3, true);
	assert_int_equal(health_now(seg), start);
}

static void test_served_only_while_receiving(void **state)
{
	struct segment *seg = *state;
	uint64_t before = seg->header->served_at_ms;

	at(mono_ms + 1000);
	health_tick(seg, mono_ms, false);
	assert_int_equal(seg->header->served_at_ms, before);
	health_tick(seg, mono_ms, true);
	assert_int_equal(seg->header->served_at_ms, before + 1000);
}

static void test_touch_keeps_the_later(void **state)
{
	uint64_t word = 0x5aULL << 56;

	(void)state;
	beat_touch(&word, 1000, 3, 0);
	assert_int_equal(beat_ms(word), 1000);
	assert_int_equal(word >> 48, 0x5a03);
	beat_touch(&word, 999, 4, BEAT_HEARD);
	assert_int_equal(beat_ms(word), 1000);
	assert_int_equal(word >> 48, 0x5a03);
	beat_touch(&word, 2000, 0, 0);
	assert_int_equal(word, 0x5aULL << 56 | 2000);
	assert_false(beat_heard(word));
	beat_touch(&word, 2000, 0, BEAT_HEARD);
	assert_int_equal(word, 0x5bULL << 56 | 2000);
	beat_touch(&word, 2001, 0, 0);
	assert_int_equal(word, 0x5bULL << 56 | 2001);
	assert_true(beat_heard(word));
}

static void test_stamps_rise(void **state)
{
	struct segment *seg = *state;
	uint64_t first = stamp_next(seg), second = stamp_next(seg), third;

	assert_int_equal(first, 1700000000000000ULL + mono_ms * 1000);
	assert_int_equal(second, first + 1);
	clock_set_for_test(mono_ms * 1000, 5); /* the wall clock was set back */
	third = stamp_next(seg);
	assert_int_equal(third, second + 1);
	assert_true(third < 1ULL << 53);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, open_at_zero, close_and_reset)
		ROW(test_runs_between_ticks),
		ROW(test_without_ticks),
		ROW(test_nobody_could_receive),
		ROW(test_attach_and_clock_steps),
		ROW(test_served_only_while_receiving),
		ROW(test_touch_keeps_the_later),
		ROW(test_stamps_rise),
	};

	return cmocka_run_group_tests_name("health", tests, NULL, NULL);
}
