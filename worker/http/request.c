/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/http/request.h"

#include <stdlib.h>

#include "shared/base/assert.h"

#define ARENA_MAX (64U * 1024U * 1024U)

const char *method_name(enum method method)
{
	static const char *const names[] = { "GET",  "POST",    "PUT",   "DELETE", "PATCH",
		                             "HEAD", "OPTIONS", "TRACE", "any" };

	ROSTER_ASSERT(method <= METHOD_OTHER);
	return names[method];
}

struct request *request_new(struct request **spare)
{
	struct request *rq = *spare;
	struct arena arena;

	*spare = NULL;
	if (rq == NULL) {
		if ((rq = malloc(sizeof(*rq))) == NULL)
			return NULL;
		arena_init(&rq->arena, ARENA_MAX);
	}
	arena_reset(&rq->arena);
	arena = rq->arena;
	*rq = (struct request){ .arena = arena };
	return rq;
}

void request_give_back(struct request **spare, struct request *rq)
{
	ROSTER_ASSERT(!rq->parked && rq->work == NULL && output_is_plain(&rq->output));
	if (*spare == NULL)
		*spare = rq;
	else
		request_free(&rq);
}

void request_free(struct request **rq)
{
	if (*rq != NULL) {
		output_drop(&(*rq)->output);
		arena_free(&(*rq)->arena);
	}
	free(*rq);
	*rq = NULL;
}
