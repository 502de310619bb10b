/* SPDX-License-Identifier: Apache-2.0 */
/* long.h - requests that may take longer than a turn: they are worked on in slices, between the
 * turns of all others.
 *
 * What its protocol says may take long (long_start()), and a request with a large body, run in a
 * fiber (shared/base/fiber.h). One that ends in its first slice is answered like any other. Else
 * the request is parked (park.h), and the loop gives one slice to one long request after each look
 * at the sockets, in turns. While other requests come too, all long ones together get half of the
 * time.
 *
 * At most http.long_requests are worked on at once, half of them for one source address; further
 * ones wait, first come first served, and are answered 503 after http.long_wait. What they hold
 * together is not much more than http.memory: beyond that only the oldest goes on. A client that
 * goes away meanwhile is noticed at the next look at its socket (every LONG_LOOK_MS; of those that
 * wait, some at a time). Its work is told by ERR_GONE from fiber_pause(), and what that still
 * answers goes nowhere.
 *
 * A handler that runs so:
 *  - uses memory of its own, of the request, or what its protocol made for the work (work_begin());
 *    nothing that requests share, across a pause;
 *  - comes to a fiber_pause() at least every millisecond of work, holding no lock, and gives up on
 *    ERR_GONE;
 *  - knows that everything may have changed behind a pause;
 *  - may leave the answer to a callback of the loop: request_park(), with no pause behind it.
 * The request and its texts stay until it returns, even if the connection does not.
 *
 * The same loop gives back the memory of large answers and views, a piece a turn
 * (shared/base/discard.h). */
#ifndef WORKER_HTTP_LONG_H
#define WORKER_HTTP_LONG_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LONG_SLICE_US 2000U
#define LONG_LOOK_MS 100U
#define LONG_BODY_BYTES 65536U /* a request with a longer body is a long one */

struct buf;
struct request;
struct worker;
struct long_work;

typedef void long_fn(struct request *rq);

/* In order of arrival. */
struct long_list {
	struct long_work *first, *last;
};

/* Is embedded in the worker. However many wait, nothing goes through all of them: while a place is
 * free, one source at most has its half of the places, and those of it that were met on the way
 * stand aside, before all who wait. */
struct long_lane {
	struct worker *worker;
	struct long_list active, aside,
	        waiting; /* those with a fiber; of one source, which had its half; the others */
	uint64_t turn;   /* of the one that had the last slice */
	unsigned count, active_count; /* all; those with a fiber */
	uint64_t owed_us;             /* time of long requests that the others have not had yet */
	uint64_t held_bytes;          /* about: what all works hold (work_bytes()) */
	uint64_t inline_us;           /* the part of it in this wake-up */
	uint64_t last_id;
	struct long_work *look; /* the next one that waits whose client is looked for */
	bool look_aside;
	ev_check after_poll;
	ev_idle busy; /* keeps the loop from sleeping */
};

void long_init(struct worker *worker);
/* Every work is told that it is over, and ends. */
void long_free(struct worker *worker);

/* Runs fn for the request, at once or later. Within a long request it just runs fn. */
void long_start(struct request *rq, long_fn *fn);
/* The connection of a request with a work goes: the request, and *in, in which its texts are, are
 * the work's from now on. */
void long_abandon(struct request *rq, struct buf *in);
/* Works on until nothing is left, for ms at most; then, if `refuse`, the rest is answered 503. Is
 * called before everybody stands still. */
void long_settle(struct worker *worker, uint64_t ms, bool refuse);

#endif
