/* SPDX-License-Identifier: Apache-2.0 */
/* cleanup.h - what is taken away without a client asking: empty services (specification 8.4), the
 * instances of removed services, ephemeral instances nobody spoke for while the node was down, and
 * pages that are nearly empty.
 *
 * Everything is done in steps of one slice (slice.h); a step that returns true wants to go on. What
 * is counted here is private to the process: a new keeper begins counting empty runs anew. */
#ifndef KEEPER_CLEANUP_H
#define KEEPER_CLEANUP_H

#include <stdbool.h>
#include <stdint.h>

#include "keeper/slice.h"
#include "shared/config/config.h"
#include "shared/registry/registry.h"
#include "shared/registry/registry_keeper.h"

#define CLEANUP_EMPTY_RUNS 5U     /* a service goes in its fifth empty run in a row */
#define CLEANUP_BUDGET 64U        /* instances a hold: each is a transaction */
#define CLEANUP_COMPACT_MS 10000U /* from look to look for nearly empty pages */

struct cleanup {
	struct registry *reg;
	struct keeper_walks walks; /* of the whole keeper */
	bool enabled;
	uint64_t period_ms;
	uint64_t next_run_ms; /* CLOCK_MONOTONIC */
	uint16_t run;         /* number of the latest run */
	uint64_t draining;    /* a bit for each shard that may have removed services */
	uint64_t wasteful;    /* a bit for each shard whose pages are being emptied */
	uint64_t compact_ms;  /* CLOCK_MONOTONIC: the next look */
	uint64_t stale; /* a bit for each shard whose ephemeral instances are still to be dropped */
	uint64_t ephemeral_before;
};

/* Whoever visits services keeps one of these for each. */
struct cleanup_mark {
	uint16_t run; /* that it was last judged in */
	uint16_t empty_runs;
};

void cleanup_init(struct cleanup *c, struct registry *reg, const struct config *config,
                  uint64_t mono_ms);
/* To be called after a reload: the next run comes no later than a new period from now. */
void cleanup_configure(struct cleanup *c, const struct config *config, uint64_t mono_ms);

/* To be called once a tick. Returns true when a run begins: then every service is to be visited and
 * judged. */
bool cleanup_begin_run(struct cleanup *c, uint64_t mono_ms);
/* Judges a service that was just looked at, once in a run. Returns true when it is there no
 * more. */
bool cleanup_judge(struct cleanup *c, uint32_t shard, struct keeper_entry service,
                   struct cleanup_mark *mark, uint32_t instances);

/* To be called once a tick: every shard is looked into again. */
void cleanup_begin_drain(struct cleanup *c);
bool cleanup_drain_step(struct cleanup *c, struct slice *slice);

/* To be called once a tick; it looks for such pages every CLEANUP_COMPACT_MS. */
void cleanup_begin_compact(struct cleanup *c, uint64_t mono_ms);
bool cleanup_compact_step(struct cleanup *c, struct slice *slice);

/* After a start over a segment that was too old, before the first expiry. */
void cleanup_begin_stale(struct cleanup *c);
bool cleanup_stale_step(struct cleanup *c, struct slice *slice);

#endif
