/* SPDX-License-Identifier: Apache-2.0 */
/* expiry.h - which service must be looked at, and when.
 *
 * One private heap a shard, ordered by the time on the health clock at which something in the
 * service may expire. That time is a lower bound: beats only move the truth later and cost nothing
 * here. New services are pulled from the registry when its last id moved; a bound that was lowered
 * makes the whole shard be visited; and no service is left alone for longer than
 * EXPIRY_VISIT_MAX_MS, so a hint that was missed costs seconds, never an instance.
 *
 * Call expiry_begin() once a tick, then expiry_step() until it returns false: each call is a slice
 * (slice.h), whatever there is to do. Shards take turns of EXPIRY_TURN_HOLDS holds, each of at most
 * EXPIRY_BUDGET instances, so a large service or shard delays the others by a turn, not by its
 * size. Whatever concerns every service of the node (a run of the cleanup, a count of the sources)
 * is a mark that each shard follows when its turn comes. Everything is lost with the process and
 * found again by the next one.
 *
 * With a brake (brake.h) a tick has two passes. The first one flips and counts in all services that
 * are due; then the brake judges; and only then a second one removes, in services where something
 * is to be removed. So nothing is removed in the tick that finds most of the node silent, nor by a
 * new keeper that has not seen it all. That holds over slices, because
 *   a pass has one time, that of its begin, and ends when all that was due then was visited; what
 *     is visited is not due again in it, so it ends, except that it may be asked once to go through
 *     all services;
 *   a first pass is never cut short: ticks that come meanwhile only make the clock go on, and what
 *     they would have begun is begun after it. On a node so busy that a pass takes ten ticks, flips
 *     and removals are ten ticks late, not unjudged;
 *   a second pass ends with its tick: what is left waits for the next judgement. It goes by the
 *     time of the first one, so that nothing becomes old enough in between; a beat in between
 *     counts.
 * The switch healthCheckEnabled, when it moves, ends a pass of either kind: a new one begins.
 *
 * The brake weighs sources (census.h). They are counted in rounds: each service adds what its first
 * visit in the round found, and the round is over once every service was visited, which the usual
 * visits do in EXPIRY_VISIT_MAX_MS. When the brake asks for the evidence of now, and something was
 * lost or removed since the last such count, a new round begins and every service is visited in the
 * same first pass. That happens only while so much is lost that the brake may have to hold. If the
 * walk through a large service begins again, because the instance it stood at went away, those seen
 * before are counted twice for the rest of the round. */
#ifndef KEEPER_EXPIRY_H
#define KEEPER_EXPIRY_H

#include <stdbool.h>
#include <stdint.h>

#include "keeper/brake.h"
#include "keeper/cleanup.h"
#include "keeper/slice.h"
#include "shared/registry/registry.h"
#include "shared/registry/registry_keeper.h"
#include "shared/shm/segment.h"

#define EXPIRY_BUDGET 256U
#define EXPIRY_TURN_HOLDS 32U
#define EXPIRY_VISIT_MAX_MS 10000U

/* Is called when a service with persistent instances was visited. */
typedef void expiry_persistent_fn(void *arg, uint32_t shard, struct keeper_entry service);

struct expiry_entry {
	uint64_t id;
	uint64_t due_ms;        /* health clock; 0: at once */
	uint32_t off;           /* hint of the registry */
	uint32_t beating, lost; /* of expire_visit, at the last visit */
	uint32_t round;         /* that it was last counted in */
	struct cleanup_mark mark;
};

struct expiry_shard {
	struct expiry_entry *heap; /* owned */
	uint32_t count, cap;
	uint64_t pulled_id;        /* services up to this one are known */
	uint64_t last_id, lowered; /* hints of the registry as last seen */
	bool fresh;                /* the hints are not yet looked at in this pass */
	bool all;                  /* every service of the shard is due */
	bool skip;                 /* failed in this pass */
	bool again;                /* a bound moved while `current` was visited */
	bool visiting;
	bool counting;               /* this visit is the first one in the round */
	struct expiry_entry current; /* not in the heap while visited */
	struct expire_visit visit;
};

struct expiry {
	struct registry *reg;
	struct cleanup *cleanup;
	expiry_persistent_fn *persistent; /* NULL: nobody wants to know */
	void *persistent_arg;
	struct brake *brake; /* NULL: there is one pass only, which removes */
	uint64_t now_ms;     /* when the first pass began */
	uint64_t limit_ms;   /* what is due until then is visited in this pass */
	bool judge;    /* switch healthCheckEnabled; while it is off, services are only looked at */
	bool removing; /* the second pass, or the only one */
	bool over;     /* nothing is left in this tick */
	bool partial;  /* something was left out in this pass */
	uint64_t beating; /* of all services */
	uint64_t lost;    /* of all services */
	uint64_t held;    /* of those visited in the first pass */
	struct expiry_round {
		uint32_t number;
		/* a first pass that ends then or later has visited every service since it began */
		uint64_t ready_ms;
		bool asked; /* every service was visited for it in one pass */
		struct census census;
	} round;
	struct brake_evidence evidence; /* of the last round that is over */
	bool fresh; /* that one was asked for, when so many were lost and removed: */
	uint64_t fresh_lost, fresh_removed;
	struct expire_sign signs[EXPIRY_BUDGET]; /* of one hold */
	uint32_t start;  /* shard whose turn comes first in a pass: moves from pass to pass */
	uint32_t cursor; /* shard whose turn it is */
	uint32_t holds;  /* of its turn so far */
	uint32_t quiet;  /* shards in a row with nothing left to do in this pass */
	struct expiry_shard shards[SHARDS];
};

void expiry_init(struct expiry *e, struct registry *reg, struct cleanup *cleanup);
void expiry_free(struct expiry *e);
void expiry_begin(struct expiry *e, uint64_t health_ms, bool judge);
/* Does one slice. Returns true when there is more to do for this tick. */
bool expiry_step(struct expiry *e, struct slice *slice);
/* Makes every service due at once, for a run of the cleanup, in the pass that goes on. */
void expiry_visit_all(struct expiry *e);
/* How many services are known. */
uint64_t expiry_count(const struct expiry *e);

#endif
