/* SPDX-License-Identifier: Apache-2.0 */
#include "pusher/schedule.h"

#include <string.h>

#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/config/config.h"
#include "shared/shm/fault.h"

#define RECEIVE_BATCHES 32U
#define OWED_RETRY_MS 1000U

static uint64_t next_sweep(const struct schedule *s)
{
	uint64_t ms = 2 * s->config->push_subscriber_life_ms;

	return clock_mono_ms() + (ms < SCHEDULE_SWEEP_MS ? ms : SCHEDULE_SWEEP_MS);
}

int schedule_init(struct schedule *s, struct registry *reg, const struct config *config, int udp_fd, uint32_t overflow)
{
	int ret;

	memset(s, 0, sizeof *s);
	s->reg = reg;
	s->config = config;
	if ((ret = deliver_init(&s->deliver, reg, config, udp_fd, overflow)) < 0 ||
	    (ret = round_init(&s->round, reg, &s->deliver, config)) < 0)
		return ret;
	drain_init(&s->drain, reg, config);
	tour_init(&s->tour, &s->round);
	s->sweep_at_ms = s->owed_at_ms = UINT64_MAX;
	if (tour_recover(&s->tour) > 0) {
		s->sweep_at_ms = next_sweep(s);
		s->owed_at_ms = 0;
		s->owed_shards = UINT64_MAX;
		s->starting = true;
	}
	/* ACKs that waited in the socket count before anything is sent again. */
	schedule_receive(s);
	return 0;
}

void schedule_free(struct schedule *s)
{
	round_free(&s->round);
	deliver_free(&s->deliver);
}

void schedule_wake(struct schedule *s, uint64_t rings)
{
	drain_wake(&s->drain, rings);
	if (s->sweep_at_ms == UINT64_MAX)
		s->sweep_at_ms = next_sweep(s);
}

void schedule_reload(struct schedule *s)
{
	drain_reload(&s->drain);
}

void schedule_receive(struct schedule *s)
{
	unsigned n;

	for (n = 0; n < RECEIVE_BATCHES && deliver_receive(&s->deliver) == UDP_BATCH; n++)
		;
}

static bool begin_changed(struct schedule *s)
{
	struct changed_service changed;
	struct round_start start = { .name = &changed.name };

	if (!drain_next(&s->drain, &changed, &start.shard))
		return false;
	FAULT("push-taken");
	start.changed = changed.changed;
	start.due_ms = changed.changed_at_ms + s->config->push_delay_ms;
	start.fast = drain_is_long(&s->drain);
	round_begin(&s->round, &start);
	return true;
}

/* At start, services that still stand in the queue keep their merge delay: their shards come a delay later. */
static void begin_owed_tour(struct schedule *s, uint64_t now_ms)
{
	uint64_t later = s->starting ? drain_pending(&s->drain) & s->owed_shards : 0;

	tour_begin(&s->tour, true, s->owed_shards & ~later);
	s->starting = false;
	s->owed_shards = later;
	s->owed_at_ms = later != 0 ? now_ms + s->config->push_delay_ms : UINT64_MAX;
}

static bool begin_tour(struct schedule *s)
{
	uint64_t now_ms = clock_mono_ms();

	if (s->owed_at_ms <= now_ms) {
		begin_owed_tour(s, now_ms);
	} else if (s->sweep_at_ms <= now_ms) {
		tour_begin(&s->tour, false, UINT64_MAX);
		/* Planned again at its end, if anybody is left. */
		s->sweep_at_ms = UINT64_MAX;
	} else {
		return false;
	}
	return true;
}

static void step_tour(struct schedule *s)
{
	tour_step(&s->tour);
	if (!s->tour.active && s->tour.subscribers > 0 && s->sweep_at_ms == UINT64_MAX)
		s->sweep_at_ms = next_sweep(s);
}

static void note_owed(struct schedule *s)
{
	if (!s->deliver.owed)
		return;
	s->deliver.owed = false;
	s->owed_shards = UINT64_MAX;
	if (s->owed_at_ms == UINT64_MAX)
		s->owed_at_ms = clock_mono_ms() + OWED_RETRY_MS;
}

/* One step; false: nothing is due. */
static bool step(struct schedule *s)
{
	/* Not while stopping: resends stand in the segment. */
	bool more = s->stopping ? false : deliver_due(&s->deliver);

	if (!deliver_flush(&s->deliver))
		return false;
	if (s->round.active)
		round_step(&s->round);
	else if (s->stopping)
		return false;
	else if (begin_changed(s))
		return true;
	else if (s->tour.active || begin_tour(s))
		step_tour(s);
	else
		return more;
	(void)deliver_receive(&s->deliver);
	return true;
}

bool schedule_run(struct schedule *s)
{
	uint64_t end_ms = clock_mono_ms() + SCHEDULE_TURN_MS;
	bool more;

	/* After a time in which this process stood still the ACKs are there already: read before anything is sent again. */
	if (deliver_next(&s->deliver) <= clock_mono_ms())
		schedule_receive(s);
	do {
		more = step(s);
		note_owed(s);
	} while (more && clock_mono_ms() < end_ms);
	if (!more && s->deliver.blocked == UDP_SENT) {
		inflight_trim(s->deliver.inflight);
		pace_trim(s->deliver.pace, clock_mono_us());
	}
	return more;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t schedule_wait(const struct schedule *s)
{
	uint64_t now_ms = clock_mono_ms();
	uint64_t at_ms =
	        earlier(earlier(drain_due(&s->drain), deliver_next(&s->deliver)), earlier(s->sweep_at_ms, s->owed_at_ms));

	if (at_ms == UINT64_MAX)
		return UINT64_MAX;
	return at_ms > now_ms ? at_ms - now_ms : 0;
}

bool schedule_is_over(const struct schedule *s)
{
	return s->stopping && !s->round.active && s->deliver.out_count == 0;
}
