/* SPDX-License-Identifier: Apache-2.0 */
/* shard.h - one of 64 parts of the registry, with its lock, undo log and slabs.
 *
 * A service lives in the shard that its (namespace, group@@service) hashes to.
 * Never take two shards at once. Under the lock: no malloc, no log line, no system
 * call, no callback.
 *
 * The lower layer knows locks, log, slabs and tables; what the registry keeps at the
 * root of a shard is the registry's business (SHARD_ROOT_BYTES reserved; see
 * shared/registry/layout.h). */
#ifndef SHM_SHARD_H
#define SHM_SHARD_H

#include <pthread.h>
#include <stdint.h>

#include "shared/shm/segment.h"
#include "shared/shm/slab.h"

#define UNDO_ENTRIES 256U
#define UNDO_FREES 80U /* objects one transaction may free: the longest blob and 20 more */
#define SHARD_ROOT_BYTES 5632U

#define UNDO_PLACE ((1ULL << 40) - 1)

struct undo_entry {
	/* byte offset of an aligned 8-byte word (UNDO_PLACE), and above it the check of undo.h */
	uint64_t at;
	uint64_t old;
};

struct shard {
	_Alignas(64) pthread_mutex_t lock; /* robust, process-shared, error-checking */
	uint32_t index;
	uint32_t owner; /* pid of the holder; only waiters that report it look, the lock does not */

	/* The state word: phase, undo count and pending-free count in one (undo.h). */
	_Alignas(64) uint64_t state;
	/* Counters that are never reset and never rolled back. */
	uint64_t revision;
	uint64_t next_id;
	/* raised before each commit: an audit in slices sees that somebody wrote in between */
	uint64_t changes;
	/* raised whenever an expiry bound moved down, or active checks have something new
	 * (registry) */
	uint64_t due_lowered;

	_Alignas(64) struct undo_entry undo[UNDO_ENTRIES];
	uint32_t frees[UNDO_FREES]; /* references to give back after the commit */

	_Alignas(64) struct slab slabs[SLAB_KINDS];
	_Alignas(64) uint8_t root[SHARD_ROOT_BYTES];
};

#endif
