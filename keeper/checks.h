/* SPDX-License-Identifier: Apache-2.0 */
/* checks.h - active health checks of persistent instances (specification 8.3).
 *
 * A cluster with persistent instances has a run: all of its instances are checked once, by the cluster's checker. The first
 * run comes 2 to 7 s after the registration, each next one after the normalized response time. What enough checks in a
 * row say goes into the registry, as a change of health that pushes; nothing is ever removed.
 *
 * Services come by checks_learn() from the visits of expiry.h and go when a look finds no persistent instance in them.
 * At most checks.concurrency checks are under way; clusters take turns, one instance each. The work is done in steps of
 * one slice (slice.h) at a low priority of the loop, so that the tick and the expiry of beats go first: for half of it services
 * that are due are looked at, the rest begins probes. Looks run on a stack of their own (shared/base/fiber.h), and a large
 * service is looked at in many steps. Nothing to check: no timer. Everything is lost with the process; its successor counts from
 * zero.
 *
 * Where a check goes: the registered literal address, and the registered port or the cluster's check port; nothing is
 * resolved. Names, impossible ports and addresses of checks.refuse are soft failures without a packet. */
#ifndef KEEPER_CHECKS_H
#define KEEPER_CHECKS_H

#include <stdbool.h>
#include <stdint.h>

#include <ev.h>

#include "keeper/check_table.h"
#include "keeper/slice.h"
#include "shared/base/fiber.h"
#include "shared/config/config.h"
#include "shared/registry/registry.h"

#define CHECKS_LOOK_US (SLICE_US / 2)
#define CHECKS_RETRY_MS 1000U        /* after a look that failed */
#define CHECKS_OTHER_DESCRIPTORS 64U /* of the keeper itself */

typedef int check_start_fn(struct ev_loop *loop, const struct probe_order *order, probe_done_fn *done, void *arg,
                           struct probe **probe_r);

struct checks {
	struct registry *reg;
	const struct config *config;
	struct ev_loop *loop;
	check_start_fn *start; /* probe_start(); tests put their own */
	struct check_table table;
	struct due_heap busy;  /* services with something to check */
	struct due_heap quiet; /* with checkers NONE only: the tick says up to when */
	uint64_t quiet_ms;
	struct fiber *looks;                 /* NULL: nothing was due */
	const struct check_service *looking; /* at which it stands */
	uint64_t random;
	uint32_t most; /* probes under way */
	bool enabled;  /* the switch healthCheckEnabled */
	ev_timer timer;
	struct turn *turn; /* NULL: nobody measures */
	struct slice slice;
	struct probe_pace pace;
};

void checks_init(struct checks *c, struct registry *reg, const struct config *config, struct ev_loop *loop);
void checks_free(struct checks *c);
/* Its steps and those of its probes are turns. */
void checks_measure(struct checks *c, struct turn *turn);
/* After a reload. */
void checks_configure(struct checks *c);
/* The service has persistent instances. */
void checks_learn(struct checks *c, uint32_t shard, struct keeper_entry service);
/* Once a tick of the keeper. */
void checks_tick(struct checks *c);
/* What is due, for one slice. Returns the ms until there is more to do: 0 at once, UINT64_MAX: nothing is waited
 * for but answers. Called by the timer, and by tests. */
uint64_t checks_step(struct checks *c);

#endif
