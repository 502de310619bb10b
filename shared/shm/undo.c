/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/shm/undo.h"

#include <string.h>

#include "shared/base/assert.h"
#include "shared/shm/fault.h"
#include "shared/shm/shard.h"
#include "shared/shm/slab.h"
#include "shared/shm/undo_internal.h"

#define STATE_MASK ((1ULL << UNDO_STATE_BITS) - 1)
#define AT_BITS 40 /* more than the largest segment needs */
#define AT_MASK UNDO_PLACE
#define ID_COUNTER ((1ULL << 48) - 1)

/* Up to so many entries a second one for the same word is cheaper than to look for the first. */
#define LOOK_AFTER 32U

/* The check covers the number too: an entry that belongs elsewhere in the log does not pass. */
static inline uint64_t entry_sealed(uint64_t at, uint64_t old, unsigned number)
{
	return at | ((at + number) * UNDO_MIX ^ old) * UNDO_MIX >> AT_BITS << AT_BITS;
}

static inline bool word_inside(const struct segment *seg, uint64_t at)
{
	return at % 8 == 0 && at <= seg->bytes - 8;
}

static bool is_logged(const struct tx *tx, uint64_t at)
{
	for (unsigned i = tx->entries; i-- > 0;) {
		if ((tx->shard->undo[i].at & AT_MASK) == at)
			return true;
	}
	return false;
}

/* Returns true when the word may be changed, because its old value is in the log. */
static bool append(struct tx *tx, const uint64_t *word)
{
	uint64_t at = (uint64_t)((uintptr_t)word - (uintptr_t)tx->seg->base);
	struct undo_entry *entry;

	ROSTER_ASSERT(tx->shard != NULL); /* the lock is held */
	if (!word_inside(tx->seg, at)) {
		undo_fail(tx, ERR_CORRUPT);
		return false;
	}
	if (tx->entries > LOOK_AFTER && is_logged(tx, at))
		return true;
	if (tx->entries >= UNDO_ENTRIES) {
		undo_fail(tx, ERR_UNDO);
		return false;
	}
	entry = &tx->shard->undo[tx->entries];
	entry->old = *word;
	entry->at = entry_sealed(at, entry->old, tx->entries);
	FAULT("undo-entry");
	tx->entries++;
	tx->work++;
	undo_state_store(tx);
	FAULT("undo-count");
	if (tx->entries > tx->most)
		tx->most = tx->entries;
	return true;
}

void undo_set64(struct tx *tx, uint64_t *word, uint64_t value)
{
	if (*word == value || !append(tx, word))
		return;
	/* One whole store: who reads without the lock sees the old value or the new one. */
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
	FAULT("undo-store");
}

void undo_set32(struct tx *tx, uint32_t *word, uint32_t value)
{
	if ((uintptr_t)word % 4 != 0) {
		undo_fail(tx, ERR_CORRUPT);
		return;
	}
	/* The log knows words of 8 bytes only: the neighbour is restored with this one. */
	if (*word == value || !append(tx, (const uint64_t *)((uintptr_t)word & ~(uintptr_t)7)))
		return;
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
	FAULT("undo-store32");
}

void undo_set_bytes(struct tx *tx, void *at, const void *value, uint32_t n)
{
	uintptr_t first = (uintptr_t)at & ~(uintptr_t)7;
	uintptr_t end = (uintptr_t)at + n;

	ROSTER_ASSERT(n > 0 && n <= SEGMENT_PAGE); /* one object at most */
	for (uintptr_t word = first; word < end; word += 8) {
		uintptr_t from = word < (uintptr_t)at ? (uintptr_t)at : word;
		uintptr_t to = word + 8 < end ? word + 8 : end;
		uint64_t bytes;

		if (!word_inside(tx->seg, (uint64_t)(word - (uintptr_t)tx->seg->base))) {
			undo_fail(tx, ERR_CORRUPT);
			return;
		}
		/* The bytes of the word that are not meant keep their value. */
		memcpy(&bytes, (const void *)word, 8);
		memcpy((char *)&bytes + (from - word), (const char *)value + (from - (uintptr_t)at),
		       to - from);
		undo_set64(tx, (uint64_t *)word, bytes);
	}
}

void undo_push_free(struct tx *tx, uint32_t off)
{
	ROSTER_ASSERT(tx->shard != NULL && off != 0);
	ROSTER_ASSERT(!tx->drain); /* the list only shrinks after the commit */
	if (tx->frees >= UNDO_FREES) {
		undo_fail(tx, ERR_UNDO);
		return;
	}
	tx->shard->frees[tx->frees] = off;
	FAULT("free-entry");
	tx->frees++;
	undo_state_store(tx);
	FAULT("free-count");
}

/* One pending free is one small transaction; the store that ends it also shortens the list. */
static void drain(struct tx *tx)
{
	/* Each free begins with an empty log. */
	ROSTER_ASSERT(tx->entries == 0 && tx->frees <= UNDO_FREES);
	while (tx->frees > 0) {
		uint32_t off = tx->shard->frees[tx->frees - 1];

		FAULT("drain-begin");
		slab_release(tx, off);
		if (tx->err != 0) {
			/* The operation has happened; an impossible reference is left alone. */
			undo_restore(tx);
			tx->err = 0;
			__atomic_fetch_add(&tx->seg->header->corrupt, 1, __ATOMIC_RELAXED);
		}
		tx->entries = 0;
		tx->frees--;
		tx->drain = tx->frees > 0;
		FAULT("drain-before-store");
		undo_state_store(tx);
		FAULT("drain-after-store");
		slab_give_back(tx, off);
	}
}

static void empty(struct tx *tx)
{
	tx->entries = 0;
	tx->frees = 0;
	tx->pages = 0;
	tx->err = 0;
	tx->drain = false;
}

int undo_commit(struct tx *tx)
{
	int err = tx->err;

	ROSTER_ASSERT(tx->shard != NULL && !tx->drain);
	if (err != 0) {
		undo_rollback(tx);
		return err;
	}
	if (tx->entries == 0 && tx->frees == 0)
		return 0;
	/* Raised before the commit, so that an audit in slices that saw half of this operation
	 * begins again. */
	__atomic_store_n(&tx->shard->changes, tx->shard->changes + 1, __ATOMIC_RELAXED);
	tx->entries = 0;
	tx->drain = tx->frees > 0;
	FAULT("commit-before");
	undo_state_store(tx);
	FAULT("commit-after");
	drain(tx);
	empty(tx);
	return 0;
}

void undo_rollback(struct tx *tx)
{
	struct tx took = *tx;

	/* What has been committed is not taken back. */
	ROSTER_ASSERT(tx->shard != NULL && !tx->drain);
	undo_restore(tx);
	empty(tx);
	FAULT("rollback-before-store");
	undo_state_store(tx);
	FAULT("rollback-after-store");
	/* Last: while a successor may still play the log, nobody else may own the pages it writes
	 * to. */
	slab_untake(&took);
}

uint64_t undo_next_revision(struct tx *tx)
{
	uint64_t next;

	ROSTER_ASSERT(tx->shard != NULL);
	next = tx->shard->revision + 1;
	__atomic_store_n(&tx->shard->revision, next, __ATOMIC_RELEASE);
	FAULT("next-revision");
	return next;
}

uint64_t undo_next_id(struct tx *tx)
{
	uint64_t next;

	ROSTER_ASSERT(tx->shard != NULL);
	next = tx->shard->next_id + 1;
	__atomic_store_n(&tx->shard->next_id, next, __ATOMIC_RELEASE);
	FAULT("next-id");
	return (uint64_t)(tx->seg->header->node & 0xff) << 56 | (uint64_t)tx->shard->index << 48 |
	       (next & ID_COUNTER);
}

/* Returns true for a word that a transaction of the shard may have changed: one of its slabs and
 * its root, of its pages, or of their descriptors. */
static bool place_valid(const struct segment *seg, const struct shard *shard, uint64_t at)
{
	uint64_t slabs = (uint64_t)((const uint8_t *)shard->slabs - seg->base);
	uint64_t end = (uint64_t)(shard->root + SHARD_ROOT_BYTES - seg->base);
	uint64_t descs = (uint64_t)((uint8_t *)seg->descs - seg->base);
	uint64_t page;

	if (!word_inside(seg, at) || at < slabs)
		return false;
	if (at < end)
		return true;
	if (at >= seg->data_off)
		page = (at - seg->data_off) / SEGMENT_PAGE;
	else if (at >= descs)
		page = (at - descs) / sizeof(struct page_desc);
	else
		return false;
	return page < segment_backed(seg) && seg->owners[page] == shard->index + 1;
}

bool undo_valid(const struct segment *seg, const struct shard *shard)
{
	uint64_t state = shard->state;
	unsigned entries = (unsigned)(state & 0xffff);
	unsigned frees = (unsigned)(state >> 16 & 0xffff);

	if (state != undo_state_sealed(state & STATE_MASK) || entries > UNDO_ENTRIES ||
	    frees > UNDO_FREES)
		return false;
	for (unsigned i = 0; i < entries; i++) {
		uint64_t at = shard->undo[i].at & AT_MASK;

		if (shard->undo[i].at != entry_sealed(at, shard->undo[i].old, i) ||
		    !place_valid(seg, shard, at))
			return false;
	}
	return true;
}

void undo_recover(struct tx *tx)
{
	uint64_t state = tx->shard->state;

	/* The transaction is of a hold that has just begun. */
	ROSTER_ASSERT(tx->entries == 0 && tx->frees == 0 && tx->pages == 0);
	if (!undo_valid(tx->seg, tx->shard)) {
		tx->err = ERR_CORRUPT;
		return;
	}
	tx->entries = (uint16_t)(state & 0xffff);
	tx->frees = (uint16_t)(state >> 16 & 0xffff);
	tx->drain = (state & UNDO_STATE_DRAIN) != 0;
	tx->err = 0;
	if (!tx->drain) {
		undo_rollback(tx);
		return;
	}
	/* The operation has happened. Only the free in progress is taken back, to be done again. */
	undo_restore(tx);
	tx->entries = 0;
	FAULT("recover-before-store");
	undo_state_store(tx);
	FAULT("recover-after-store");
	drain(tx);
	empty(tx);
}
