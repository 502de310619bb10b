/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/metrics/metrics.h"

#include <stddef.h>

#include "shared/base/assert.h"

const struct metric_row metric_rows[METRICS] = {
	[METRIC_HTTP_REQUESTS] = { "roster_http_requests_total",
	                           "Requests read to the end of their head." },
	[METRIC_HTTP_BAD_REQUESTS] = { "roster_http_bad_requests_total",
	                               "Requests that broke a rule of HTTP or a limit." },
	[METRIC_HTTP_CONNECTIONS] = { "roster_http_connections_total", "Connections accepted." },
	[METRIC_HTTP_REFUSED] = { "roster_http_refused_total",
	                          "Connections refused because http.connections was reached or no descriptor was left." },
	[METRIC_HTTP_ACCEPT_PAUSES] = { "roster_http_accept_pauses_total",
	                                "Pauses of 100 ms before the next connection, for want of descriptors or memory." },
	[METRIC_HTTP_TIMEOUTS] = { "roster_http_timeouts_total",
	                           "Connections closed by one of the http timeouts." },
	[METRIC_HTTP_MEMORY_REFUSED] = { "roster_http_memory_refused_total",
	                                 "Connections cut off because http.memory was reached: who held most for longest without progress." },
	[METRIC_LONG_REQUESTS] = { "roster_long_requests_total",
	                           "Requests that were worked on in more than one turn." },
	[METRIC_LONG_REFUSED] = { "roster_long_refused_total",
	                          "Long requests answered 503: they waited http.long_wait for one of http.long_requests, or found no memory." },
	[METRIC_HTTP_4XX] = { "roster_http_4xx_total", "Answers with a status from 400 to 499." },
	[METRIC_HTTP_5XX] = { "roster_http_5xx_total", "Answers with a status from 500 to 599." },
	[METRIC_BEATS] = { "roster_beats_total", "Beats of clients." },
	[METRIC_BEATS_UNKNOWN] = { "roster_beats_unknown_total",
	                           "Beats of instances that are not registered; a full one registers it." },
	[METRIC_BEATS_REVIVED] = { "roster_beats_revived_total",
	                           "Beats that made an instance healthy again." },
	[METRIC_REGISTERS] = { "roster_registers_total",
	                       "Instances registered or replaced by clients." },
	[METRIC_DEREGISTERS] = { "roster_deregisters_total", "Deregistrations by clients." },
	[METRIC_LISTS] = { "roster_lists_total", "Lists of instances served." },
	[METRIC_LIST_CACHE_HITS] = { "roster_list_cache_hits_total",
	                             "Lists answered from the cache of the worker." },
	[METRIC_LIST_CACHE_FLIPPED] = { "roster_list_cache_flipped_total",
	                                "Lists put together from their pieces because only health had changed." },
	[METRIC_LIST_CACHE_MISSES] = { "roster_list_cache_misses_total",
	                               "Lists that had to be written anew." },
	[METRIC_LIMIT_REFUSED] = { "roster_limit_refused_total",
	                           "Requests refused by one of the limits keys, and answers longer than http.memory." },
	[METRIC_FULL_REFUSED] = { "roster_full_refused_total",
	                          "Requests refused because the segment was full." },
	[METRIC_SOURCE_REFUSED] = { "roster_source_refused_total",
	                            "Requests answered 429: limits.per_source." },
	[METRIC_SOURCE_CONNECTIONS_REFUSED] = { "roster_source_connections_refused_total",
	                                        "Connections refused: limits.connections_per_source." },
	[METRIC_PUSH_TOTAL] = { "roster_push_total",
	                        "Pushes begun: one a subscriber and round; those that share a socket and all they are sent count once." },
	[METRIC_PUSH_OK] = { "roster_push_ok_total", "Pushes acknowledged." },
	[METRIC_PUSH_FAILED] = { "roster_push_failed_total", "Pushes given up without an ACK." },
	[METRIC_PUSH_RETRIED] = { "roster_push_retried_total", "Pushes sent a second time." },
	[METRIC_PUSH_OVERSIZE] = { "roster_push_oversize_total",
	                           "Pushes not sent because the client could not read them." },
	[METRIC_PUSH_VIEWS_REFUSED] = { "roster_push_views_refused_total",
	                                "Pushes not sent because of push.views or "
	                                "push.views_per_source." },
	[METRIC_PUSH_BYTES] = { "roster_push_bytes_total", "Bytes of datagrams sent." },
	[METRIC_PUSH_ROUNDS] = { "roster_push_rounds_total",
	                         "Changed services taken for pushing." },
	[METRIC_PUSH_ACK_REPEATED] = { "roster_push_ack_repeated_total",
	                               "ACKs of a push that its client had acknowledged before." },
	[METRIC_PUSH_ACK_UNKNOWN] = { "roster_push_ack_unknown_total",
	                              "ACKs that no push waited for: too late, of an older push, or made up." },
	[METRIC_PUSH_ACK_FOREIGN] = { "roster_push_ack_foreign_total",
	                              "ACKs from another address than the push went to." },
	[METRIC_PUSH_RXQ_OVERFLOW] = { "roster_push_rxq_overflow_total",
	                               "ACKs dropped by the kernel: receive buffer full." },
	[METRIC_PUSH_SEND_ERRORS] = { "roster_push_send_errors_total",
	                              "Datagrams refused by the kernel." },
	[METRIC_PUSH_ZOMBIES] = { "roster_push_zombies_total",
	                          "Subscribers dropped: neither poll nor ACK." },
	[METRIC_PUSH_PACED] = { "roster_push_paced_total",
	                        "Datagrams held back by push.rate or push.rate_address." },
	[METRIC_EXPIRY_FLIPS] = { "roster_expiry_flips_total",
	                          "Instances made unhealthy because their beats stopped." },
	[METRIC_EXPIRY_REMOVALS] = { "roster_expiry_removals_total",
	                             "Instances removed because their beats stopped." },
	[METRIC_EXPIRY_VISITS] = { "roster_expiry_visits_total",
	                           "Services looked at for expired beats." },
	[METRIC_BRAKE_ENGAGED] = { "roster_brake_engaged_total",
	                           "How often the node brake began to hold removals." },
	[METRIC_DEREGISTER_ALARMS] = { "roster_deregister_alarms_total",
	                               "How often one source deregistered more than brake.share of the node within brake.period." },
	[METRIC_DEREGISTER_REFUSED] = { "roster_deregister_refused_total",
	                                "Deregistrations refused by brake.deregister." },
	[METRIC_EMPTY_SERVICES_REMOVED] = { "roster_empty_services_removed_total",
	                                    "Services removed because they stayed empty." },
	[METRIC_STALE_DROPPED] = { "roster_stale_dropped_total",
	                           "Instances dropped at a start after nobody had served for segment.max_age." },
	[METRIC_COMPACT_MOVED] = { "roster_compact_moved_total",
	                           "Instances and texts moved from nearly empty pages to fuller ones." },
	[METRIC_KEEPER_TICKS] = { "roster_keeper_ticks_total", "Ticks of the health clock." },
	[METRIC_CHECKS_TCP] = { "roster_checks_tcp_total", "Active checks by TCP begun." },
	[METRIC_CHECKS_HTTP] = { "roster_checks_http_total", "Active checks by HTTP begun." },
	[METRIC_CHECKS_MYSQL] = { "roster_checks_mysql_total", "Active checks by MySQL begun." },
	[METRIC_CHECKS_FAILED] = { "roster_checks_failed_total",
	                           "Active checks that the peer did not pass." },
	[METRIC_CHECKS_REFUSED] = { "roster_checks_refused_total",
	                            "Checks failed without a connection: no literal address, or one of checks.refuse." },
	[METRIC_CHECKS_UNMADE] = { "roster_checks_unmade_total",
	                           "Checks not made: no descriptor, port or memory here." },
	[METRIC_CHECKS_FLIPS] = { "roster_checks_flips_total",
	                          "Changes of health by active checks." },
	[METRIC_SANDBOX_REFUSED] = { "roster_sandbox_refused_total",
	                             "Calls of the system outside the table of the role." },
	[METRIC_TIMINGS_CLAMPED] = { "roster_timings_clamped_total",
	                             "Timeouts in metadata brought within instances.timeout_min and timeout_max." },
	[METRIC_OWNER_REFUSED] = { "roster_owner_refused_total",
	                           "Requests refused by instances.owner." },
	[METRIC_TURN_LONG] = { "roster_long_turns_total",
	                       "Turns that used the processor for longer than 10 ms (op=long-turn)." },
	[METRIC_LOG_LOST] = { "roster_log_lost_total",
	                      "Lines that could not be written to the log, those of the master not counted." },
	[METRIC_SOURCE_MISCOUNTED] = { "roster_source_miscounted_total",
	                               "Connections that closed and were not among those of their source: something wrote into the counts." },
};

/* The bounds reach from a push on the same machine to the ACK that comes after the resend. */
#define PUSH_BOUNDS \
	{ 1000, 5000, 20000, 100000, 500000, 2000000, 10000000 }, \
	{ \
		"0.001", "0.005", "0.02", "0.1", "0.5", "2", "10", "+Inf" \
	}

const struct metric_histogram metric_histograms[METRIC_TIMES] = {
	[METRIC_TIME_PUSH_ACK] = { "roster_push_ack_seconds", METRIC_PUSH_ACK_BUCKET_0,
	                           METRIC_PUSH_ACK_US_SUM, PUSH_BOUNDS,
	                           "From the first datagram of a push to its ACK." },
	[METRIC_TIME_PUSH_SEND] = { "roster_push_send_seconds", METRIC_PUSH_SEND_BUCKET_0,
	                            METRIC_PUSH_SEND_US_SUM, PUSH_BOUNDS,
	                            "From the end of the merge delay to the last datagram of the round." },
	[METRIC_TIME_TURN] = { "roster_turn_seconds",
	                       METRIC_TURN_BUCKET_0,
	                       METRIC_TURN_US_SUM,
	                       { 100, 1000, 2000, 5000, 10000, 20000, 100000 },
	                       { "0.0001", "0.001", "0.002", "0.005", "0.01", "0.02", "0.1",
	                         "+Inf" },
	                       "How long one turn held its process: a request or a piece of one, a step of the pusher or the keeper." },
};

static struct slot *own;

void metrics_use(struct slot *slot)
{
	own = slot;
}

void metric_add(enum metric id, uint64_t n)
{
	ROSTER_ASSERT(id < METRICS);
	/* A word has one writer, so no read-modify-write instruction is needed, only whole
	 * stores. */
	if (own != NULL)
		__atomic_store_n(&own->counters[id], own->counters[id] + n, __ATOMIC_RELAXED);
}

void metric_observe(enum metric_time time, uint64_t us)
{
	const struct metric_histogram *histogram = &metric_histograms[time];
	unsigned i = 0;

	ROSTER_ASSERT(time < METRIC_TIMES);
	while (i < METRIC_BUCKETS - 1 && us > histogram->bounds_us[i])
		i++;
	metric_add((enum metric)(histogram->first + i), 1);
	metric_add(histogram->sum, us);
}

uint64_t metric_sum(const struct segment *seg, enum metric id)
{
	uint64_t sum = 0;

	ROSTER_ASSERT(id < METRICS);
	for (unsigned i = 0; i < SLOTS_MAX; i++)
		sum += __atomic_load_n(&seg->slots[i].counters[id], __ATOMIC_RELAXED);
	return sum;
}

/* ---- the windows of ACKs --------------------------------------------------------------------- */

enum cost_word { COST_WINDOW, COST_MAX, COST_SUM, COST_COUNT };

static enum metric cost_id(uint64_t window, enum cost_word word)
{
	return (enum metric)(METRIC_PUSH_COST_0 + (window & 1) * METRIC_COST_WORDS + word);
}

static void cost_set(uint64_t window, enum cost_word word, uint64_t value)
{
	__atomic_store_n(&own->counters[cost_id(window, word)], value, __ATOMIC_RELAXED);
}

void metric_cost_add(uint64_t now_ms, uint64_t ms)
{
	uint64_t window = now_ms / METRIC_COST_MS;

	if (own == NULL)
		return;
	/* The number of the window is stored last, when the sums of the older one in its place are
	 * cleared. */
	if (own->counters[cost_id(window, COST_WINDOW)] != window) {
		cost_set(window, COST_MAX, 0);
		cost_set(window, COST_SUM, 0);
		cost_set(window, COST_COUNT, 0);
		cost_set(window, COST_WINDOW, window);
	}
	if (ms > own->counters[cost_id(window, COST_MAX)])
		cost_set(window, COST_MAX, ms);
	metric_add(cost_id(window, COST_SUM), ms);
	metric_add(cost_id(window, COST_COUNT), 1);
}

bool metric_cost_last(const struct segment *seg, uint64_t now_ms, uint64_t *max_ms_r,
                      double *mean_ms_r)
{
	uint64_t window = now_ms / METRIC_COST_MS - 1, count;

	if (metric_sum(seg, cost_id(window, COST_WINDOW)) != window)
		return false;
	count = metric_sum(seg, cost_id(window, COST_COUNT));
	*max_ms_r = metric_sum(seg, cost_id(window, COST_MAX));
	*mean_ms_r =
	        count == 0 ? 0 : (double)metric_sum(seg, cost_id(window, COST_SUM)) / (double)count;
	return count != 0;
}
