/* SPDX-License-Identifier: Apache-2.0 */
/* audit_walk.h - what the parts of registry_audit() share; nobody else includes it.
 *
 * One struct auditor looks at one shard. It walks in holds of about `slice` objects: audit_go_on()
 * sees that they are used up, drops the lock, lets others in and takes it again. When somebody
 * committed meanwhile (shard->changes), the references kept across the holds and the sums so far
 * mean nothing.
 *
 * Then an audit is mostly `disturbed`: every walk ends at once, what it found is forgotten and the
 * caller begins again. One that is `busy` goes on: `moved` counts how often that happened. Each
 * walk looks whether the object it stands at is still the one it was (audit_stands()), and
 * otherwise ends where it is; what is compared with something seen in another hold is compared only
 * if nothing moved in between. What a busy audit finds is as true as what others find.
 *
 * Everything here reads damaged memory by purpose: references go through slab_try(), lists end at
 * marks already set or at what the segment can hold. Lines are kept until the lock is dropped. */
#ifndef REGISTRY_AUDIT_WALK_H
#define REGISTRY_AUDIT_WALK_H

#include "shared/registry/registry_internal.h"

#define AUDIT_LINES 32U /* kept of one shard; the rest is only counted */
#define AUDIT_LINE_BYTES 200U

/* Sums over what was reached, to be compared with what is stored. */
struct sums {
	uint64_t services, draining, instances, ephemeral, healthy, bytes, drained;
	uint64_t audiences, waiting, subscribers, subscriber_bytes;
	uint64_t pending[QUEUE_CONSUMERS];
	struct source_cell sources[SOURCE_ROWS][SOURCE_COLUMNS];
};

struct auditor {
	struct op op;
	uint32_t shard;
	uint32_t slice, left; /* objects reached in a hold, and until its end */
	uint64_t changes;     /* of the shard, at the first hold or since the last move */
	bool busy;
	uint64_t moved;
	bool disturbed;
	bool held; /* the lock */
	int err;   /* it could not be taken again */
	/* a bit a unit of the data: reached already; NULL: no memory for it, or moved */
	uint8_t *marks;
	uint64_t marked_pages;
	uint64_t reached[SLAB_KINDS];
	struct sums sums;
	unsigned broken, lines;
	char line[AUDIT_LINES][AUDIT_LINE_BYTES];
};

void audit_broken(struct auditor *auditor, const char *format, ...)
        __attribute__((format(printf, 2, 3)));
void audit_compare(struct auditor *auditor, const char *what, uint64_t stored, uint64_t found);
/* For audits of the lower layer: a slab_say_fn with the auditor as argument; the finding is counted
 * by its caller. */
void audit_collect(const char *text, void *auditor);
/* Counts n steps more than the objects reached. Returns false when the audit is disturbed: leave at
 * once and touch nothing. */
bool audit_go_on(struct auditor *auditor, uint32_t n);
/* Returns what an object is known by: its id, and for a service whether it was removed; 0 for one
 * that has neither. */
uint64_t audit_identity(enum slab_kind kind, const void *object);
/* Has nothing moved since `moved`, or is the object at off still the one with that identity? */
bool audit_stands(const struct auditor *auditor, uint64_t moved, uint32_t off, enum slab_kind kind,
                  uint64_t identity);

/* Returns the object, counted and marked; NULL (and reports it) when it is none or was reached
 * before. */
void *audit_reach(struct auditor *auditor, uint32_t off, enum slab_kind kind, const char *what);
void audit_reach_blob(struct auditor *auditor, uint32_t off, const char *what);
/* Reaches all texts of an object that has these fields. */
struct fields;
void audit_reach_fields(struct auditor *auditor, const struct fields *fields, const void *object);
/* Walks a list, checks its backward links and its end, and hands each object on. Returns false when
 * the object it stood at is gone, so that the rest of the list was not seen. */
typedef void audit_each_fn(struct auditor *auditor, uint32_t off, void *object, void *owner);
bool audit_list(struct auditor *auditor, const char *what, struct chain list, uint64_t count,
                audit_each_fn *each, void *owner);
/* Does the same from an object on, where its links backwards and the count mean nothing. */
bool audit_list_from(struct auditor *auditor, const char *what, struct chain list, uint32_t off,
                     audit_each_fn *each, void *owner);
/* Was the id made by this shard, and not later than its counter says? */
void audit_id(struct auditor *auditor, const char *what, uint64_t id);
/* The same of an id that any shard may have made: a snapshot keeps it (snapshot.h). */
void audit_kept_id(struct auditor *auditor, const char *what, uint64_t id);

/* audit_lower.c */
void audit_table(struct auditor *auditor, const struct table *table, enum slab_kind kind);
void audit_slabs(struct auditor *auditor);

#endif
