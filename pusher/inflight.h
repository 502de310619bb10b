/* SPDX-License-Identifier: Apache-2.0 */
/* inflight.h - pushes that wait: for their ACK, or for their turn (pacing).
 *
 * A subscriber has one entry at most: a newer push replaces the older one. Entries are found in two
 * ways, by subscriber and by what an ACK shows (address, port, lastRefTime). Subscribers that share
 * a socket may share the second key, so that one ACK finds all of them.
 *
 * The wait for an ACK is the same for all, so a first-in first-out list is the whole timer: the
 * oldest send stands first. Delayed entries stand in a wheel of 512 slots of 4 ms.
 *
 * Entries live in one array that grows by doubling; its tables grow bucket by bucket. So no call
 * takes long, however many entries there are, or share a key. A pointer to an entry is good until
 * the next inflight_reserve(). An entry takes about 120 bytes, hash buckets included. All of it is
 * private to the process: what must outlive it stands in the subscribers themselves (deliver.h). */
#ifndef PUSHER_INFLIGHT_H
#define PUSHER_INFLIGHT_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/err.h"

#define INFLIGHT_DELAY_MAX_MS 1000U

struct datagram;
struct inflight;

struct inflight_entry {
	uint64_t sub_id;
	uint64_t key;              /* lastRefTime */
	uint64_t revision;         /* service->changed of the state in it */
	uint64_t first_ms;         /* first datagram left; for the latency of the ACK */
	uint64_t sent_ms;          /* last datagram left */
	struct datagram *datagram; /* NULL: the bytes were not kept; owner: the entry's maker */
	uint32_t sub_off;
	uint16_t port;
	uint8_t shard;
	uint8_t tries; /* datagrams sent */
	uint8_t address[16];
	bool counted; /* stands for its key in the counters (total, failed) */
	/* private */
	uint16_t list;
	uint32_t next, prev, next_sub, next_key, next_same, prev_same;
};

/* The seed makes bucket choice unpredictable to those who choose addresses. */
int inflight_new(uint64_t seed, struct inflight **inflight_r) MUST_CHECK;
void inflight_free(struct inflight **inflight);
uint32_t inflight_count(const struct inflight *inflight);
/* Makes room for that many more; may move all entries. ERR_NOMEM. */
int inflight_reserve(struct inflight *inflight, uint32_t more) MUST_CHECK;
/* Gives memory back when nothing is in flight. */
void inflight_trim(struct inflight *inflight);

struct inflight_entry *inflight_find(struct inflight *inflight, uint8_t shard, uint64_t sub_id);
/* An entry that an ACK from there with that key would clear; NULL when there is none. */
struct inflight_entry *inflight_match(struct inflight *inflight, const uint8_t address[16],
                                      uint16_t port, uint64_t key);
/* The next one that the same ACK would clear; to be asked for before the entry is removed. */
struct inflight_entry *inflight_match_next(struct inflight *inflight,
                                           const struct inflight_entry *entry);

/* Enters a copy of the public fields, which is in no list yet. Room must have been reserved, and
 * the subscriber must have no entry. */
struct inflight_entry *inflight_add(struct inflight *inflight, const struct inflight_entry *fields);
void inflight_remove(struct inflight *inflight, struct inflight_entry *entry);

/* The entry leaves its list and goes to the end of those that wait for an ACK; sent_ms must not
 * fall from call to call. */
void inflight_wait(struct inflight *inflight, struct inflight_entry *entry);
/* The entry goes to the front of them: its wait is over already. */
void inflight_wait_first(struct inflight *inflight, struct inflight_entry *entry);
/* The entry goes into the wheel; due_ms is INFLIGHT_DELAY_MAX_MS ahead at most. */
void inflight_delay(struct inflight *inflight, struct inflight_entry *entry, uint64_t now_ms,
                    uint64_t due_ms);
/* The entry leaves every list and is still found: its datagram is about to be sent. */
void inflight_hold(struct inflight *inflight, struct inflight_entry *entry);

/* The entry that has waited for its ACK for longest; NULL when none waits. */
struct inflight_entry *inflight_oldest(struct inflight *inflight);
/* A delayed entry whose time has come; NULL when there is none. */
struct inflight_entry *inflight_due(struct inflight *inflight, uint64_t now_ms);
/* When the next delayed entry is due; UINT64_MAX when there is none. */
uint64_t inflight_next_due(const struct inflight *inflight);

#endif
