/* SPDX-License-Identifier: Apache-2.0 */
/* mutants.c - the campaign with one rule broken, to show that it notices: ROSTER_MUTANT=N in the
 * environment says which.
 *
 * The linker puts a __wrap_ function between a function of the library and its callers in other
 * objects (local.mk lists them); __real_ is the library's. The sources of the server know nothing
 * of this. doc/fault-campaign.md has the rules. */
#include <stddef.h>
#include <stdlib.h>

#include "shared/shm/fault.h"
#include "shared/shm/lock.h"
#include "shared/shm/queue.h"
#include "shared/shm/shard.h"
#include "shared/shm/slab.h"
#include "shared/shm/undo_internal.h"

enum mutant {
	MUTANT_NONE,
	MUTANT_NO_SWEEP,          /* owned but unused pages stay */
	MUTANT_KEEPS_FREES,       /* roll-back frees what was pending */
	MUTANT_FREES_AT_ONCE,     /* inside the transaction, not after its commit */
	MUTANT_FORWARDS,          /* the log is played in the order it was written */
	MUTANT_UNLOGGED_COUNTER,  /* slab.objects has no entry */
	MUTANT_STORE_AFTER,       /* slab.objects falls after the store that ends a free */
	MUTANT_COUNT_FALLS_FIRST, /* roll-back forgets an entry before it restores its word */
	MUTANT_FORGETS_QUEUE,     /* a change is not linked when the change queue is empty */
	MUTANT_TELLS_NOBODY,      /* after a roll-back the consumers hear nothing */
};

unsigned __real_slab_sweep(struct tx *tx);
unsigned __wrap_slab_sweep(struct tx *tx);
void __real_slab_untake(struct tx *tx);
void __wrap_slab_untake(struct tx *tx);
void __real_slab_free(struct tx *tx, uint32_t off);
void __wrap_slab_free(struct tx *tx, uint32_t off);
void __real_slab_release(struct tx *tx, uint32_t off);
void __wrap_slab_release(struct tx *tx, uint32_t off);
void __real_slab_give_back(struct tx *tx, uint32_t off);
void __wrap_slab_give_back(struct tx *tx, uint32_t off);
void __real_undo_set64(struct tx *tx, uint64_t *word, uint64_t value);
void __wrap_undo_set64(struct tx *tx, uint64_t *word, uint64_t value);
void __real_undo_restore(struct tx *tx);
void __wrap_undo_restore(struct tx *tx);
void __real_queue_mark(struct tx *tx, struct queue_list *list, uint32_t off, enum slab_kind kind,
                       uint32_t link_off, uint32_t change, uint64_t now_ms);
void __wrap_queue_mark(struct tx *tx, struct queue_list *list, uint32_t off, enum slab_kind kind,
                       uint32_t link_off, uint32_t change, uint64_t now_ms);
void __real_queue_announce(struct segment *seg, uint32_t shard, uint32_t consumer);
void __wrap_queue_announce(struct segment *seg, uint32_t shard, uint32_t consumer);
void __real_queue_wake(struct segment *seg, uint32_t consumer);
void __wrap_queue_wake(struct segment *seg, uint32_t consumer);
int __real_lock_take(struct segment *seg, uint32_t shard, struct tx *tx_r);
int __wrap_lock_take(struct segment *seg, uint32_t shard, struct tx *tx_r);

static int number;

__attribute__((constructor)) static void choose(void)
{
	const char *text = getenv("ROSTER_MUTANT");

	number = text == NULL ? MUTANT_NONE : atoi(text);
}

static bool mutant_is(enum mutant mutant)
{
	return number == (int)mutant;
}

/* ---- pages and objects ----------------------------------------------------------------------- */

unsigned __wrap_slab_sweep(struct tx *tx)
{
	return mutant_is(MUTANT_NO_SWEEP) ? 0 : __real_slab_sweep(tx);
}

/* The last thing of a roll-back, with the transaction as it was. */
void __wrap_slab_untake(struct tx *tx)
{
	struct tx late = *tx;

	if (mutant_is(MUTANT_NO_SWEEP))
		return;
	if (mutant_is(MUTANT_KEEPS_FREES) && late.frees > 0) {
		late.entries = 0;
		late.err = 0;
		(void)!undo_commit(&late);
	}
	__real_slab_untake(tx);
}

void __wrap_slab_free(struct tx *tx, uint32_t off)
{
	if (mutant_is(MUTANT_FREES_AT_ONCE) && slab_at(tx, off, slab_kind_at(tx, off)) != NULL)
		slab_release(tx, off);
	else
		__real_slab_free(tx, off);
}

/* ---- counters -------------------------------------------------------------------------------- */

static bool releasing;
static enum slab_kind released;

static bool counts_objects(const struct tx *tx, const uint64_t *word)
{
	const char *slabs = (const char *)tx->shard->slabs, *at = (const char *)word;

	return at >= slabs && at < slabs + sizeof(tx->shard->slabs) &&
	       (size_t)(at - slabs) % sizeof(struct slab) == offsetof(struct slab, objects);
}

void __wrap_undo_set64(struct tx *tx, uint64_t *word, uint64_t value)
{
	if (mutant_is(MUTANT_UNLOGGED_COUNTER) && counts_objects(tx, word))
		*word = value;
	else if (!mutant_is(MUTANT_STORE_AFTER) || !releasing || !counts_objects(tx, word))
		__real_undo_set64(tx, word, value);
}

void __wrap_slab_release(struct tx *tx, uint32_t off)
{
	released = slab_kind_at(tx, off);
	releasing = true;
	__real_slab_release(tx, off);
	releasing = false;
}

/* What a drain does behind the store that ends a free. */
void __wrap_slab_give_back(struct tx *tx, uint32_t off)
{
	if (mutant_is(MUTANT_STORE_AFTER) && released != SLAB_NONE)
		tx->shard->slabs[released].objects--;
	__real_slab_give_back(tx, off);
}

/* ---- the log --------------------------------------------------------------------------------- */

void __wrap_undo_restore(struct tx *tx)
{
	unsigned last = tx->entries - 1U;

	if (!mutant_is(MUTANT_FORWARDS) && !mutant_is(MUTANT_COUNT_FALLS_FIRST)) {
		__real_undo_restore(tx);
		return;
	}
	for (unsigned i = tx->entries; i-- > 0;) {
		const struct undo_entry *entry =
		        &tx->shard->undo[mutant_is(MUTANT_FORWARDS) ? last - i : i];

		if (mutant_is(MUTANT_COUNT_FALLS_FIRST)) {
			tx->entries = (uint16_t)i;
			undo_state_store(tx);
			FAULT("mutant-count");
		}
		__atomic_store_n((uint64_t *)(tx->seg->base + (entry->at & UNDO_PLACE)), entry->old,
		                 __ATOMIC_RELEASE);
		FAULT("restore-word");
	}
}

/* ---- consumers ------------------------------------------------------------------------------- */

void __wrap_queue_mark(struct tx *tx, struct queue_list *list, uint32_t off, enum slab_kind kind,
                       uint32_t link_off, uint32_t change, uint64_t now_ms)
{
	if (!mutant_is(MUTANT_FORGETS_QUEUE) || list->first != 0)
		__real_queue_mark(tx, list, off, kind, link_off, change, now_ms);
}

/* Whoever gets the lock of a dead owner rolls back, and says so. */
static bool taking;

int __wrap_lock_take(struct segment *seg, uint32_t shard, struct tx *tx_r)
{
	int ret;

	taking = true;
	ret = __real_lock_take(seg, shard, tx_r);
	taking = false;
	return ret;
}

void __wrap_queue_announce(struct segment *seg, uint32_t shard, uint32_t consumer)
{
	if (!mutant_is(MUTANT_TELLS_NOBODY) || !taking)
		__real_queue_announce(seg, shard, consumer);
}

void __wrap_queue_wake(struct segment *seg, uint32_t consumer)
{
	if (!mutant_is(MUTANT_TELLS_NOBODY) || !taking)
		__real_queue_wake(seg, consumer);
}
