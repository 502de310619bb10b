/* SPDX-License-Identifier: Apache-2.0 */
#include "pusher/schedule.h"

#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/config/config.h"
#include "shared/registry/registry_pusher.h"
#include "shared/shm/fault.h"

#define RECEIVE_BATCHES 32U
#define RECEIVE_US 2000U
#define OWED_RETRY_MS 1000U
/* Changed services are taken off the queue for so long at a time. */
#define CHANGED_US 1000U
#define CHANGED_BATCH 64U

static uint64_t next_sweep(const struct schedule *s)
{
	uint64_t ms = 2 * s->config->push_subscriber_life_ms;

	return clock_mono_ms() + (ms < SCHEDULE_SWEEP_MS ? ms : SCHEDULE_SWEEP_MS);
}

int schedule_init(struct schedule *s, struct registry *reg, const struct config *config, int udp_fd,
                  uint32_t overflow)
{
	int ret;

	s->reg = reg;
	s->config = config;
	if ((ret = deliver_init(&s->deliver, reg, config, udp_fd, overflow)) < 0 ||
	    (ret = rounds_init(&s->rounds, reg, &s->deliver, config)) < 0)
		return ret;
	drain_init(&s->drain, reg, config);
	tour_init(&s->tour, &s->rounds);
	tour_begin(&s->tour, false, UINT64_MAX);
	s->sweep_at_ms = s->owed_at_ms = UINT64_MAX;
	s->recovering = true;
	return 0;
}

void schedule_free(struct schedule *s)
{
	rounds_free(&s->rounds);
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

static void read_acks(struct schedule *s)
{
	uint64_t end_us = clock_mono_us() + RECEIVE_US;

	s->kind = "acks";
	/* What the call before has left over is read first; only then a new count begins. */
	if (s->unread == 0)
		s->unread = RECEIVE_BATCHES;
	do {
		s->unread = deliver_receive(&s->deliver) == UDP_BATCH ? s->unread - 1 : 0;
	} while (s->unread > 0 && clock_mono_us() < end_us);
}

static void recover_step(struct schedule *s)
{
	/* Nothing is sent before all is taken over. */
	ROSTER_ASSERT(s->rounds.count == 0 && s->deliver.out_count == 0);
	s->kind = "recover";
	tour_recover(&s->tour);
	s->recovering = s->tour.active;
	if (s->recovering)
		return;
	if (s->tour.subscribers > 0) {
		s->sweep_at_ms = next_sweep(s);
		s->owed_at_ms = 0;
		s->owed_shards = UINT64_MAX;
		s->starting = true;
	}
	/* ACKs that waited in the socket count before anything is sent again. */
	read_acks(s);
}

/* ---- what is to do --------------------------------------------------------------------------- */

static bool take_changed(struct schedule *s)
{
	struct changed_service changed;
	struct round_start start = { .name = &changed.name };

	if (!rounds_have_room(&s->rounds) || !drain_next(&s->drain, &changed, &start.shard))
		return false;
	FAULT("push-taken");
	start.changed = changed.changed;
	start.due_ms = changed.changed_at_ms + s->config->push_delay_ms;
	start.fast = drain_is_long(&s->drain);
	rounds_begin(&s->rounds, &start);
	s->kind = "changed";
	return true;
}

/* Many are taken at a time: the last one of a long queue may be the one whose round takes no
 * time. */
static bool begin_changed(struct schedule *s)
{
	uint64_t end_us = clock_mono_us() + CHANGED_US;
	unsigned n = 0;

	while (!s->stopping && n < CHANGED_BATCH && take_changed(s)) {
		n++;
		if (clock_mono_us() >= end_us)
			break;
	}
	return n > 0;
}

/* At the start, services that still stand in the queue keep their merge delay: a tour of their
 * shards comes a delay later. */
static void begin_owed_tour(struct schedule *s, uint64_t now_ms)
{
	uint64_t later = s->starting ? drain_pending(&s->drain) & s->owed_shards : 0;

	ROSTER_ASSERT(s->owed_shards != 0);
	tour_begin(&s->tour, true, s->owed_shards & ~later);
	s->starting = false;
	s->owed_shards = later;
	s->owed_at_ms = later != 0 ? now_ms + s->config->push_delay_ms : UINT64_MAX;
}

static bool begin_tour(struct schedule *s)
{
	uint64_t now_ms = clock_mono_ms();

	ROSTER_ASSERT(!s->tour.active);
	if (s->owed_at_ms <= now_ms) {
		begin_owed_tour(s, now_ms);
	} else if (s->sweep_at_ms <= now_ms) {
		tour_begin(&s->tour, false, UINT64_MAX);
		/* step_tour() plans the next one when this one is over, if anybody is left. */
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
	if (s->deliver.owed == 0)
		return;
	s->owed_shards |= s->deliver.owed;
	s->deliver.owed = 0;
	/* A tour that is planned is not put off. */
	if (s->owed_at_ms == UINT64_MAX)
		s->owed_at_ms = clock_mono_ms() + OWED_RETRY_MS;
}

static bool tour_is_due(struct schedule *s)
{
	return !s->stopping && (s->tour.active || begin_tour(s)) && tour_may_go_on(&s->tour);
}

/* Does a slice of a round, or a batch of the tour, which has every fourth step while there are
 * rounds. */
static bool step_round_or_tour(struct schedule *s)
{
	bool tour = tour_is_due(s);

	if (tour && (s->rounds.count == 0 || s->steps % 4 == 1)) {
		s->kind = "tour";
		step_tour(s);
	} else if (rounds_step(&s->rounds)) {
		s->kind = "round";
		s->what = s->rounds.what;
	} else {
		return false;
	}
	/* ACKs of what was just sent must not pile up in the socket. */
	(void)deliver_receive(&s->deliver);
	return true;
}

/* Returns false when nothing is due, or nothing can be sent. */
static bool schedule_step(struct schedule *s)
{
	/* While stopping none is sent: resends that are owed stand in the segment. */
	bool more = s->stopping ? false : deliver_due(&s->deliver);

	if (more)
		s->kind = "due";
	/* The audiences of services that wait for a place are behind by what the segment says: the
	 * first tour of the successor finds them. */
	if (s->stopping)
		waiting_clear(&s->rounds.waiting);
	if (!deliver_flush(&s->deliver))
		return false;
	/* The first tour has to know which shards have queued services. */
	if (s->steps++ % 2 == 0 || s->starting)
		more |= begin_changed(s) || step_round_or_tour(s);
	else
		more |= step_round_or_tour(s) || begin_changed(s);
	return more;
}

static bool timed_step(struct schedule *s)
{
	bool more = true;

	s->kind = NULL;
	s->what = STR("");
	turn_begin(&s->turn, clock_mono_us());
	if (s->recovering)
		recover_step(s);
	else if (s->unread > 0)
		read_acks(s);
	else
		more = schedule_step(s);
	if (s->kind != NULL)
		(void)turn_end(&s->turn, clock_mono_us(), s->kind, s->what);
	note_owed(s);
	return more;
}

void schedule_receive(struct schedule *s)
{
	if (s->recovering)
		return;
	s->what = STR("");
	turn_begin(&s->turn, clock_mono_us());
	read_acks(s);
	(void)turn_end(&s->turn, clock_mono_us(), s->kind, s->what);
}

bool schedule_run(struct schedule *s)
{
	uint64_t end_ms = clock_mono_ms() + SCHEDULE_TURN_MS;
	bool more;

	/* If this process stood still for a while, the ACKs are there already: they are read before
	 * anything is sent again. */
	if (deliver_next(&s->deliver) <= clock_mono_ms())
		schedule_receive(s);
	do {
		more = timed_step(s);
	} while (more && clock_mono_ms() < end_ms);
	/* With nothing left to do, the memory of a burst can go back. */
	if (!more && s->deliver.blocked == UDP_SENT) {
		ROSTER_ASSERT(s->deliver.out_count == 0);
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
	uint64_t at_ms = earlier(earlier(drain_due(&s->drain), deliver_next(&s->deliver)),
	                         earlier(s->sweep_at_ms, s->owed_at_ms));

	if (s->recovering)
		return 0;
	if (at_ms == UINT64_MAX)
		return UINT64_MAX;
	return at_ms > now_ms ? at_ms - now_ms : 0;
}

bool schedule_is_over(const struct schedule *s)
{
	return s->stopping && s->rounds.count == 0 && s->deliver.out_count == 0;
}
