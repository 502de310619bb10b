/* SPDX-License-Identifier: Apache-2.0 */
/* waiting.h - changed services that wait for a place (rounds.h), the oldest first, each once.
 *
 * They are taken off the change queue all at once: in a queue that is first in, first out, a small
 * service would stand behind the large ones before it, whatever they take. At most WAITING_MOST
 * services wait here, each with a copy of its name, which takes 2 KB. The list is private to the
 * process, and nothing is lost with it: whoever was not sent to is behind by what the segment
 * says. */
#ifndef PUSHER_WAITING_H
#define PUSHER_WAITING_H

#include <stdbool.h>
#include <stdint.h>

#include "pusher/round.h"

#define WAITING_MOST 1024U
#define WAITING_NONE UINT32_MAX

struct waiting_service {
	struct round_start start;
	struct name_copy *name; /* of start, owned */
	uint64_t hash;
	uint32_t cost_us; /* of its round, probably */
};

struct waiting {
	struct waiting_service list[WAITING_MOST];
	uint32_t count;
};

void waiting_clear(struct waiting *waiting);

/* Where the service stands, or WAITING_NONE. */
uint32_t waiting_find(const struct waiting *waiting, uint64_t hash);
uint32_t waiting_cheapest(const struct waiting *waiting);
uint32_t waiting_dearest(const struct waiting *waiting);

/* The caller knows that there is room. Copies the name. Returns false when there is no memory. */
bool waiting_add(struct waiting *waiting, const struct round_start *start, uint64_t hash,
                 uint32_t cost_us);
/* The service changed again; the time at which it is due stays. */
void waiting_renew(struct waiting *waiting, uint32_t at, const struct round_start *start);
/* Takes the service out. It has its name with it: call waiting_release(). */
struct waiting_service waiting_take(struct waiting *waiting, uint32_t at);
void waiting_release(struct waiting_service *service);

#endif
