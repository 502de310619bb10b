/* SPDX-License-Identifier: Apache-2.0 */
/* What the buffers of the connections hold together, and who is cut off when it is more than http.memory: who has held most
 * for longest while its client took or sent next to nothing.
 *
 * Nobody is looked for: who holds much hangs in the list of its class (powers of two of what is held), in the order of the
 * last progress. Progress is a share of what is held, so that a byte now and then is none. The first of each list has stood
 * still for longest in it; the one of them with the highest product of bytes and time goes, which is at least half of the
 * highest of all. */
#include "worker/http/connection_state.h"

#include <inttypes.h>
#include <malloc.h>

#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/metrics/metrics.h"
#include "shared/net/address.h"

#define HELD_FREE (16U * 1024U) /* a connection with no more than this is not to blame */
#define CROWD 1024U             /* connections, about 1 KB each */
#define PROGRESS_SHARE 16U      /* of what is held */

/* 0: not to blame. */
static unsigned class_of(uint64_t held)
{
	unsigned row = held <= HELD_FREE ? 0 : 64U - (unsigned)__builtin_clzll((held - 1) / HELD_FREE);

	return row < HELD_CLASSES ? row : HELD_CLASSES - 1;
}

static void leave(struct connection *c)
{
	struct held_list *list = &c->worker->held[c->held_class];

	if (c->held_class == 0)
		return;
	if (c->held_before != NULL)
		c->held_before->held_after = c->held_after;
	else
		list->first = c->held_after;
	if (c->held_after != NULL)
		c->held_after->held_before = c->held_before;
	else
		list->last = c->held_before;
	c->held_class = 0;
}

static void join(struct connection *c, unsigned row)
{
	struct held_list *list = &c->worker->held[row];

	if (row == 0)
		return;
	c->held_class = row;
	c->held_before = list->last;
	c->held_after = NULL;
	if (list->last != NULL)
		list->last->held_after = c;
	else
		list->first = c;
	list->last = c;
	c->progress_ms = clock_mono_ms();
	c->progress_at = c->passed;
}

void connection_count_held(struct connection *c)
{
	uint64_t held = c->in.cap + c->out.cap + c->body.cap;
	unsigned row = class_of(held);

	c->worker->held_bytes += held - c->held_bytes;
	c->held_bytes = held;
	if (row == c->held_class && (row == 0 || c->passed - c->progress_at < held / PROGRESS_SHARE))
		return;
	leave(c);
	join(c, row);
}

void connection_forget_held(struct connection *c)
{
	c->worker->held_bytes -= c->held_bytes;
	c->held_bytes = 0;
	leave(c);
}

static struct connection *worst(const struct worker *worker, uint64_t now_ms)
{
	struct connection *found = NULL;
	uint64_t most = 0;

	for (unsigned row = 1; row < HELD_CLASSES; row++) {
		struct connection *c = worker->held[row].first;
		uint64_t score = c == NULL ? 0 : c->held_bytes * (now_ms - c->progress_ms + 1);

		if (score > most) {
			most = score;
			found = c;
		}
	}
	return found;
}

static void note(const struct connection *c, uint64_t now_ms)
{
	struct worker *worker = c->worker;
	char source[ADDRESS_TEXT];
	uint64_t skipped;

	metric_add(METRIC_HTTP_MEMORY_REFUSED, 1);
	if (!log_may(&worker->held_log, now_ms, &skipped))
		return;
	log_warning("op=cut-connection cause=http.memory source=%s held=%" PRIu64 " still_ms=%" PRIu64
	            " waits_for=%s all=%" PRIu64 " limit=%" PRIu64 " skipped=%" PRIu64,
	            address_text(c->source, source), c->held_bytes, now_ms - c->progress_ms,
	            connection_pending(c) ? "reader" : "sender", worker->held_bytes, worker->proc->config.http_memory_bytes,
	            skipped);
}

/* Its memory is there for others soon (discard.h); a parked request has views into the input, which goes with it. The end of the
 * connection has its own turn: whoever walks through the connections now finds all of them. */
static void release(struct connection *c)
{
	c->cut = c->state == CONNECTION_OPEN && !connection_pending(c) ? CUT_REFUSED : CUT_CLOSED;
	if (c->state != CONNECTION_PARKED)
		buf_free(&c->in);
	buf_free(&c->out);
	buf_free(&c->body);
	c->in_at = c->out_at = 0;
	c->answers = &c->worker->pool->out;
	connection_forget_held(c);
}

void connection_make_room(struct connection *c)
{
	struct worker *worker = c->worker;
	uint64_t limit = worker->proc->config.http_memory_bytes, now_ms;
	struct connection *hog;

	if (limit == 0 || worker->held_bytes <= limit)
		return;
	now_ms = clock_mono_ms();
	while (worker->held_bytes > limit) {
		/* What is more than all may have would not fit if everybody else went. */
		hog = c->held_class != 0 && c->held_bytes > limit ? c : worst(worker, now_ms);
		if (hog == NULL)
			return;
		note(hog, now_ms);
		release(hog);
		if (hog != c)
			ev_feed_event(worker->loop, &hog->writer, EV_WRITE);
	}
}

void connection_crowd_left(struct worker *worker)
{
	if (worker->stopping || worker->leaving || worker->connection_peak < CROWD ||
	    worker->connection_count > worker->connection_peak / 2)
		return;
	worker->connection_peak = worker->connection_count;
	(void)malloc_trim(0);
}
