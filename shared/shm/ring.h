/* SPDX-License-Identifier: Apache-2.0 */
/* ring.h - the event rings: every process appends, readers follow.
 *
 * Changes of state only, never a line per beat. Old events are overwritten; a reader that fell
 * behind is told how many it missed. An event becomes visible by one store of its sequence number;
 * a writer that dies half-way leaves a slot that readers skip and count, after they have waited a
 * second for it. Appending takes no lock and may be done under a shard lock. */
#ifndef SHM_RING_H
#define SHM_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/str.h"
#include "shared/shm/segment.h"

#define RING_EVENTS 16384U
#define RING_REMOVED 1024U
#define RING_NAME_BYTES 448U

enum event_kind {
	EVENT_NONE,
	EVENT_REGISTERED,
	EVENT_DEREGISTERED,
	EVENT_BEAT_LOST,
	EVENT_HEALTHY,
	EVENT_EDITED,
	EVENT_REMOVED,
	EVENT_SERVICE_CREATED,
	EVENT_SERVICE_REMOVED,
	EVENT_ROLLED_BACK,
	EVENT_KINDS
};

/* Why something changed. Every write operation is told (struct origin). */
enum cause {
	CAUSE_NONE,
	CAUSE_CLIENT,
	CAUSE_BEAT,
	CAUSE_COMPENSATION,
	CAUSE_BEAT_TIMEOUT,
	CAUSE_CHECK,
	CAUSE_OPERATOR,
	CAUSE_EMPTY,
	CAUSE_SERVICE_REMOVED,
	CAUSE_STALE,
	CAUSE_DEAD_OWNER,
	CAUSE_KINDS
};

struct ring_event {
	uint64_t stamp;       /* hybrid clock */
	uint64_t instance_id; /* or service id for service events */
	uint64_t name_hash;   /* unkeyed hash of (namespace, group@@service) */
	int32_t port;
	uint8_t kind, cause, writer, node;
	char ip[24]; /* cut when longer */
};                   /* 56 bytes + sequence = one cache line */

struct ring;

/* What a ring takes; slots is a power of two. */
uint64_t ring_bytes(uint32_t slots, bool names);
/* Makes an empty ring in memory that is all zero. */
void ring_create(struct ring *ring, uint32_t slots, bool names);
/* For an attach: is it a ring of that shape? */
bool ring_valid(const struct ring *ring, uint32_t slots, bool names);
/* Counts, without any lock, the slots whose word no writer can have left there, of those that begin
 * in the bytes [from, until) of the ring. */
unsigned ring_audit(const struct ring *ring, uint64_t from, uint64_t until);
/* The name is stored in rings made with names, cut to RING_NAME_BYTES, else ignored. */
void ring_append(struct ring *ring, const struct ring_event *event, struct str name);
/* Copies the event at *cursor and moves it on. Returns false at the end, and at an event that is
 * being written. *missed_r grows by the events that were overwritten or torn. */
bool ring_next(const struct ring *ring, uint64_t *cursor, struct ring_event *event_r,
               struct str *name_r, char name_out[RING_NAME_BYTES], uint64_t *missed_r);

#endif
