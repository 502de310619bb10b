/* SPDX-License-Identifier: Apache-2.0 */
#include "master/backoff.h"

uint32_t backoff_next_ms(struct backoff *backoff, int was_ready)
{
	uint32_t delay = BACKOFF_FIRST_MS;

	if (was_ready) {
		backoff->failures = 0;
		return 0;
	}
	for (uint32_t i = 0; i < backoff->failures && delay < BACKOFF_MOST_MS; i++)
		delay *= 2;
	backoff->failures++;
	return delay < BACKOFF_MOST_MS ? delay : BACKOFF_MOST_MS;
}

void backoff_reset(struct backoff *backoff)
{
	backoff->failures = 0;
}
