/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot.h - the whole registry as a stream of msgpack: for the change to another layout of the
 * segment, and for rosterd --export and --import.
 *
 * What is in it: services with clusters, instances, settings, checksums, flags and the pushes still
 * owed; subscribers with what was sent to them and acknowledged; switches with their texts;
 * namespaces; the health clock, the hybrid clock, the node, and the counters of ids and revisions,
 * so that neither is ever handed out again. What is not in it: event rings and counters of
 * processes (a start clears those too), instances of services that were removed and are still being
 * drained, free space, the secret seed and the epoch (a loaded segment has its own two, so no cache
 * outlives the change), and with the seed the owners of instances, who are known by it: whoever
 * registers an instance next owns it.
 *
 * Format. The text "roster-snapshot", a version, then records: a kind (unsigned) and a map from
 * small unsigned keys to values. Kinds rise; keys rise inside a map; a field at its default is left
 * out; lists of members (key 100) come last. Unknown kinds and unknown keys are skipped: a later
 * version may add both without another version number. The record SNAPSHOT_END counts services,
 * instances and subscribers; behind it stands the XXH3 of all bytes before, as a uint 64, and
 * nothing more. Kinds are in snapshot_internal.h, keys in fields.h. Times of CLOCK_MONOTONIC are
 * stored as ages.
 *
 * Ids. The shard of a name follows from the seed, so a service may come to lie in another shard. It
 * keeps its id when that id still belongs there and rises; else it gets a new one above all that
 * were ever used. The same holds for subscribers. Instances keep theirs. Revisions stay as they
 * are; every shard goes on above the highest.
 *
 * The queue of changed services comes back in the order of the services, with the age of each
 * change: a push is made at most one push.delay later than without the change, never earlier. */
#ifndef REGISTRY_SNAPSHOT_H
#define REGISTRY_SNAPSHOT_H

#include "shared/registry/registry.h"

struct snapshot_report {
	uint64_t services, instances, subscribers;
	uint64_t bytes; /* of the stream */
	/* After a load: the fields of services, clusters, instances and subscribers that its layout
	 * did not save yet, so that they are at their defaults; for people. */
	uint32_t layout; /* 0: it does not say which */
	char lacks[200];
	char why[120]; /* on error: what is wrong, for people */
};

/* Writes the whole registry. Writers have to stand still (frozen or stopped); locks are taken all
 * the same, one shard at a time for at most 256 KiB of stream or one service, so a lock of a dead
 * process is repaired and readers go on. It takes 1 MiB of memory, or what the largest service
 * takes, and changes nothing. A death leaves a stream without an end, which no load accepts.
 * ERR_IO: the descriptor cannot be written; errors of registry.h. */
int snapshot_save(struct registry *reg, int fd, struct snapshot_report *report_r) MUST_CHECK;

/* Fills a segment fresh from registry_format() that nobody else uses. Limits of the configuration
 * do not apply. The segment's magic is taken away first and put back last: after an error or a
 * death in between, the file is no segment to the next start. ERR_EXISTS: not empty. ERR_SYNTAX: no
 * snapshot, cut off, damaged, contradicting itself (a beat above the health clock, an id that
 * nobody made), or with a text that is no UTF-8. ERR_RANGE: a version of the future. ERR_FULL,
 * ERR_NOMEM, ERR_IO. Reads the descriptor to its end, in order. */
int snapshot_load(struct registry *reg, int fd, struct snapshot_report *report_r) MUST_CHECK;

/* Reads the descriptor to its end and compares version and checksum only: before something is
 * thrown away for the snapshot. */
int snapshot_verify(int fd, struct snapshot_report *report_r) MUST_CHECK;

#endif
