/* SPDX-License-Identifier: Apache-2.0 */
/* check_table.h - what this process knows of persistent instances: services, their clusters, and in
 * them the targets.
 *
 * It is a copy of what the registry has, brought up to date service by service when a revision
 * moved, and what only checks know: counts, response times, probes under way. All of it is owned by
 * the table and lost with the process.
 *
 * A service may have 200,000 targets. What goes through all of them, bringing the service up to
 * date or forgetting it, pauses in a fiber (shared/base/fiber.h) every few hundred. Meanwhile
 * probes of the service may end and runs may go on. Only that fiber adds targets and clusters and
 * forgets services, and what it takes apart is out of the list of runs. Other services may be
 * learned meanwhile. */
#ifndef KEEPER_CHECK_TABLE_H
#define KEEPER_CHECK_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "keeper/check_rule.h"
#include "keeper/due.h"
#include "keeper/probe.h"
#include "shared/base/arena.h"
#include "shared/registry/persistent.h"

struct check_target {
	uint64_t id;
	uint32_t off; /* hint of the registry */
	int32_t port; /* of the instance */
	uint8_t address[16];
	bool literal; /* else the text is no address: it is not resolved */
	bool healthy, confirmed;
	uint32_t seen; /* number of the last look that saw it */
	struct check_counts counts;
	struct probe *probe; /* NULL: none is under way */
	struct check_cluster *cluster;
};

struct check_cluster {
	struct check_cluster *next;
	struct check_service *service;
	char *name;         /* owned */
	char *checker_text; /* owned; NULL: TCP */
	uint32_t name_len, checker_len;
	struct arena arena; /* texts of checker */
	struct checker checker;
	int32_t check_port;
	bool use_instance_port;
	uint32_t seen;          /* number of the last look that saw it */
	uint32_t seen_targets;  /* by that one */
	bool fresh;             /* not yet scheduled */
	uint64_t registered_ms; /* health clock: the first registration, as far as known */
	struct check_rt rt;
	uint64_t due_ms; /* CLOCK_MONOTONIC: the next run */
	/* By rising id. A run in work goes through them from `turn` on and stands in the list of
	 * runs. */
	struct check_target **targets;
	uint32_t count, cap, turn;
	bool running;
	struct check_cluster *run_next, *run_prev;
};

struct check_service {
	struct due due;             /* first: the earliest run of its clusters */
	struct check_service *next; /* of the bucket */
	void *owner;                /* who owns the table; for the end of a probe */
	uint64_t id, revision;
	uint32_t shard, off;
	uint32_t look; /* number of the last one */
	bool quiet;    /* nothing in it is checked: in the heap of those that are only looked at */
	struct check_cluster *clusters;
};

struct check_table {
	/* Owned. One bucket is divided for each service that is added (split.h). */
	struct check_service **buckets;
	uint32_t bucket_count, bucket_cap, count;
	uint32_t probes; /* under way */
	/* Clusters with a run in work, in turns. */
	struct check_cluster *run_first, *run_last;
	/* probe_stop(); tests put their own. */
	void (*stop)(struct probe **probe);
	struct persistent_look look; /* scratch */
};

void check_table_init(struct check_table *table);
/* Stops all probes. */
void check_table_free(struct check_table *table);
/* Returns the service, made if it is new (*new_r); NULL when there is no memory. */
struct check_service *check_table_learn(struct check_table *table, uint32_t shard,
                                        struct keeper_entry entry, bool *new_r);
/* Forgets the service, whose due must be in no heap. Pauses. */
void check_table_forget(struct check_table *table, struct check_service *service);
/* Brings the service up to date, with pauses. ERR_GONE: a pause said to give up. ERR_NOT_FOUND: the
 * service is gone. After any other error what was known stays. */
int check_table_sync(struct check_table *table, struct registry *reg,
                     struct check_service *service) MUST_CHECK;

/* Begins a run of the cluster, unless one is in work. */
void check_table_run(struct check_table *table, struct check_cluster *cluster);
/* Returns the next target of the cluster whose turn it is; NULL when no run is in work. */
struct check_target *check_table_next(struct check_table *table);

#endif
