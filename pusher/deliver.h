/* SPDX-License-Identifier: Apache-2.0 */
/* deliver.h - pushes on their way: send, wait for the ACK, send once more, give up.
 *
 * Why nothing is lost when the pusher dies, at whatever point:
 *
 *   - Each subscriber carries in the segment what was sent to it (sent_revision, the service's `changed`)
 *     and what was acknowledged. They are written *after* the kernel took the datagrams (one hold for a
 *     batch of 64), and before the next ACK is read.
 *   - Death before the mark: sent_revision is still behind, so the successor owes the push and makes it. Up to
 *     64 clients get a state twice, under another lastRefTime. Marking first would be the other way round: a
 *     push that was never sent would look sent, and its only resend would be all that is left of it.
 *   - Death after the mark: sent_revision > acked_revision and tries == 1: the successor owes one resend. It
 *     takes the deliveries back in flight under their old lastRefTime before it reads its socket (which the master
 *     keeps open), so that ACKs that came meanwhile count, and then sends the state of that moment.
 *   - Death between reading an ACK and its mark (at most one received batch): one needless resend.
 *   - tries == 2: nothing more is owed. A successor counts it as failed when its wait is over.
 *   - Two changes of a service: each relinks it in the change queue, whatever round is under way, and the state
 *     sent carries the `changed` it was read with. A subscriber is behind exactly if sent_revision < changed.
 *
 * What was not sent for want of memory, because a socket's pace is used up for a second, or because a lock could
 * not be had, is not forgotten either: deliver->owed asks for a tour over the audiences of the shard (tour.h), which
 * sends to everybody behind.
 *
 * A newer push replaces an older one in flight to the same subscriber: the older is neither acknowledged nor
 * failed in the counters, and its late ACK counts as unknown (recent.h). (The Java server would still resend the
 * old state after the new one.)
 *
 * Subscribers that share a socket have a push with a lastRefTime of its own each, unless they differ in nothing that is
 * sent (only in the text of their agents): those share (address, port, lastRefTime). Each gets its datagram, the first
 * stands for the key in the counters, one ACK clears all, and the next one is a repeat. */
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
/* The batch leaves with so many bytes too: the kernel copies them, 64 of the largest for 3 ms. */
#define DELIVER_OUT_BYTES (1U << 20)
/* Deliveries that a batch of ACKs clears at a time: one ACK may mean all subscriptions of its socket. */
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
	struct deliver_ack rest[UDP_BATCH]; /* received ACKs; before rest_first: done with */
	unsigned rest_count, rest_first;
	enum udp_result blocked; /* UDP_SENT: go on; UDP_FULL, UDP_SHORT: see udp.h */
	uint64_t owed;           /* shards in which somebody is behind and no queue knows: tour */
};

/* Zero before, as the whole schedule is (schedule.h). */
int deliver_init(struct deliver *d, struct registry *reg, const struct config *config, int fd, uint32_t overflow) MUST_CHECK;
void deliver_free(struct deliver *d);

/* A push of `datagram` to a subscriber, tries 1 (or 2: it takes the place of a resend). Goes into the batch, into
 * the wheel (pacing) or is left owed. The batch leaves when full; call deliver_flush() at the end. */
void deliver_push(struct deliver *d, uint8_t shard, const struct subscriber_view *sub, struct datagram *datagram,
                  uint64_t revision, uint8_t tries);
/* Stored as dealt with, and why nothing is sent: REGISTRY_TRIES_OVERSIZE, REGISTRY_TRIES_VIEWS. Counted. */
void deliver_unsent(struct deliver *d, uint8_t shard, const struct subscriber_view *sub, uint64_t key, uint64_t revision,
                    uint32_t why);
/* False when the socket takes no more: deliver->blocked. */
bool deliver_flush(struct deliver *d);
/* The socket may be writable again. */
void deliver_unblock(struct deliver *d);

/* Reads and applies at most one batch of ACKs. Returns how many datagrams were there; UDP_BATCH: there may be
 * more, or more to do. */
unsigned deliver_receive(struct deliver *d);
/* Delayed ones whose time has come and resends, at most a batch, and gives up what waited twice. True: more. */
bool deliver_due(struct deliver *d);
/* CLOCK_MONOTONIC ms of the next of these, UINT64_MAX: none. */
uint64_t deliver_next(const struct deliver *d);

/* A predecessor's delivery of which no ACK is known comes back into flight (see above). */
void deliver_recover(struct deliver *d, uint8_t shard, const struct subscriber_view *sub);

/* Somebody of that shard is to be found by a tour. */
void deliver_owe(struct deliver *d, uint8_t shard);
/* The resend of a delivery is still owed to it, by what the segment says. */
bool deliver_resend_owed(const struct subscriber_view *sub);

#endif
