/* SPDX-License-Identifier: Apache-2.0 */
/* deliver.h - pushes on their way: send, wait for the ACK, send once more, give up.
 *
 * Why nothing is lost when the pusher dies, at whatever point:
 *
 *   - Each subscriber carries in the segment what was sent to it (sent_revision, the service's
 *     `changed`) and what was acknowledged. They are written *after* the kernel took the datagrams
 *     (one hold for a batch of 64), and before the next ACK is read.
 *   - If the pusher dies before the mark, sent_revision is still behind, so the successor owes the
 *     push and makes it. Up to 64 clients get a state twice, under another lastRefTime. Marking
 *     first would be the other way round: a push that was never sent would look sent, and its only
 *     resend would be all that is left of it.
 *   - If it dies after the mark, sent_revision > acked_revision and tries == 1, and the successor
 *     owes one resend. It takes the deliveries back in flight under their old lastRefTime before it
 *     reads its socket (which the master keeps open), so that ACKs that came meanwhile count, and
 *     then sends the state of that moment.
 *   - If it dies between reading an ACK and its mark, there is one needless resend for each ACK of
 *     one received batch at most.
 *   - With tries == 2 nothing more is owed. A successor counts it as failed when its wait is over.
 *   - Each change of a service relinks it in the change queue, whatever round is under way, and the
 *     state sent carries the `changed` it was read with. A subscriber is behind exactly if
 *     sent_revision < changed.
 *
 * What was not sent for want of memory, because the pace of a socket is used up for a second, or
 * because a lock could not be had, is not forgotten either: deliver->owed asks for a tour over the
 * audiences of the shard (tour.h), which sends to everybody who is behind.
 *
 * A newer push replaces an older one in flight to the same subscriber: the older is neither
 * acknowledged nor failed in the counters, and its late ACK counts as unknown (recent.h). (The Java
 * server would still resend the old state after the new one.)
 *
 * Subscribers that share a socket have a push with a lastRefTime of its own each, unless they
 * differ in nothing that is sent (only in the text of their agents): those share (address, port,
 * lastRefTime). Each gets its datagram, the first stands for the key in the counters, one ACK
 * clears all, and the next one is a repeat. */
#ifndef PUSHER_DELIVER_H
#define PUSHER_DELIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "pusher/datagram.h"
#include "pusher/inflight.h"
#include "pusher/pace.h"
#include "pusher/recent.h"
#include "pusher/udp.h"
#include "shared/registry/registry.h"
#include "shared/registry/registry_pusher.h"

struct config;
struct subscriber_view;

#define DELIVER_KEEP_BYTES (64ULL << 20)
/* A batch that has so many bytes leaves before it is full: the kernel copies them, and 64 datagrams
 * of the largest size would take it 3 ms. */
#define DELIVER_OUT_BYTES (1U << 20)
/* At most so many deliveries are cleared at a time: one ACK may mean all subscriptions of its
 * socket. */
#define DELIVER_ACK_SHARE 512U

struct deliver_ack {
	uint8_t address[16];
	uint16_t port;
	bool begun; /* some of its deliveries are cleared */
	uint64_t key;
};

struct deliver_item {
	struct datagram *datagram; /* a reference of its own */
	uint64_t sub_id, key, revision;
	uint32_t sub_off;
	uint16_t port;
	uint8_t shard;
	uint8_t tries; /* including this one */
	uint8_t address[16];
	bool held; /* already in the in-flight table */
};

struct deliver {
	struct registry *reg;
	const struct config *config;
	struct udp udp;
	struct inflight *inflight;
	struct pace *pace;
	struct recent *recent;
	struct datagrams datagrams;
	struct deliver_item out[UDP_BATCH]; /* about to be sent, in order */
	unsigned out_count;
	size_t out_bytes;
	struct delivery acked[2 * UDP_BATCH];
	uint8_t acked_shard[2 * UDP_BATCH];
	unsigned acked_count;
	/* received ACKs; those before rest_first are done with */
	struct deliver_ack rest[UDP_BATCH];
	unsigned rest_count, rest_first;
	enum udp_result blocked; /* UDP_SENT: nothing blocks; UDP_FULL, UDP_SHORT: see udp.h */
	uint64_t owed;           /* a bit for each shard in which a tour has to find somebody */
};

/* *d is zero before, as the whole schedule is (schedule.h). */
int deliver_init(struct deliver *d, struct registry *reg, const struct config *config, int fd,
                 uint32_t overflow) MUST_CHECK;
void deliver_free(struct deliver *d);

/* Pushes the datagram to a subscriber. `tries` is 1, or 2 when this push takes the place of a
 * resend. The push goes into the batch, waits in the wheel for its turn (pace.h), or is left owed.
 * The batch leaves when it is full; call deliver_flush() at the end. */
void deliver_push(struct deliver *d, uint8_t shard, const struct subscriber_view *sub,
                  struct datagram *datagram, uint64_t revision, uint8_t tries);
/* Stores that this state is dealt with although nothing is sent, and why: REGISTRY_TRIES_OVERSIZE
 * or REGISTRY_TRIES_VIEWS. It is counted. */
void deliver_unsent(struct deliver *d, uint8_t shard, const struct subscriber_view *sub,
                    uint64_t key, uint64_t revision, uint32_t why);
/* Sends the batch. Returns false when the socket takes no more; deliver->blocked says what is
 * waited for. */
bool deliver_flush(struct deliver *d);
/* To be called when the socket may take datagrams again. */
void deliver_unblock(struct deliver *d);

/* Reads and applies at most one batch of ACKs. Returns how many datagrams were there; UDP_BATCH
 * says that there may be more to read, or more to do for those that were read. */
unsigned deliver_receive(struct deliver *d);
/* Sends delayed pushes whose time has come and resends, a batch of them at most, and gives up
 * pushes that waited for an ACK twice. Returns true when more is due. */
bool deliver_due(struct deliver *d);
/* When deliver_due() has something to do next, in ms of CLOCK_MONOTONIC; UINT64_MAX when nothing is
 * in flight. */
uint64_t deliver_next(const struct deliver *d);

/* Takes a delivery of the predecessor, of which no ACK is known, back into flight (see above). */
void deliver_recover(struct deliver *d, uint8_t shard, const struct subscriber_view *sub);

/* Asks for a tour that finds whoever is behind in the shard. */
void deliver_owe(struct deliver *d, uint8_t shard);
/* Is the subscriber still owed a resend, by what the segment says? */
bool deliver_resend_owed(const struct subscriber_view *sub);

#endif
