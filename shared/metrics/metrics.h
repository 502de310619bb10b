/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.h - counters: one row each, one word a process, added up by readers.
 *
 * Ids are indexes into slot->counters. A process only ever writes its own slot, by relaxed stores;
 * a death leaves the counters as they are, and the successor in the slot goes on counting. Words
 * without a row belong to a histogram (metric_histograms) or are not shown as they are. */
#ifndef METRICS_METRICS_H
#define METRICS_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/shm/segment.h"
#include "shared/shm/slot.h"

#define METRIC_BUCKETS 8U
#define METRIC_COST_WORDS 4U

enum metric {
	METRIC_HTTP_REQUESTS,
	METRIC_HTTP_BAD_REQUESTS,
	METRIC_HTTP_CONNECTIONS,
	METRIC_HTTP_REFUSED,
	METRIC_HTTP_ACCEPT_PAUSES,
	METRIC_HTTP_TIMEOUTS,
	METRIC_HTTP_MEMORY_REFUSED,
	METRIC_LONG_REQUESTS,
	METRIC_LONG_REFUSED,
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
	METRIC_LIST_CACHE_FLIPPED,
	METRIC_LIMIT_REFUSED,
	METRIC_FULL_REFUSED,
	METRIC_SOURCE_REFUSED,
	METRIC_SOURCE_CONNECTIONS_REFUSED,
	/* Pushes asked for and refused, by reason: shared/naming/unpushed.h. */
	METRIC_SUBSCRIBE_UNTRUSTED,
	METRIC_SUBSCRIBE_BROADCAST,
	METRIC_SUBSCRIBE_MULTICAST,
	METRIC_SUBSCRIBE_UNSPECIFIED,
	METRIC_SUBSCRIBE_UNSENDABLE,
	METRIC_SUBSCRIBE_LOW_PORT,
	METRIC_SUBSCRIBE_BAD_PORT,
	METRIC_SUBSCRIBE_UNRESOLVABLE,
	METRIC_SUBSCRIBE_SOURCE_LIMIT,
	METRIC_SUBSCRIBE_SERVICE_LIMIT,
	METRIC_SUBSCRIBE_NODE_LIMIT,
	METRIC_SUBSCRIBE_SOURCE_BYTES,
	METRIC_SUBSCRIBE_NODE_BYTES,
	METRIC_SUBSCRIBE_NAME_LIMIT,
	METRIC_SUBSCRIBE_FULL,
	METRIC_PUSH_TOTAL,
	METRIC_PUSH_OK,
	METRIC_PUSH_FAILED,
	METRIC_PUSH_RETRIED,
	METRIC_PUSH_OVERSIZE,
	METRIC_PUSH_VIEWS_REFUSED,
	METRIC_PUSH_BYTES,
	METRIC_PUSH_ROUNDS,
	METRIC_PUSH_ACK_REPEATED,
	METRIC_PUSH_ACK_UNKNOWN,
	METRIC_PUSH_ACK_FOREIGN,
	METRIC_PUSH_RXQ_OVERFLOW,
	METRIC_PUSH_SEND_ERRORS,
	METRIC_PUSH_ZOMBIES,
	METRIC_PUSH_PACED,
	/* Histograms: a word a bucket, and the sum in microseconds. metric_observe(). */
	METRIC_PUSH_ACK_BUCKET_0,
	METRIC_PUSH_ACK_BUCKET_LAST = METRIC_PUSH_ACK_BUCKET_0 + METRIC_BUCKETS - 1,
	METRIC_PUSH_ACK_US_SUM,
	METRIC_PUSH_SEND_BUCKET_0,
	METRIC_PUSH_SEND_BUCKET_LAST = METRIC_PUSH_SEND_BUCKET_0 + METRIC_BUCKETS - 1,
	METRIC_PUSH_SEND_US_SUM,
	METRIC_TURN_BUCKET_0,
	METRIC_TURN_BUCKET_LAST = METRIC_TURN_BUCKET_0 + METRIC_BUCKETS - 1,
	METRIC_TURN_US_SUM,
	METRIC_TURN_LONG,
	/* Two windows of ACKs: metric_cost_add(). */
	METRIC_PUSH_COST_0,
	METRIC_PUSH_COST_LAST = METRIC_PUSH_COST_0 + 2 * METRIC_COST_WORDS - 1,
	METRIC_EXPIRY_FLIPS,
	METRIC_EXPIRY_REMOVALS,
	METRIC_EXPIRY_VISITS,
	METRIC_BRAKE_ENGAGED,
	METRIC_BRAKE_RELEASED_COMMAND,
	METRIC_BRAKE_RELEASED_BEATS,
	METRIC_BRAKE_RELEASED_TIME,
	METRIC_BRAKE_RELEASED_SETTING,
	METRIC_DEREGISTER_ALARMS,
	METRIC_DEREGISTER_REFUSED,
	METRIC_EMPTY_SERVICES_REMOVED,
	METRIC_STALE_DROPPED,
	METRIC_COMPACT_MOVED,
	METRIC_KEEPER_TICKS,
	METRIC_CHECKS_TCP,
	METRIC_CHECKS_HTTP,
	METRIC_CHECKS_MYSQL,
	METRIC_CHECKS_FAILED,
	METRIC_CHECKS_REFUSED,
	METRIC_CHECKS_UNMADE,
	METRIC_CHECKS_FLIPS,
	METRIC_SANDBOX_REFUSED,
	METRIC_TIMINGS_CLAMPED,
	METRIC_OWNER_REFUSED,
	METRIC_LOG_LOST,
	METRIC_SOURCE_MISCOUNTED,
	METRICS
};

_Static_assert(METRICS <= SLOT_COUNTERS, "more metrics than words in a slot");

struct metric_row {
	const char *name; /* "roster_push_total"; NULL: not a counter of its own */
	const char *help;
};

extern const struct metric_row metric_rows[METRICS];

/* METRIC_BUCKETS words from `first` on, of which each event raises one; `sum` is in
 * microseconds. */
struct metric_histogram {
	const char *name; /* "roster_push_ack_seconds" */
	enum metric first, sum;
	/* Upper bounds of the buckets, the last one excepted (no bound), and the same in seconds as
	 * text. */
	uint64_t bounds_us[METRIC_BUCKETS - 1];
	const char *bounds[METRIC_BUCKETS];
	const char *help;
};

enum metric_time {
	METRIC_TIME_PUSH_ACK,  /* first datagram to ACK */
	METRIC_TIME_PUSH_SEND, /* end of the merge delay to the last datagram of the round */
	METRIC_TIME_TURN,      /* shared/process/turn.h */
	METRIC_TIMES
};

extern const struct metric_histogram metric_histograms[METRIC_TIMES];

/* Says which slot has the counters of the calling process; once, after the fork. Before that
 * nothing is counted. */
void metrics_use(struct slot *slot);
void metric_add(enum metric id, uint64_t n);
void metric_observe(enum metric_time time, uint64_t us);
/* The sum over all slots. */
uint64_t metric_sum(const struct segment *seg, enum metric id);

#define METRIC_COST_MS 15000U

/* Counts an ACK at now_ms (CLOCK_MONOTONIC) that took ms. The longest and the mean of a window of
 * METRIC_COST_MS are kept, in turns in one of two places, so that readers look at the one that is
 * not being written. Only the pusher does this. */
void metric_cost_add(uint64_t now_ms, uint64_t ms);
/* Returns the longest and the mean of the last full window, or false when that had no ACK. */
bool metric_cost_last(const struct segment *seg, uint64_t now_ms, uint64_t *max_ms_r,
                      double *mean_ms_r);

#endif
