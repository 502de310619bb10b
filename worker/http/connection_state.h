/* SPDX-License-Identifier: Apache-2.0 */
/* connection_state.h - a connection as the modules of its family see it: connection, exchange,
 * memory, migrate.
 *
 * Each field is written by one of them, which is named at it; the others read it or call that
 * module. The order in which a connection lives:
 *
 *     OPEN <-> PARKED          a handler answers later
 *     OPEN, PARKED -> ENDING   the last answer is made, or the request is refused
 *     ENDING -> LINGER         it is sent, and unread bytes may be there */
#ifndef WORKER_HTTP_CONNECTION_STATE_H
#define WORKER_HTTP_CONNECTION_STATE_H

#include <ev.h>

#include "worker/http/connection.h"
#include "worker/http/input.h"
#include "worker/http/request.h"
#include "worker/http/sender.h"
#include "worker/http/source_limit.h"
#include "worker/worker.h"

enum connection_state {
	CONNECTION_OPEN,   /* reads requests */
	CONNECTION_PARKED, /* a handler answers later; nothing is read */
	CONNECTION_ENDING, /* the last answer is in the buffer */
	CONNECTION_LINGER, /* our side is shut; reads and forgets, so that the answer is not lost by a reset */
};

/* Cut off by http.memory. */
enum connection_cut {
	CUT_NOT,
	CUT_REFUSED, /* 503 at its next turn */
	CUT_CLOSED,  /* an answer has begun to go out: there is nothing to be said any more */
};

/* What the timer waits for. */
enum connection_phase {
	PHASE_NONE,
	PHASE_FIRST,
	PHASE_IDLE,
	PHASE_HEAD,
	PHASE_BODY,
	PHASE_WRITE,
	PHASE_LINGER
};

/* memory.c */
struct held {
	uint64_t bytes; /* of the buffers of input and sender, as counted in the worker's */
	unsigned row;   /* of struct worker's held; 0: none */
	struct connection *before, *after;
	uint64_t progress_ms,
	        progress_at; /* when, and at how many bytes passed, its client last made progress */
	enum connection_cut cut;
};

struct connection {
	/* connection.c */
	struct worker *worker;
	struct connection *prev, *next;
	int fd;
	ev_io reader, writer;
	ev_timer timer;
	enum connection_phase phase;
	uint32_t phase_served; /* `served` when the phase began */
	uint64_t phase_passed; /* bytes passed when the deadline was set */
	uint64_t deadline_ms;  /* 0: none */
	uint64_t timer_at_ms;  /* when the active timer fires */
	uint8_t source[16];
	uint16_t source_port;
	struct source_mark mark; /* how it counts for its source */

	/* connection_state.c */
	enum connection_state state;
	bool linger;     /* unread bytes may be there at the end */
	uint32_t served; /* requests */
	/* http.idle_timeout when the last answer was made: it has promised (keep_alive.h) */
	uint64_t idle_ms;
	struct request *request; /* parked */

	struct input input;   /* input.c */
	struct sender sender; /* sender.c */
	struct held held;     /* memory.c */
};

struct connection_pool {
	struct buf in, out;      /* the shared buffers of input.h and sender.h */
	struct request *request; /* the next one to use; a parked one goes to its connection */
	const struct carrier *carrier; /* of all connections: connection.c */
};

/* A connection that another worker began (migrate.h): what it has read of the next request, and
 * what its client has not taken of the last answers. */
struct connection_rest {
	struct buf in, out;
	uint32_t served;
	uint64_t idle_ms;
	bool ending, linger;
};

/* ---- transitions: connection_state.c --------------------------------------------------------- */

/* A request has come. Returns how many have. */
uint32_t connection_state_begin(struct connection *c);
/* It is answered later, and the connection owns it until then. */
void connection_state_park(struct connection *c, struct request *rq);
/* Its answer is made; the request is the caller's. stays says that the connection may have another
 * one. */
void connection_state_answered(struct connection *c, bool stays);
/* The last answer is made, and not all of the input was read. */
void connection_state_refused(struct connection *c);
/* Bytes behind the last request are left, which matters if that request has ended the
 * connection. */
void connection_state_unread(struct connection *c);
/* The last answer is sent. */
void connection_state_lingers(struct connection *c);
/* Returns the parked request, which is the caller's from now on, or NULL when there is none. */
struct request *connection_state_unpark(struct connection *c);
/* Puts the connection into the state in which another worker left it. */
void connection_state_adopt(struct connection *c, const struct connection_rest *rest);

/* ---- reading --------------------------------------------------------------------------------- */

/* Memory was refused, or the socket failed. */
static inline bool connection_is_broken(const struct connection *c)
{
	return c->sender.broken || buf_failed(&c->input.own);
}

/* Bytes received and sent, ever. */
static inline uint64_t connection_passed(const struct connection *c)
{
	return c->input.received + c->sender.sent;
}

/* Takes the descriptor and the buffers over, and answers what can be answered. Is in
 * connection.c. */
void connection_adopt(struct worker *worker, int fd, struct connection_rest *rest);

#endif
