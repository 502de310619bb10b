/* SPDX-License-Identifier: Apache-2.0 */
/* The node brake as operators see it, and the count of deregistrations by source. What holds and
 * why is the keeper's (keeper/brake.h, keeper/exodus.h), who may deregister is decided in
 * shared/naming/guard.h; here the state is shown, and an order to let go is left for the next tick
 * of the keeper. */
#include <inttypes.h>

#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/word.h"
#include "shared/codec/json_write.h"
#include "shared/net/address.h"
#include "shared/shm/brake_state.h"
#include "shared/shm/health.h"
#include "worker/v1/handlers.h"
#include "worker/worker.h"

static struct brake_state *state_of(const struct request *rq)
{
	return rq->worker->proc->seg->brake;
}

/* ---- showing --------------------------------------------------------------------------------- */

static void put_phase(struct buf *b, const struct request *rq)
{
	static const char *const names[] = { "open", "holding", "released" };
	const struct config *config = &rq->worker->proc->config;
	uint64_t word = word_load(&state_of(rq)->state), since = brake_state_since(word),
	         now = health_now(rq->worker->proc->seg);
	uint64_t ms = now > since ? now - since : 0,
	         left = config->brake_hold_ms > ms ? config->brake_hold_ms - ms : 0;

	JSON_PUT_STRING(b, "state", str_of(names[brake_state_phase(word)]));
	if (brake_state_phase(word) == BRAKE_HOLDING) {
		JSON_PUT_U64(b, "forMs", ms);
		JSON_PUT_U64(b, "leftMs", left);
	}
}

static void put_numbers(struct buf *b, const struct request *rq)
{
	const struct config *config = &rq->worker->proc->config;
	const struct brake_state *state = state_of(rq);

	JSON_PUT_U64(b, "lost", word_load(&state->lost));
	JSON_PUT_U64(b, "held", word_load(&state->held));
	JSON_PUT_U64(b, "removed", word_load(&state->removed));
	JSON_PUT_U64(b, "instances", word_load(&state->instances));
	JSON_PUT_U64(b, "beating", word_load(&state->beating));
	JSON_PUT_U64(b, "sources", word_load(&state->sources));
	JSON_PUT_U64(b, "silentSources", word_load(&state->silent));
	JSON_PUT_U64(b, "carried", word_load(&state->carried));
	JSON_PUT_BOOL(b, "enabled", config->brake_enabled);
	JSON_PUT_BOOL(b, "resting", word_load(&state->resting) != 0);
	JSON_PUT_U64(b, "minimum", config->brake_minimum);
	JSON_PUT_U64(b, "minimumSources", config->brake_minimum_sources);
	JSON_PUT_U64(b, "share", config->brake_share);
	JSON_PUT_U64(b, "periodMs", config->brake_period_ms);
	JSON_PUT_U64(b, "holdMs", config->brake_hold_ms);
}

/* Shows the sources that the alarm names. */
static void put_sources(struct buf *b, const struct request *rq)
{
	const struct departures *departures = &state_of(rq)->departures;
	uint64_t period_ms = rq->worker->proc->config.brake_period_ms, now_ms = clock_mono_ms();
	char text[DEPARTURES_TEXT];

	for (unsigned i = 0; i < DEPARTURES; i++) {
		const struct departures_source *source = &departures->sources[i];

		if (word_load(&source->alarm) == 0)
			continue;
		json_comma(b);
		buf_char(b, '{');
		JSON_PUT_STRING(b, "source",
		                str_of(departures_text(word_load(&source->key), text)));
		JSON_PUT_U64(b, "deregistered", departures_count(source, now_ms, period_ms));
		buf_char(b, '}');
	}
}

void handle_brake_get(struct request *rq)
{
	struct buf b;

	buf_init(&b);
	buf_char(&b, '{');
	put_phase(&b, rq);
	put_numbers(&b, rq);
	JSON_PUT_U64(&b, "deregister", rq->worker->proc->config.brake_deregister);
	JSON_PUT_LIT(&b, "deregisterAlarms", "[");
	put_sources(&b, rq);
	BUF_LIT(&b, "]}");
	handler_reply_buf(rq, &b);
}

/* ---- letting go ------------------------------------------------------------------------------ */

/* The order names the holding that was seen; the keeper obeys at its next tick, or its successor
 * does. */
void handle_brake_release(struct request *rq)
{
	struct brake_state *state = state_of(rq);
	uint64_t word = word_load(&state->state);
	char text[ADDRESS_TEXT];

	if (brake_state_phase(word) != BRAKE_HOLDING) {
		reply_caused(rq, 409, "the brake does not hold");
		return;
	}
	__atomic_store_n(&state->release, word, __ATOMIC_RELAXED);
	log_warning("op=brake-release source=%s", address_text(rq->source, text));
	reply_ok(rq);
}

/* ---- deregistrations by source --------------------------------------------------------------- */

void handler_reply_departures(struct request *rq)
{
	reply_caused(rq, 429, "brake.deregister reached: %" PRIu64,
	             rq->worker->proc->config.brake_deregister);
}
