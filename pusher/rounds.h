/* SPDX-License-Identifier: Apache-2.0 */
/* rounds.h - the rounds under way, whose turn it is, and who gets a place.
 *
 * How much work a service is, others choose: by its instances, by who subscribes, and with which
 * texts. They choose, too, how many services are that much work. Whoever is little work must not
 * wait for them, so all is done in the order of what it costs: what a round has used, or what the
 * rounds of its service took of late if that is more (costs.h). So that nobody waits for ever, the
 * oldest one has every second turn:
 *
 *   - Each step is a slice of one round: every second one of the cheapest, those between of the
 *     oldest.
 *   - There are ROUNDS_MOST places; all other changed services wait (waiting.h). Places go to the
 *     cheapest and to the one that has waited longest, in turns. Half of all places at most go to
 *     services that cost more than ROUNDS_DEAR_US. Two places are kept for services that a tour
 *     found, which have half of all places at most.
 *   - When the cheapest one that waits finds none, the costliest round gives its place up if it
 *     costs that much and more than twice as much, but never the oldest. Its service waits again;
 *     who was sent to already is not sent to again. (One that a tour had found is left to the next
 *     tour.)
 *   - When too many wait, the costliest are left to a tour.
 *
 * So a small change waits for one or two slices, whatever else there is, unless all the others are
 * as small. Costs are times of the processor: a neighbour of this process makes nobody dear.
 *
 * A service has one round at a time: two would send its states in the wrong order. One that changes
 * during its round waits for the next one as soon as that is over.
 *
 * Memory: a round takes about 100 KB, and what its view takes (200 bytes an instance or so), its
 * texts (views.h) and its packet (encode.h). Views of all rounds under way have ROUNDS_INSTANCES
 * instances at most, or one of them has more than that alone; others wait. Their views have
 * ROUNDS_VIEW_BYTES of datagrams together: beyond that, who has more than ROUND_VIEW_BYTES waits
 * before it makes one more, except the oldest of them. So all rounds have at most
 * ROUNDS_VIEW_BYTES, ROUND_VIEW_BYTES and a datagram each, and the VIEWS_BYTES of one: 65 MiB. A
 * small one never waits for memory. */
#ifndef PUSHER_ROUNDS_H
#define PUSHER_ROUNDS_H

#include <stdbool.h>
#include <stdint.h>

#include "pusher/costs.h"
#include "pusher/round.h"
#include "pusher/waiting.h"

#define ROUNDS_MOST 16U
#define ROUNDS_FOR_OWED 2U
#define ROUNDS_DEAR_US 4000U
#define ROUNDS_INSTANCES 400000U
#define ROUNDS_VIEW_BYTES (32U << 20)

struct rounds_place {
	struct round *round;
	uint64_t hash;    /* of its service */
	uint32_t cost_us; /* as it was known at the beginning */
	bool leaving;     /* its place is wanted */
	bool again;       /* changed meanwhile; as in round_start: */
	bool fast;
	uint64_t changed, due_ms;
};

struct rounds {
	struct round_tools tools;
	struct rounds_place places[ROUNDS_MOST]; /* the oldest first */
	unsigned count;
	struct waiting waiting;
	struct costs costs;
	struct round *spare; /* for the next one; NULL: none */
	uint64_t slice_us;
	unsigned turn, begun; /* for alternating */
	char last[sizeof(((struct name_copy *)0)->text)];
	struct str what; /* whose slice the last step was */
};

/* *rounds is zero before, as the whole schedule is (schedule.h). */
int rounds_init(struct rounds *rounds, struct registry *reg, struct deliver *deliver,
                const struct config *config) MUST_CHECK;
/* Ends all rounds where they are. */
void rounds_free(struct rounds *rounds);

/* Is there room for one more changed service? If not, there will be. */
bool rounds_have_room(const struct rounds *rounds);
/* Is there a place for one more service that a tour found? */
bool rounds_have_room_for_owed(const struct rounds *rounds);
/* The caller has asked whether there is room. A service that has a round already gets another one
 * after that, or another tour if this one is owed. */
void rounds_begin(struct rounds *rounds, const struct round_start *start);
/* Does one slice of one round. Returns false when there is none, and nobody waits. */
bool rounds_step(struct rounds *rounds);

#endif
