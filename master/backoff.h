/* SPDX-License-Identifier: Apache-2.0 */
/* backoff.h - how long to wait before a child is started again.
 *
 * A child that was ready is replaced at once. One that dies before it was ready waits
 * 100 ms, then twice as long each time, up to 10 s; being ready starts over. */
#ifndef MASTER_BACKOFF_H
#define MASTER_BACKOFF_H

#include <stdint.h>

#define BACKOFF_FIRST_MS 100U
#define BACKOFF_MOST_MS 10000U

struct backoff {
	uint32_t failures; /* deaths before ready, in a row */
};

/* Is called after a death, with whether the one that died had been ready. Returns the delay. */
uint32_t backoff_next_ms(struct backoff *backoff, int was_ready);
void backoff_reset(struct backoff *backoff);

#endif
