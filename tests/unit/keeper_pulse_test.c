/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/pulse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "shared/base/clock.h"
#include "shared/metrics/metrics.h"
#include "shared/process/process.h"
#include "shared/shm/health.h"

#define MONO_MS 50000U

static struct segment *seg;

static int setup(void **state)
{
	(void)state;
	clock_set_for_test(MONO_MS * 1000ULL, 1000);
	if (segment_open_anonymous(16 << 20, &seg) < 0)
		return -1;
	seg->slots[0].role = ROLE_KEEPER;
	seg->slots[0].state = SLOT_READY;
	seg->slots[1].role = seg->slots[2].role = ROLE_WORKER;
	metrics_use(&seg->slots[0]);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	metrics_use(NULL);
	segment_close_for_test(&seg);
	clock_set_for_test(0, 0);
	return 0;
}

static const struct {
	uint32_t state, stopped;
	uint64_t busy_since_ms;
	bool receives;
} rows[] = {
	{ SLOT_FREE, 0, 0, false },
	{ SLOT_STARTING, 0, 0, false },
	{ SLOT_READY, 0, 0, true },
	{ SLOT_STOPPING, 0, 0, false },
	{ SLOT_READY, 1, 0, false },
	{ SLOT_READY, 0, MONO_MS - PULSE_STUCK_MS, true },
	{ SLOT_READY, 0, MONO_MS - PULSE_STUCK_MS - 1, false },
	{ SLOT_READY, 0, MONO_MS + 1, true },
};

/* The clock moves when somebody could be heard. */
static bool clock_moves(void)
{
	uint64_t before = seg->header->health_ms;

	seg->header->health_mono_ms = MONO_MS - 10;
	pulse_tick(seg);
	assert_int_equal(seg->header->health_mono_ms, MONO_MS);
	assert_true(seg->header->health_ms == before || seg->header->health_ms == before + 10);
	return seg->header->health_ms != before;
}

static void test_who_receives(void **state)
{
	struct slot *slot = &seg->slots[2];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		slot->state = rows[i].state;
		slot->stopped = rows[i].stopped;
		slot->busy_since_ms = rows[i].busy_since_ms;
		assert_int_equal(clock_moves(), rows[i].receives);
	}
	/* One is enough. */
	slot->stopped = 1;
	seg->slots[1].state = SLOT_READY;
	assert_true(clock_moves());
}

static void test_clock_stands_while_nobody_listens(void **state)
{
	uint64_t before, mono_ms = MONO_MS;

	(void)state;
	pulse_tick(seg);
	before = health_now(seg);
	for (unsigned i = 0; i < 60; i++) {
		clock_set_for_test((mono_ms += 1000) * 1000, 1000);
		pulse_tick(seg);
	}
	assert_int_equal(health_now(seg), before);

	seg->slots[1].state = SLOT_READY;
	clock_set_for_test((mono_ms += 1000) * 1000, 1000);
	pulse_tick(seg);
	assert_int_equal(health_now(seg), before + 1000);
	assert_int_equal(seg->slots[0].counters[METRIC_KEEPER_TICKS], 62);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_who_receives, setup, teardown),
		cmocka_unit_test_setup_teardown(test_clock_stands_while_nobody_listens, setup,
		                                teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
