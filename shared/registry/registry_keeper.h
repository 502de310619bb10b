/* SPDX-License-Identifier: Apache-2.0 */
/* registry_keeper.h - what the keeper does to the registry: silent instances go, what is empty or
 * removed is freed, pages that are nearly empty are given back.
 *
 * Rules of locks, errors and deaths are those of registry.h. Each call is one hold of a shard that
 * ends within its budget; where the next one goes on is in what the caller keeps. The keeper alone
 * calls these. */
#ifndef REGISTRY_KEEPER_H
#define REGISTRY_KEEPER_H

#include "shared/registry/registry.h"

/* Where the walks through the registry go on, for a keeper to embed. They are hints, checked
 * against ids: all zero at the begin, of this process alone, and lost with it at no cost but a walk
 * from the begin of a shard. Each knows a place in one shard only. */
struct keeper_walks {
	struct registry_cursor services;            /* registry_services_after() */
	struct registry_cursor stale, stale_inside; /* registry_drop_stale(): service, instance */
	uint64_t stale_steps; /* in that service: bounds a list that has no end */
	struct compact_cursor {
		uint32_t shard, off, inside_off;
		uint64_t id, inside_id; /* 0: begin */
		uint32_t cluster_off;   /* in its settings; 0: begin */
	} compact;                      /* registry_compact() */
};

/* Services of a shard with id > after, rising, at most max. Returns the count or an error. */
int registry_services_after(struct registry *reg, struct keeper_walks *walks, uint32_t shard,
                            uint64_t after, struct keeper_entry *out, uint32_t max) MUST_CHECK;

/* A beating instance, as a visit found it. */
enum expire_state {
	EXPIRE_HEARD,   /* within its timeout */
	EXPIRE_QUIET,   /* not, but it will stay for longer than soon_ms */
	EXPIRE_LOST,    /* not, and to be removed within soon_ms */
	EXPIRE_REMOVED, /* for its silence, in this hold */
};

struct expire_sign {
	uint32_t source; /* of its last beat, never 0 */
	uint32_t state;  /* enum expire_state */
};

struct expire_visit {
	/* in */
	struct keeper_entry service;
	uint64_t now_ms; /* health clock */
	/* instances to look at in this hold, at most: many removals of long texts end it before */
	uint32_t budget;
	bool hold_removals; /* the brake: flip, but remove nothing */
	uint64_t soon_ms;   /* for `lost` */
	/* Room for `budget` of them, or NULL: what the instances that have beaten say about their
	 * sources, of this hold. */
	struct expire_sign *signs;
	/* in and out: where to go on inside a large service; zero to begin */
	uint64_t resume_id;
	uint32_t resume_off;
	uint64_t seen; /* instances left in place so far: bounds a list that has no end */
	/* out */
	bool gone;          /* the service does not exist any more */
	bool done;          /* looked at all */
	uint32_t instances; /* of any kind; 0: empty */
	uint32_t persistent;
	uint64_t due_ms; /* lower bound found so far (starts at UINT64_MAX; keep between holds) */
	uint32_t flipped, removed;
	uint32_t sign_count;
	/* would have been removed; like `beating` and `lost` of the whole visit, not of this
	 * hold */
	uint32_t held;
	/* Of the instances that have beaten since they were registered (all others are no evidence
	 * of anything), those left in place: all, and those without a beat within their timeout
	 * that are to be removed within soon_ms. */
	uint32_t beating, lost;
};

/* Flips (beat older than timeout) and removes (older than delete timeout) within the budget.
 * Strictly greater, not marked, ephemeral only (specification 8.1). Each instance is a
 * transaction of its own. Also stores the service's due_ms when done. Never allocates. */
int registry_expire(struct registry *reg, uint32_t shard, struct expire_visit *visit) MUST_CHECK;
/* Raised whenever a service's due_ms moved below now + 10 s, and when it got its first persistent
 * instance: visit the whole shard again. */
uint64_t registry_due_lowered(struct registry *reg, uint32_t shard);
uint64_t registry_last_id(struct registry *reg, uint32_t shard);
/* Frees up to `budget` instances of removed services, fewer if they have long texts. Returns how
 * many services are left. */
int registry_drain(struct registry *reg, uint32_t shard, uint32_t budget) MUST_CHECK;
/* Removes the service `id` if it still has no instance; 0, ERR_AGAIN (has some), ERR_NOT_FOUND. */
int registry_remove_empty(struct registry *reg, struct origin origin, uint32_t shard,
                          struct keeper_entry service) MUST_CHECK;
/* More than half of the room for instances and texts of the shard is unused. Without a lock: a
 * hint. */
bool registry_wasteful(struct registry *reg, uint32_t shard);
/* Looks at about `budget` instances and texts and moves those on pages at most half full to fuller
 * ones, each in a transaction of its own, so that pages become free. Nothing a client could see
 * changes. Returns 1 while there is more to look at in this pass, 0: done. References that others
 * keep as hints beside an id are found out by the id. */
int registry_compact(struct registry *reg, struct keeper_walks *walks, uint32_t shard,
                     uint32_t budget, uint32_t *moved_r) MUST_CHECK;
/* After segment.max_age: looks at up to budget services and ephemeral instances and drops those
 * that had no beat since registry_init() of the first caller after this attach, cause stale.
 * Returns 1 while there is more to look at in this shard, 0: done. */
int registry_drop_stale(struct registry *reg, struct keeper_walks *walks, uint32_t shard,
                        uint32_t budget) MUST_CHECK;

#endif
