/* SPDX-License-Identifier: Apache-2.0 */
/* PUT and DELETE /instance/metadata/batch (specification 4.9). */
#include "shared/base/assert.h"
#include "shared/base/breath.h"
#include "shared/base/hash.h"
#include "shared/codec/java.h"
#include "shared/codec/json_read.h"
#include "shared/codec/json_write.h"
#include "shared/naming/instance.h"
#include "shared/registry/layout.h"
#include "shared/view/metadata.h"
#include "worker/v1/caller.h"
#include "worker/v1/handlers.h"
#include "worker/worker.h"

#define DEPTH_MAX 16U
#define KEYS_MAX UINT32_MAX /* the body is limited, and so is the arena */
#define ATTEMPTS 8U         /* while others change the same instance */
#define CHANGE_WEIGHT 2048U /* of a look into the registry */

enum fate { FATE_UNTRIED, FATE_CHANGED, FATE_UNKNOWN };

/* An instance that the request names, once or more often. */
struct target {
	struct instance_key key;
	enum fate fate;
};

struct batch {
	struct request *rq;
	bool remove;
	struct service_key service;
	struct str change;      /* packed */
	struct target *targets; /* no two for the same instance */
	uint32_t *named;        /* which ones, as the request names them */
	/* targets by hash: index plus one; a power of two, at least twice as many */
	uint32_t *slots;
	size_t count, cap, named_count, named_cap, slot_count;
	struct instance_key open; /* the one being read */
	bool is_open;
	struct breath breath;
	struct arena scratch;    /* one instance's merged metadata */
	struct service_view one; /* memory of registry_get() */
	struct buf updated;
	int err;
};

/* ---- targets --------------------------------------------------------------------------------- */

static uint64_t hash_of(const struct instance_key *key)
{
	uint64_t hash = hash_text(key->ip, ((uint64_t)(uint32_t)key->port << 1) + key->ephemeral);

	return hash_text(key->cluster, hash);
}

static bool is_same(const struct instance_key *a, const struct instance_key *b)
{
	return a->port == b->port && a->ephemeral == b->ephemeral && str_eq(a->ip, b->ip) &&
	       str_eq(a->cluster, b->cluster);
}

static uint32_t *slot_of_target(const struct batch *batch, const struct instance_key *key)
{
	size_t mask = batch->slot_count - 1, at = hash_of(key) & mask;

	ROSTER_ASSERT(batch->slot_count > batch->count);
	while (batch->slots[at] != 0 && !is_same(&batch->targets[batch->slots[at] - 1].key, key))
		at = (at + 1) & mask;
	return &batch->slots[at];
}

/* Returns a copy with room for twice as many, or NULL when there is no memory. */
static void *grown(struct batch *batch, const void *old, size_t *cap, size_t bytes)
{
	size_t more = *cap == 0 ? 16 : *cap * 2;
	void *rows = arena_alloc(&batch->rq->arena, more * bytes);

	if (rows != NULL && *cap > 0)
		memcpy(rows, old, *cap * bytes);
	if (rows != NULL)
		*cap = more;
	else
		batch->err = ERR_NOMEM;
	return rows;
}

/* Makes room for one more target: in the list, and in a table that is at most half full. */
static bool make_room_for_target(struct batch *batch)
{
	if (batch->count < batch->cap)
		return true;
	batch->targets = grown(batch, batch->targets, &batch->cap, sizeof(batch->targets[0]));
	batch->slot_count = batch->cap * 2;
	batch->slots = arena_alloc(&batch->rq->arena, batch->slot_count * sizeof(batch->slots[0]));
	if (batch->targets == NULL || batch->slots == NULL) {
		batch->err = ERR_NOMEM;
		return false;
	}
	ROSTER_ASSERT((batch->slot_count & (batch->slot_count - 1)) == 0);
	memset(batch->slots, 0, batch->slot_count * sizeof(batch->slots[0]));
	for (size_t i = 0; i < batch->count; i++) {
		uint32_t *slot = slot_of_target(batch, &batch->targets[i].key);

		ROSTER_ASSERT(*slot == 0); /* no two targets for the same instance */
		*slot = (uint32_t)i + 1;
		if (breathe(&batch->breath, sizeof(batch->targets[0])) < 0)
			batch->err = ERR_GONE;
	}
	return batch->err == 0;
}

static void name_target(struct batch *batch, uint32_t index)
{
	if (batch->named_count == batch->named_cap)
		batch->named =
		        grown(batch, batch->named, &batch->named_cap, sizeof(batch->named[0]));
	ROSTER_ASSERT(batch->named == NULL || batch->named_count < batch->named_cap);
	if (batch->named != NULL)
		batch->named[batch->named_count++] = index;
}

/* The one being read is whole: it is a new one, or was named before. Returns false when batch->err
 * is set. */
static bool close_target(struct batch *batch)
{
	uint32_t *slot;

	if (!batch->is_open)
		return batch->err == 0;
	batch->is_open = false;
	if (!make_room_for_target(batch))
		return false;
	ROSTER_ASSERT(batch->count < batch->cap && batch->slot_count >= batch->cap * 2);
	slot = slot_of_target(batch, &batch->open);
	if (*slot == 0) {
		batch->targets[batch->count] = (struct target){ .key = batch->open };
		*slot = (uint32_t)++batch->count;
	}
	name_target(batch, *slot - 1);
	if (batch->err == 0)
		batch->err = breathe(&batch->breath, sizeof(batch->targets[0]));
	return batch->err == 0;
}

static const char *open_target(struct batch *batch)
{
	if (!close_target(batch))
		return "out of memory";
	batch->open = (struct instance_key){ .cluster = DEFAULT_CLUSTER,
		                             .ip = STR(""),
		                             .ephemeral = true };
	batch->is_open = true;
	return NULL;
}

/* ---- the instances parameter ----------------------------------------------------------------- */

static const char *read_port(const struct json_item *item, int32_t *port)
{
	if (item->kind != JSON_NUMBER && item->kind != JSON_STRING)
		return "the port is not a number";
	return java_parse_int(str_trim(item->text), port) == 0 ? NULL : "the port is not a number";
}

static const char *read_ephemeral(const struct json_item *item, bool *ephemeral)
{
	*ephemeral = item->kind == JSON_TRUE ||
	             (item->kind == JSON_STRING && java_strict_bool(str_trim(item->text)));
	return item->kind == JSON_OBJECT || item->kind == JSON_ARRAY ? "ephemeral is not a boolean"
	                                                             : NULL;
}

static const char *read_text(const struct json_item *item, struct str *text)
{
	if (item->kind == JSON_OBJECT || item->kind == JSON_ARRAY)
		return "a text is not a scalar";
	if (item->kind != JSON_NULL)
		*text = item->text;
	return NULL;
}

static const char *read_member(const struct json_item *item, struct instance_key *key)
{
	if (str_eq(item->key, STR("ip")))
		return read_text(item, &key->ip);
	if (str_eq(item->key, STR("port")))
		return read_port(item, &key->port);
	if (str_eq(item->key, STR("clusterName")))
		return read_text(item, &key->cluster);
	if (str_eq(item->key, STR("ephemeral")))
		return read_ephemeral(item, &key->ephemeral);
	return NULL;
}

static const char *on_instance_item(void *arg, const struct json_item *item)
{
	struct batch *batch = arg;

	if (item->depth == 0)
		return item->kind == JSON_ARRAY ? NULL : "not an array";
	if (item->depth == 1) {
		if (item->kind != JSON_OBJECT)
			return "not an object";
		return open_target(batch);
	}
	return item->depth == 2 ? read_member(item, &batch->open) : NULL;
}

/* A text that does not parse names no instance, as in 1.4.8. */
static void read_instances(struct batch *batch)
{
	struct json_limits limits = { .depth = DEPTH_MAX, .keys = KEYS_MAX };
	struct str text = request_optional(batch->rq, "instances", (struct str){ NULL, 0 });
	int ret = text.n == 0 ? 0
	                      : json_read(&batch->rq->arena, text, limits, on_instance_item, batch,
	                                  NULL, 0);

	if (ret == 0)
		(void)close_target(batch);
	else if (ret == ERR_SYNTAX)
		batch->named_count = 0;
	else if (batch->err == 0)
		batch->err = ret;
}

/* ---- one instance ---------------------------------------------------------------------------- */

static int change_packed(struct batch *batch, struct str old, struct instance_metadata *metadata)
{
	*metadata = (struct instance_metadata){ .null = false };
	return batch->remove ? metadata_without(&batch->scratch, old, batch->change, metadata)
	                     : metadata_merge(&batch->scratch, old, batch->change, metadata);
}

static void put_updated(struct batch *batch, struct str ip, int32_t port, struct str cluster,
                        bool ephemeral)
{
	struct buf *b = &batch->updated;
	struct buf key;

	buf_init(&key);
	handler_put_datum_key(&key, ip, port, cluster);
	if (buf_failed(&key))
		batch->err = ERR_NOMEM;
	json_comma(b);
	buf_char(b, '"');
	json_escape(b, buf_view(&key));
	buf_printf(b, ":%s\"", ephemeral ? "ephemeral" : "persist");
	buf_free(&key);
}

static int set_metadata(struct batch *batch, const struct instance_key *key,
                        const struct instance_view *instance)
{
	const struct naming_caller caller = caller_of(batch->rq);
	struct instance_metadata metadata;
	int ret;

	arena_reset(&batch->scratch);
	if ((ret = change_packed(batch, instance->metadata, &metadata)) < 0)
		return ret;
	return naming_set_metadata(&batch->rq->worker->naming, &caller, &batch->service, key,
	                           instance->id, instance->revision, &metadata);
}

/* Lets others have their turn, and stops before the answer grows to what could not be sent. */
static void go_on_with_batch(struct batch *batch)
{
	if (batch->err == 0)
		batch->err =
		        handler_go_on(batch->rq, &batch->updated, &batch->breath, CHANGE_WEIGHT);
}

/* Reads, merges and writes back until nobody came in between. */
static enum fate change_one(struct batch *batch, const struct instance_key *key)
{
	bool cluster_known;
	int ret = ERR_AGAIN;

	for (unsigned i = 0; i < ATTEMPTS && ret == ERR_AGAIN; i++) {
		ret = registry_get(&batch->rq->worker->registry, &batch->service, key,
		                   key->ephemeral, &batch->one, &cluster_known);
		ROSTER_ASSERT(ret != 0 || batch->one.instance_count > 0);
		if (ret == 0)
			ret = set_metadata(batch, key, &batch->one.instances[0]);
	}
	if (ret < 0 && ret != ERR_NOT_FOUND && ret != ERR_NO_INSTANCE)
		batch->err = ret;
	return ret == 0 ? FATE_CHANGED : FATE_UNKNOWN;
}

/* ---- all of them ----------------------------------------------------------------------------- */

/* Each is changed once and shown as often as it is named, as in 1.4.8. Unknown ones are left
 * out. */
static void change_target(struct batch *batch, struct target *target)
{
	const struct instance_key *key = &target->key;

	if (target->fate == FATE_UNTRIED)
		target->fate = change_one(batch, key);
	if (target->fate == FATE_CHANGED)
		put_updated(batch, key->ip, key->port, key->cluster, key->ephemeral);
	go_on_with_batch(batch);
}

/* Changes the persistent ones first. */
static void change_named(struct batch *batch)
{
	read_instances(batch);
	for (int ephemeral = 0; ephemeral <= 1; ephemeral++) {
		for (size_t i = 0; i < batch->named_count && batch->err == 0; i++) {
			struct target *target = &batch->targets[batch->named[i]];

			ROSTER_ASSERT(batch->named[i] < batch->count);
			if (target->key.ephemeral == ephemeral)
				change_target(batch, target);
		}
	}
}

static void change_seen(struct batch *batch, const struct instance_view *instance,
                        const struct instance_key *key)
{
	int ret = set_metadata(batch, key, instance);

	if (ret == 0 || (ret == ERR_AGAIN && change_one(batch, key) == FATE_CHANGED))
		put_updated(batch, key->ip, key->port, key->cluster, key->ephemeral);
	else if (ret != ERR_AGAIN && ret != ERR_NO_INSTANCE && ret != ERR_NOT_FOUND)
		batch->err = ret;
	go_on_with_batch(batch);
}

static void change_kind(struct batch *batch, bool ephemeral)
{
	struct service_view *view = v1_request(batch->rq)->view;
	int ret = registry_view(&batch->rq->worker->registry, &batch->service, view);

	if (ret < 0)
		batch->err = ret;
	else if (!view->stamp.found)
		return;
	for (uint32_t i = 0; i < view->instance_count && batch->err == 0; i++) {
		const struct instance_view *instance = &view->instances[i];
		struct instance_key key = { view->clusters[instance->cluster].name, instance->ip,
			                    instance->port, ephemeral };

		if (((instance->flags & INSTANCE_EPHEMERAL) != 0) == ephemeral)
			change_seen(batch, instance, &key);
		else
			go_on_with_batch(batch);
	}
}

static void change_all(struct batch *batch)
{
	struct str kind = request_optional(batch->rq, "consistencyType", STR(""));

	if (handler_name_refusal(batch->service.name) != NULL)
		return;
	if (kind.n == 0)
		change_named(batch);
	else if (str_eq(kind, STR("ephemeral")))
		change_kind(batch, true);
	else if (str_eq(kind, STR("persist")))
		change_kind(batch, false);
}

static void answer_batch(struct batch *batch)
{
	if (batch->err < 0)
		reply_registry_error(batch->rq, batch->err, batch->service.name, STR(""));
	else
		reply_json_buf(batch->rq, STR("{\"updated\":["), &batch->updated, STR("]}"));
}

static bool read_batch(struct batch *batch)
{
	struct request *rq = batch->rq;
	struct instance_metadata metadata;
	struct str text;

	if (!handler_required_service(rq, &batch->service) ||
	    !request_required(rq, "metadata", &text))
		return false;
	if (!handler_parse_metadata(rq, text, &metadata))
		return false;
	batch->change = metadata.packed;
	return true;
}

static void run_batch(struct request *rq, bool remove)
{
	struct batch batch = { .rq = rq, .remove = remove };

	if (!read_batch(&batch))
		return;
	arena_init(&batch.scratch, 0);
	service_view_init(&batch.one);
	buf_init(&batch.updated);
	change_all(&batch);
	answer_batch(&batch);
	buf_free(&batch.updated);
	service_view_free(&batch.one);
	arena_free(&batch.scratch);
}

void handle_metadata_update(struct request *rq)
{
	run_batch(rq, false);
}

void handle_metadata_delete(struct request *rq)
{
	run_batch(rq, true);
}
