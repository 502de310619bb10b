/* metrics.h - counters: one row each, one word a process, added up by readers.
 *
 * Ids are indexes into slot->counters. A process only ever writes its own slot (relaxed stores). */
#ifndef METRICS_METRICS_H
#define METRICS_METRICS_H

#include <stdint.h>

#include "shared/shm/segment.h"
#include "shared/shm/slot.h"

enum metric {
	METRIC_HTTP_REQUESTS,
	METRIC_HTTP_BAD_REQUESTS,
	METRIC_HTTP_CONNECTIONS,
	METRIC_HTTP_REFUSED,
	METRIC_HTTP_TIMEOUTS,
	METRIC_HTTP_4XX,
	METRIC_HTTP_5XX,
	METRIC_BEATS,
	METRIC_BEATS_UNKNOWN,
	METRIC_BEATS_REVIVED,
	METRIC_REGISTERS,
	METRIC_DEREGISTERS,
	METRIC_LISTS,
	METRIC_LIST_CACHE_HITS,
	METRIC_LIST_CACHE_MISSES,
	METRIC_LIMIT_REFUSED,
	METRIC_FULL_REFUSED,
	METRIC_SUBSCRIBE_NOT_ALLOWED,
	METRIC_PUSH_TOTAL,
	METRIC_PUSH_OK,
	METRIC_PUSH_FAILED,
	METRIC_PUSH_RETRIED,
	METRIC_PUSH_OVERSIZE,
	METRIC_PUSH_BYTES,
	METRIC_PUSH_ROUNDS,
	METRIC_PUSH_ACK_UNKNOWN,
	METRIC_PUSH_ACK_FOREIGN,
	METRIC_PUSH_RXQ_OVERFLOW,
	METRIC_PUSH_SEND_ERRORS,
	METRIC_PUSH_ZOMBIES,
	METRIC_PUSH_PACED,
	/* Latency of the ACK, upper bounds 1 ms, 5, 20, 100, 500, 2000, 10000, more; and the sum. */
	METRIC_PUSH_ACK_BUCKET_0,
	METRIC_PUSH_ACK_BUCKET_LAST = METRIC_PUSH_ACK_BUCKET_0 + 7,
	METRIC_PUSH_ACK_MS_SUM,
	/* Change to last datagram of the round, after the merge delay: same bounds. */
	METRIC_PUSH_SEND_BUCKET_0,
	METRIC_PUSH_SEND_BUCKET_LAST = METRIC_PUSH_SEND_BUCKET_0 + 7,
	METRIC_PUSH_SEND_MS_SUM,
	METRIC_EXPIRY_FLIPS,
	METRIC_EXPIRY_REMOVALS,
	METRIC_EXPIRY_VISITS,
	METRIC_EMPTY_SERVICES_REMOVED,
	METRIC_STALE_DROPPED,
	METRIC_KEEPER_TICKS,
	METRICS
};

_Static_assert(METRICS <= SLOT_COUNTERS, "more metrics than words in a slot");

struct metric_row {
	const char *name; /* "roster_push_total" */
	const char *help;
};

extern const struct metric_row metric_rows[METRICS];

/* The calling process's counters; set once after the fork. */
void metrics_use(struct slot *slot);
void metric_add(enum metric id, uint64_t n);
/* Sum over all slots. */
uint64_t metric_sum(const struct segment *seg, enum metric id);

#endif
