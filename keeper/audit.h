/* SPDX-License-Identifier: Apache-2.0 */
/* audit.h - the check of the registry in slices, while it is being served.
 *
 * A pass looks at every shard, the office, and what belongs to none (registry_check_shard(), registry_check_rest()), one of
 * them a step, each in holds of AUDIT_SLICE objects. Somebody wrote in between: the same shard again with slices four times
 * as long, at last in one hold; so a pass ends after at most AUDIT_STEPS_MAX steps, whatever the traffic. The steps follow
 * each other without waiting, between the other work of a tick: in all about half a second at a million instances, where a
 * hold is a quarter of a millisecond.
 *
 * A pass begins at the start of the keeper, which is after each attach; every segment.check_period; and when somebody
 * distrusts the content: the master after the crash of a child (header->check_wanted), whoever met an impossible
 * reference (header->corrupt). Such wishes are looked at once a tick.
 *
 * Damage: each finding is logged (up to AUDIT_LINES a pass, all are counted), then the segment is condemned in its header and
 * the master is woken, which lets everybody leave and starts anew with the file set aside (master/damage.h). Nothing is
 * repaired: what else is wrong cannot be known. A condemned segment is served until then and not checked again. */
#ifndef KEEPER_AUDIT_H
#define KEEPER_AUDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/registry/registry.h"

#define AUDIT_SLICE 1024U
#define AUDIT_TRIES 6U /* of one shard, the last in one hold */
#define AUDIT_STEPS_MAX (AUDIT_TRIES * 65U + 1U)
#define AUDIT_LINES 20U

struct config;

struct audit {
	struct registry *reg;
	int master_fd; /* woken when the segment is condemned; -1: nobody */
	uint64_t period_ms, next_ms;
	uint64_t wishes; /* check_wanted and corrupt, when the pass began */
	bool running;
	uint32_t shard; /* SHARDS_ALL: what belongs to none */
	unsigned tries; /* of this shard so far */
	uint64_t began_us;
	unsigned steps, broken, lines;
};

/* Begins a pass. */
void audit_init(struct audit *a, struct registry *reg, const struct config *config, int master_fd, uint64_t mono_ms);
void audit_configure(struct audit *a, const struct config *config, uint64_t mono_ms);
/* Once a tick: begins a pass if one is due or wanted. */
void audit_tick(struct audit *a, uint64_t mono_ms);
/* True: there is more to do. */
bool audit_step(struct audit *a);

#endif
