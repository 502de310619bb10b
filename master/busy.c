/* SPDX-License-Identifier: Apache-2.0 */
#include "master/busy.h"

uint64_t busy_ms(uint64_t busy_since_ms, uint64_t child_resumed_ms, uint64_t master_resumed_ms,
                 uint64_t now_ms)
{
	uint64_t since = busy_since_ms;

	if (busy_since_ms == 0)
		return 0;
	if (since < child_resumed_ms)
		since = child_resumed_ms;
	if (since < master_resumed_ms)
		since = master_resumed_ms;
	return now_ms > since ? now_ms - since : 0;
}
