/* SPDX-License-Identifier: Apache-2.0 */
/* v1.h - Nacos 1.x as a protocol of the worker (worker/http/protocol.h), and what it keeps between
 * requests.
 *
 * Each worker has one struct v1, which worker_main() owns. It is private to the process. */
#ifndef WORKER_V1_V1_H
#define WORKER_V1_V1_H

#include "worker/http/protocol.h"
#include "worker/metrics/route_stats.h"
#include "worker/v1/gate.h"

/* Load of the machine for /operator/metrics, read at most once a second (handler_operator.c). */
struct host_load {
	uint64_t read_ms;     /* 0: never */
	uint64_t busy, total; /* ticks of /proc/stat at that time */
	float cpu, load, mem;
};

struct v1 {
	struct gate gate; /* what follows from the texts of the switches */
	struct route_stats route_stats;
	struct host_load host;
};

extern const struct protocol v1_protocol;

#endif
