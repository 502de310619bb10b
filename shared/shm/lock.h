/* SPDX-License-Identifier: Apache-2.0 */
/* lock.h - taking and dropping a shard. The one file that names pthread_mutex_*.
 *
 * A lock is taken with a limit of LOCK_LIMIT_MS. When that passes, the waiter writes
 * (shard, owner) into its slot and wakes the master, which kills the owner if it is
 * its own child; the waiter tries again until LOCK_GIVE_UP_MS, then ERR_LOCK.
 *
 * Nobody forks while he holds a lock: the child would have the memory of it, but not the lock.
 *
 * Death of the owner: the next taker gets EOWNERDEAD, plays the undo log backwards
 * (or goes on draining), sweeps owned but unused pages, marks the lock consistent,
 * counts it, appends an event, wakes the consumers - all inside lock_take(). A
 * repairer may itself be killed at any point; the next one begins again. */
#ifndef SHM_LOCK_H
#define SHM_LOCK_H

#include <stdbool.h>

#include "shared/base/err.h"
#include "shared/shm/segment.h"
#include "shared/shm/undo.h"

#define LOCK_LIMIT_MS 1000U
#define LOCK_GIVE_UP_MS 10000U

/* On 0 the caller holds the shard and *tx_r is an empty transaction of it. A process holds one
 * shard of a segment at a time: to ask for a second one ends it (ROSTER_ASSERT). ERR_LOCK: the lock
 * was not to be had within LOCK_GIVE_UP_MS, or this process holds it already, or there is no such
 * shard. ERR_CORRUPT: the log of a dead owner cannot be played, or his lock cannot be marked
 * consistent, so nobody gets this shard any more. */
int lock_take(struct segment *seg, uint32_t shard, struct tx *tx_r) MUST_CHECK;

/* Ends the hold. A transaction with uncommitted entries is rolled back first. After a lock_take()
 * that failed, and a second time, it does nothing. */
void lock_drop(struct tx *tx);

/* Master, at attach, with the flock held and nobody else mapping: plays every log
 * and makes all locks anew. Returns how many logs had something to do. */
unsigned lock_recover_all(struct segment *seg);
/* Makes all locks anew, and free. Nobody may hold one of them or wait for it. */
void lock_init_all(struct segment *seg);
/* The probe behind segment_probe_robust(), whose comment says what it does. */
int lock_probe(lock_probe_fn *before, void *arg) MUST_CHECK;

/* Says what a waiter calls when its limit has passed. A process sets it once: its function writes
 * into its slot and wakes the master. With NULL a waiter only waits. */
typedef void lock_stuck_fn(uint32_t shard, uint32_t owner_pid, void *arg);
void lock_on_stuck(lock_stuck_fn *fn, void *arg);

/* For tests that measure how long holds are: fn is called right after a lock was taken and right
 * before it is dropped. NULL ends that. */
typedef void lock_watch_fn(bool taken);
void lock_watch_for_test(lock_watch_fn *fn);

#endif
