/* SPDX-License-Identifier: Apache-2.0 */
/* nacos_monitor.h - the gauge nacos_monitor, which dashboards made for a 1.x server read.
 *
 * Names, labels and number texts are the real server's (specification 11). Nothing takes a lock. */
#ifndef WORKER_METRICS_NACOS_MONITOR_H
#define WORKER_METRICS_NACOS_MONITOR_H

struct buf;
struct registry_stats;
struct segment;

/* Writes the lines of the family `name`; a failure sticks to the buffer. */
void nacos_monitor_put(struct buf *b, const char *name, const struct segment *seg,
                       const struct registry_stats *stats);

#endif
