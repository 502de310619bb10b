/* SPDX-License-Identifier: Apache-2.0 */
#include "pusher/rounds.h"

#include <string.h>

int rounds_init(struct rounds *rounds, struct registry *reg, struct deliver *deliver, const struct config *config)
{
	memset(rounds, 0, sizeof(*rounds));
	rounds->slice_us = ROUND_SLICE_US;
	return round_tools_init(&rounds->tools, reg, deliver, config);
}

/* ---- places ---------------------------------------------------------------------- */

static void keep(struct rounds *rounds, struct round *round)
{
	if (rounds->spare == NULL)
		rounds->spare = round;
	else
		round_free(&round);
}

static struct round *take(struct rounds *rounds)
{
	struct round *round = rounds->spare;

	rounds->spare = NULL;
	return round != NULL ? round : round_new(&rounds->tools);
}

void rounds_free(struct rounds *rounds)
{
	while (rounds->count > 0)
		round_free(&rounds->places[--rounds->count].round);
	round_free(&rounds->spare);
	round_tools_free(&rounds->tools);
}

static bool is_of(const struct round *round, const struct round_start *start)
{
	struct service_key a = name_copy_key(&round->name), b = name_copy_key(start->name);

	return round->shard == start->shard && str_eq(a.name, b.name) && str_eq(a.ns, b.ns);
}

static struct rounds_place *place_of(struct rounds *rounds, const struct round_start *start)
{
	for (unsigned i = 0; i < rounds->count; i++) {
		if (is_of(rounds->places[i].round, start))
			return &rounds->places[i];
	}
	return NULL;
}

/* ---- beginning ------------------------------------------------------------------- */

bool rounds_have_room_for_owed(const struct rounds *rounds)
{
	unsigned owed = 0;

	for (unsigned i = 0; i < rounds->count; i++)
		owed += rounds->places[i].round->owed;
	return rounds->count < ROUNDS_MOST && owed < ROUNDS_MOST / 2;
}

bool rounds_have_room(struct rounds *rounds)
{
	struct rounds_place *longest = &rounds->places[0];

	if (rounds->count < ROUNDS_MOST)
		return true;
	for (unsigned i = 0; i < rounds->count; i++) {
		struct rounds_place *place = &rounds->places[i];

		if (place->leaving)
			return false;
		if (place->round->used_us > longest->round->used_us)
			longest = place;
	}
	/* What a change meanwhile asks for the tour finds, too. */
	longest->leaving = longest->round->used_us > ROUNDS_LONG_US;
	return false;
}

static void begin_after(struct rounds *rounds, struct rounds_place *place, const struct round_start *start)
{
	if (start->owed) {
		deliver_owe(rounds->tools.deliver, start->shard);
		return;
	}
	if (!place->again)
		place->due_ms = start->due_ms;
	place->again = true;
	place->changed = start->changed;
	place->fast = start->fast;
}

void rounds_begin(struct rounds *rounds, const struct round_start *start)
{
	struct rounds_place *place = place_of(rounds, start);
	struct round *round;

	if (place != NULL) {
		begin_after(rounds, place, start);
		return;
	}
	if ((round = take(rounds)) == NULL)
		deliver_owe(rounds->tools.deliver, start->shard);
	else if (round_begin(round, start))
		rounds->places[rounds->count++] = (struct rounds_place){ .round = round };
	else
		keep(rounds, round);
}

/* ---- turns ----------------------------------------------------------------------- */

static bool may_go_on(struct rounds *rounds, struct round *round)
{
	uint64_t sum = 0;

	if (!round->waiting)
		return true;
	for (unsigned i = 0; i < rounds->count; i++) {
		if (!rounds->places[i].round->waiting)
			sum += rounds->places[i].round->instances;
	}
	round->waiting = sum > 0 && sum + round->instances > ROUNDS_INSTANCES;
	return !round->waiting;
}

/* Who is to leave does so first. */
static unsigned next_turn(struct rounds *rounds)
{
	bool oldest = rounds->turn++ % 2 == 1;
	unsigned best = rounds->count;

	for (unsigned i = 0; i < rounds->count; i++) {
		struct rounds_place *place = &rounds->places[i];

		if (place->leaving)
			return i;
		if (!may_go_on(rounds, place->round) || (oldest && best < rounds->count))
			continue;
		if (best == rounds->count || place->round->used_us < rounds->places[best].round->used_us)
			best = i;
	}
	return best;
}

/* Over: the next round of its service takes the place, behind the others. */
static void end_of(struct rounds *rounds, unsigned i)
{
	struct rounds_place place = rounds->places[i];
	struct round_start start = {
		.name = &place.round->name,
		.shard = place.round->shard,
		.changed = place.changed,
		.due_ms = place.due_ms,
		.fast = place.fast,
	};

	rounds->count--;
	memmove(&rounds->places[i], &rounds->places[i + 1], (rounds->count - i) * sizeof(place));
	/* Who left his place gets the next one by a tour. */
	if (place.again && place.leaving)
		deliver_owe(rounds->tools.deliver, start.shard);
	if (place.again && !place.leaving && round_begin(place.round, &start))
		rounds->places[rounds->count++] = (struct rounds_place){ .round = place.round };
	else
		keep(rounds, place.round);
}

static void note_name(struct rounds *rounds, const struct round *round)
{
	struct str name = name_copy_key(&round->name).name;

	if (name.n > 0)
		memcpy(rounds->last, name.p, name.n);
	rounds->what = str_make(rounds->last, name.n);
}

bool rounds_step(struct rounds *rounds)
{
	struct rounds_place *place;
	unsigned i;

	if (rounds->count == 0)
		return false;
	i = next_turn(rounds);
	place = &rounds->places[i];
	note_name(rounds, place->round);
	if (round_step(place->round, rounds->slice_us, place->leaving))
		end_of(rounds, i);
	return true;
}
