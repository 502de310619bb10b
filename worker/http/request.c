/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/http/request.h"

#include <stddef.h>
#include <stdlib.h>

#include "shared/base/assert.h"
#include "worker/http/protocol.h"

#define ARENA_MAX (64U * 1024U * 1024U)

/* One piece of memory, so that no request costs an allocation more. */
struct request_memory {
	struct request rq;
	max_align_t own[]; /* request_bytes of the protocol */
};

const char *method_name(enum method method)
{
	static const char *const names[] = { "GET",  "POST",    "PUT",   "DELETE", "PATCH",
		                             "HEAD", "OPTIONS", "TRACE", "any" };

	ROSTER_ASSERT(method <= METHOD_OTHER);
	return names[method];
}

static struct request *allocate(size_t own_bytes)
{
	struct request_memory *memory = malloc(sizeof(*memory) + own_bytes);

	if (memory == NULL)
		return NULL;
	memory->rq.own = memory->own;
	arena_init(&memory->rq.arena, ARENA_MAX);
	return &memory->rq;
}

struct request *request_new(struct request **spare, const struct protocol *protocol)
{
	struct request *rq = *spare;
	struct arena arena;

	*spare = NULL;
	if (rq == NULL && (rq = allocate(protocol->request_bytes)) == NULL)
		return NULL;
	arena_reset(&rq->arena);
	arena = rq->arena;
	*rq = (struct request){ .own = rq->own, .arena = arena };
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
