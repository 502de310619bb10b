/* SPDX-License-Identifier: Apache-2.0 */
#include "pusher/waiting.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/assert.h"

void waiting_clear(struct waiting *waiting)
{
	while (waiting->count > 0)
		waiting_release(&waiting->list[--waiting->count]);
}

/* A hash of 64 bits under a secret seed stands for the service; names are not compared. */
uint32_t waiting_find(const struct waiting *waiting, uint64_t hash)
{
	for (uint32_t i = 0; i < waiting->count; i++) {
		if (waiting->list[i].hash == hash)
			return i;
	}
	return WAITING_NONE;
}

/* Of those that cost the same it is the oldest. */
uint32_t waiting_cheapest(const struct waiting *waiting)
{
	uint32_t best = WAITING_NONE;

	for (uint32_t i = 0; i < waiting->count; i++) {
		if (best == WAITING_NONE || waiting->list[i].cost_us < waiting->list[best].cost_us)
			best = i;
	}
	return best;
}

/* Of those that cost the same it is the youngest, which has waited least. */
uint32_t waiting_dearest(const struct waiting *waiting)
{
	uint32_t worst = WAITING_NONE;

	for (uint32_t i = 0; i < waiting->count; i++) {
		if (worst == WAITING_NONE ||
		    waiting->list[i].cost_us >= waiting->list[worst].cost_us)
			worst = i;
	}
	return worst;
}

bool waiting_add(struct waiting *waiting, const struct round_start *start, uint64_t hash,
                 uint32_t cost_us)
{
	struct waiting_service *service = &waiting->list[waiting->count];
	struct name_copy *name = malloc(sizeof(*name));

	ROSTER_ASSERT(waiting->count < WAITING_MOST);
	if (name == NULL)
		return false;
	/* The name of the caller is gone after the call. */
	*name = *start->name;
	*service = (struct waiting_service){
		.start = *start, .name = name, .hash = hash, .cost_us = cost_us
	};
	service->start.name = name;
	waiting->count++;
	return true;
}

/* The time stays that of the first change: a service that changes all the time must not be put off
 * by it. */
void waiting_renew(struct waiting *waiting, uint32_t at, const struct round_start *start)
{
	struct round_start *old = &waiting->list[at].start;

	ROSTER_ASSERT(at < waiting->count);
	old->changed = start->changed;
	old->fast = start->fast;
}

struct waiting_service waiting_take(struct waiting *waiting, uint32_t at)
{
	struct waiting_service service = waiting->list[at];

	ROSTER_ASSERT(at < waiting->count);
	/* Those behind move up, so that the list stays in the order of age. */
	waiting->count--;
	memmove(&waiting->list[at], &waiting->list[at + 1],
	        (waiting->count - at) * sizeof(service));
	return service;
}

void waiting_release(struct waiting_service *service)
{
	ROSTER_ASSERT(service->start.name == service->name);
	free(service->name);
	service->start.name = service->name = NULL;
}
