/* SPDX-License-Identifier: Apache-2.0 */
/* registry.h - what clients do to services and instances, and what all users of the registry share.
 *
 * The registry is the only entrance for writes. The operations of the keeper, the pusher and the
 * audit are in registry_keeper.h, registry_pusher.h and registry_audit.h; subscribers.h says who
 * listens to a name, settings.h is about services and clusters, persistent.h about active checks.
 *
 * Each call takes one shard lock at most, holds it for a bounded time and has happened
 * wholly, and is visible to every process, when it returns 0; killed in the middle it
 * has not happened at all. A call that returns an error changed nothing (except that a
 * refused cluster name leaves the empty service, specification 2.3).
 *
 * Errors common to all: ERR_FULL (segment), ERR_LOCK, ERR_UNDO, ERR_CORRUPT,
 * ERR_LIMIT (reg->refused says which, until the next call), ERR_NOMEM, and ERR_OWNER of writes to
 * instances and services (origin.bound).
 *
 * Writers: every operation takes an origin (who, which node, why). Every disappearance of
 * an instance goes through registry_remove() inside, every change of health through
 * registry_flip(). A write marks the service changed for the consumers and wakes them
 * after the lock was dropped; it never knows who reads.
 *
 * Texts handed in are copied; texts in views belong to the view. */
#ifndef REGISTRY_REGISTRY_H
#define REGISTRY_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/err.h"
#include "shared/base/str.h"
#include "shared/shm/queue.h"
#include "shared/shm/ring.h"
#include "shared/shm/segment.h"

enum writer { WRITER_CLIENT, WRITER_PEER, WRITER_LEDGER, WRITER_IMPORT };

struct origin {
	uint8_t writer; /* enum writer */
	uint8_t node;   /* 0 = here */
	uint8_t cause;  /* enum cause (ring.h) */
	/* Ownership (instances.owner). bound: it may write instances of `sender` and of nobody, and
	 * services in which nobody else owns an instance; else ERR_OWNER. owns: what it registers
	 * anew belongs to `sender`. What somebody owns stays his, whoever registers it again or
	 * changes it. What nobody owns is taken over by a registration; by one of an operator (not
	 * bound) only if it was heard from his source last: who corrects an instance of others is
	 * not its owner. */
	bool bound, owns;
	uint64_t sender; /* registry_sender() of the client's address, 0: nobody's */
};

#define REGISTRY_CLUSTERS_MOST 4096U

/* Numbers of the configuration; 0 means no limit. They are read at each call, so that a reload may
 * change them in place. */
struct registry_limits {
	uint64_t instances;             /* limits.instances: on the node */
	uint64_t instances_per_service; /* limits.instances_per_service */
	uint64_t services;              /* limits.services */
	uint64_t subscribers;           /* limits.subscribers */
	uint64_t subscribers_per_service;
	uint64_t subscribers_per_source; /* limits.subscribers_per_source */
	uint64_t subscriber_bytes;       /* limits.subscriber_bytes: with their texts and names */
	uint64_t subscriber_bytes_per_source; /* limits.subscriber_bytes_per_source */
	uint64_t service_bytes;  /* limits.service_bytes: services with all they hold */
	uint64_t metadata_bytes; /* limits.metadata: packed, one object */
	/* limits.name: namespace, service, cluster, ip, app, agent, clusters text */
	uint64_t name_bytes;
	/* never more than REGISTRY_CLUSTERS_MOST: a cluster is looked for in a list */
	uint64_t clusters_per_service;
	uint64_t namespaces; /* limits.namespaces: rows of namespaces.h */
};

/* Which limit refused something. */
enum registry_limit {
	REGISTRY_LIMIT_NAME,
	REGISTRY_LIMIT_METADATA,
	REGISTRY_LIMIT_NAMESPACES,
	REGISTRY_LIMIT_SERVICES,
	REGISTRY_LIMIT_SERVICE_BYTES,
	REGISTRY_LIMIT_CLUSTERS_PER_SERVICE,
	REGISTRY_LIMIT_INSTANCES,
	REGISTRY_LIMIT_INSTANCES_PER_SERVICE,
	REGISTRY_LIMIT_SUBSCRIBERS,
	REGISTRY_LIMIT_SUBSCRIBERS_PER_SERVICE,
	REGISTRY_LIMIT_SUBSCRIBERS_PER_SOURCE,
	REGISTRY_LIMIT_SUBSCRIBER_BYTES,
	REGISTRY_LIMIT_SUBSCRIBER_BYTES_PER_SOURCE,
	REGISTRY_LIMITS
};

/* Returns the key of the configuration, as in "limits.name". */
const char *registry_limit_key(enum registry_limit which);

/* Written by the registry alone: a protocol answers limits of its own by itself. */
struct refusal {
	enum registry_limit which;
	uint64_t limit;
	/* what was asked for is too large, however much room there is: asking again is in vain */
	bool by_itself;
};

/* The handle of one process; embed it. */
struct registry {
	struct segment *seg;
	struct registry_limits limits;
	struct refusal refused;
	uint8_t node;
	uint64_t began_ms;     /* health clock at registry_init() */
	uint32_t most_entries; /* undo entries of the largest transaction so far: for the tests */
};

/* The place where a walk in pieces goes on: a hint of its caller, checked against the id. All zero:
 * it begins. */
struct registry_cursor {
	uint32_t shard, off;
	uint64_t id; /* the last one seen, 0: none */
	/* When that one is gone, the search for its successor comes from the end of the list and
	 * has come to here; 0: it begins. */
	uint32_t back_off;
	uint64_t back_id;
};

void registry_init(struct registry *reg, struct segment *seg);
/* For the master, once after segment_open() made a new segment: lays out roots and switches. */
int registry_format(struct segment *seg) MUST_CHECK;

/* Returns an address as origin.sender, never 0. The upper half is a hash of its source
 * (departures_key() of shared/shm/departures.h: an IPv4 address, or the /64 of an IPv6 address)
 * that means the same in every segment. The lower half is one of the whole address with the secret
 * of this segment, so that who is in one /64, or finds two addresses with one hash, still cannot
 * guess an owner. */
uint64_t registry_sender(const struct registry *reg, const uint8_t address[16]);

static inline uint32_t sender_source(uint64_t sender)
{
	return (uint32_t)(sender >> 32);
}

/* ---- keys and values ------------------------------------------------------------------------- */

struct service_key {
	struct str ns;   /* "public" is already put in */
	struct str name; /* group@@service */
};

struct name_copy {       /* room for a name outside the lock */
	char text[2064]; /* namespace, zero byte, group@@service; each at most NAME_MAX_BYTES */
	uint32_t ns_len, name_len;
};

static inline struct service_key name_copy_key(const struct name_copy *name)
{
	/* namespace, a zero byte, group@@service */
	return (struct service_key){ str_make(name->text, name->ns_len),
		                     str_make(name->text + name->ns_len + 1, name->name_len) };
}

struct keeper_entry {
	uint64_t id;
	uint32_t off; /* hint, checked against the id */
};

#define DEFAULT_CLUSTER STR("DEFAULT") /* of an instance whose client names none */

struct instance_key {
	struct str cluster;
	struct str ip;
	int32_t port;
	bool ephemeral;
};

/* Timings from reserved metadata keys (specification 2.6). `has` says that one of the keys is
 * there. */
struct overrides {
	bool has;
	bool has_interval;
	uint64_t interval_ms;
	uint64_t timeout_ms; /* 15000 unless overridden */
	uint64_t delete_ms;  /* 30000 unless overridden */
};

#define BEAT_INTERVAL_MS 5000U
#define BEAT_TIMEOUT_MS 15000U
#define BEAT_DELETE_MS 30000U

/* What shared/view/metadata.h has packed. */
struct instance_metadata {
	struct str packed; /* msgpack map; {NULL, 0}: empty map */
	bool null;         /* the null map of specification 2.6 */
	struct overrides overrides;
	bool snowflake; /* preserved.instance.id.generator */
};

#define INSTANCE_WEIGHT_MAX 10000.0

struct instance_spec {
	struct instance_key key;
	double weight; /* clamped here (2.4), checked by naming_register() and its like */
	bool enabled, healthy;
	struct str app; /* unset: absent */
	struct instance_metadata metadata;
};

struct instance_patch {
	bool set_metadata, set_app, set_weight, set_healthy, set_enabled;
	struct instance_metadata metadata;
	struct str app;
	double weight;
	bool healthy, enabled;
};

/* ---- writes: instances ----------------------------------------------------------------------- */

/* Creates service and cluster as needed; replaces an entry with the same datum key, of which id and
 * health stay, and whose beat is now. Always marks the service changed. ERR_SERVICE_NAME,
 * ERR_CLUSTER_NAME. A snowflake number in a service of many instances is looked for before, in
 * several holds, and others run in between (fiber_pause()): ERR_GONE. ERR_AGAIN: a thousand
 * registrations came in between, time and again. */
int registry_register(struct registry *reg, struct origin origin, const struct service_key *service,
                      const struct instance_spec *spec) MUST_CHECK;

/* For the PUT of Java >= 1.0. ERR_NOT_FOUND without the service, ERR_NO_INSTANCE without an equal
 * instance (ip, port, kind; port 0 of the new one matches any; the cluster is ignored,
 * specification 2.5). That one is looked for in several holds among many instances (port 0) or
 * clusters. Else it is as registry_register(). */
int registry_update(struct registry *reg, struct origin origin, const struct service_key *service,
                    const struct instance_spec *spec) MUST_CHECK;

/* Takes an instance away; 0 also when the service or the instance is unknown. Creates an unknown
 * cluster only if there is room; ERR_CLUSTER_NAME as specified. Marks the service changed when it
 * exists; for an unknown instance only if the origin may write the service. *taken_r: how many
 * instances it took away, 0 with an error too; NULL: nobody asks. */
int registry_deregister(struct registry *reg, struct origin origin,
                        const struct service_key *service, const struct instance_key *key,
                        uint32_t *taken_r) MUST_CHECK;

/* Changes fields of an instance, persistent before ephemeral, and stores a beat of now.
 * ERR_NO_INSTANCE (also without the service). */
int registry_patch(struct registry *reg, struct origin origin, const struct service_key *service,
                   const struct instance_key *key, const struct instance_patch *patch) MUST_CHECK;

/* Replaces the metadata of an instance if it is still the one with this id, and its revision still
 * `revision`. ERR_AGAIN when it changed meanwhile, ERR_NO_INSTANCE when it is gone. */
int registry_set_metadata(struct registry *reg, struct origin origin,
                          const struct service_key *service, const struct instance_key *key,
                          uint64_t id, uint64_t revision,
                          const struct instance_metadata *metadata) MUST_CHECK;

struct beat_result {
	bool has_interval; /* the instance's metadata names one */
	uint64_t interval_ms;
	bool revived; /* was unhealthy */
};

/* Looks for the instance of either kind, whatever key->ephemeral says, and touches the ephemeral
 * one by one stored word; health flips back (with a push) when it had been lost. ERR_NOT_FOUND:
 * there is no such instance or service. It allocates nothing. */
int registry_beat(struct registry *reg, struct origin origin, const struct service_key *service,
                  const struct instance_key *key, struct beat_result *result_r) MUST_CHECK;

/* Sets the health of an instance of either kind (PUT /health, checks). ERR_NO_INSTANCE. */
int registry_set_health(struct registry *reg, struct origin origin,
                        const struct service_key *service, const struct instance_key *key,
                        bool healthy) MUST_CHECK;

/* ---- writes: services ------------------------------------------------------------------------ */

/* Unlinks the name in one transaction (the service is gone at once) and leaves the instances to
 * registry_drain(). No push is made. Whether others own instances is one compare, however many
 * there are. taken_r is as in registry_deregister(). ERR_NOT_FOUND. */
int registry_remove_service(struct registry *reg, struct origin origin,
                            const struct service_key *service, uint32_t *taken_r) MUST_CHECK;

/* ---- reads ----------------------------------------------------------------------------------- */

/* What the reply to a list needs to know before it looks into its cache. */
struct service_stamp {
	bool found;
	bool disabled;
	uint64_t epoch; /* of the segment */
	uint64_t id;
	uint64_t revision; /* local order only; never shown */
	uint64_t bytes;    /* that it takes: rows and texts of all that belongs to it */
	uint32_t clusters, instances, healthy;
	float threshold;
	/* After registry_poll() with a subscriber: its last push was not sent, by
	 * REGISTRY_TRIES_OVERSIZE or _VIEWS. */
	bool unsent;
};

/* Stands in the tries of a delivery that was not sent because its client could not read it; nothing
 * is owed. */
#define REGISTRY_TRIES_OVERSIZE 256U
/* Stands there when it was not sent because too many different views of its service were asked for
 * (push.views, push.views_per_source). */
#define REGISTRY_TRIES_VIEWS 257U

struct subscriber_spec {
	struct str agent; /* text as sent */
	uint8_t agent_kind;
	uint32_t agent_version;
	bool grouped;
	bool push; /* destination policy (shared/net/destination.h) */
	struct str clusters, app, address_text;
	uint8_t address[16];
	uint8_t source[16];
	uint16_t port;
};

/* Reads the stamp of the service, and subscribes or renews when sub is not NULL, under one lock. A
 * subscriber that cannot be added (ERR_LIMIT, ERR_FULL) does not spoil the stamp: the code is
 * returned and *stamp_r is valid. */
int registry_poll(struct registry *reg, const struct service_key *service,
                  const struct subscriber_spec *sub, struct service_stamp *stamp_r) MUST_CHECK;

struct instance_view {
	uint64_t id;
	uint64_t revision;
	uint64_t beat_ms; /* health clock */
	struct str ip;
	int32_t port;
	uint32_t flags; /* enum instance_flag of layout.h */
	double weight;
	struct str metadata; /* msgpack map, unset: {} ; see INSTANCE_METADATA_NULL */
	struct str app;      /* unset: absent */
	int64_t ident;       /* snowflake number, -1: simple id */
	uint32_t cluster;    /* index into clusters */
};

struct cluster_view {
	struct str name;
	struct str metadata;
	struct str checker; /* unset: TCP */
	int32_t check_port;
	bool use_instance_port;
	uint64_t instances; /* of either kind, whether they were copied or not */
};

/* A copy of one service. Instances come cluster by cluster (order of creation), persistent before
 * ephemeral. Reused from call to call; owned by the caller, in a fiber by that work alone: between
 * two holds others run.
 *
 * Mostly all fields belong to one revision. A *loose* one is of a service that changed while it was
 * copied, again and again: each instance in it was there when the copy began and when it was
 * reached, none is there twice, and none is missing but those that went meanwhile. Its stamp,
 * `changed` and `content` are those of the begin, so who compares later sees that there is
 * something newer; and nothing made of it may be kept under a revision, where others would take it
 * for that revision's. */
struct service_view {
	struct service_stamp stamp;
	bool loose;
	struct str ns, name;
	uint64_t changed, content;
	bool has_checksum;
	uint8_t checksum[16];
	float threshold;
	struct str metadata, selector;
	struct cluster_view *clusters;
	uint32_t cluster_count;
	struct instance_view *instances;
	uint32_t instance_count;
	/* memory */
	char *text;
	uint32_t text_cap, text_len, cluster_cap, instance_cap;
};

void service_view_init(struct service_view *view);
void service_view_free(struct service_view *view);
/* Each of these copies in holds of at most 512 objects and about 128 KiB of text and lets others
 * run in between (fiber_pause(): ERR_GONE). They return 0 with view->stamp.found == false when the
 * service is unknown. The revision is compared in each hold; after two tries in vain the copy is
 * loose. A service that is removed during a loose copy is unknown. This one copies all. */
int registry_view(struct registry *reg, const struct service_key *service,
                  struct service_view *view) MUST_CHECK;
/* Copies what is set for the service and its clusters, and how many instances each has. */
int registry_settings(struct registry *reg, const struct service_key *service,
                      struct service_view *view) MUST_CHECK;
/* Copies the service, one cluster and its instances [from, to), as far as there are any. With
 * cluster_count 0 it has no such cluster. */
int registry_page(struct registry *reg, const struct service_key *service, struct str cluster,
                  uint64_t from, uint64_t to, struct service_view *view) MUST_CHECK;
/* Says which instances are healthy, in the order of registry_view(): bit n of healthy[n / 64]. This
 * takes a few holds, of one revision, and lets nobody run in between. ERR_AGAIN: the service is
 * another one or changes just now, its content is another revision, it has not `count` instances,
 * or these are more than REGISTRY_HEALTH_MOST. */
#define REGISTRY_HEALTH_MOST 4096U
int registry_health(struct registry *reg, const struct service_key *service, uint64_t id,
                    uint64_t content, uint32_t count, uint64_t *healthy,
                    struct service_stamp *stamp_r) MUST_CHECK;
/* The first reader of a content revision stores its MD5 for everybody (specification 7.4). */
int registry_store_checksum(struct registry *reg, const struct service_key *service, uint64_t id,
                            uint64_t content, const uint8_t checksum[16]) MUST_CHECK;
/* Does the same as a write on the service, for a client that asks for the checksum to be made
 * anew. */
int registry_renew_checksum(struct registry *reg, struct origin origin,
                            const struct service_key *service, uint64_t id, uint64_t content,
                            const uint8_t checksum[16]) MUST_CHECK;

/* Copies one instance, persistent before ephemeral unless only_kind >= 0 (0 persistent, 1
 * ephemeral). ERR_NOT_FOUND: there is no service. ERR_NO_INSTANCE: there is no instance, and
 * *cluster_known_r says which text to answer. The view's texts live in `view` (a service_view used
 * as memory). */
int registry_get(struct registry *reg, const struct service_key *service,
                 const struct instance_key *key, int only_kind, struct service_view *view,
                 bool *cluster_known_r) MUST_CHECK;

/* Tells all services of a namespace, or of all namespaces when ns is unset: unsorted, one shard at
 * a time, with their numbers of instances. fn(row, arg) is called outside every lock. The function
 * pauses between two holds (fiber.h), and fn may pause too: ERR_GONE. Returns 0 or a code. */
struct service_row {
	struct str ns, name;
	uint32_t instances; /* of any kind */
};
typedef void registry_service_fn(const struct service_row *row, void *arg);
int registry_services(struct registry *reg, struct str ns, registry_service_fn *fn,
                      void *arg) MUST_CHECK;

uint32_t registry_shard_of(const struct registry *reg, const struct service_key *service);

struct registry_stats {
	uint64_t services, instances, ephemeral, healthy, subscribers, waiting, draining;
	/* of services with all they hold; of subscribers and the names they wait for */
	uint64_t bytes, subscriber_bytes;
	uint64_t queued; /* services in the change lists of the pusher */
};
void registry_stats(struct registry *reg, struct registry_stats *stats_r);

#endif
