/* SPDX-License-Identifier: Apache-2.0 */
/* sources.h - how many requests and connections each source address has, counted over all workers.
 *
 * One mapping, made by the master before the first fork and inherited; it holds nothing that has to
 * outlive the processes, so it is not part of the segment. Nobody takes a lock: each word is
 * changed by one store or compare-and-swap, a death leaves it as it was or changed.
 *
 * Requests: a token bucket in one word, a tag of the source beside the time at which its bucket is
 * full again (microseconds of CLOCK_MONOTONIC). A source looks in the eight words of one cache
 * line; a bucket that is full again is as good as none, so its word goes to the next who needs one.
 * With more than eight busy sources in a line the one that owes least is forgotten: it gets its
 * burst once more.
 *
 * Connections: two counters a source and worker, in two rows by different bits of the hash; the
 * smaller of the two sums over all workers is the number. Never too low; too high only for a source
 * that shares both counters with others. A worker writes only its own; those of a dead one are
 * cleared by the master (sources_clear). A broken worker can write into all of them: a count that
 * would fall below zero stays there and is counted (roster_source_miscounted_total). */
#ifndef PROCESS_SOURCES_H
#define PROCESS_SOURCES_H

#include <stdint.h>

#include "shared/base/err.h"

struct sources;

/* Makes the mapping, which only tests free. Returns ERR_NOMEM, or ERR_IO without a random seed. */
int sources_new(struct sources **sources_r) MUST_CHECK;
void sources_free_for_test(struct sources **sources);

uint64_t sources_hash(const struct sources *sources, const uint8_t address[16]);

/* Asks for one request more. Returns 0 if it may pass; else nothing was taken, and so many
 * microseconds have to go by first. per_second and burst are at least 1. */
uint64_t sources_take(struct sources *sources, uint64_t hash, uint64_t now_us, uint32_t per_second,
                      uint32_t burst);

/* change is 1 or -1, and worker is the caller, which has the connection. */
void sources_connection(struct sources *sources, unsigned worker, uint64_t hash, int change);
uint64_t sources_connections(const struct sources *sources, uint64_t hash);
/* The worker has died, so it has no connection any more. */
void sources_clear(struct sources *sources, unsigned worker);

#endif
