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
 * The state word holds the number of entries in bits 0..15, the number of pending frees in 16..31,
 * the phase in 32 (0 run, 1 drain), and above them a check of these, which is 0 for 0. The place of
 * an entry has a check of place, value and number in its upper bits. A log that does not agree with
 * its checks is not played: the shard stays locked for ever, and an attach sets the file aside.
 * After a death in phase run the successor restores backwards, then clears both numbers with one
 * store. After a death in phase drain (behind the commit) it restores the small transaction in
 * progress and goes on freeing.
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
	/* words logged since lock_take(), those of committed transactions too: what a hold has cost
	 * so far */
	uint32_t work;
};

void undo_set64(struct tx *tx, uint64_t *word, uint64_t value);
void undo_set32(struct tx *tx, uint32_t *word, uint32_t value);
/* Logs the bytes [at, at + n) word by word and copies the value there. Meant for small structs. */
void undo_set_bytes(struct tx *tx, void *at, const void *value, uint32_t n);

/* Publishes everything since lock_take() or the last commit, then frees what is pending. */
int undo_commit(struct tx *tx) MUST_CHECK;
/* Takes everything since then back. */
void undo_rollback(struct tx *tx);
/* After either of them the transaction is empty, tx->err is 0, and the next one may begin. */

/* The first error of a transaction is the one that it keeps. */
static inline void undo_fail(struct tx *tx, int err)
{
	if (tx->err == 0)
		tx->err = err;
}

/* The next value of a counter of the shard that is never reset and never rolled back. */
uint64_t undo_next_revision(struct tx *tx);
/* The next id of the shard, which is never used again: the node number in the top byte, the shard
 * in the one below, and a counter that is not rolled back either. */
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

/* For lock.c: rolls back, or goes on freeing, after a death. It may die itself and be begun again.
 * tx->err stays ERR_CORRUPT when the log itself is impossible; nothing was played then. */
void undo_recover(struct tx *tx);
/* Can this log be played? Its checks are right, and its places are ones this shard may change. */
bool undo_valid(const struct segment *seg, const struct shard *shard);

#endif
