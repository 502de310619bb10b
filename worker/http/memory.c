/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/http/memory.h"

#include <inttypes.h>
#include <malloc.h>

#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/metrics/metrics.h"
#include "shared/net/address.h"
#include "worker/http/connection_state.h"

#define HELD_FREE (16U * 1024U) /* a connection with no more than this is not to blame */
#define CROWD 1024U             /* connections, about 1 KB each */
#define PROGRESS_SHARE 16U      /* of what is held */

/* Returns 0 for a connection that is not to blame. */
static unsigned class_of(uint64_t held)
{
	unsigned row =
	        held <= HELD_FREE ? 0 : 64U - (unsigned)__builtin_clzll((held - 1) / HELD_FREE);

	return row < HELD_CLASSES ? row : HELD_CLASSES - 1;
}

static void leave_row(struct connection *c)
{
	struct held_list *list = &c->worker->held[c->held.row];

	if (c->held.row == 0)
		return;
	ROSTER_ASSERT(c->held.before != NULL ? c->held.before->held.after == c : list->first == c);
	ROSTER_ASSERT(c->held.after != NULL ? c->held.after->held.before == c : list->last == c);
	if (c->held.before != NULL)
		c->held.before->held.after = c->held.after;
	else
		list->first = c->held.after;
	if (c->held.after != NULL)
		c->held.after->held.before = c->held.before;
	else
		list->last = c->held.before;
	c->held.row = 0;
}

static void join_row(struct connection *c, unsigned row)
{
	struct held_list *list = &c->worker->held[row];

	ROSTER_ASSERT(row < HELD_CLASSES && c->held.row == 0);
	if (row == 0)
		return;
	c->held.row = row;
	c->held.before = list->last;
	c->held.after = NULL;
	if (list->last != NULL)
		list->last->held.after = c;
	else
		list->first = c;
	list->last = c;
	c->held.progress_ms = clock_mono_ms();
	c->held.progress_at = connection_passed(c);
}

void memory_count(struct connection *c)
{
	uint64_t held = c->input.own.cap + c->sender.out.cap + c->sender.body.cap;
	unsigned row = class_of(held);

	c->worker->held_bytes += held - c->held.bytes;
	c->held.bytes = held;
	if (row == c->held.row &&
	    (row == 0 || connection_passed(c) - c->held.progress_at < held / PROGRESS_SHARE))
		return;
	leave_row(c);
	join_row(c, row);
}

void memory_forget(struct connection *c)
{
	ROSTER_ASSERT(c->worker->held_bytes >= c->held.bytes);
	c->worker->held_bytes -= c->held.bytes;
	c->held.bytes = 0;
	leave_row(c);
}

static struct connection *worst(const struct worker *worker, uint64_t now_ms)
{
	struct connection *found = NULL;
	uint64_t most = 0;

	for (unsigned row = 1; row < HELD_CLASSES; row++) {
		struct connection *c = worker->held[row].first;
		uint64_t score = c == NULL ? 0 : c->held.bytes * (now_ms - c->held.progress_ms + 1);

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
	log_warning("op=cut-connection cause=http.memory source=%s held=%" PRIu64
	            " still_ms=%" PRIu64 " waits_for=%s all=%" PRIu64 " limit=%" PRIu64
	            " skipped=%" PRIu64,
	            address_text(c->source, source), c->held.bytes, now_ms - c->held.progress_ms,
	            sender_is_pending(&c->sender) ? "reader" : "sender", worker->held_bytes,
	            worker->proc->config.http_memory_bytes, skipped);
}

/* Its memory is there for others soon (discard.h); a parked request has views into the input, which
 * goes with it. */
static void release(struct connection *c)
{
	ROSTER_ASSERT(c->held.cut == CUT_NOT && c->held.row != 0);
	c->held.cut = c->state == CONNECTION_OPEN && !sender_is_pending(&c->sender) ? CUT_REFUSED
	                                                                            : CUT_CLOSED;
	if (c->state != CONNECTION_PARKED)
		input_free(&c->input);
	sender_release(&c->sender);
	memory_forget(c);
}

void memory_told(struct connection *c)
{
	ROSTER_ASSERT(c->held.cut == CUT_REFUSED);
	c->held.cut = CUT_NOT;
}

void memory_make_room(struct connection *c)
{
	struct worker *worker = c->worker;
	uint64_t limit = worker->proc->config.http_memory_bytes, now_ms;
	struct connection *hog;

	if (limit == 0 || worker->held_bytes <= limit)
		return;
	now_ms = clock_mono_ms();
	while (worker->held_bytes > limit) {
		/* A connection that holds more than all may have together would not fit even if
		 * everybody else went, so it goes itself. */
		hog = c->held.row != 0 && c->held.bytes > limit ? c : worst(worker, now_ms);
		if (hog == NULL)
			return;
		note(hog, now_ms);
		release(hog);
		if (hog != c)
			ev_feed_event(worker->loop, &hog->writer, EV_WRITE);
	}
}

void memory_crowd_left(struct worker *worker)
{
	if (worker->stopping || worker->leaving || worker->connection_peak < CROWD ||
	    worker->connection_count > worker->connection_peak / 2)
		return;
	worker->connection_peak = worker->connection_count;
	(void)malloc_trim(0);
}
