/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/http/keep_alive.h"

#include <inttypes.h>
#include <stdio.h>

#include "shared/base/assert.h"

#define LONGEST_S 999999U

void keep_alive_init(struct keep_alive *keep_alive, uint64_t idle_timeout_ms)
{
	uint64_t seconds = idle_timeout_ms / 5 * 4 / 1000;
	int n = 0;

	keep_alive->seconds = (uint32_t)(seconds < LONGEST_S ? seconds : LONGEST_S);
	if (keep_alive->seconds > 0)
		n = snprintf(keep_alive->text, sizeof(keep_alive->text),
		             "Keep-Alive: timeout=%" PRIu32 "\r\n", keep_alive->seconds);
	n += snprintf(keep_alive->text + n, sizeof(keep_alive->text) - (size_t)n,
	              "Connection: keep-alive\r\n");
	ROSTER_ASSERT((size_t)n < sizeof(keep_alive->text));
	keep_alive->text_n = (uint32_t)n;
}
