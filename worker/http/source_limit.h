/* SPDX-License-Identifier: Apache-2.0 */
/* source_limit.h - what one source address may take of the server: limits.per_source,
 * limits.connections_per_source.
 *
 * Off by default. The counts are over all workers (shared/process/sources.h); the address is the
 * connection's, whatever the request claims. Local sockets have none and no limit. Who is refused
 * is answered 429 with Retry-After and "caused: <key> reached: <n>;" (like the other limits); a
 * request that is refused was read but not routed, so it changed nothing. */
#ifndef WORKER_HTTP_SOURCE_LIMIT_H
#define WORKER_HTTP_SOURCE_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

struct request;
struct worker;

/* What a connection keeps of it: of which source, and whether it is counted. */
struct source_mark {
	uint64_t hash;
	bool counted;
};

/* Counts the request for limits.per_source. Returns 0 when it may pass; else it is refused, and its
 * client has to wait for so many seconds. */
uint64_t source_limit_wait_s(const struct request *rq);

/* Counts a new connection and says whether there is room for it. Over the limit by more than a few,
 * it is not worth an answer (SOURCE_DROP). */
enum source_verdict { SOURCE_ADMIT, SOURCE_REFUSE, SOURCE_DROP };
enum source_verdict source_limit_open(struct worker *worker, const uint8_t source[16],
                                      struct source_mark *mark_r);
/* Counts a connection that another worker began (migrate.h), however many there are: it was
 * admitted once. */
void source_limit_adopt(struct worker *worker, const uint8_t source[16],
                        struct source_mark *mark_r);
void source_limit_close(struct worker *worker, const struct source_mark *mark);

#endif
