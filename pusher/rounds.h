/* SPDX-License-Identifier: Apache-2.0 */
/* rounds.h - the rounds under way, and whose turn it is.
 *
 * Each step is a slice of one round. Every second slice goes to the round that has used the least time so far, so that a
 * small service waits for one slice of others, however many large ones are pushed; the slices between go to the oldest round,
 * so that none waits for ever.
 *
 * A service has one round at a time: two would send its states in the wrong order. One that changes during its round gets the
 * next one as soon as that is over, in the same place. There are ROUNDS_MOST places, and those found by a tour take half of
 * them at most. When a changed service finds none free, the round that has used the most time gives its place up (if that is
 * more than ROUNDS_LONG_US): whoever was not sent to yet stays behind, and a tour goes on with them.
 *
 * Memory: a round takes about 100 KB, and what its view takes (200 bytes an instance or so), its texts (views.h) and its packet
 * (encode.h). Views of all rounds under way have ROUNDS_INSTANCES instances at most, or one of them has more than that alone;
 * others wait. */
#ifndef PUSHER_ROUNDS_H
#define PUSHER_ROUNDS_H

#include <stdbool.h>
#include <stdint.h>

#include "pusher/round.h"

#define ROUNDS_MOST 16U
#define ROUNDS_LONG_US 50000U
#define ROUNDS_INSTANCES 400000U

struct rounds_place {
	struct round *round;
	bool leaving; /* its place is wanted */
	bool again;   /* changed meanwhile; as in round_start: */
	bool fast;
	uint64_t changed, due_ms;
};

struct rounds {
	struct round_tools tools;
	struct rounds_place places[ROUNDS_MOST]; /* the oldest first */
	unsigned count;
	struct round *spare; /* for the next one; NULL: none */
	uint64_t slice_us;
	unsigned turn;
	char last[sizeof(((struct name_copy *)0)->text)];
	struct str what; /* whose slice the last step was */
};

int rounds_init(struct rounds *rounds, struct registry *reg, struct deliver *deliver, const struct config *config) MUST_CHECK;
/* Ends them where they are. */
void rounds_free(struct rounds *rounds);

/* A place for a changed service. False: there will be one. */
bool rounds_have_room(struct rounds *rounds);
/* A place for one more that a tour found. */
bool rounds_have_room_for_owed(const struct rounds *rounds);
/* There is a place. If its service has a round already, it gets another one after that, or (owed) another tour. */
void rounds_begin(struct rounds *rounds, const struct round_start *start);
/* One slice of one of them. False: there is none. */
bool rounds_step(struct rounds *rounds);

#endif
