/* SPDX-License-Identifier: Apache-2.0 */
/* route_stats.h - what each route costs: requests, errors, latency, CPU. Routes are numbers here.
 *
 * A worker counts into rows of its own in the segment (struct slot_route), readers add them up.
 * Latency is from the routing of a request to its answer. Reading the CPU clock is a system call,
 * so that only one request in about 64 is looked at, with a random gap (clients ask in patterns),
 * and counted 64 times. */
#ifndef WORKER_METRICS_ROUTE_STATS_H
#define WORKER_METRICS_ROUTE_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/shm/slot.h"

struct process;
struct segment;

struct route_stats {
	uint32_t gap; /* requests until the next sample */
	uint32_t random;
};

/* The number of all requests without a route. */
#define ROUTE_STATS_OTHER (SLOT_ROUTES - 1U)

/* Is called before the handler. Returns the CPU clock, for route_stats_handled(), or 0 when this
 * request is no sample. */
uint64_t route_stats_begin(struct route_stats *stats, uint64_t now_us);
/* Where this process counts what that route costs; NULL without a segment. */
struct slot_route *route_stats_row(const struct process *proc, unsigned route);
/* Both do nothing when row is NULL. */
void route_stats_handled(struct slot_route *row, uint64_t began_cpu_ns);
/* The answer is made, at once or later, so long after the begin. */
void route_stats_answered(struct slot_route *row, uint64_t us, bool is_error);

/* Upper bounds of the buckets in seconds, as text. */
extern const char *const route_stats_bounds[SLOT_ROUTE_BUCKETS];
/* All workers together. */
void route_stats_sum(const struct segment *seg, unsigned route, struct slot_route *sum_r);
uint64_t route_stats_requests(const struct slot_route *sum);

#endif
