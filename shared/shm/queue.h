/* SPDX-License-Identifier: Apache-2.0 */
/* queue.h - the change queue: which services have changed, for each consumer.
 *
 * Each shard links its changed services into a list inside the same transaction as
 * the change; one 64-bit word a consumer says which shards have any; an eventfd wakes
 * the consumer. Nothing can overflow, get lost or block on a dead writer: a writer
 * that dies between commit and wake-up is covered by the master, which wakes every
 * consumer on each SIGCHLD, and by the roll-back, which does the same.
 *
 * The time of the *first* change since the service was taken (CLOCK_MONOTONIC) is stored, so that a
 * restarted consumer keeps the merge window. Lists are first in, first out. */
#ifndef SHM_QUEUE_H
#define SHM_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/shm/slab.h"
#include "shared/shm/undo.h"

#define QUEUE_CONSUMERS 2U
#define QUEUE_PUSHER 0U /* consumer 1 is room for the peer process */

enum change {
	CHANGE_CONTENT = 1, /* instances added, replaced, edited */
	CHANGE_HEALTH = 2,
	CHANGE_REMOVED = 4,  /* instances removed */
	CHANGE_SETTINGS = 8, /* service or cluster settings: invalidates, does not push */
};

#define CHANGE_BITS 4 /* of those above; a link has room for 8 */

/* Stands inside the linked object, one for each consumer. */
struct queue_link {
	uint32_t next, prev; /* references of the objects, 0: end */
	uint64_t state; /* bits 0..7: enum change, 0: not linked; above: ms of the first change */
};

static inline uint32_t queue_link_pending(const struct queue_link *link)
{
	return (uint32_t)link->state & 0xff;
}
static inline uint64_t queue_link_changed_ms(const struct queue_link *link)
{
	return link->state >> 8;
}

/* Stands at the root of a shard, one for each consumer. */
struct queue_list {
	uint32_t first, last;
	uint64_t count;
};

/* Stands in the first page of the segment, behind the header. */
struct queue_words {
	_Alignas(64) uint64_t dirty[QUEUE_CONSUMERS]; /* bit n: shard n has some */
};

/* Links the object behind the others, or only adds the bits when it is linked already. `link_off`
 * is the distance of its link for that consumer from its start, the same for all of the kind. This
 * takes at most 5 entries of the log. */
void queue_mark(struct tx *tx, struct queue_list *list, uint32_t off, enum slab_kind kind,
                uint32_t link_off, uint32_t change, uint64_t now_ms);
/* Unlinks the object. Returns its pending bits and, through changed_at_r, the time of the first
 * change; 0 when it is not linked, or with an error in tx. */
uint32_t queue_take(struct tx *tx, struct queue_list *list, uint32_t off, enum slab_kind kind,
                    uint32_t link_off, uint64_t *changed_at_r);

/* Says "this shard has some": after undo_commit() and before lock_drop(). */
void queue_announce(struct segment *seg, uint32_t shard, uint32_t consumer);
/* Wakes the consumer by one write to its eventfd, if an announce since the last one set a new bit.
 * A system call: after lock_drop(). */
void queue_wake(struct segment *seg, uint32_t consumer);
/* For the consumer: takes the word (an atomic exchange with 0). One that dies behind it scans all
 * lists at its next start. */
uint64_t queue_take_dirty(struct segment *seg, uint32_t consumer);

#endif
