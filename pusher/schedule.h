/* SPDX-License-Identifier: Apache-2.0 */
/* schedule.h - what the pusher does next: one small step at a time, until nothing is due.
 *
 * Order within a turn: delayed datagrams and resends that are due, the round under way, else the next
 * changed service, else the tour under way. ACKs are read after each step that sent. After SCHEDULE_TURN_MS the
 * loop gets its turn (signals, the socket), then it goes on.
 *
 * Nothing here wakes an idle process: the sweep is only planned while there may be subscribers, that
 * is at start if there are some, and after a change. */
#ifndef PUSHER_SCHEDULE_H
#define PUSHER_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "pusher/deliver.h"
#include "pusher/drain.h"
#include "pusher/round.h"
#include "pusher/tour.h"

#define SCHEDULE_TURN_MS 20U
#define SCHEDULE_SWEEP_MS 20000U /* at most; twice push.subscriber_life if that is less */

struct schedule {
	struct registry *reg;
	const struct config *config;
	struct deliver deliver;
	struct drain drain;
	struct round round;
	struct tour tour;
	uint64_t sweep_at_ms; /* UINT64_MAX: not planned */
	uint64_t owed_at_ms;
	uint64_t owed_shards;
	bool starting; /* the first owed tour is still to come */
	bool stopping; /* only the round under way is finished */
};

/* Also takes over what a predecessor left behind. overflow: see udp_init(). */
int schedule_init(struct schedule *s, struct registry *reg, const struct config *config, int udp_fd,
                  uint32_t overflow) MUST_CHECK;
void schedule_free(struct schedule *s);

void schedule_wake(struct schedule *s, uint64_t rings);
void schedule_reload(struct schedule *s);
/* The socket is readable: reads ACKs, bounded. */
void schedule_receive(struct schedule *s);
/* True: there is more to do now, but others may want their turn. */
bool schedule_run(struct schedule *s);
/* Milliseconds until schedule_run() has something to do again; UINT64_MAX: only a wake-up or an ACK can tell. */
uint64_t schedule_wait(const struct schedule *s);
/* Stopping, and nothing is half done. */
bool schedule_is_over(const struct schedule *s);

#endif
