/* SPDX-License-Identifier: Apache-2.0 */
/* model.h - what a registry should hold, in plain arrays of one process.
 *
 * No lock, no log, no reference: an act is applied by a few assignments, so that there is little to
 * be wrong about. Acts of different owners touch different things and may be applied in any order.
 * Ids, revisions and stamps are not in it: those move on also when an operation is rolled back.
 * Times of beats and delivery words are lower bounds for the same reason.
 *
 * What clients see of a service, a cluster and an instance stands under the keys of
 * shared/registry/fields.h: a number as it is saved, or the hash of a text (0: none). Every row
 * that is shown is compared, so the model has to know a new one, or to say MODEL_ANY. */
#ifndef TESTS_FAULT_MODEL_H
#define TESTS_FAULT_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/registry/fields.h"
#include "tests/fault/acts.h"

#define MODEL_INSTANCES 96U
#define MODEL_CLUSTERS 8U
#define MODEL_SUBSCRIBERS 8U
#define MODEL_NAMESPACES 128U
#define MODEL_ANY \
	0xa9a9a9a9a9a9a9a9ULL /* wanted of a field: whatever is found, or it is compared in a way of its own */

struct model_instance {
	char ip[40], cluster[16];
	int32_t port;
	uint32_t flags;   /* of enum instance_flag: what a client sees of it */
	uint64_t beat_ms; /* at least */
	uint64_t fields[FIELD_KEYS];
};

struct model_cluster {
	char name[16];
	uint64_t fields[FIELD_KEYS];
};

struct model_subscriber {
	uint16_t port;
	bool push;
	bool sent, acked; /* at least */
};

struct model_service {
	bool exists, on_purpose, checksum;
	uint64_t fields[FIELD_KEYS];
	uint32_t clusters, instances, subscribers; /* subscribers outlive the service */
	struct model_cluster cluster[MODEL_CLUSTERS];
	struct model_instance instance
	        [MODEL_INSTANCES]; /* cluster by cluster they stand in the order of their coming */
	struct model_subscriber subscriber[MODEL_SUBSCRIBERS];
};

struct model_namespace {
	bool exists;
	uint64_t name, about;
};

struct model {
	uint64_t now_ms, began_ms;
	struct model_service service[SVC_COUNT];
	uint32_t drain; /* steps until every removed service is freed */
	struct model_namespace namespace[MODEL_NAMESPACES];
	uint64_t switches[SWITCH_WORDS];
	uint64_t ephemeral, masters, limited;
};

#define STEPS_ALL UINT32_MAX

/* The first `steps` steps of the act happen; most acts have one. Returns what the registry has to
 * answer. */
int model_apply(struct model *model, const struct act *act, uint32_t steps);

/* What the change queue says of a service. */
struct model_queued {
	uint64_t id, changed; /* 0: there is no such service, nothing ever pushed */
	bool pending;
};

/* Reads the whole registry; every lock is taken on the way. */
int model_read(struct bed *bed, struct model *found_r, struct model_queued queued_r[SVC_COUNT]);
/* True when found is as wanted, else `why` says what differs first. */
bool model_equal(const struct model *wanted, const struct model *found, char *why, size_t size);

#endif
