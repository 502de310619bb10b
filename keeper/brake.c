#include "keeper/brake.h"

#include "shared/base/log.h"
#include "shared/metrics/metrics.h"
#include "shared/shm/brake_state.h"
#include "shared/shm/fault.h"

enum cause { CAUSE_COMMAND, CAUSE_BEATS, CAUSE_TIME, CAUSE_SETTING, CAUSES };

static const struct {
	const char *name;
	enum metric metric;
} causes[CAUSES] = {
	[CAUSE_COMMAND] = { "command", METRIC_BRAKE_RELEASED_COMMAND },
	[CAUSE_BEATS] = { "beats", METRIC_BRAKE_RELEASED_BEATS },
	[CAUSE_TIME] = { "time", METRIC_BRAKE_RELEASED_TIME },
	[CAUSE_SETTING] = { "setting", METRIC_BRAKE_RELEASED_SETTING },
};

static uint64_t peek(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static void put(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
}

/* ---- the sliding period -------------------------------------------------------- */

static void clear_buckets(struct brake_state *state)
{
	for (unsigned i = 0; i < BRAKE_BUCKETS; i++)
		put(&state->buckets[i], 0);
}

/* Rounded up, so that the buckets reach over the whole period. */
static void set_width(struct brake *b)
{
	uint64_t width = (b->config->brake_period_ms + BRAKE_BUCKETS - 1) / BRAKE_BUCKETS;

	if (b->state->width_ms == width)
		return;
	clear_buckets(b->state);
	FAULT("brake-cleared");
	__atomic_store_n(&b->state->width_ms, width, __ATOMIC_RELEASE);
}

static uint64_t bucket_word(uint64_t number, uint64_t count)
{
	return number << 32 | (count < 0xffffffffU ? count : 0xffffffffU);
}

void brake_removed(struct brake *b, uint64_t now_ms, uint32_t count)
{
	uint64_t number, *word, before;

	/* What an operator let go is no reason to hold again. */
	if (count == 0 || brake_state_phase(b->state->state) == BRAKE_RELEASED)
		return;
	set_width(b);
	number = now_ms / b->state->width_ms;
	word = &b->state->buckets[number % BRAKE_BUCKETS];
	before = *word >> 32 == (number & 0xffffffffU) ? *word & 0xffffffffU : 0;
	put(word, bucket_word(number, before + count));
}

uint64_t brake_window(const struct brake *b, uint64_t now_ms)
{
	uint64_t last, sum = 0;

	if (b->state->width_ms == 0)
		return 0;
	last = now_ms / b->state->width_ms;
	for (unsigned i = 0; i < BRAKE_BUCKETS; i++) {
		uint64_t word = b->state->buckets[i], age = (last - (word >> 32)) & 0xffffffffU;

		if (age < BRAKE_BUCKETS)
			sum += word & 0xffffffffU;
	}
	return sum;
}

/* ---- judging -------------------------------------------------------------------- */

bool brake_too_many(const struct config *config, uint64_t count, uint64_t of)
{
	return of >= config->brake_minimum && count * 100 > of * config->brake_share;
}

static void publish(struct brake *b, const struct brake_sight *sight, uint64_t removed)
{
	put(&b->state->lost, sight->lost);
	put(&b->state->removed, removed);
	put(&b->state->instances, sight->instances);
}

static void engage(struct brake *b, const struct brake_sight *sight, uint64_t removed)
{
	put(&b->state->state, brake_state_word(BRAKE_HOLDING, sight->now_ms));
	FAULT("brake-engaged");
	metric_add(METRIC_BRAKE_ENGAGED, 1);
	log_error("op=brake state=holding lost=%llu removed=%llu instances=%llu share=%u%% hold_ms=%llu note=\"no instance is "
	          "removed; is it the network? doc/brake.md\"",
	          (unsigned long long)sight->lost, (unsigned long long)removed, (unsigned long long)sight->instances,
	          (unsigned)b->config->brake_share, (unsigned long long)b->config->brake_hold_ms);
}

/* The buckets go first: while it holds, nobody looks at them. */
static void let_go(struct brake *b, const struct brake_sight *sight, enum cause cause)
{
	uint64_t since = brake_state_since(b->state->state);

	clear_buckets(b->state);
	FAULT("brake-let-go");
	put(&b->state->state, brake_state_word(BRAKE_RELEASED, sight->now_ms));
	metric_add(causes[cause].metric, 1);
	log_warning("op=brake state=released cause=%s lost=%llu held=%llu instances=%llu ms=%llu", causes[cause].name,
	            (unsigned long long)sight->lost, (unsigned long long)sight->held, (unsigned long long)sight->instances,
	            (unsigned long long)(sight->now_ms - since));
}

static bool beats_are_back(const struct brake *b, const struct brake_sight *sight)
{
	return sight->complete && sight->lost * 200 <= sight->instances * b->config->brake_share;
}

/* CAUSES: it goes on holding. */
static enum cause why_let_go(const struct brake *b, const struct brake_sight *sight)
{
	uint64_t word = b->state->state, since = brake_state_since(word);

	if (!b->config->brake_enabled)
		return CAUSE_SETTING;
	if (peek(&b->state->release) == word)
		return CAUSE_COMMAND;
	if (beats_are_back(b, sight))
		return CAUSE_BEATS;
	return sight->now_ms >= since && sight->now_ms - since >= b->config->brake_hold_ms ? CAUSE_TIME : CAUSES;
}

bool brake_judge(struct brake *b, const struct brake_sight *sight)
{
	uint64_t removed;
	enum cause cause;

	set_width(b);
	removed = brake_window(b, sight->now_ms);
	publish(b, sight, removed);
	switch (brake_state_phase(b->state->state)) {
	case BRAKE_OPEN:
		if (b->config->brake_enabled && brake_too_many(b->config, removed + sight->lost, removed + sight->instances))
			engage(b, sight, removed);
		break;
	case BRAKE_HOLDING:
		if ((cause = why_let_go(b, sight)) != CAUSES)
			let_go(b, sight, cause);
		break;
	case BRAKE_RELEASED:
		if (sight->complete && !brake_too_many(b->config, sight->lost, sight->instances))
			put(&b->state->state, brake_state_word(BRAKE_OPEN, sight->now_ms));
		break;
	}
	put(&b->state->held, brake_holds(b) ? sight->held : 0);
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
	if (brake_holds(b))
		log_warning("op=brake state=holding note=\"taken over\"");
}
