/* SPDX-License-Identifier: Apache-2.0 */
/* request.h - one HTTP request as a handler sees it, and how it answers.
 *
 * Written by worker/http/exchange (socket, parser, head scan, body); read by the handlers. Behind
 * it, in the same piece of memory, stands what its protocol keeps of it (protocol.h). Everything
 * lives in the request's arena or in the connection's input buffer until the answer is complete.
 *
 * A handler answers once, either before it returns (answer.h) or later (request_park(), then
 * request_resume() from a loop callback); pipelined answers keep their order either way. */
#ifndef WORKER_HTTP_REQUEST_H
#define WORKER_HTTP_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/arena.h"
#include "shared/base/buf.h"
#include "shared/base/str.h"
#include "worker/http/output.h"

struct long_work;
struct protocol;
struct worker;
struct connection;
struct request;

enum method {
	METHOD_GET,
	METHOD_POST,
	METHOD_PUT,
	METHOD_DELETE,
	METHOD_PATCH,
	METHOD_HEAD,
	METHOD_OPTIONS,
	METHOD_TRACE,
	METHOD_OTHER
};

/* What may be done to the connection of a request by those who work on the request: its handler,
 * park.c, long.c. They know the connection by these calls only; it gives them to each request. */
struct carrier {
	/* Sends what the output borrows or owns, as far as the socket takes it at once. */
	void (*take)(struct request *rq);
	/* A parked request is about to be answered: its output leads to the connection again. */
	void (*resume)(struct request *rq);
	/* The answer of a parked request is made. The request is given back; may free the
	 * connection. */
	void (*complete)(struct request *rq);
	/* A parked request will not be answered by its handler: its client is told 503, and the
	 * connection ends. May free both. */
	void (*give_up)(struct request *rq);
	/* Its client waits no more: it has closed, or shut its side. */
	bool (*has_left)(const struct request *rq);
	/* Closes and frees the connection at once. A request with a work belongs to that from now
	 * on. */
	void (*close)(struct request *rq);
};

struct request {
	struct worker *worker;
	struct connection *connection; /* NULL: it has gone */
	const struct carrier *carrier; /* as long as there is a connection */
	uint64_t id;                   /* of parked requests */

	enum method method;
	struct str method_text;
	struct str target; /* as received: path?query */
	struct str path;   /* before '?', as received */
	struct str query;  /* unset: no '?' */
	struct str body;   /* de-chunked */
	struct str host, user_agent, client_version, accept, content_type, origin, cors_method,
	        cors_headers;
	bool keep_alive;       /* the connection may stay */
	bool keep_alive_asked; /* in so many words: worker/http/keep_alive.h */
	bool http_1_0;

	uint8_t source[16]; /* peer address (shared/net/address.h); all zero on a unix socket */
	uint16_t source_port;

	void *own; /* its protocol's part: request_bytes of it */

	struct arena arena;
	struct output output;
	struct long_work *work; /* of a long request; NULL: it is none */
	/* of the handler, in the arena: what the function of long_start() goes on with */
	void *kept;
	bool answered, parked, close_after;
	bool outlasts_work; /* request_park() of a long request: it is answered after its work */
	int status;         /* once answered */

	uint64_t began_us;
};

/* Returns "any" for METHOD_OTHER. Is in request.c. */
const char *method_name(enum method method);

/* ---- answering later: park.c ----------------------------------------------------------------- */

/* The handler returns without an answer, which comes later. From then on the request is known by
 * rq->id only. That of a long request returns without a pause. */
void request_park(struct request *rq);
/* Returns NULL when the connection has gone meanwhile. */
struct request *request_resume(struct worker *worker, uint64_t id);
void request_complete(struct request *rq);

/* ---- life: request.c ------------------------------------------------------------------------- */

/* Returns a clean one, but for its protocol's part, which begin() fills. *spare, whose arena has
 * its first block already, is used up: it was of the same protocol. Returns NULL when there is no
 * memory. */
struct request *request_new(struct request **spare, const struct protocol *protocol);
/* Nothing of its output may wait to be taken. It becomes *spare, or is freed when there is one. */
void request_give_back(struct request **spare, struct request *rq);
/* NULL is allowed. Clears *rq. */
void request_free(struct request **rq);

#endif
