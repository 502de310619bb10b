/* SPDX-License-Identifier: Apache-2.0 */
/* tour.h - visits every subscriber of every service.
 *
 * A sweep drops zombies of services that do not change (the round of a change drops those of its
 * own service). An owed tour also begins an owed round for each service with somebody who is
 * behind; it is made at the start, and when something could not be sent (deliver.h). A step is one
 * batch of subscribers. A tour holds no lock between steps, and rounds may come in between. An owed
 * one waits while there is no place for another round (rounds.h); a sweep begins no rounds.
 *
 * tour_recover() is the first look at the start: deliveries of the predecessor come back into
 * flight. */
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

/* *tour is zero before, as the whole schedule is (schedule.h). */
void tour_init(struct tour *tour, struct rounds *rounds);
void tour_begin(struct tour *tour, bool owed, uint64_t shards);
/* Is there a tour under way that need not wait? */
bool tour_may_go_on(const struct tour *tour);
/* Does one batch, and may begin a round. Clears active at the end of the tour. */
void tour_step(struct tour *tour);
/* Does one batch, after tour_begin() over all shards. Clears active at the end; tour->subscribers
 * says how many there are then. */
void tour_recover(struct tour *tour);

#endif
