/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot_fill.h - objects from saved fields, in a segment that nobody else uses; for snapshot_load.c.
 *
 * A service is one hold of its shard: begin, for each cluster its instances, end. An audience likewise. Each object is committed
 * alone; counts are plain stores, since after a death the segment is thrown away (snapshot.h). The first error sticks in
 * f->err and f->why; then every call does nothing but the end, which gives the lock back. */
#ifndef REGISTRY_SNAPSHOT_FILL_H
#define REGISTRY_SNAPSHOT_FILL_H

#include "shared/registry/registry_internal.h"
#include "shared/registry/snapshot.h"

struct fill {
	struct registry *reg;
	struct snapshot_report *report;
	uint64_t mono_ms;
	uint64_t last_id, revision, stamp; /* of the header: nothing is above */
	int err;
	const char *why;
	/* The hold. */
	struct op op;
	bool held;
	uint32_t soff, coff, aoff;
	struct service *s;
	struct cluster *c;
	struct audience *a;
	uint32_t *cluster_link; /* where the next cluster is named */
	struct hash_set {
		uint32_t *slots; /* 0: free */
		uint32_t size, count;
	} seen; /* hashes of the service's instances: the table need not be searched for doubles */
};

struct saved_service {
	struct str ns, name, metadata, selector;
	uint64_t id, stamp, revision, changed, content, checksum_content, checksum[2];
	uint64_t pending[QUEUE_CONSUMERS], age[QUEUE_CONSUMERS];
	uint32_t threshold, flags;
};

struct saved_cluster {
	struct str name, metadata, checker;
	int32_t port;
	uint32_t own_port;
};

struct saved_instance {
	struct str ip, metadata, app;
	uint64_t id, beat, stamp, revision, weight;
	struct stored_overrides overrides; /* timeout_ms UINT64_MAX: none */
	int32_t port;
	uint32_t flags, ident, source;
};

struct saved_audience {
	struct str ns, name;
	uint64_t id;
};

struct saved_subscriber {
	struct str agent, clusters, app, address_text;
	uint64_t id, seen_ms, sent, acked, sent_age, push_key, tries; /* sent_age plus one, 0: never */
	uint8_t address[16], source[16];
	uint32_t agent_version;
	uint16_t port;
	uint8_t kind, flags;
};

struct saved_namespace {
	struct str id, name, about;
};

void fill_init(struct fill *f, struct registry *reg, struct snapshot_report *report);
void fill_free(struct fill *f);
/* So many instances will come, as somebody says: the tables of the shards need not grow one by one. */
void fill_reserve(struct fill *f, uint64_t instances);
void fill_fail(struct fill *f, int err, const char *why);
void fill_service(struct fill *f, const struct saved_service *in);
void fill_cluster(struct fill *f, const struct saved_cluster *in);
void fill_instance(struct fill *f, const struct saved_instance *in);
void fill_audience(struct fill *f, const struct saved_audience *in);
void fill_subscriber(struct fill *f, const struct saved_subscriber *in);
/* Of the service or audience. */
void fill_end(struct fill *f);

#endif
