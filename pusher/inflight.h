/* SPDX-License-Identifier: Apache-2.0 */
/* inflight.h - pushes that wait: for their ACK, or for their turn (pacing).
 *
 * One entry a subscriber at most: a newer push replaces the older one. Found two ways, by subscriber and by
 * what an ACK shows (address, port, lastRefTime); subscribers that share a socket share the second key, so
 * one ACK finds all of them.
 *
 * Time: the wait for an ACK is the same for all, so a first-in first-out list is the whole timer: the
 * oldest send stands first. Delayed entries stand in a wheel of 512 slots of 4 ms.
 *
 * Entries live in one array that grows by doubling, its tables bucket by bucket: no call takes long, however many there are,
 * or share a key. A pointer to an entry is good until the next inflight_reserve(). About 120 bytes an entry, hash buckets
 * included. Process-private: what must outlive the process stands in the subscribers themselves (deliver.h). */
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
/* Room for that many more; moves entries. ERR_NOMEM. */
int inflight_reserve(struct inflight *inflight, uint32_t more) MUST_CHECK;
/* Gives memory back when nothing is in flight. */
void inflight_trim(struct inflight *inflight);

struct inflight_entry *inflight_find(struct inflight *inflight, uint8_t shard, uint64_t sub_id);
/* Any entry an ACK from there with that key would clear; NULL: none (left). */
struct inflight_entry *inflight_match(struct inflight *inflight, const uint8_t address[16], uint16_t port, uint64_t key);
/* The next one the same ACK would clear; take it before the entry is removed. */
struct inflight_entry *inflight_match_next(struct inflight *inflight, const struct inflight_entry *entry);

/* A copy of the public fields, in no list yet. Room must have been reserved and the subscriber not be in. */
struct inflight_entry *inflight_add(struct inflight *inflight, const struct inflight_entry *fields);
void inflight_remove(struct inflight *inflight, struct inflight_entry *entry);

/* Leaves its list and goes to the end of the waiting ones; sent_ms must not fall from call to call. */
void inflight_wait(struct inflight *inflight, struct inflight_entry *entry);
/* To the front of them: its wait is over already. */
void inflight_wait_first(struct inflight *inflight, struct inflight_entry *entry);
/* Into the wheel; due_ms at most INFLIGHT_DELAY_MAX_MS ahead. */
void inflight_delay(struct inflight *inflight, struct inflight_entry *entry, uint64_t now_ms, uint64_t due_ms);
/* Out of every list, still found: its datagram is about to be sent. */
void inflight_hold(struct inflight *inflight, struct inflight_entry *entry);

/* The one that waits for its ACK for the longest. NULL: none waits. */
struct inflight_entry *inflight_oldest(struct inflight *inflight);
/* A delayed one whose time has come. */
struct inflight_entry *inflight_due(struct inflight *inflight, uint64_t now_ms);
/* When the next delayed one is due, UINT64_MAX: there is none. */
uint64_t inflight_next_due(const struct inflight *inflight);

#endif
