/* SPDX-License-Identifier: Apache-2.0 */
#include "pusher/latency.h"

void latency_add(enum metric first_bucket, enum metric sum, uint64_t ms)
{
	unsigned i = 0;

	while (i < METRIC_BUCKETS - 1 && ms > metric_bounds_ms[i])
		i++;
	metric_add((enum metric)(first_bucket + i), 1);
	metric_add(sum, ms);
}
