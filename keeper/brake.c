/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/brake.h"

#include "keeper/gone.h"
#include "shared/base/assert.h"
#include "shared/base/log.h"
#include "shared/base/word.h"
#include "shared/metrics/metrics.h"
#include "shared/registry/registry_keeper.h"
#include "shared/shm/brake_state.h"
#include "shared/shm/fault.h"

enum release { RELEASE_COMMAND, RELEASE_BEATS, RELEASE_TIME, RELEASE_SETTING, RELEASES };

static const struct {
	const char *name;
	enum metric metric;
} releases[RELEASES] = {
	[RELEASE_COMMAND] = { "command", METRIC_BRAKE_RELEASED_COMMAND },
	[RELEASE_BEATS] = { "beats", METRIC_BRAKE_RELEASED_BEATS },
	[RELEASE_TIME] = { "time", METRIC_BRAKE_RELEASED_TIME },
	[RELEASE_SETTING] = { "setting", METRIC_BRAKE_RELEASED_SETTING },
};

/* ---- the sliding period ---------------------------------------------------------------------- */

static void clear_buckets(struct brake_state *state)
{
	for (unsigned i = 0; i < BRAKE_BUCKETS; i++)
		word_store(&state->buckets[i], 0);
	gone_clear(state->gone);
}

/* The width is rounded up, so that the buckets reach over the whole period. */
static void set_width(struct brake *b)
{
	uint64_t width = (b->config->brake_period_ms + BRAKE_BUCKETS - 1) / BRAKE_BUCKETS;

	ROSTER_ASSERT(width > 0); /* times are divided by it */
	if (b->state->width_ms == width)
		return;
	/* In a new segment nothing was counted, and even to look at its pages would take memory. */
	if (b->state->width_ms != 0)
		clear_buckets(b->state);
	FAULT("brake-cleared");
	/* This is stored last. After a death before it, the successor finds the old width and
	 * clears again. */
	__atomic_store_n(&b->state->width_ms, width, __ATOMIC_RELEASE);
}

/* A count that does not fit stays at its highest value, so that it cannot change the number. */
static uint64_t bucket_word(uint64_t number, uint64_t count)
{
	return number << 32 | (count < 0xffffffffU ? count : 0xffffffffU);
}

/* A bucket with another number was last used a whole period before or earlier, so its count begins
 * anew. */
static void count_removed(struct brake_state *state, uint64_t number, uint32_t count)
{
	uint64_t *word = &state->buckets[number % BRAKE_BUCKETS];
	uint64_t before = *word >> 32 == (number & 0xffffffffU) ? *word & 0xffffffffU : 0;

	word_store(word, bucket_word(number, before + count));
}

void brake_removed(struct brake *b, uint64_t now_ms, const struct expire_sign *signs,
                   uint32_t count)
{
	uint64_t number;
	uint32_t removed = 0;

	/* What goes after the brake has let go is no reason to hold again. */
	if (count == 0 || brake_state_phase(b->state->state) == BRAKE_RELEASED)
		return;
	ROSTER_ASSERT(signs != NULL);
	set_width(b);
	number = now_ms / b->state->width_ms;
	for (uint32_t i = 0; i < count; i++) {
		if (signs[i].state != EXPIRE_REMOVED)
			continue;
		gone_add(b->state->gone, signs[i].source, number);
		removed++;
	}
	if (removed > 0)
		count_removed(b->state, number, removed);
}

uint64_t brake_window(const struct brake *b, uint64_t now_ms)
{
	uint64_t last, sum = 0;

	if (b->state->width_ms == 0)
		return 0;
	last = now_ms / b->state->width_ms;
	for (unsigned i = 0; i < BRAKE_BUCKETS; i++) {
		/* A word holds 32 bits of the number, so ages are reckoned modulo that. */
		uint64_t word = b->state->buckets[i], age = (last - (word >> 32)) & 0xffffffffU;

		if (age < BRAKE_BUCKETS)
			sum += word & 0xffffffffU;
	}
	return sum;
}

/* ---- evidence -------------------------------------------------------------------------------- */

/* What was removed of a source that is heard now counts, but not against it. */
static void add_gone(struct census_count *all, const struct census_row *row, uint32_t count)
{
	bool silent = row == NULL || row->heard == 0;

	all->instances += count;
	/* A source that has a row is among the sources already, and among the silent ones if
	 * something of it is lost. */
	all->sources += row == NULL;
	all->silent += silent && (row == NULL || row->lost == 0);
	all->carried += silent ? count : 0;
}

void brake_weigh(const struct brake *b, const struct census *census, uint64_t now_ms,
                 struct brake_evidence *evidence_r)
{
	uint64_t number = b->state->width_ms == 0 ? 0 : now_ms / b->state->width_ms;

	evidence_r->live = evidence_r->all = census->count;
	/* Nothing was removed within the period, so no place of the table counts. */
	if (brake_window(b, now_ms) == 0)
		return;
	for (unsigned i = 0; i < BRAKE_GONE; i++) {
		const struct brake_gone *place = &b->state->gone[i];
		uint32_t count = gone_count(place, number);

		if (count > 0)
			add_gone(&evidence_r->all, census_find(census, gone_source(place)), count);
	}
}

bool brake_too_many(const struct config *config, uint64_t count, uint64_t of)
{
	return of >= config->brake_minimum && count * 100 > of * config->brake_share;
}

static bool too_many_silent(const struct config *config, const struct census_count *count)
{
	return count->sources >= config->brake_minimum_sources &&
	       count->silent * 100 > count->sources * config->brake_share &&
	       brake_too_many(config, count->carried, count->instances);
}

/* Letting go asks for half of what makes it hold, so that it does not do both in turns. */
static bool half_of_share(const struct brake *b, uint64_t count, uint64_t of)
{
	return count * 200 <= of * b->config->brake_share;
}

/* Looks at the numbers of instances only, which are always known. Sources are counted anew only
 * when these alone would be enough to hold, because that takes a visit of every service. */
bool brake_asks(const struct brake *b, const struct brake_sight *sight)
{
	uint64_t removed = brake_window(b, sight->now_ms);

	switch (brake_state_phase(b->state->state)) {
	case BRAKE_OPEN:
		return b->config->brake_enabled &&
		       brake_too_many(b->config, removed + sight->lost, removed + sight->beating);
	case BRAKE_HOLDING:
		return b->config->brake_enabled && !half_of_share(b, sight->lost, sight->beating);
	case BRAKE_RELEASED:
		return brake_too_many(b->config, sight->lost, sight->beating);
	}
	return false;
}

/* ---- judging --------------------------------------------------------------------------------- */

static void publish_sight(struct brake *b, const struct brake_sight *sight, uint64_t removed)
{
	const struct census_count *all = &sight->evidence.all;

	word_store(&b->state->lost, sight->lost);
	word_store(&b->state->removed, removed);
	word_store(&b->state->instances, sight->instances);
	word_store(&b->state->beating, sight->beating);
	word_store(&b->state->sources, all->sources);
	word_store(&b->state->silent, all->silent);
	word_store(&b->state->carried, all->carried);
	/* Operators shall see that it would not hold now, whatever falls silent. */
	word_store(&b->state->resting, b->config->brake_enabled && !brake_holds(b) &&
	                                       (all->sources < b->config->brake_minimum_sources ||
	                                        all->instances < b->config->brake_minimum));
}

static void engage(struct brake *b, const struct brake_sight *sight, uint64_t removed)
{
	word_store(&b->state->state, brake_state_word(BRAKE_HOLDING, sight->now_ms));
	FAULT("brake-engaged");
	metric_add(METRIC_BRAKE_ENGAGED, 1);
	log_error(
	        "op=brake state=holding lost=%llu removed=%llu instances=%llu silent=%llu sources=%llu share=%u%% hold_ms=%llu "
	        "note=\"no instance is removed; is it the network? doc/brake.md\"",
	        (unsigned long long)sight->lost, (unsigned long long)removed,
	        (unsigned long long)sight->beating, (unsigned long long)sight->evidence.all.silent,
	        (unsigned long long)sight->evidence.all.sources, (unsigned)b->config->brake_share,
	        (unsigned long long)b->config->brake_hold_ms);
}

/* Much is lost and removed, but from few sources, so the brake does not hold. That is logged once,
 * until it is over. */
static void let_pass(struct brake *b, const struct brake_sight *sight, uint64_t removed, bool asked)
{
	if (asked && !b->passed)
		log_warning(
		        "op=brake state=passed lost=%llu removed=%llu instances=%llu silent=%llu sources=%llu "
		        "note=\"removals go on: not enough sources fell silent so far\"",
		        (unsigned long long)sight->lost, (unsigned long long)removed,
		        (unsigned long long)sight->beating,
		        (unsigned long long)sight->evidence.all.silent,
		        (unsigned long long)sight->evidence.all.sources);
	b->passed = asked;
}

/* The buckets are cleared first, while the brake still holds and nobody decides by them: a death in
 * between must not leave old removals in a brake that has let go. */
static void let_go(struct brake *b, const struct brake_sight *sight, enum release cause)
{
	uint64_t since = brake_state_since(b->state->state);

	ROSTER_ASSERT(cause < RELEASES);
	clear_buckets(b->state);
	FAULT("brake-let-go");
	word_store(&b->state->state, brake_state_word(BRAKE_RELEASED, sight->now_ms));
	metric_add(releases[cause].metric, 1);
	log_warning("op=brake state=released cause=%s lost=%llu held=%llu instances=%llu ms=%llu",
	            releases[cause].name, (unsigned long long)sight->lost,
	            (unsigned long long)sight->held, (unsigned long long)sight->instances,
	            (unsigned long long)(sight->now_ms - since));
}

static bool beats_are_back(const struct brake *b, const struct brake_sight *sight)
{
	const struct census_count *live = &sight->evidence.live;

	/* Any of three is enough: few lost instances, few silent sources, or silent sources that
	 * carry little. */
	return sight->complete && (half_of_share(b, sight->lost, sight->beating) ||
	                           half_of_share(b, live->silent, live->sources) ||
	                           half_of_share(b, live->carried, live->instances));
}

/* Returns RELEASES when the brake goes on holding. */
static enum release why_let_go(const struct brake *b, const struct brake_sight *sight)
{
	uint64_t word = b->state->state, since = brake_state_since(word);

	if (!b->config->brake_enabled)
		return RELEASE_SETTING;
	/* The command names the holding that it ends, so that one which comes late does not end
	 * another. */
	if (word_load(&b->state->release) == word)
		return RELEASE_COMMAND;
	if (beats_are_back(b, sight))
		return RELEASE_BEATS;
	return sight->now_ms >= since && sight->now_ms - since >= b->config->brake_hold_ms
	               ? RELEASE_TIME
	               : RELEASES;
}

bool brake_judge(struct brake *b, const struct brake_sight *sight)
{
	uint64_t removed;
	enum release cause;
	bool asked;

	set_width(b);
	removed = brake_window(b, sight->now_ms);
	asked = brake_asks(b, sight);
	switch (brake_state_phase(b->state->state)) {
	case BRAKE_OPEN:
		if (asked && too_many_silent(b->config, &sight->evidence.all))
			engage(b, sight, removed);
		else
			let_pass(b, sight, removed, asked);
		break;
	case BRAKE_HOLDING:
		if ((cause = why_let_go(b, sight)) != RELEASES)
			let_go(b, sight, cause);
		break;
	case BRAKE_RELEASED:
		/* As long as what was let go is still silent, a brake that opens would hold again
		 * at once. */
		if (sight->complete &&
		    !(asked && too_many_silent(b->config, &sight->evidence.live)))
			word_store(&b->state->state, brake_state_word(BRAKE_OPEN, sight->now_ms));
		break;
	}
	publish_sight(b, sight, removed);
	word_store(&b->state->held, brake_holds(b) ? sight->held : 0);
	return brake_holds(b);
}

bool brake_holds(const struct brake *b)
{
	return brake_state_phase(b->state->state) == BRAKE_HOLDING;
}

void brake_init(struct brake *b, struct segment *seg, const struct config *config)
{
	b->state = seg->brake;
	b->config = config;
	b->passed = false;
	if (brake_holds(b))
		log_warning("op=brake state=holding note=\"taken over\"");
}
