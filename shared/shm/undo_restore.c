/* SPDX-License-Identifier: Apache-2.0 */
/* undo_restore.c - plays an undo log backwards; a file of its own, so that a build for fault
 * tests can put a broken one in its place. */
#include "shared/shm/undo_internal.h"

#include "shared/base/assert.h"
#include "shared/shm/fault.h"

/* The log is played backwards, because a word may stand in it twice. The number of entries falls
 * only afterwards, so that a successor of this process restores everything again. */
void undo_restore(struct tx *tx)
{
	ROSTER_ASSERT(tx->entries <= UNDO_ENTRIES);
	for (unsigned i = tx->entries; i-- > 0;) {
		const struct undo_entry *entry = &tx->shard->undo[i];

		__atomic_store_n((uint64_t *)(tx->seg->base + (entry->at & UNDO_PLACE)), entry->old,
		                 __ATOMIC_RELEASE);
		FAULT("restore-word");
	}
}
