/* SPDX-License-Identifier: Apache-2.0 */
/* check_walk.h - what the parts of registry_check() share; nobody else includes it.
 *
 * One struct check looks at one shard. It walks in holds of about `slice` objects: check_go_on()
 * sees that they are used up, drops the lock, lets others in and takes it again. When somebody
 * committed meanwhile (shard->changes), the references kept across the holds and the sums so far
 * mean nothing.
 *
 * Then a check is mostly `disturbed`: every walk ends at once, what it found is forgotten and the
 * caller begins again. One that is `busy` goes on: `moved` counts how often that happened. Each
 * walk looks whether the object it stands at is still the one it was (check_stands()), and
 * otherwise ends where it is; what is compared with something seen in another hold is compared only
 * if nothing moved in between. What a busy check finds is as true as what others find.
 *
 * Everything here reads damaged memory by purpose: references go through slab_try(), lists end at
 * marks already set or at what the segment can hold. Lines are kept until the lock is dropped. */
#ifndef REGISTRY_CHECK_WALK_H
#define REGISTRY_CHECK_WALK_H

#include "shared/registry/registry_internal.h"

#define CHECK_LINES 32U /* kept of one shard; the rest is only counted */
#define CHECK_LINE_BYTES 200U

/* Sums over what was reached, to be compared with what is stored. */
struct sums {
	uint64_t services, draining, instances, ephemeral, healthy, bytes, drained;
	uint64_t audiences, waiting, subscribers, subscriber_bytes;
	uint64_t pending[QUEUE_CONSUMERS];
	struct source_cell sources[SOURCE_ROWS][SOURCE_COLUMNS];
};

struct check {
	struct op op;
	uint32_t shard;
	uint32_t slice, left; /* objects reached in a hold, and until its end */
	uint64_t changes;     /* of the shard, at the first hold or since the last move */
	bool busy;
	uint64_t moved;
	bool disturbed;
	bool held; /* the lock */
	int err;   /* it could not be taken again */
	uint8_t *
	        marks; /* a bit a unit of the data: reached already; NULL: no memory for it, or moved */
	uint64_t marked_pages;
	uint64_t reached[SLAB_KINDS];
	struct sums sums;
	unsigned broken, lines;
	char line[CHECK_LINES][CHECK_LINE_BYTES];
};

void check_broken(struct check *check, const char *format, ...)
        __attribute__((format(printf, 2, 3)));
void check_compare(struct check *check, const char *what, uint64_t stored, uint64_t found);
/* For checks of the lower layer: a slab_say_fn with the check as argument; the finding is counted
 * by its caller. */
void check_collect(const char *text, void *check);
/* Counts n steps more than the objects reached. Returns false when the check is disturbed: leave at
 * once and touch nothing. */
bool check_go_on(struct check *check, uint32_t n);
/* Returns what an object is known by: its id, and for a service whether it was removed; 0 for one
 * that has neither. */
uint64_t check_identity(enum slab_kind kind, const void *object);
/* Has nothing moved since `moved`, or is the object at off still the one with that identity? */
bool check_stands(const struct check *check, uint64_t moved, uint32_t off, enum slab_kind kind,
                  uint64_t identity);

/* Returns the object, counted and marked; NULL (and reports it) when it is none or was reached
 * before. */
void *check_reach(struct check *check, uint32_t off, enum slab_kind kind, const char *what);
void check_reach_blob(struct check *check, uint32_t off, const char *what);
/* Reaches all texts of an object that has these fields. */
struct fields;
void check_reach_fields(struct check *check, const struct fields *fields, const void *object);
/* Walks a list, checks its backward links and its end, and hands each object on. Returns false when
 * the object it stood at is gone, so that the rest of the list was not seen. */
typedef void check_each_fn(struct check *check, uint32_t off, void *object, void *owner);
bool check_list(struct check *check, const char *what, struct chain list, uint64_t count,
                check_each_fn *each, void *owner);
/* Does the same from an object on, where its links backwards and the count mean nothing. */
bool check_list_from(struct check *check, const char *what, struct chain list, uint32_t off,
                     check_each_fn *each, void *owner);
/* Was the id made by this shard, and not later than its counter says? */
void check_id(struct check *check, const char *what, uint64_t id);
/* The same of an id that any shard may have made: a snapshot keeps it (snapshot.h). */
void check_kept_id(struct check *check, const char *what, uint64_t id);

/* check_lower.c */
void check_table(struct check *check, const struct table *table, enum slab_kind kind);
void check_slabs(struct check *check);

#endif
