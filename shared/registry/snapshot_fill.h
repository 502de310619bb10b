/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot_fill.h - objects from saved fields, in a segment that nobody else uses; for
 * snapshot_load.c.
 *
 * A service is one hold of its shard: begin, for each cluster its instances, end. An audience
 * likewise. Each object is committed alone; counts are plain stores, since after a death the
 * segment is thrown away (snapshot.h). The first error sticks in f->err and f->why; then every call
 * does nothing but the end, which gives the lock back. */
#ifndef REGISTRY_SNAPSHOT_FILL_H
#define REGISTRY_SNAPSHOT_FILL_H

#include "shared/registry/fields.h"
#include "shared/registry/registry_internal.h"
#include "shared/registry/snapshot.h"

struct fill {
	struct registry *reg;
	struct snapshot_report *report;
	uint64_t mono_ms;
	uint64_t last_id, revision, stamp; /* of the header: nothing is above */
	uint64_t health_ms;                /* of the header: nothing is far above */
	int err;
	const char *why;
	/* The hold. */
	struct op op;
	bool held;
	uint32_t soff, coff, aoff;
	struct service *s;
	struct cluster *c;
	struct audience *a;
	uint64_t texts;         /* bytes of those put so far into the object being made */
	uint32_t *cluster_link; /* where the next cluster is named */
	struct hash_set {
		uint32_t *slots; /* 0: free */
		uint32_t size, count;
	} seen; /* hashes of the service's instances: the table need not be searched for doubles */
};

void fill_init(struct fill *f, struct registry *reg, struct snapshot_report *report);
void fill_free(struct fill *f);
/* Says that about so many instances will come, so that the tables of the shards need not grow one
 * by one. */
void fill_reserve(struct fill *f, uint64_t instances);
void fill_fail(struct fill *f, int err, const char *why);
/* `in` is what was read of an object, by the keys of its kind (fields.h). Texts are copied; the
 * array may be changed. */
void fill_service(struct fill *f, union field_value *in);
void fill_cluster(struct fill *f, union field_value *in);
void fill_instance(struct fill *f, union field_value *in);
void fill_audience(struct fill *f, union field_value *in);
void fill_subscriber(struct fill *f, union field_value *in);
/* Ends the hold of a service or audience. */
void fill_end(struct fill *f);

#endif
