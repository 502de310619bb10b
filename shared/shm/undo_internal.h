/* SPDX-License-Identifier: Apache-2.0 */
/* undo_internal.h - what undo.c and undo_restore.c share: the state word of a log; nobody else in a
 * server includes it. */
#ifndef SHM_UNDO_INTERNAL_H
#define SHM_UNDO_INTERNAL_H

#include "shared/shm/shard.h"
#include "shared/shm/undo.h"

#define UNDO_STATE_DRAIN (1ULL << 32)
#define UNDO_STATE_BITS 33
#define UNDO_MIX 0x9e3779b97f4a7c15ULL

/* Without a check a flipped bit in the number of entries would play entries of long ago. A state of
 * 0 is its own check, so that zeroed memory is an empty log. */
static inline uint64_t undo_state_sealed(uint64_t state)
{
	return state | (state * UNDO_MIX) >> UNDO_STATE_BITS << UNDO_STATE_BITS;
}

/* The order entry -> count -> word is what a successor relies on. A death is not a power
 * cut: program order is enough, the stores below keep the compiler to it. */
static inline void undo_state_store(struct tx *tx)
{
	/* The analyzer loses sight of the 16 bits.
	 * NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult) */
	uint64_t state = (uint64_t)tx->entries | (uint64_t)tx->frees << 16 |
	                 (tx->drain ? UNDO_STATE_DRAIN : 0);

	__atomic_store_n(&tx->shard->state, undo_state_sealed(state), __ATOMIC_RELEASE);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* Gives each word of the log its old value, backwards. The count of entries stays: the caller
 * clears it afterwards. */
void undo_restore(struct tx *tx);

#endif
