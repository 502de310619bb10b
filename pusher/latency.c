#include "pusher/latency.h"

static const uint64_t bounds_ms[] = { 1, 5, 20, 100, 500, 2000, 10000 };

#define BOUNDS (sizeof bounds_ms / sizeof bounds_ms[0])

void latency_add(enum metric first_bucket, enum metric sum, uint64_t ms)
{
	unsigned i = 0;

	while (i < BOUNDS && ms > bounds_ms[i])
		i++;
	metric_add((enum metric)(first_bucket + i), 1);
	metric_add(sum, ms);
}
