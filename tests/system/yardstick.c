/* SPDX-License-Identifier: Apache-2.0 */
/* yardstick.c - what a millisecond is worth on this machine just now.
 *
 *     yardstick
 *
 * Does pieces of work one after the other until its input ends, then prints what each took by the
 * clock on the wall, in microseconds, a line each. A piece is arithmetic only, about a millisecond
 * of one core of 2022; it takes longer on a slower core, and when others want the same core. So a
 * server that is always busy is measured by "no longer than N pieces took at the most in the
 * meantime" (tests/lib/yardstick.py) and not by the clock alone. */
#include <inttypes.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define PIECE_STEPS 600000U
#define PIECES_MAX 1000000U

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* Each step needs the one before: no compiler and no wide core makes it shorter. */
static uint64_t piece(uint64_t x)
{
	for (unsigned i = 0; i < PIECE_STEPS; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
	}
	return x;
}

int main(void)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	uint32_t *took = calloc(PIECES_MAX, sizeof(*took));
	volatile uint64_t x = 88172645463325252ULL;
	uint64_t last = now_us();
	size_t n = 0;

	if (took == NULL)
		return 1;
	for (; n < PIECES_MAX && poll(&input, 1, 0) == 0; n++) {
		uint64_t now;

		x = piece(x);
		now = now_us();
		took[n] = (uint32_t)(now - last);
		last = now;
	}
	for (size_t i = 0; i < n; i++)
		printf("%" PRIu32 "\n", took[i]);
	free(took);
	return 0;
}
