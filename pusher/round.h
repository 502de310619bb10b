/* SPDX-License-Identifier: Apache-2.0 */
/* round.h - one service's push to its whole audience, 64 subscribers a step.
 *
 * A service that nobody subscribed to is not looked at. Else it is read once; each distinct view of it (grouped or
 * bare names, clusters text) is encoded and packed once, under an R (lastRefTime) of its own: two subscriptions of one socket
 * with other clusters are two pushes with an ACK each. Between steps the caller reads ACKs, so that they do not pile up in the
 * kernel, and stops while the socket takes no more.
 *
 * Two kinds: after a change, everybody alive gets the new state, except those it was sent to already
 * (by a tour, or because two changes were read at once). Owed (tour.h): only those behind and those
 * whose resend is owed.
 *
 * A change during the round relinks the service in the change queue and starts the next merge. */
#ifndef PUSHER_ROUND_H
#define PUSHER_ROUND_H

#include <stdbool.h>
#include <stdint.h>

#include "pusher/deliver.h"
#include "pusher/encode.h"
#include "pusher/zombies.h"
#include "shared/registry/registry.h"
#include "shared/registry/switches.h"

#define ROUND_BATCH 64U
#define ROUND_VIEWS 32U

struct config;

struct round_view {
	struct datagram *datagram; /* NULL: no datagram can hold it */
	char *clusters;            /* own copy */
	uint32_t clusters_len;
	bool grouped;
};

struct round {
	struct registry *reg;
	struct deliver *deliver;
	const struct config *config;
	const struct switches *switches;
	struct encoder encoder;
	struct service_view view;

	bool active, owed, fast;
	uint8_t shard;
	struct name_copy name;
	uint64_t changed;     /* of the state being sent */
	uint64_t due_ms;      /* end of the merge delay, CLOCK_MONOTONIC */
	uint64_t subscribers; /* seen in this round */
	struct audience_cursor cursor;
	struct zombies zombies;
	struct subscriber_view batch[ROUND_BATCH];
	struct round_view views[ROUND_VIEWS];
	unsigned view_count, next_view;
};

int round_init(struct round *round, struct registry *reg, struct deliver *deliver, const struct config *config) MUST_CHECK;
void round_free(struct round *round);

struct round_start {
	const struct name_copy *name;
	uint8_t shard;
	uint64_t changed; /* as the queue or the tour saw it */
	uint64_t due_ms;
	bool owed;
	bool fast; /* more services wait: pack quickly */
};

/* Reads the service. On an error (logged) there is no round; deliver->owed asks for a tour. */
void round_begin(struct round *round, const struct round_start *start);
/* One batch. Clears active at the end. */
void round_step(struct round *round);

/* The owed kind would send something to it. */
bool round_owes(const struct subscriber_view *sub, uint64_t changed);

#endif
