/* SPDX-License-Identifier: Apache-2.0 */
/* protocol.h - what HTTP asks of the protocol whose requests it carries: a table of functions, one
 * per worker (worker->protocol). HTTP knows the protocol by this table only; another protocol is
 * another one.
 *
 * For one request the order is: begin, dispatch, handled; answered once it has its answer, which
 * may be later and then comes from the loop. A request that HTTP refuses before its head was read
 * (answer_refuse()) is never shown to the protocol.
 *
 * All of them run in the worker's loop, within one turn (shared/process/turn.h), and hold no
 * lock. A request knows its worker, and by it what the process has: configuration, registry. */
#ifndef WORKER_HTTP_PROTOCOL_H
#define WORKER_HTTP_PROTOCOL_H

#include <stdint.h>

#include "shared/base/str.h"

struct request;

struct protocol {
	/* Head and body are there; rq->began_us is set. Sets rq->view, if handlers use it. */
	void (*begin)(struct request *rq);
	/* Answers the request, or lets it be answered later: request_park(), long_start(). A
	 * request with a large body comes in a fiber (long.h). */
	void (*dispatch)(struct request *rq);
	/* dispatch has returned. The answer, if there is one, was handed to the connection: a long
	 * one is with the socket already as far as that took it, a short one waits for those behind
	 * it. */
	void (*handled)(struct request *rq);
	/* The answer is made; the request is done with. */
	void (*answered)(struct request *rq, uint64_t now_us);

	/* Answers a request that HTTP cannot go on with: no memory, no place for long work, no
	 * answer of the handler. */
	void (*fail)(struct request *rq, int status, struct str why);
	/* Answers with 429 that the limit of that key is reached. rq may be one that was never
	 * read: then it has an output and close_after, and nothing else. */
	void (*over_limit)(struct request *rq, const char *key, uint64_t limit,
	                   uint64_t retry_after_s);
	/* What is asked for, as the log names it (op=long-turn); unset: not known yet. */
	struct str (*name)(const struct request *rq);
};

#endif
