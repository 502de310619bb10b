/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/http/park.h"

#include <stdlib.h>

#include "shared/base/assert.h"
#include "worker/http/protocol.h"
#include "worker/http/request.h"
#include "worker/worker.h"

/* Returns the index of the first row whose id is not below id. Ids rise, so the rows are sorted. */
static uint32_t position(const struct parked *parked, uint64_t id)
{
	uint32_t low = 0, high = parked->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (parked->rows[middle]->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool make_room_to_park(struct parked *parked)
{
	uint32_t capacity = parked->capacity == 0 ? 16 : parked->capacity * 2;
	struct request **rows;

	if (parked->count < parked->capacity)
		return true;
	if ((rows = realloc(parked->rows, capacity * sizeof(rows[0]))) == NULL)
		return false;
	parked->rows = rows;
	parked->capacity = capacity;
	return true;
}

void request_park(struct request *rq)
{
	struct parked *parked = &rq->worker->parked;

	ROSTER_ASSERT(!rq->answered);
	/* A long request is parked already, unless its client has gone; what is new is that it
	 * stays so when its handler has returned. */
	if (rq->work != NULL) {
		ROSTER_ASSERT(!rq->outlasts_work);
		rq->outlasts_work = true;
		return;
	}
	ROSTER_ASSERT(!rq->parked);
	rq->id = ++rq->worker->next_request_id;
	if (!make_room_to_park(parked)) {
		rq->worker->protocol->fail(rq, 503, STR("out of memory"));
		return;
	}
	rq->parked = true;
	ROSTER_ASSERT(parked->count < parked->capacity);
	ROSTER_ASSERT(parked->count == 0 || parked->rows[parked->count - 1]->id < rq->id);
	parked->rows[parked->count++] = rq;
}

static struct request *find_parked(struct parked *parked, uint64_t id, uint32_t *at_r)
{
	*at_r = position(parked, id);
	return *at_r < parked->count && parked->rows[*at_r]->id == id ? parked->rows[*at_r] : NULL;
}

void park_forget(struct request *rq)
{
	struct parked *parked = &rq->worker->parked;
	uint32_t at;

	if (!rq->parked || find_parked(parked, rq->id, &at) == NULL)
		return;
	parked->count--;
	memmove(&parked->rows[at], &parked->rows[at + 1],
	        (parked->count - at) * sizeof(parked->rows[0]));
	rq->parked = false;
}

struct request *request_resume(struct worker *worker, uint64_t id)
{
	uint32_t at;
	struct request *rq = find_parked(&worker->parked, id, &at);

	if (rq != NULL && rq->connection != NULL) {
		rq->carrier->resume(rq);
		rq->close_after |= worker->stopping || worker->leaving; /* may have begun since */
	}
	return rq;
}

void request_complete(struct request *rq)
{
	ROSTER_ASSERT(rq->work == NULL); /* that would go on with a request that is given back */
	park_forget(rq);
	rq->carrier->complete(rq);
}

void park_free(struct worker *worker)
{
	ROSTER_ASSERT(worker->parked.count == 0);
	free(worker->parked.rows);
	worker->parked = (struct parked){ 0 };
}
