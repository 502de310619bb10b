/* SPDX-License-Identifier: Apache-2.0 */
/* schedule.h - what the pusher does next: one small step at a time, until nothing is due.
 *
 * A step sends delayed datagrams and resends that are due, and then does one of three things: it
 * lets the rounds of a batch of changed services begin, does a slice of a round (rounds.h), or does
 * a batch of the tour under way. These three alternate while there are several. No step is to take
 * more than 5 ms, whatever is stored and whoever subscribes (shared/process/turn.h). ACKs are read
 * after each slice and each batch. After SCHEDULE_TURN_MS the loop gets its turn (signals, the
 * socket), and then the schedule goes on.
 *
 * First of all what a predecessor left behind is taken over, in steps too; before that is done,
 * nothing is sent or read from the socket.
 *
 * Nothing here wakes an idle process: the sweep is only planned while there may be subscribers,
 * that is at the start if there are some, and after a change. */
#ifndef PUSHER_SCHEDULE_H
#define PUSHER_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "pusher/deliver.h"
#include "pusher/drain.h"
#include "pusher/rounds.h"
#include "pusher/tour.h"
#include "shared/process/turn.h"

#define SCHEDULE_TURN_MS 5U
#define SCHEDULE_SWEEP_MS 20000U /* at most; twice push.subscriber_life if that is less */

struct schedule {
	struct registry *reg;
	const struct config *config;
	struct deliver deliver;
	struct drain drain;
	struct rounds rounds;
	struct tour tour;
	struct turn turn;
	const char *kind; /* of the step under way, as in the log; NULL: nothing was done */
	struct str what;
	unsigned steps;       /* for alternating */
	unsigned unread;      /* batches of ACKs that may still be read before the next step */
	uint64_t sweep_at_ms; /* UINT64_MAX: not planned */
	uint64_t owed_at_ms;
	uint64_t owed_shards;
	bool recovering; /* a predecessor's deliveries are being taken over */
	bool starting;   /* the first owed tour is still to come */
	bool stopping;   /* only the rounds under way are finished */
};

/* *s is zero, with all its parts: memory fresh from the kernel, of which only what is used is ever
 * taken (400 KB of tables, most of them for many rounds and many datagrams at once). overflow: see
 * udp_init(). */
int schedule_init(struct schedule *s, struct registry *reg, const struct config *config, int udp_fd,
                  uint32_t overflow) MUST_CHECK;
void schedule_free(struct schedule *s);

void schedule_wake(struct schedule *s, uint64_t rings);
void schedule_reload(struct schedule *s);
/* To be called when the socket is readable: reads ACKs for a bounded time; schedule_run() reads the
 * rest. */
void schedule_receive(struct schedule *s);
/* Returns true when there is more to do now, but others may want their turn. */
bool schedule_run(struct schedule *s);
/* Milliseconds until schedule_run() has something to do again; UINT64_MAX when only a wake-up or an
 * ACK can tell. */
uint64_t schedule_wait(const struct schedule *s);
/* Is the process stopping, and nothing half done? */
bool schedule_is_over(const struct schedule *s);

#endif
