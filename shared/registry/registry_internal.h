/* SPDX-License-Identifier: Apache-2.0 */
/* registry_internal.h - what the sources of shared/registry share; nobody else includes it.
 *
 * struct op is one hold of a shard by one operation. The pattern of a write:
 *
 *     texts and limits are checked          outside the lock
 *     op_run(reg, place.shard, origin, fn, arg)
 *         op_begin        lock_take
 *         fn(op, arg)     finds, changes through undo_*, service_mark(), op_note()
 *         op_commit       undo_commit, queue_announce, events
 *         op_end          lock_drop, queue_wake
 *
 * On ERR_FULL op_run() rolls back, drops the lock, backs more pages and tries once more.
 *
 * Functions that take (struct op *, uint32_t off, struct x *) get the reference and what it
 * points to. Those that find return the reference, 0 for none, and the pointer. A bad
 * reference is ERR_CORRUPT in op->tx.err: the operation fails and is rolled back.
 *
 * Undo entries at most (UNDO_ENTRIES is 256): enum op_entries below, which the tests compare
 * with what they measure. */
#ifndef REGISTRY_INTERNAL_H
#define REGISTRY_INTERNAL_H

#include "shared/base/assert.h"
#include "shared/base/name.h"
#include "shared/registry/layout.h"
#include "shared/registry/registry.h"
#include "shared/shm/undo.h"

#define OP_PAGES 64U /* backed before an operation that may allocate */
#define OP_NOTES 3U  /* events of one transaction */
/* words logged, after which a hold of many transactions ends: some 100 removals, or 10 long
 * texts */
#define OP_WORK 4096U
/* any other text: one chunk with what stands before it, so that a view is enough */
#define TEXT_MAX_BYTES 4064U
#define CONSUMERS_IN_USE 1U /* of QUEUE_CONSUMERS */
#define DEFAULT_APP STR("DEFAULT")
/* A time stored by another process may be a tick ahead of what is read here; one far ahead would
 * never expire. */
#define AHEAD_MS 60000U

/* The most undo entries of one transaction. A long blob adds OP_ENTRIES_CHUNK for each 4,088 bytes
 * of it; a split of a table's bucket is left out when it does not fit. */
enum op_entries {
	OP_ENTRIES_REGISTER = 100,
	OP_ENTRIES_REPLACE = 32,
	OP_ENTRIES_DEREGISTER = 40,
	OP_ENTRIES_BEAT = 16,
	OP_ENTRIES_REMOVE_SERVICE = 32,
	OP_ENTRIES_DRAIN = 40,
	OP_ENTRIES_EXPIRE = 40,
	OP_ENTRIES_SUBSCRIBE = 80,
	OP_ENTRIES_UNSUBSCRIBE = 48,
	OP_ENTRIES_TAKE = 12,
	OP_ENTRIES_SETTINGS = 48,
	OP_ENTRIES_SWITCHES = 72, /* every word and three texts */
	OP_ENTRIES_NAMESPACE = 48,
	OP_ENTRIES_CHUNK = 4,
};

struct note {
	struct ring_event event;
	uint32_t name; /* blob of the service's name */
	bool removed;  /* also into the ring of removed instances */
};

struct op {
	struct registry *reg;
	struct registry_root *root;
	struct tx tx;
	struct origin origin;
	uint64_t now_ms;   /* health clock; set by op_run() and by callers that need it */
	uint32_t announce; /* bit a consumer: queued since the last commit */
	uint32_t wake;     /* bit a consumer: announced in this hold */
	uint32_t notes;
	struct note note[OP_NOTES];
};

typedef int op_fn(struct op *op, void *arg);

int op_begin(struct op *op, struct registry *reg, uint32_t shard, struct origin origin) MUST_CHECK;
int op_commit(struct op *op) MUST_CHECK;
void op_end(struct op *op);
/* Commits what fn did if ret and the transaction are good, else rolls back; then op_end(). */
int op_finish(struct op *op, int ret) MUST_CHECK;
int op_run(struct registry *reg, uint32_t shard, struct origin origin, op_fn *fn,
           void *arg) MUST_CHECK;
/* Reads in one hold and returns what fn returns, or the error of the transaction. As long as fn
 * returns ERR_AGAIN it goes on in another hold. */
int op_read(struct registry *reg, uint32_t shard, op_fn *fn, void *arg) MUST_CHECK;
/* Backs pages before the lock is taken. A refusal only matters when none is left inside. */
void op_room(struct segment *seg);
/* Notes an event about an instance of the service, or about the service itself (i is NULL). */
void op_note(struct op *op, enum event_kind kind, const struct service *s,
             const struct instance *i);

/* Returns a stored count, but no more than the segment could hold: walks end even when the count
 * itself is damaged. */
static inline uint64_t op_most(const struct op *op, enum slab_kind kind, uint64_t count)
{
	uint64_t most = slab_most(op->reg->seg, kind);

	return count < most ? count : most;
}

/* Was the id made by some shard of this node, as far as its upper half says? Before a node had a
 * number it was 0. */
static inline bool id_is_ours(const struct segment *seg, uint64_t id)
{
	uint64_t node = id >> 56;

	return undo_id_shard(id) < SHARDS && (node == 0 || node == (seg->header->node & 0xff));
}

/* Has a hold of many small transactions done enough? */
static inline bool op_is_long(const struct op *op)
{
	return op->tx.work >= OP_WORK;
}

/* Doubly linked lists have a {next, prev} pair inside the objects and {first, last} at the
 * owner. */
struct chain {
	uint32_t *first, *last;
	enum slab_kind kind;
	uint32_t link; /* distance of next from the object's start; prev follows */
};
/* A neighbour or an end that does not know the object is ERR_CORRUPT: damage must not spread. */
void chain_append(struct op *op, struct chain chain, uint32_t off);
void chain_remove(struct op *op, struct chain chain, uint32_t off);
/* `new` is a copy of `old`, which it takes the place of. */
void chain_replace(struct op *op, struct chain chain, uint32_t old, uint32_t new);
void root_add(struct op *op, uint64_t *counter, int64_t delta);

/* A chain whose ids rise, and how to know that an object with the right id is still in it. */
struct seek_list {
	struct chain chain;
	uint32_t id; /* distance of the id from the object's start */
	bool (*listed)(const void *object, uint32_t owner); /* NULL: whoever has the id is */
	uint32_t owner;
};
#define SEEK_STEPS 1024U
/* Finds the first object behind cursor->id (0: none). Returns false when it needs another hold, to
 * go on with the cursor as it is. */
bool seek_after(struct op *op, const struct seek_list *list, struct registry_cursor *cursor,
                uint32_t *off_r);

/* Sets a blob field: unset text is 0, an equal text stays. Returns bytes won or lost. */
int64_t field_set(struct op *op, uint32_t *field, struct str text);

/* ---- key.c ----------------------------------------------------------------------------------- */

struct place {
	uint32_t shard, hash;
};

struct place key_place(const struct registry *reg, const struct service_key *key);
uint64_t key_name_hash(const struct service_key *key);
/* The hash is made from that of the service's name, not from the service's id, so that both can be
 * looked up at once. */
uint32_t key_instance_hash(const struct registry *reg, uint32_t service_hash,
                           const struct instance_key *key);
uint32_t key_subscriber_hash(const struct registry *reg, uint64_t audience_id,
                             const struct subscriber_spec *sub);
bool key_service_name_valid(struct str name);
bool key_cluster_name_valid(struct str name);
static inline int32_t key_datum_port(int32_t port)
{
	return port > 0 ? port : 0;
}
/* Sets reg->refused and returns ERR_LIMIT. */
int key_refuse(struct registry *reg, enum registry_limit which, uint64_t limit) MUST_CHECK;
/* Does the same for one text that is too large by itself. */
int key_refuse_size(struct registry *reg, enum registry_limit which, uint64_t limit) MUST_CHECK;
int key_check_service(struct registry *reg, const struct service_key *key) MUST_CHECK;
int key_check_text(struct registry *reg, struct str text) MUST_CHECK;
int key_check_metadata(struct registry *reg, const struct instance_metadata *metadata) MUST_CHECK;
/* Writes "ns", a zero byte and "name" to out and returns the length; that of both was checked
 * before. */
uint32_t key_join(const struct service_key *key, char out[2 * NAME_MAX_BYTES + 1]);
bool key_is(const struct tx *tx, uint32_t name, uint32_t ns_len, uint32_t name_len,
            const struct service_key *key);
void key_copy(const struct tx *tx, uint32_t name, uint32_t ns_len, uint32_t name_len,
              struct name_copy *copy_r);

/* Gives the key behind a name blob, as views that are good under the lock only. Returns false when
 * the blob is none. */
bool key_of(const struct tx *tx, uint32_t name, uint32_t ns_len, uint32_t name_len,
            struct service_key *key_r);

/* ---- service.c ------------------------------------------------------------------------------- */

struct service *service_at(struct op *op, uint32_t off);
uint32_t service_find(struct op *op, const struct service_key *key, uint32_t hash,
                      struct service **s_r);
uint32_t service_create(struct op *op, const struct service_key *key, struct place place,
                        struct service **s_r);
/* Returns the service behind a hint, or NULL when it is gone. */
struct service *service_hinted(struct op *op, struct keeper_entry entry);
/* May the origin not change it, because somebody else owns an instance of it? Of n owned instances
 * all belong to x when their senders add up to n times x. Half of a sender is a hash with a secret,
 * so other senders do not add up to that but by a chance that guessing a sender has too. */
bool service_is_foreign(const struct op *op, const struct service *s);
/* Gives the service a new revision, which it returns. What pushes or changes the list says
 * `change`. */
uint64_t service_mark(struct op *op, uint32_t off, struct service *s, uint32_t change);
/* Adds to the bytes of the service. Beyond limits.service_bytes: ERR_LIMIT in op->tx.err. */
void service_account(struct op *op, struct service *s, int64_t delta);
void service_lower_due(struct op *op, struct service *s, uint64_t due_ms);
/* Unlinks the name: the service is gone at once and drained later. */
void service_remove(struct op *op, uint32_t off, struct service *s);
/* Takes the last step of a drain, when no cluster is left. */
void service_free(struct op *op, uint32_t off, struct service *s);
/* Calls seek_after() for the shard's list of services. */
bool service_seek(struct op *op, struct registry_cursor *cursor, uint32_t *off_r);

/* ---- cluster.c ------------------------------------------------------------------------------- */

struct cluster *cluster_at(struct op *op, uint32_t off);
uint32_t cluster_find(struct op *op, const struct service *s, struct str name,
                      struct cluster **c_r);
uint32_t cluster_create(struct op *op, uint32_t soff, struct service *s, struct str name,
                        struct cluster **c_r);
struct str cluster_name(const struct tx *tx, const struct cluster *c);
/* Frees the first cluster of a draining service, which has no instance left. */
void cluster_free_first(struct op *op, struct service *s, struct cluster *c);
int64_t cluster_bytes(const struct tx *tx, const struct cluster *c);
/* How persistent instances of a cluster are checked. Most clusters never have any: the defaults
 * take no room. */
struct check_settings {
	int32_t port;
	bool use_instance_port;
	struct str checker; /* text as stored, unset: TCP; a view into the segment when read */
};
void cluster_check(const struct tx *tx, const struct cluster *c, struct check_settings *check_r);
#define CHECK_TEXT_MAX (sizeof(struct stored_check) + TEXT_MAX_BYTES)
/* Returns the settings as they are stored, in bytes; unset for the defaults. */
struct str cluster_check_text(const struct check_settings *check, char bytes[CHECK_TEXT_MAX]);
void cluster_set_check(struct op *op, struct service *s, struct cluster *c,
                       const struct check_settings *check);

/* Walks through the instances of a service cluster by cluster, persistent before ephemeral, and
 * never without an end. */
enum walk_kind { WALK_PERSISTENT = 1, WALK_EPHEMERAL = 2, WALK_ALL = 3 };
struct walk {
	uint32_t off; /* of the instance; 0: end */
	struct instance *i;
	uint32_t cluster; /* reference of its cluster */
	uint32_t cluster_index;
	uint32_t kinds; /* enum walk_kind */
	uint64_t left;  /* steps before the walk is called broken */
};
void walk_first(struct op *op, const struct service *s, enum walk_kind kinds, struct walk *w);
void walk_next(struct op *op, struct walk *w);
/* Goes on at an instance of this service (cluster_index is not kept). */
void walk_at(struct op *op, const struct service *s, enum walk_kind kinds, uint32_t off,
             struct walk *w);

/* ---- instance.c ------------------------------------------------------------------------------ */

struct instance *instance_at(struct op *op, uint32_t off);
struct str instance_ip(const struct tx *tx, const struct instance *i);
/* Finds the instance with the same datum key. */
uint32_t instance_find(struct op *op, uint32_t soff, const struct service *s,
                       const struct instance_key *key, struct instance **i_r);
/* Finds the instance with the same datum key and the very port: negative ports share a datum
 * key. */
uint32_t instance_find_exact(struct op *op, uint32_t soff, const struct service *s,
                             const struct instance_key *key, struct instance **i_r);
/* Makes an instance. ERR_AGAIN: idents_read() (lookup.h) has to look first. */
struct idents;
int instance_create(struct op *op, uint32_t soff, struct service *s,
                    const struct instance_spec *spec, struct idents *idents) MUST_CHECK;
/* Replaces the fields of an instance; returns true when one differs from before. */
bool instance_replace(struct op *op, struct service *s, struct instance *i,
                      const struct instance_spec *spec);
void instance_set_app(struct op *op, struct service *s, struct instance *i, struct str app);
void instance_set_metadata(struct op *op, struct service *s, struct instance *i,
                           const struct instance_metadata *m);
void instance_stamp(struct op *op, struct instance *i, uint64_t revision);
void instance_touch(struct op *op, struct instance *i);
/* Stores that a beat of the origin's sender came. */
void instance_heard(struct op *op, struct instance *i);
/* May the origin not change it? */
bool instance_is_foreign(const struct op *op, const struct instance *i);
double instance_weight_clamp(double weight);
struct stored_overrides instance_timing(const struct tx *tx, const struct instance *i);
/* Returns the time of the health clock before which it cannot expire; UINT64_MAX: never. */
uint64_t instance_due(const struct tx *tx, const struct instance *i);
int64_t instance_bytes(const struct tx *tx, const struct instance *i);

/* Every instance disappears through this, whatever the cause (op->origin). It marks the service
 * changed unless that is being drained. */
void registry_remove(struct op *op, uint32_t soff, struct service *s, uint32_t ioff,
                     struct instance *i);
/* Every change of health goes through this. It does nothing when the health is the same already. */
void registry_flip(struct op *op, uint32_t soff, struct service *s, struct instance *i,
                   bool healthy);

/* ---- subscriber.c ---------------------------------------------------------------------------- */

struct audience *audience_at(struct op *op, uint32_t off);
struct subscriber *subscriber_at(struct op *op, uint32_t off);
uint32_t audience_find(struct op *op, const struct service_key *key, uint32_t hash,
                       struct audience **a_r);
/* Is there an audience of this name? For the count of waiting ones. */
bool audience_exists(struct op *op, const struct service_key *key, uint32_t hash);
/* Calls seek_after() for the shard's list of audiences. */
bool audience_seek(struct op *op, struct registry_cursor *cursor, uint32_t *off_r);
uint32_t subscriber_find(struct op *op, uint32_t aoff, const struct audience *a,
                         const struct subscriber_spec *spec, struct subscriber **sub_r);
/* Return the bytes of segment that an object takes with its texts. */
uint64_t audience_bytes(const struct tx *tx, const struct audience *a);
uint64_t subscriber_bytes(const struct tx *tx, const struct subscriber *sub);

/* ---- subscriber_source.c --------------------------------------------------------------------- */

struct source_use {
	uint64_t subscribers, bytes;
};

/* Counts for its source a subscriber that comes (1) or goes (-1), with the bytes it takes;
 * logged. */
void source_count(struct op *op, const uint8_t source[16], int change, uint64_t bytes);
/* Returns the subscribers of a source on the node, as far as sources can be told apart. */
struct source_use source_subscribers(const struct registry *reg, const uint8_t source[16]);
void source_columns(const struct registry *reg, const uint8_t source[16],
                    uint32_t columns_r[SOURCE_ROWS]);

/* ---- read.c, view.c -------------------------------------------------------------------------- */

void service_stamp_of(const struct op *op, const struct service *s, struct service_stamp *stamp_r);
/* Returns false when no checksum is known for this content. */
bool service_checksum(struct op *op, const struct service *s, uint8_t md5[16]);

#endif
