/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/base/clock.h"

#include <time.h>

static uint64_t test_mono_us, test_wall_us;

static uint64_t read_us(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t clock_mono_us(void)
{
	return test_mono_us != 0 ? test_mono_us : read_us(CLOCK_MONOTONIC);
}

uint64_t clock_mono_ms(void)
{
	return clock_mono_us() / 1000;
}

uint64_t clock_boot_ms(void)
{
	return (test_mono_us != 0 ? test_mono_us : read_us(CLOCK_BOOTTIME)) / 1000;
}

uint64_t clock_wall_us(void)
{
	return test_wall_us != 0 ? test_wall_us : read_us(CLOCK_REALTIME);
}

uint64_t clock_wall_ms(void)
{
	return clock_wall_us() / 1000;
}

void clock_set_for_test(uint64_t mono_us, uint64_t wall_us)
{
	test_mono_us = mono_us;
	test_wall_us = wall_us;
}

uint64_t clock_cpu_us(void)
{
	return read_us(CLOCK_THREAD_CPUTIME_ID);
}
