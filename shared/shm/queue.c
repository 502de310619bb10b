/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/shm/queue.h"

#include <errno.h>
#include <unistd.h>

#include "shared/base/assert.h"
#include "shared/shm/fault.h"
#include "shared/shm/shard.h"

#define TIME_BITS 56 /* of the state of a link, above the changes */

/* True from an announce that found its bit clear until the wake. It is private to the process,
 * because a death in between is covered by the master, which wakes the consumers. */
static bool announced[QUEUE_CONSUMERS];

static struct queue_words *words(const struct segment *seg)
{
	return (struct queue_words *)(seg->base + SEGMENT_QUEUE_AT);
}

/* Returns the link inside an object, or NULL with an error. */
static struct queue_link *link_of(struct tx *tx, uint32_t off, enum slab_kind kind,
                                  uint32_t link_off)
{
	uint8_t *object = slab_at(tx, off, kind);

	ROSTER_ASSERT(link_off % _Alignof(struct queue_link) == 0);
	if (object == NULL) {
		undo_fail(tx, ERR_CORRUPT);
		return NULL;
	}
	return (struct queue_link *)(object + link_off);
}

static void append(struct tx *tx, struct queue_list *list, uint32_t off, struct queue_link *last,
                   struct queue_link *link)
{
	uint32_t ends[2] = { list->first == 0 ? off : list->first, off };

	/* As long as its state is 0 nobody reads the links of an object, so these two need no
	 * entry. */
	link->next = 0;
	link->prev = list->last;
	if (last != NULL)
		undo_set32(tx, &last->next, off);
	undo_set_bytes(tx, &list->first, ends, sizeof(ends));
	undo_set64(tx, &list->count, list->count + 1);
}

void queue_mark(struct tx *tx, struct queue_list *list, uint32_t off, enum slab_kind kind,
                uint32_t link_off, uint32_t change, uint64_t now_ms)
{
	struct queue_link *link = link_of(tx, off, kind, link_off);
	struct queue_link *last = NULL;

	/* Both fit into the state of a link. */
	ROSTER_ASSERT(change >> CHANGE_BITS == 0 && now_ms >> TIME_BITS == 0);
	if (link == NULL || change == 0)
		return;
	if (queue_link_pending(link) != 0) {
		undo_set64(tx, &link->state, link->state | change);
		return;
	}
	if (list->last != 0 && (last = link_of(tx, list->last, kind, link_off)) == NULL)
		return;
	FAULT("queue-before-link");
	append(tx, list, off, last, link);
	undo_set64(tx, &link->state, now_ms << 8 | change);
	FAULT("queue-linked");
}

uint32_t queue_take(struct tx *tx, struct queue_list *list, uint32_t off, enum slab_kind kind,
                    uint32_t link_off, uint64_t *changed_at_r)
{
	struct queue_link *link = link_of(tx, off, kind, link_off);
	struct queue_link *prev, *next;
	uint32_t pending;

	if (link == NULL || queue_link_pending(link) == 0)
		return 0;
	pending = queue_link_pending(link);
	*changed_at_r = queue_link_changed_ms(link);
	prev = link->prev == 0 ? NULL : link_of(tx, link->prev, kind, link_off);
	next = link->next == 0 ? NULL : link_of(tx, link->next, kind, link_off);
	/* Neighbours that do not know the object are left alone, so that damage does not spread. */
	if (tx->err != 0 || (prev == NULL ? list->first : prev->next) != off ||
	    (next == NULL ? list->last : next->prev) != off) {
		undo_fail(tx, ERR_CORRUPT);
		return 0;
	}
	undo_set32(tx, prev == NULL ? &list->first : &prev->next, link->next);
	undo_set32(tx, next == NULL ? &list->last : &next->prev, link->prev);
	undo_set_bytes(tx, link, &(struct queue_link){ .state = 0 }, sizeof(*link));
	undo_set64(tx, &list->count, list->count - 1);
	FAULT("queue-unlinked");
	return pending;
}

void queue_announce(struct segment *seg, uint32_t shard, uint32_t consumer)
{
	uint64_t bit = 1ULL << shard % SHARDS;

	ROSTER_ASSERT(consumer < QUEUE_CONSUMERS);
	if (shard >= SHARDS) /* the office has no services */
		return;
	FAULT("queue-before-announce");
	if ((__atomic_fetch_or(&words(seg)->dirty[consumer], bit, __ATOMIC_ACQ_REL) & bit) == 0)
		announced[consumer] = true;
	FAULT("queue-announced");
}

void queue_wake(struct segment *seg, uint32_t consumer)
{
	const uint64_t one = 1;
	ssize_t n;

	ROSTER_ASSERT(consumer < QUEUE_CONSUMERS);
	if (!announced[consumer])
		return;
	announced[consumer] = false;
	if (seg->wake_fd[consumer] < 0)
		return;
	FAULT("queue-before-wake");
	/* A full counter (EAGAIN) wakes just as well. */
	do
		n = write(seg->wake_fd[consumer], &one, sizeof(one));
	while (n < 0 && errno == EINTR);
	FAULT("queue-woken");
}

uint64_t queue_take_dirty(struct segment *seg, uint32_t consumer)
{
	uint64_t dirty;

	ROSTER_ASSERT(consumer < QUEUE_CONSUMERS);
	dirty = __atomic_exchange_n(&words(seg)->dirty[consumer], 0, __ATOMIC_ACQ_REL);
	FAULT("queue-dirty-taken");
	return dirty;
}
