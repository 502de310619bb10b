/* SPDX-License-Identifier: Apache-2.0 */
/* check_walk.h - what the parts of registry_check() share; nobody else includes it.
 *
 * One struct check looks at one shard. It walks in holds of about `slice` objects: check_go_on() counts them and, when they
 * are used up, drops the lock, lets others in and takes it again. If somebody committed meanwhile (shard->changes) the
 * references kept across the holds and the sums so far mean nothing: the check is `disturbed`, every walk ends at once, what
 * it found is forgotten and the caller begins again, with longer holds.
 *
 * Everything here reads damaged memory by purpose: references go through slab_try(), lists end at marks already set or
 * at what the segment can hold. Lines are kept until the lock is dropped. */
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
	uint32_t slice, left; /* objects of a hold, and until its end */
	uint64_t changes;     /* of the shard, at the first hold */
	bool disturbed;
	bool held;      /* the lock */
	int err;        /* it could not be taken again */
	uint8_t *marks; /* a bit a unit of the data: reached already; NULL: no memory for it */
	uint64_t marked_pages;
	uint64_t reached[SLAB_KINDS];
	struct sums sums;
	unsigned broken, lines;
	char line[CHECK_LINES][CHECK_LINE_BYTES];
};

void check_broken(struct check *check, const char *format, ...) __attribute__((format(printf, 2, 3)));
void check_compare(struct check *check, const char *what, uint64_t stored, uint64_t found);
/* For checks of the lower layer: a slab_say_fn with the check as argument; the finding is counted by its caller. */
void check_collect(const char *text, void *check);
/* Counts n objects; false: disturbed, leave at once and touch nothing. */
bool check_go_on(struct check *check, uint32_t n);

/* The object, counted and marked; NULL (and reported) when it is none or was reached before. */
void *check_reach(struct check *check, uint32_t off, enum slab_kind kind, const char *what);
void check_reach_blob(struct check *check, uint32_t off, const char *what);
/* Walks a list, checks its backward links and its end, hands each object on. */
typedef void check_each_fn(struct check *check, uint32_t off, void *object, void *owner);
void check_list(struct check *check, const char *what, struct chain list, uint64_t count, check_each_fn *each, void *owner);
/* Made by this shard, and not later than its counter says. */
void check_id(struct check *check, const char *what, uint64_t id);
/* The same, made by any shard: a snapshot keeps it (snapshot.h). */
void check_kept_id(struct check *check, const char *what, uint64_t id);

/* check_lower.c */
void check_table(struct check *check, const struct table *table, enum slab_kind kind);
void check_slabs(struct check *check);

#endif
