/* SPDX-License-Identifier: Apache-2.0 */
/* connection_state.h - what connection.c, exchange.c and park.c share. */
#ifndef WORKER_HTTP_CONNECTION_STATE_H
#define WORKER_HTTP_CONNECTION_STATE_H

#include <ev.h>

#include "worker/http/chunked.h"
#include "worker/http/connection.h"
#include "worker/http/head_check.h"
#include "worker/http/request.h"
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
enum connection_phase { PHASE_NONE, PHASE_FIRST, PHASE_IDLE, PHASE_HEAD, PHASE_BODY, PHASE_WRITE, PHASE_LINGER };

struct connection {
	struct worker *worker;
	struct connection *prev, *next;
	int fd;
	enum connection_state state;
	bool linger;    /* unread bytes may be there at the end */
	bool turn_over; /* whole requests may be waiting in the input: they come after those of the others */
	bool broken;    /* the socket failed while an answer was being made */
	ev_io reader, writer;
	ev_timer timer;

	enum connection_phase phase;
	uint32_t phase_served; /* `served` when the phase began */
	uint64_t moved;        /* bytes since the deadline was set */
	uint64_t deadline_ms;  /* 0: none */
	uint64_t idle_ms;      /* http.idle_timeout when the last answer was made: it has promised (keep_alive.h) */
	uint64_t timer_at_ms;  /* when the active timer fires */

	struct buf in; /* what is unfinished; empty: the pool's buffer is read into */
	size_t in_at;  /* first byte of the current request */
	bool head_done;
	struct head_check head;
	struct chunked chunked;

	struct buf out; /* what the client has not taken */
	size_t out_at;
	struct buf *answers; /* where answers go: the pool's buffer, or out while it holds something */
	struct buf body;     /* of a long answer, behind out: it takes the place of out, uncopied, once that is gone */

	uint64_t passed; /* bytes received and sent, ever */
	enum connection_cut cut;
	/* connection_memory.c */
	uint64_t held_bytes; /* of in, out and body, as counted in the worker's */
	unsigned held_class; /* of struct worker's held; 0: none */
	struct connection *held_before, *held_after;
	uint64_t progress_ms, progress_at; /* when, and at how many bytes passed, its client last made progress */

	struct request *request; /* parked */
	uint32_t served;
	uint8_t source[16];
	uint64_t sender; /* registry_sender() of it: for every beat, so it is made once */
	uint16_t source_port;
	struct source_mark mark; /* how it counts for its source */
};

struct connection_pool {
	struct buf in, out;
	struct request *request; /* the next one to use; a parked one goes to its connection */
};

/* A connection that another worker began (migrate.h): what it has read of the next request, and what its client has not taken
 * of the last answers. */
struct connection_rest {
	struct buf in, out;
	uint32_t served;
	uint64_t idle_ms;
	bool ending, linger;
};

/* Takes the descriptor and the buffers over, and answers what can be answered. */
void connection_adopt(struct worker *worker, int fd, struct connection_rest *rest);
/* Answers every whole request in the input; keeps the rest. exchange.c */
void exchange_run(struct connection *connection);
/* A page that refuses the request being read; the connection ends. */
void exchange_refuse(struct connection *connection, int status);
/* The parked request is answered: it is done with. */
void exchange_finish(struct connection *connection, struct request *rq, uint64_t now_us);
void request_free(struct request **rq);

/* False: broken. What the socket does not take moves to connection->out. */
bool connection_flush(struct connection *connection);

/* connection_memory.c: the sizes of its buffers have changed; they are freed with the connection. */
void connection_count_held(struct connection *connection);
void connection_forget_held(struct connection *connection);
/* More than http.memory: frees what the worst of all connections hold, and sets their `cut`; this one may be among them. */
void connection_make_room(struct connection *connection);
/* When half of a crowd has gone, what its connections took goes back to the system: free() gives back only what nothing that
 * lives longer lies behind. */
void connection_crowd_left(struct worker *worker);

static inline bool connection_pending(const struct connection *connection)
{
	return connection->out.len > connection->out_at;
}

#endif
