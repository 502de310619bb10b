/* SPDX-License-Identifier: Apache-2.0 */
/* layout.h - how services, clusters, instances and subscribers lie in the segment.
 *
 * For shared/registry and its tests only; everybody else uses registry.h, which hands
 * out copies. All fields are logged when changed after publication, except the words
 * marked "unlogged": those are written by one aligned store and share no 8-byte word with
 * logged ones.
 *
 * Ownership: a service owns its clusters, a cluster its instances, an audience its
 * subscribers; each owns the blobs it refers to. The audience of a name is independent
 * of the service of that name: it may exist before it and outlive it (waiting entry). */
#ifndef REGISTRY_LAYOUT_H
#define REGISTRY_LAYOUT_H

#include <stdint.h>

#include "shared/shm/queue.h"
#include "shared/shm/shard.h"
#include "shared/shm/table.h"

enum service_flag {
	SERVICE_REMOVED = 1, /* on the drain list; its name is gone */
	/* has settings that were stored on purpose (POST /service, persistent instance) */
	SERVICE_EXPLICIT = 2,
	SERVICE_DURABLE = 4, /* room for the ledger */
	SERVICE_DISABLED = 8,
};

/* Key in the table: blob of namespace, a zero byte, group@@service. */
struct service {
	struct table_link link;
	uint64_t id;
	uint64_t stamp;    /* hybrid clock of the last change */
	uint64_t revision; /* anything a reader could see changed */
	uint64_t changed;  /* revision of the last change that pushes */
	uint64_t content; /* revision of the last change of the list or the settings (not a flip) */
	/* health clock: nothing in it can expire before; UINT64_MAX: nothing at all */
	uint64_t due_ms;
	/* lowest bound set since the walk in progress began: a long walk takes several holds */
	uint64_t due_new;
	uint64_t bytes; /* byte account: everything it owns */
	/* sum of the senders of its INSTANCE_OWNED instances: service_is_foreign() */
	uint64_t owners;
	uint32_t next, prev; /* shard list, rising id; or the drain list */
	uint32_t name;       /* blob */
	uint16_t ns_len, name_len;
	uint32_t metadata;  /* blob, 0: {} */
	uint32_t selector;  /* blob, 0: none */
	uint32_t threshold; /* float bits */
	uint32_t flags;
	uint32_t first_cluster;
	uint32_t clusters;
	uint32_t instances, ephemeral, healthy;
	uint32_t checksum; /* blob of struct stored_checksum, 0: nobody has read the list yet */
	uint32_t owned;    /* instances that are INSTANCE_OWNED */
	uint32_t pad;
	struct queue_link queue[QUEUE_CONSUMERS];
};

/* What the first reader of a content revision found (specification 7.4). */
struct stored_checksum {
	uint64_t content;
	uint8_t md5[16];
};

struct cluster {
	uint32_t next; /* of the service, in order of creation */
	uint32_t service;
	uint32_t name;              /* blob; 0: DEFAULT */
	uint32_t metadata;          /* blob, 0: {} */
	uint32_t first[2], last[2]; /* instances: [0] persistent, [1] ephemeral */
	uint32_t count[2];
	/* blob of struct stored_check and the checker's text; 0: TCP on the instance's port, check
	 * port 80 */
	uint32_t check;
};

struct stored_check {
	int32_t port;
	uint32_t use_instance_port;
	uint32_t has_text; /* 0: the checker is unset, TCP */
};

enum instance_flag {
	INSTANCE_EPHEMERAL = 1,
	INSTANCE_ENABLED = 2,
	INSTANCE_HEALTHY = 4,
	INSTANCE_MARKED = 8,
	INSTANCE_METADATA_NULL = 16, /* null map of specification 2.6, shown as null */
	INSTANCE_IP_BLOB = 32,       /* ip holds a blob reference, not text */
	INSTANCE_CONFIRMED = 64,     /* active check: three successes seen */
	/* app is DEFAULT, without a blob: what clients that say nothing get */
	INSTANCE_APP_DEFAULT = 128,
	INSTANCE_OWNED = 256, /* only its sender may change it (instances.owner) */
	                      /* bits 24..31: who wrote it (enum writer) */
};

/* Key in the table: hash of the service's name, ip, datum port (max(port, 0)), cluster name,
 * ephemeral. */
struct instance {
	struct table_link link;
	uint64_t beat; /* unlogged: beat word (health.h) */
	/* registry_sender() of its owner, else of the last beat, which stores it unlogged; 0:
	 * unknown */
	uint64_t sender;
	uint64_t id;
	uint64_t stamp;
	uint64_t revision;
	uint64_t weight; /* double bits */
	char ip[16]; /* text, zero padded; or a blob reference (32 bits) when INSTANCE_IP_BLOB */
	int32_t port;
	uint32_t flags;
	uint32_t service;
	uint32_t cluster;
	uint32_t next, prev; /* in the cluster's list of its kind */
	uint32_t metadata;   /* blob of msgpack, 0: {} */
	uint32_t app;        /* blob, 0: absent */
	uint32_t ident;      /* snowflake number + 1; 0: simple id */
	uint32_t overrides;  /* blob of struct overrides, 0: defaults */
};

/* Subscribers of one (namespace, group@@service). Key as for services. */
struct audience {
	struct table_link link;
	uint64_t id;
	uint32_t next, prev; /* shard list, rising id */
	uint32_t name;       /* blob */
	uint16_t ns_len, name_len;
	uint32_t first, last; /* subscribers */
	uint32_t count;
	uint32_t pad;
};

/* Key in the table: audience id, clusters text, address, agent text.
 * Removed by the pusher only; so the pusher may keep a reference beside the id. */
struct subscriber {
	struct table_link link;
	uint64_t seen_ms;        /* unlogged: health clock of the last poll or matching ACK */
	uint64_t sent_revision;  /* unlogged, pusher: service->changed when last sent */
	uint64_t acked_revision; /* unlogged, pusher */
	uint64_t sent_at_ms;     /* unlogged, pusher: CLOCK_MONOTONIC */
	uint64_t push_key;       /* unlogged, pusher: lastRefTime of the last datagram */
	uint64_t tries; /* unlogged, pusher: datagrams for push_key; see SUBSCRIBER_* bits */
	uint64_t id;
	uint32_t next, prev;
	uint32_t audience;
	uint32_t agent;        /* blob, the text as sent */
	uint32_t clusters;     /* blob, 0: "" */
	uint32_t app;          /* blob, 0: "" */
	uint32_t address_text; /* blob: clientIP as claimed */
	uint16_t port;
	uint8_t agent_kind;     /* enum agent_kind */
	uint8_t flags;          /* enum subscriber_flag */
	uint8_t address[16];    /* IPv6, or IPv4 mapped; all zero: not resolvable */
	uint8_t source[16];     /* where the poll came from */
	uint32_t agent_version; /* major << 20 | minor << 10 | patch */
	uint32_t pad;
};

enum subscriber_flag {
	SUBSCRIBER_PUSH = 1,    /* destination policy allows datagrams */
	SUBSCRIBER_GROUPED = 2, /* Java >= 1.0: grouped names */
};

/* What the subscribers of a source take in a shard: a cell in each row, by different bits of the
 * hash of the source. The smaller sum over all shards is the number. It is never too low, and too
 * high only for a source that shares both cells with others. */
#define SOURCE_ROWS 2U
#define SOURCE_COLUMNS 256U

struct source_cell { /* one word of the log */
	uint32_t subscribers;
	/* SEGMENT_UNIT: themselves, their texts, and their audience, which each may be the last one
	 * to keep */
	uint32_t units;
};

/* Stands at the root of each shard. The counts are of services that still have their name. */
struct registry_root {
	struct table services, instances, audiences, subscribers;
	struct queue_list queue[QUEUE_CONSUMERS];
	uint32_t first_service, last_service;
	uint32_t first_drain, last_drain;
	uint32_t first_audience, last_audience;
	uint64_t service_count, instance_count, ephemeral_count, healthy_count, subscriber_count,
	        waiting_count;
	uint64_t drain_count;     /* services being drained */
	uint64_t bytes;           /* sum of the services' accounts, draining ones included */
	uint64_t last_service_id; /* highest id in the list; read without the lock as a hint */
	/* registry_drop_stale(): begun at that attach, with that health clock */
	uint64_t stale_attach, stale_before_ms;
	uint64_t subscriber_bytes; /* audiences and subscribers, with their texts */
	struct source_cell sources[SOURCE_ROWS][SOURCE_COLUMNS];
};

/* What an overrides blob holds: struct overrides of registry.h in fixed width. */
struct stored_overrides {
	uint64_t interval_ms; /* UINT64_MAX: not named */
	uint64_t timeout_ms, delete_ms;
};

_Static_assert(sizeof(struct service) <= SLAB_BYTES_SERVICE, "a service fits its object");
_Static_assert(sizeof(struct cluster) <= SLAB_BYTES_CLUSTER, "a cluster fits its object");
_Static_assert(sizeof(struct instance) <= SLAB_BYTES_INSTANCE, "an instance fits its object");
_Static_assert(sizeof(struct audience) <= SLAB_BYTES_AUDIENCE, "an audience fits its object");
_Static_assert(sizeof(struct subscriber) <= SLAB_BYTES_SUBSCRIBER, "a subscriber fits its object");
_Static_assert(sizeof(struct registry_root) <= SHARD_ROOT_BYTES, "the root fits its place");

#endif
