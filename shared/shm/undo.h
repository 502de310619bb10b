/* SPDX-License-Identifier: Apache-2.0 */
/* undo.h - the undo log: what makes a kill -9 harmless.
 *
 * Before a word that others can already reach is changed under a lock, its old value
 * is appended to the log of that shard. Commit is one atomic store of the state word
 * and it is the last store of an operation. Contents of an object that was allocated
 * in this transaction need no entry: nobody can reach it yet.
 *
 *     lock_take(seg, shard, &tx);
 *     ref = slab_alloc(&tx, SLAB_INSTANCE);
 *     ... fill the object with plain stores ...
 *     undo_set32(&tx, &service->first, ref);
 *     undo_set64(&tx, &service->revision, undo_next_revision(&tx));
 *     ret = undo_commit(&tx);
 *     lock_drop(&tx);
 *
 * State word: bits 0..15 undo count, 16..31 pending frees, 32 phase (0 run, 1 drain), above
 * them a check of these (0 for 0). An entry's place has a check of place, value and number in its
 * upper bits. A log that does not agree with its checks is not played: the shard stays locked for
 * ever, an attach sets the file aside.
 * Killed in phase run: the successor restores backwards, then clears count and
 * pending with one store. Killed in phase drain (after the commit): it restores the
 * small transaction in progress and goes on freeing.
 *
 * Every word is logged as the aligned 8-byte word around it. Words that are changed
 * without the lock (a beat) never share such a word with logged ones.
 *
 * Errors are sticky in tx->err: a full log, no free page, a bad reference. After one,
 * further sets still apply to reachable memory only if they could be logged; check
 * tx->err where a loop depends on what was written. undo_commit() on a transaction
 * with an error rolls back and returns the error. */
#ifndef SHM_UNDO_H
#define SHM_UNDO_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/err.h"
#include "shared/shm/segment.h"

struct shard;

struct tx {
	struct segment *seg;
	struct shard *shard;
	int err;
	uint16_t entries; /* mirror of the count in the state word */
	uint16_t frees;
	uint16_t most;  /* largest entries seen since lock_take: for the tests */
	uint16_t pages; /* taken in this transaction: a roll-back gives them back */
	bool drain;     /* phase of the state word */
	uint32_t work;  /* words logged since lock_take(), those of committed transactions too: what a hold has cost so far */
};

void undo_set64(struct tx *tx, uint64_t *word, uint64_t value);
void undo_set32(struct tx *tx, uint32_t *word, uint32_t value);
/* Logs bytes [at, at + n) word by word, then copies. For small structs. */
void undo_set_bytes(struct tx *tx, void *at, const void *value, uint32_t n);

/* Publishes everything since lock_take() or the last commit, then drains the frees. */
int undo_commit(struct tx *tx) MUST_CHECK;
void undo_rollback(struct tx *tx);
/* After either of them the transaction is empty, tx->err is 0, and the next one may begin. */

/* First error wins. */
static inline void undo_fail(struct tx *tx, int err)
{
	if (tx->err == 0)
		tx->err = err;
}

/* From the counter of the shard that is never reset and never rolled back. */
uint64_t undo_next_revision(struct tx *tx);
/* 64-bit id, never reused: node number in the top byte, shard below it, counter. */
uint64_t undo_next_id(struct tx *tx);
static inline uint32_t undo_id_shard(uint64_t id)
{
	return (uint32_t)(id >> 48) & 0xff;
}
/* The counter in an id. A shard's counter begins above all that a loaded snapshot brought along. */
static inline uint64_t undo_id_number(uint64_t id)
{
	return id & ((1ULL << 48) - 1);
}

/* For slab.c: remembers a reference to free after the commit. */
void undo_push_free(struct tx *tx, uint32_t off);

/* For lock.c: roll-back or drain after a death, idempotent. tx->err stays ERR_CORRUPT when
 * the log itself is impossible; nothing was played then. */
void undo_recover(struct tx *tx);
/* Is this log playable: checks, and places that only this shard may change? */
bool undo_valid(const struct segment *seg, const struct shard *shard);

#endif
