/* SPDX-License-Identifier: Apache-2.0 */
#include "pusher/rounds.h"

#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "shared/base/assert.h"

int rounds_init(struct rounds *rounds, struct registry *reg, struct deliver *deliver,
                const struct config *config)
{
	rounds->slice_us = ROUND_SLICE_US;
	return round_tools_init(&rounds->tools, reg, deliver, config);
}

/* ---- places ---------------------------------------------------------------------------------- */

static void keep_spare_round(struct rounds *rounds, struct round *round)
{
	ROSTER_ASSERT(round->fiber == NULL); /* it is not under way */
	if (rounds->spare == NULL)
		rounds->spare = round;
	else
		round_free(&round);
}

static struct round *take_spare(struct rounds *rounds)
{
	struct round *round = rounds->spare;

	rounds->spare = NULL;
	return round != NULL ? round : round_new(&rounds->tools);
}

void rounds_free(struct rounds *rounds)
{
	waiting_clear(&rounds->waiting);
	while (rounds->count > 0)
		round_free(&rounds->places[--rounds->count].round);
	ROSTER_ASSERT(rounds->tools.view_bytes == 0); /* without rounds there are no views */
	round_free(&rounds->spare);
	round_tools_free(&rounds->tools);
}

static uint64_t service_hash(const struct rounds *rounds, const struct name_copy *name)
{
	size_t n = (size_t)name->ns_len + 1 + name->name_len;

	return XXH3_64bits_withSeed(name->text, n, rounds->tools.reg->seg->header->seed);
}

/* A hash of 64 bits under a secret seed stands for the service; names are not compared. */
static struct rounds_place *place_of_service(struct rounds *rounds, uint64_t hash)
{
	for (unsigned i = 0; i < rounds->count; i++) {
		if (rounds->places[i].hash == hash)
			return &rounds->places[i];
	}
	return NULL;
}

static uint64_t cost_of(const struct rounds_place *place)
{
	return place->round->used_us > place->cost_us ? place->round->used_us : place->cost_us;
}

static unsigned count_owed(const struct rounds *rounds)
{
	unsigned owed = 0;

	for (unsigned i = 0; i < rounds->count; i++)
		owed += rounds->places[i].round->owed;
	return owed;
}

static unsigned count_dear(const struct rounds *rounds)
{
	unsigned dear = 0;

	for (unsigned i = 0; i < rounds->count; i++)
		dear += cost_of(&rounds->places[i]) > ROUNDS_DEAR_US;
	return dear;
}

bool rounds_have_room_for_owed(const struct rounds *rounds)
{
	return rounds->count < ROUNDS_MOST && count_owed(rounds) < ROUNDS_MOST / 2;
}

static bool has_place_for(const struct rounds *rounds, uint64_t cost_us)
{
	if (rounds->count == ROUNDS_MOST ||
	    rounds->count - count_owed(rounds) >= ROUNDS_MOST - ROUNDS_FOR_OWED)
		return false;
	return cost_us <= ROUNDS_DEAR_US || count_dear(rounds) < ROUNDS_MOST / 2;
}

/* The costliest round gives its place up for one that costs cost_us, but never the oldest one, and
 * one at a time. */
static void ask_to_leave(struct rounds *rounds, uint64_t cost_us)
{
	uint64_t most_us = 2 * cost_us > ROUNDS_DEAR_US ? 2 * cost_us : ROUNDS_DEAR_US;
	struct rounds_place *costliest = NULL;

	for (unsigned i = 0; i < rounds->count; i++) {
		if (rounds->places[i].leaving)
			return;
		if (i > 0 && cost_of(&rounds->places[i]) > most_us) {
			costliest = &rounds->places[i];
			most_us = cost_of(costliest);
		}
	}
	if (costliest != NULL)
		costliest->leaving = true;
}

/* ---- beginning ------------------------------------------------------------------------------- */

static void begin_in_place(struct rounds *rounds, const struct round_start *start, uint64_t hash)
{
	struct round *round = take_spare(rounds);

	ROSTER_ASSERT(rounds->count < ROUNDS_MOST);
	if (round == NULL)
		deliver_owe(rounds->tools.deliver, start->shard);
	else if (round_begin(round, start))
		rounds->places[rounds->count++] = (struct rounds_place){
			.round = round,
			.hash = hash,
			.cost_us = costs_of(&rounds->costs, hash),
		};
	else
		keep_spare_round(rounds, round);
}

/* Chooses among those that wait: the first and the cheapest have turns. If there is no place for
 * the first one, the cheapest has its turn too; if there is none for that either, a costly round is
 * asked to leave. */
static uint32_t next_begin(struct rounds *rounds)
{
	const struct waiting *waiting = &rounds->waiting;
	uint32_t cheapest = waiting_cheapest(waiting);

	if (cheapest == WAITING_NONE)
		return WAITING_NONE;
	if (rounds->begun % 2 == 1 && has_place_for(rounds, waiting->list[0].cost_us))
		return 0;
	if (has_place_for(rounds, waiting->list[cheapest].cost_us))
		return cheapest;
	ask_to_leave(rounds, waiting->list[cheapest].cost_us);
	return WAITING_NONE;
}

static void fill_round_places(struct rounds *rounds)
{
	struct waiting_service service;
	uint32_t at;

	while ((at = next_begin(rounds)) != WAITING_NONE) {
		rounds->begun++;
		service = waiting_take(&rounds->waiting, at);
		begin_in_place(rounds, &service.start, service.hash);
		waiting_release(&service);
	}
}

bool rounds_have_room(const struct rounds *rounds)
{
	const struct waiting *waiting = &rounds->waiting;

	return waiting->count < WAITING_MOST ||
	       waiting->list[waiting_dearest(waiting)].cost_us > ROUNDS_DEAR_US;
}

/* If too many wait, the dearest is left to a tour: the new one, or one that waits and costs
 * more. */
static void add_waiting(struct rounds *rounds, const struct round_start *start, uint64_t hash)
{
	struct waiting *waiting = &rounds->waiting;
	uint32_t cost_us = costs_of(&rounds->costs, hash);
	struct waiting_service dearest;

	if (waiting->count == WAITING_MOST) {
		uint32_t at = waiting_dearest(waiting);

		if (waiting->list[at].cost_us <= cost_us) {
			deliver_owe(rounds->tools.deliver, start->shard);
			return;
		}
		dearest = waiting_take(waiting, at);
		deliver_owe(rounds->tools.deliver, dearest.start.shard);
		waiting_release(&dearest);
	}
	if (!waiting_add(waiting, start, hash, cost_us))
		deliver_owe(rounds->tools.deliver, start->shard);
}

/* The round that is under way is followed by another one, which is due when the first of the
 * changes in between was. */
static void begin_after(struct rounds_place *place, const struct round_start *start)
{
	if (!place->again)
		place->due_ms = start->due_ms;
	place->again = true;
	place->changed = start->changed;
	place->fast = start->fast;
}

/* While a service has a round, or waits for one, another tour will find who is behind after
 * that. */
static void begin_owed_now(struct rounds *rounds, const struct round_start *start, uint64_t hash)
{
	if (place_of_service(rounds, hash) != NULL ||
	    waiting_find(&rounds->waiting, hash) != WAITING_NONE)
		deliver_owe(rounds->tools.deliver, start->shard);
	else
		begin_in_place(rounds, start, hash);
}

void rounds_begin(struct rounds *rounds, const struct round_start *start)
{
	uint64_t hash = service_hash(rounds, start->name);
	struct rounds_place *place = place_of_service(rounds, hash);
	uint32_t at = waiting_find(&rounds->waiting, hash);

	if (start->owed)
		begin_owed_now(rounds, start, hash);
	else if (place != NULL)
		begin_after(place, start);
	else if (at != WAITING_NONE)
		waiting_renew(&rounds->waiting, at, start);
	else if (round_is_needed(&rounds->tools, start->name))
		add_waiting(rounds, start, hash);
	fill_round_places(rounds);
}

/* ---- turns ----------------------------------------------------------------------------------- */

/* Rounds that still wait for memory have no copy yet and do not count; without any, one may go
 * on. */
static bool have_instances_room(const struct rounds *rounds, const struct round *round)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < rounds->count; i++) {
		if (!rounds->places[i].round->waiting || rounds->places[i].round->full)
			sum += rounds->places[i].round->instances;
	}
	return sum == 0 || sum + round->instances <= ROUNDS_INSTANCES;
}

/* Of the rounds that are full the oldest one does not wait: it ends some time and gives back what
 * it has, so the others can go on then. */
static bool have_views_room(const struct rounds *rounds, const struct round *round)
{
	unsigned i = 0;

	if (rounds->tools.view_bytes <= ROUNDS_VIEW_BYTES)
		return true;
	while (!rounds->places[i].round->full) {
		i++;
		ROSTER_ASSERT(i < rounds->count); /* one is full: who asks */
	}
	return rounds->places[i].round == round;
}

static bool round_may_go_on(const struct rounds *rounds, struct round *round)
{
	if (round->waiting)
		round->waiting = !(round->full ? have_views_room(rounds, round)
		                               : have_instances_room(rounds, round));
	return !round->waiting;
}

/* Of two that cost the same the one that has used less comes first. */
static bool is_cheaper(const struct rounds_place *a, const struct rounds_place *b)
{
	uint64_t a_us = cost_of(a), b_us = cost_of(b);

	return a_us != b_us ? a_us < b_us : a->round->used_us < b->round->used_us;
}

/* Chooses the place whose round has the next slice: first one that is to leave, else by turns the
 * oldest and the cheapest of those that may go on. */
static unsigned next_round_turn(struct rounds *rounds)
{
	bool oldest = rounds->turn++ % 2 == 1;
	unsigned best = rounds->count;

	for (unsigned i = 0; i < rounds->count; i++) {
		struct rounds_place *place = &rounds->places[i];

		if (place->leaving)
			return i;
		if (!round_may_go_on(rounds, place->round) || (oldest && best < rounds->count))
			continue;
		if (best == rounds->count || is_cheaper(place, &rounds->places[best]))
			best = i;
	}
	return best;
}

/* Gives the place of a round that is over back. Its service waits for another round if it changed
 * meanwhile, or if the round was cut and somebody may be left over. */
static void end_round_at(struct rounds *rounds, unsigned i)
{
	struct rounds_place place = rounds->places[i];
	struct round *round = place.round;
	bool over = round->cut && !round->owed;
	struct round_start start = {
		.name = &round->name,
		.shard = round->shard,
		.changed = place.again ? place.changed : round->changed,
		.due_ms = over ? round->due_ms : place.due_ms,
		.fast = place.again ? place.fast : round->fast,
	};

	ROSTER_ASSERT(i < rounds->count);
	rounds->count--;
	memmove(&rounds->places[i], &rounds->places[i + 1], (rounds->count - i) * sizeof(place));
	costs_note(&rounds->costs, place.hash, round->used_us, !round->cut && !round->owed);
	if (round->cut && round->owed)
		deliver_owe(rounds->tools.deliver, round->shard);
	if (over || (place.again && round_is_needed(&rounds->tools, &round->name)))
		add_waiting(rounds, &start, place.hash);
	keep_spare_round(rounds, round);
}

static void note_name(struct rounds *rounds, const struct round *round)
{
	struct str name = name_copy_key(&round->name).name;

	ROSTER_ASSERT(name.n <= sizeof(rounds->last));
	if (name.n > 0)
		memcpy(rounds->last, name.p, name.n);
	rounds->what = str_make(rounds->last, name.n);
}

bool rounds_step(struct rounds *rounds)
{
	struct rounds_place *place;
	unsigned i;

	fill_round_places(rounds);
	if (rounds->count == 0)
		return false;
	i = next_round_turn(rounds);
	ROSTER_ASSERT(i < rounds->count); /* one of them can always go on */
	place = &rounds->places[i];
	/* The name outlives the round: it is asked for when the step is measured. */
	note_name(rounds, place->round);
	if (round_step(place->round, rounds->slice_us, place->leaving))
		end_round_at(rounds, i);
	return true;
}
