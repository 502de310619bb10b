/* SPDX-License-Identifier: Apache-2.0 */
/* slot.h - what each process shows the others, and what the master tells them.
 *
 * One slot a process, padded to cache lines, written by its owner only (except
 * `stopped` and `pid`, written by the master). Readers add counters up; a counter of a
 * dead process stays, because its successor takes over the same slot and goes on
 * counting. The master never acts on a pid it finds here; it has its own table. */
#ifndef SHM_SLOT_H
#define SHM_SLOT_H

#include <stdint.h>

#include "shared/base/assert.h"
#include "shared/shm/segment.h"

/* The first SLOT_SECOND slots are those of 64 workers and of the other roles. Behind them each
 * worker has a second place: in an upgrade the workers of both images run side by side, and a slot
 * has one writer. */
#define SLOT_SECOND 80U
#define SLOTS_MAX (SLOT_SECOND + 64U)
#define SLOT_BANKS 2U
#define SLOT_COUNTERS 128U
#define SLOT_LAST_WORDS 256U
#define WORKERS_MAX 64U
#define SLOT_ROUTES 128U /* rows of the route table, and the last for requests without a route */
#define SLOT_ROUTE_BUCKETS 8U

enum slot_state { SLOT_FREE, SLOT_STARTING, SLOT_READY, SLOT_STOPPING };

struct slot {
	_Alignas(64) uint32_t pid;
	uint32_t role;          /* enum role of shared/process/process.h */
	uint32_t index;         /* among its role */
	uint32_t generation;    /* raised by the master at each fork */
	uint32_t state;         /* enum slot_state */
	uint32_t stopped;       /* master: SIGCHLD said stopped (1) or continued (0) */
	uint64_t busy_since_ms; /* CLOCK_MONOTONIC at wake-up, 0 before the poll */
	uint32_t stuck_shard;   /* lock wait over its limit: shard + 1, owner's pid */
	uint32_t stuck_owner;
	uint64_t connections; /* open now */
	/* Turns, from wake-up to poll (shared/process): how many, their sum, and the longest of
	 * this generation. */
	uint64_t turns, busy_us, busy_us_max;
	/* board->frozen of the freeze it stands still in (shared/process/freeze.h) */
	uint64_t frozen_seen;
	_Alignas(64) uint64_t counters[SLOT_COUNTERS]; /* ids in shared/metrics/metrics.h */
	char last_words[SLOT_LAST_WORDS]; /* assert text; the master logs and clears it */
};

/* What one route cost one worker (worker/metrics/route_stats.h). There are SLOT_ROUTES of them for
 * each place of each worker, apart from the slots, because most are never touched. */
struct slot_route {
	uint64_t errors; /* answers with a status of 400 or more */
	uint64_t us;     /* sum of the latencies */
	uint64_t cpu_ns; /* from samples: an estimate */
	uint64_t spare;
	uint64_t buckets[SLOT_ROUTE_BUCKETS]; /* by latency; together the number of requests */
};

/* Written by the master only, except log_level, which workers write. */
struct board {
	_Alignas(64) uint64_t orphans; /* bit n: siblings accept from worker n's socket */
	uint64_t spare_1;
	uint64_t config_generation;
	uint64_t workers; /* configured now */
	uint64_t master_pid;
	uint64_t started_ms; /* CLOCK_MONOTONIC */
	/* Upgrades since the start (master/upgrade/upgrade.h): by how they ended. */
	uint64_t upgrades_done, upgrades_refused, upgrades_back;
	uint64_t frozen; /* generation of a freeze: stand still and say so; 0: none */
	/* an operator asked for it (shared/process): config_generation << 8 | level + 1; 0:
	 * nobody */
	uint64_t log_level;
	uint64_t spare[5];
};

/* Which rows of seg->routes belong to worker n of bank 0 or 1. */
static inline unsigned slot_routes_at(unsigned bank, unsigned worker)
{
	ROSTER_ASSERT(bank < SLOT_BANKS && worker < WORKERS_MAX);
	return (bank * WORKERS_MAX + worker) * SLOT_ROUTES;
}

static inline unsigned slot_of_worker(unsigned bank, unsigned worker)
{
	ROSTER_ASSERT(bank < SLOT_BANKS && worker < WORKERS_MAX);
	return bank * SLOT_SECOND + worker;
}

#endif
