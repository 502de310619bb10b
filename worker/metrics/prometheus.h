/* SPDX-License-Identifier: Apache-2.0 */
/* prometheus.h - all metrics in the text format 0.0.4 of Prometheus, and doc/metrics.md from the
 * same tables.
 *
 * Counters and histograms come from shared/metrics; what is read at the moment of the question is a
 * row of `families` in prometheus.c. What the segment does not know, the names of routes above all,
 * is given by whoever asks. Nothing takes a lock: each number is whole, two of them may be of
 * different moments. document_metrics() (shared/process/document.h) prints the document. */
#ifndef WORKER_METRICS_PROMETHEUS_H
#define WORKER_METRICS_PROMETHEUS_H

#include <stdbool.h>

#include "shared/base/err.h"
#include "shared/metrics/metrics.h"

struct arena;
struct buf;
struct registry_stats;
struct segment;

struct prometheus_route {
	const char *method, *path;
};

/* A counter that a label tells from others of one family. */
struct prometheus_label {
	const char *text;
	enum metric metric;
};

struct prometheus_input {
	const struct segment *seg;
	const struct registry_stats *stats;
	float cpu, load;                       /* of the machine */
	const struct prometheus_route *routes; /* by their numbers in route_stats.h */
	unsigned route_count;
	const struct prometheus_label *unpushed; /* why polls that ask for pushes get none */
	unsigned unpushed_count;
};

/* Returns false when there is no memory. What it takes from the arena is not needed afterwards. */
bool prometheus_put(struct buf *b, struct arena *arena,
                    const struct prometheus_input *input) MUST_CHECK;

#endif
