/* SPDX-License-Identifier: Apache-2.0 */
/* route_stats.h - what each route costs: requests, errors, latency, CPU.
 *
 * A worker counts into rows of its own in the segment (struct slot_route), readers add them up. Latency is from the
 * routing of a request to its answer. Reading the CPU clock is a system call, so that only one request in about 64 is
 * looked at, with a random gap (clients ask in patterns), and counted 64 times. */
#ifndef WORKER_METRICS_ROUTE_STATS_H
#define WORKER_METRICS_ROUTE_STATS_H

#include <stdint.h>

#include "shared/shm/slot.h"

struct request;
struct segment;
struct worker;

struct route_stats {
	uint32_t gap; /* requests until the next sample */
	uint32_t random;
};

/* Around the handler. */
void route_stats_begin(struct request *rq);
void route_stats_handled(struct request *rq);
/* The answer is made, at once or later. */
void route_stats_answered(struct request *rq, uint64_t now_us);

/* Upper bounds of the buckets in seconds, as text. */
extern const char *const route_stats_bounds[SLOT_ROUTE_BUCKETS];
/* Index of requests without a route: SLOT_ROUTES - 1. */
#define ROUTE_STATS_OTHER (SLOT_ROUTES - 1U)
/* All workers together. */
void route_stats_sum(const struct segment *seg, unsigned route, struct slot_route *sum_r);
uint64_t route_stats_requests(const struct slot_route *sum);

#endif
