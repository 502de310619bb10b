/* SPDX-License-Identifier: Apache-2.0 */
/* round.h - one service's push to its whole audience, in slices.
 *
 * A service that nobody subscribed to gets no round (round_is_needed). Else it is read once; each
 * distinct view of it (grouped or bare names, text of clusters) is encoded and packed once, under
 * an R (lastRefTime) of its own: two subscriptions of one socket with different clusters are two
 * pushes with an ACK each. The number of views is limited (views.h). Who asks for one more is not
 * pushed to and told so by its next poll (REGISTRY_TRIES_VIEWS), as is who could not read what it
 * would get.
 *
 * A round is a fiber (fiber.h): a slice ends when its time is over, or with a batch of 64
 * subscribers. Between slices the caller reads ACKs, so that they do not pile up in the kernel,
 * stops while the socket takes no more, and gives others their turns. Everything that a round works
 * with is its own, except the batch of datagrams (deliver.h), which the caller sends first.
 * Subscribers that were read before a pause are read again: what was sent to them may have been
 * acknowledged or sent again.
 *
 * There are two kinds. After a change everybody alive gets the new state, except those it was sent
 * to already (by a tour, or because two changes were read at once). A round that is owed (tour.h)
 * sends only to those who are behind and those whose resend is owed.
 *
 * A change during the round relinks the service in the change queue and starts the next merge; its
 * round begins when this one is over (rounds.h). */
#ifndef PUSHER_ROUND_H
#define PUSHER_ROUND_H

#include <stdbool.h>
#include <stdint.h>

#include "pusher/deliver.h"
#include "pusher/encode.h"
#include "pusher/views.h"
#include "pusher/zombies.h"
#include "shared/base/log.h"
#include "shared/registry/registry.h"
#include "shared/registry/subscribers.h"
#include "shared/registry/switches.h"

#define ROUND_BATCH 64U
#define ROUND_SLICE_US 2000U
/* A round whose views have more bytes than that may have to wait before it makes another one. */
#define ROUND_VIEW_BYTES (1U << 20)

struct config;
struct fiber;

/* What all rounds share. */
struct round_tools {
	struct registry *reg;
	struct deliver *deliver;
	const struct config *config;
	const struct switches *switches;
	struct packers packers;
	struct log_limit log; /* of views that are too many */
	uint64_t view_bytes;  /* of the datagrams that all rounds hold for their views */
};

int round_tools_init(struct round_tools *tools, struct registry *reg, struct deliver *deliver,
                     const struct config *config) MUST_CHECK;
void round_tools_free(struct round_tools *tools);

struct round_start {
	const struct name_copy *name;
	uint8_t shard;
	uint64_t changed; /* as the queue or the tour saw it */
	uint64_t due_ms;  /* end of the merge delay, CLOCK_MONOTONIC */
	bool owed;
	bool fast; /* more services wait: pack quickly */
};

struct round {
	struct round_tools *tools;
	struct fiber *fiber;
	struct encoder encoder;
	struct service_view view;
	struct views views;

	struct name_copy name;
	uint8_t shard;
	bool owed, fast;
	uint64_t due_ms;
	uint64_t changed; /* of the state being sent */
	uint64_t wall_ms; /* when it was read */
	uint64_t used_us; /* of the processor, by its slices */
	uint64_t slices;
	uint32_t instances;   /* of the service, before it is read */
	bool waiting;         /* for memory: it must not be stepped, see rounds.h */
	bool full;            /* the memory is that of views, not of instances */
	bool cut;             /* it ended as it was told to, with somebody left over perhaps */
	uint64_t subscribers; /* seen in this round */
	uint64_t refused;     /* of them for want of views */
	struct audience_cursor cursor;
	struct zombies zombies;
	struct subscriber_view batch[ROUND_BATCH];
};

/* Makes room for rounds, one after the other. NULL when there is no memory. */
struct round *round_new(struct round_tools *tools);
/* Allowed in the middle of a round, too: what is left to do stands in the segment. */
void round_free(struct round **round);

/* Does anybody subscribe to the service? */
bool round_is_needed(struct round_tools *tools, const struct name_copy *name);
/* Returns false when there is no memory; deliver->owed asks for a tour then. */
bool round_begin(struct round *round, const struct round_start *start);
/* Does one slice. Returns true when the round is over. `gone` tells it to end at once (round->cut):
 * whoever was not sent to stays behind, and the caller sees to it that they are found. */
bool round_step(struct round *round, uint64_t slice_us, bool gone);

/* Would a round that is owed send something to the subscriber? */
bool round_owes(const struct subscriber_view *sub, uint64_t changed);

#endif
