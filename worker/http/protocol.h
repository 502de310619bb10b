/* SPDX-License-Identifier: Apache-2.0 */
/* protocol.h - what HTTP asks of the protocol whose requests it carries: a table of functions, one
 * per worker (worker->protocol). HTTP knows the protocol by this table only; another protocol is
 * another one. No hook may be NULL.
 *
 * The protocol keeps what it wants between requests at worker->protocol_state, and of each request
 * at rq->own. HTTP looks at neither.
 *
 * For one request the order is: begin, dispatch, handled; answered once it has its answer, which
 * may be later and then comes from the loop. If it becomes long work (long.h), work_begin and
 * work_end stand around what is done for it. A request that HTTP refuses before its head was read
 * (answer_refuse()) is never shown to the protocol.
 *
 * All of them run in the worker's loop and hold no lock, those of a request within one turn
 * (shared/process/turn.h). A request knows its worker, and by it what the process has:
 * configuration, registry. */
#ifndef WORKER_HTTP_PROTOCOL_H
#define WORKER_HTTP_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/str.h"

struct request;
struct worker;

struct protocol {
	/* ---- in the life of the worker ---- */

	/* Sets worker->protocol_state; loop, process and registry of the worker are there. free
	 * follows, whatever it returns: 0 or an error, which ends the worker. */
	int (*new)(struct worker *worker);
	/* The configuration has changed. */
	void (*reload)(struct worker *worker);
	/* No request is under way. */
	void (*free)(struct worker *worker);

	/* ---- of one request ---- */

	size_t request_bytes; /* at rq->own */
	/* Head and body are there; rq->began_us is set. Fills rq->own, which holds anything. */
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
	/* What is asked for, as the log names it (op=long-turn); unset: not known yet. */
	struct str (*name)(const struct request *rq);

	/* ---- of one that is long work ---- */

	/* Is called before its first slice: makes what the request may use across pauses. Returns
	 * false when there is no memory. */
	bool (*work_begin)(struct request *rq);
	/* About how many bytes it holds, for http.memory. */
	uint64_t (*work_bytes)(const struct request *rq);
	/* Is called behind its last slice, whether there is an answer or not: gives back what
	 * work_begin() made. */
	void (*work_end)(struct request *rq);

	/* ---- its answers ---- */

	/* Answers a request that HTTP cannot go on with: no memory, no place for long work, no
	 * answer of the handler. */
	void (*fail)(struct request *rq, int status, struct str why);
	/* Answers with 429 that the limit of that key is reached. rq may be one that was never
	 * read: then it has a worker, an output and close_after, and nothing else. */
	void (*over_limit)(struct request *rq, const char *key, uint64_t limit,
	                   uint64_t retry_after_s);
	/* Says whether an answer with that status, 400 or more, is the last of its connection. */
	bool (*ends_connection)(int status);
	struct str headers;       /* of each whole answer (answer.h): lines, or empty */
	struct str grant_headers; /* the same of a preflight that is granted */
};

#endif
