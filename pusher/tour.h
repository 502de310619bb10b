/* SPDX-License-Identifier: Apache-2.0 */
/* tour.h - visits every subscriber of every service.
 *
 * Sweep: drops zombies of services that do not change (a change's round drops its own). Owed: also starts an
 * owed round for each service with somebody behind; done at start, and when something could not be sent
 * (deliver.h). One batch of subscribers a step; a tour holds no lock between steps and may be interrupted by
 * rounds at any of them. One that begins rounds waits while there is no place for them (rounds.h); a sweep begins none.
 *
 * tour_recover() is the start's first look: deliveries of the predecessor come back into flight. */
#ifndef PUSHER_TOUR_H
#define PUSHER_TOUR_H

#include <stdbool.h>
#include <stdint.h>

#include "pusher/deliver.h"
#include "pusher/rounds.h"
#include "pusher/zombies.h"
#include "shared/registry/registry.h"
#include "shared/registry/subscribers.h"

struct tour {
	struct registry *reg;
	struct deliver *deliver;
	struct rounds *rounds;
	const struct config *config;
	bool active, owed;
	uint64_t shards; /* left to visit, bit by bit */
	bool inside;     /* an audience is being read */
	uint32_t shard;
	uint64_t after;       /* audience id */
	uint64_t subscribers; /* alive, seen in this tour */
	struct audience_entry audience;
	struct audience_cursor cursor;
	struct zombies zombies;
	struct subscriber_view batch[ROUND_BATCH];
};

/* Zero before, as the whole schedule is (schedule.h). */
void tour_init(struct tour *tour, struct rounds *rounds);
void tour_begin(struct tour *tour, bool owed, uint64_t shards);
/* There is one, and it need not wait. */
bool tour_may_go_on(const struct tour *tour);
/* One batch; may begin a round. Clears active at the end. */
void tour_step(struct tour *tour);
/* One batch of it, after tour_begin() over all shards. Clears active at the end; tour->subscribers says how many there are. */
void tour_recover(struct tour *tour);

#endif
