/* SPDX-License-Identifier: Apache-2.0 */
/* audit.h - the audit of the registry in slices, while it is being served.
 *
 * A pass looks at every shard, the office, and what belongs to none (registry_audit_shard(),
 * registry_audit_rest()). It runs on a stack of its own (shared/base/fiber.h) and stands still
 * between two holds whenever a slice (slice.h) is over; a hold is AUDIT_SLICE objects, a quarter of
 * a millisecond. In all it takes about a second at a million instances, between the other work of a
 * tick.
 *
 * If somebody wrote in a shard between two holds, what was found of it is void, and the shard is
 * left for the next sweep. That comes with the next tick and goes through the shards that are left.
 * From the second sweep on the holds are twice as long; a shard that fits into one cannot be
 * disturbed. There is no hold over a whole shard of any size: it would be as long as the shard is
 * large. The last of AUDIT_TRIES sweeps goes on beside the writers and leaves out sums only
 * (registry_audit_busy()); the pass says how many shards these are, and the next one begins
 * AUDIT_AGAIN_MS later. A pass ends after AUDIT_TRIES ticks at the latest, whatever the traffic.
 *
 * A pass begins at the start of the keeper, which is after each attach; every segment.check_period;
 * and when somebody distrusts the content: the master after the crash of a child
 * (header->audit_wanted), whoever met an impossible reference (header->corrupt). Such wishes are
 * looked at once a tick.
 *
 * Each finding of damage is logged (up to AUDIT_LINES a pass; all are counted). Then the segment is
 * condemned in its header, and the master is woken, which lets everybody leave and starts anew with
 * the file set aside (master/damage.h). Nothing is repaired: what else is wrong cannot be known. A
 * condemned segment is served until then and not audited again. */
#ifndef KEEPER_AUDIT_H
#define KEEPER_AUDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "keeper/slice.h"
#include "shared/base/fiber.h"
#include "shared/registry/registry.h"

#define AUDIT_SLICE 512U
#define AUDIT_TRIES 30U
#define AUDIT_AGAIN_MS 60000U
#define AUDIT_LINES 20U

struct config;

struct audit {
	struct registry *reg;
	int master_fd; /* woken when the segment is condemned; -1: nobody */
	uint64_t period_ms, next_ms;
	/* CLOCK_MONOTONIC: when what was left out is looked at; 0: nothing was */
	uint64_t again_ms;
	uint64_t wishes; /* audit_wanted and corrupt, when the pass began */
	bool running;
	bool waiting; /* for the next tick */
	struct fiber *fiber;
	bool left[SHARDS_ALL]; /* not yet looked at, or disturbed */
	uint32_t shard;        /* in work; SHARDS_ALL: what belongs to none */
	uint32_t done;         /* shards */
	unsigned tries;        /* sweeps that were disturbed */
	uint64_t began_us;
	unsigned steps, broken, lines;
};

/* Begins the first pass. */
void audit_init(struct audit *a, struct registry *reg, const struct config *config, int master_fd,
                uint64_t mono_ms);
void audit_free(struct audit *a);
void audit_configure(struct audit *a, const struct config *config, uint64_t mono_ms);
/* To be called once a tick: begins a pass if one is due or wanted, or lets the next sweep begin. */
void audit_tick(struct audit *a, uint64_t mono_ms);
/* Does one slice. Returns true when there is more to do now. */
bool audit_step(struct audit *a, struct slice *slice);

#endif
