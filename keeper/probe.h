/* SPDX-License-Identifier: Apache-2.0 */
/* probe.h - one active check of one peer: connects, asks, and says what it found. Never blocks.
 *
 * probe_start() makes a probe, which belongs to the loop until done() was called, once, from the
 * loop, never from inside probe_start(). After that call the probe is gone. Whoever started it may
 * take it back before with probe_stop().
 *
 * A probe has PROBE_LIMIT_MS to be connected and as much again for the answer. A process that was
 * stopped looks whether the answer is there before it says that it came too late. Watchers have the
 * priority PROBE_PRIORITY: everything else in the loop goes first. Each step of a probe is a turn
 * (shared/process/turn.h). Probes whose answers are there at the same time share PROBE_TURN_US of
 * one iteration of the loop, and the rest is found ready again by the next one.
 *
 * A peer is not trusted: what is read of it is bounded, redirects are not followed, nothing is
 * resolved, no local file is sent. Whoever registers an instance chooses the peer, so it learns no
 * more than it must. */
#ifndef KEEPER_PROBE_H
#define KEEPER_PROBE_H

#include <stdint.h>

#include <ev.h>

#include "keeper/check_rule.h"
#include "shared/base/err.h"
#include "shared/net/address.h"
#include "shared/process/turn.h"
#include "shared/view/checker.h"

#define PROBE_LIMIT_MS 500U
#define PROBE_PRIORITY (-1)
#define PROBE_TURN_US 2000U
#define PROBE_PEER (ADDRESS_TEXT + 8U)

/* Which response time to reckon with (specification 8.3). */
enum probe_rt { PROBE_RT_MEASURED, PROBE_RT_TWICE, PROBE_RT_MAX };

struct probe_result {
	enum check_verdict verdict;
	enum probe_rt rt;
	uint64_t rt_ms;  /* measured */
	const char *why; /* for the log; never NULL */
	int detail;      /* errno, status or error number; 0: none */
};

/* What all probes of a loop share. */
struct probe_pace {
	struct turn *turn;  /* NULL: nobody measures */
	unsigned iteration; /* of the loop, whose first step of a probe was at began_us */
	uint64_t began_us;
	bool modules_wanted; /* a probe could not begin without probe_load_modules() */
};

struct probe_order {
	const struct checker *checker; /* TCP, HTTP or MYSQL; used during probe_start() only */
	uint8_t address[16];
	uint16_t port;
	struct probe_pace *pace; /* NULL: none; outlives the probe */
};

struct probe;

typedef void probe_done_fn(void *arg, const struct probe_result *result);

/* Loads what MySQL would load when it is first used, some 2 MB; to be called before the process
 * gives up the right to map code. Few servers check by MySQL, so a keeper does without until it
 * meets such a check, and then leaves for one that has the modules (EXIT_MODULES). */
void probe_load_modules(void);
/* Begins a probe. An error means that this system could not make it: no memory, no descriptor, no
 * port, no modules. */
int probe_start(struct ev_loop *loop, const struct probe_order *order, probe_done_fn *done,
                void *arg, struct probe **probe_r) MUST_CHECK;
/* Ends a probe, whose done() will not be called. NULL is allowed; clears *probe. */
void probe_stop(struct probe **probe);

#endif
