/* SPDX-License-Identifier: Apache-2.0 */
/* checks.h - active health checks of persistent instances (specification 8.3).
 *
 * A cluster with persistent instances has a run: all of its instances are checked once, by the
 * cluster's checker. The first run comes 2 to 7 s after the registration, each next one after the
 * normalized response time. What enough checks in a row say goes into the registry, as a change of
 * health that pushes; nothing is ever removed.
 *
 * Services come by checks_learn() from the visits of expiry.h and go when a look finds no
 * persistent instance in them. At most checks.concurrency checks are under way; clusters take
 * turns, one instance each. The work is done in steps of one slice (slice.h) at a low priority of
 * the loop, so that the tick and the expiry of beats go first. For half of a slice services that
 * are due are looked at; the rest of it begins probes. Looks run on a stack of their own
 * (shared/base/fiber.h), and a large service is looked at in many steps. While there is nothing to
 * check there is no timer. Everything is lost with the process; its successor counts from zero.
 *
 * A check goes to the registered literal address, and to the registered port or the check port of
 * the cluster; nothing is resolved. Names, impossible ports and addresses of checks.refuse are soft
 * failures without a packet. */
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

typedef int check_start_fn(struct ev_loop *loop, const struct probe_order *order,
                           probe_done_fn *done, void *arg, struct probe **probe_r);

struct checks {
	struct registry *reg;
	const struct config *config;
	struct ev_loop *loop;
	check_start_fn *start; /* probe_start(); tests put their own */
	struct check_table table;
	struct due_heap busy; /* services with something to check */
	/* with checkers NONE only; looked at when a tick says so, up to quiet_ms */
	struct due_heap quiet;
	uint64_t quiet_ms;
	struct fiber *looks;                 /* NULL: nothing was due */
	const struct check_service *looking; /* the service at which that fiber stands */
	uint64_t random;
	uint32_t most; /* probes under way */
	bool enabled;  /* the switch healthCheckEnabled */
	ev_timer timer;
	struct turn *turn; /* NULL: nobody measures */
	struct slice slice;
	struct probe_pace pace;
};

void checks_init(struct checks *c, struct registry *reg, const struct config *config,
                 struct ev_loop *loop);
void checks_free(struct checks *c);
/* Makes the steps and those of the probes turns that are measured. */
void checks_measure(struct checks *c, struct turn *turn);
/* To be called after a reload. */
void checks_configure(struct checks *c);
/* To be called for each service that has persistent instances, any number of times. */
void checks_learn(struct checks *c, uint32_t shard, struct keeper_entry service);
/* To be called once a tick of the keeper. */
void checks_tick(struct checks *c);
/* Does what is due, for one slice. Returns the ms until there is more to do: 0 when there is now,
 * UINT64_MAX when only answers are waited for. Called by the timer, and by tests. */
uint64_t checks_step(struct checks *c);

#endif
