/* SPDX-License-Identifier: Apache-2.0 */
/* PUT and DELETE /instance/metadata/batch (specification 4.9). */
#include "shared/codec/java.h"
#include "shared/codec/json_read.h"
#include "shared/codec/json_write.h"
#include "shared/registry/layout.h"
#include "shared/view/metadata.h"
#include "worker/handlers.h"
#include "worker/instance_guard.h"
#include "worker/worker.h"

#define DEPTH_MAX 16U
#define KEYS_MAX 100000U
#define ATTEMPTS 8U /* while others change the same instance */

struct batch {
	struct request *rq;
	bool remove;
	struct service_key service;
	struct str change; /* packed */
	struct instance_key *targets;
	size_t count, cap;
	struct arena scratch;    /* one instance's merged metadata */
	struct service_view one; /* memory of registry_get() */
	struct buf updated;
	int err;
};

static struct instance_key *add_target(struct batch *batch)
{
	if (batch->count == batch->cap) {
		size_t cap = batch->cap == 0 ? 16 : batch->cap * 2;
		struct instance_key *grown = arena_alloc(&batch->rq->arena, cap * sizeof(*grown));

		if (grown == NULL)
			return NULL;
		if (batch->count > 0)
			memcpy(grown, batch->targets, batch->count * sizeof(*grown));
		batch->targets = grown;
		batch->cap = cap;
	}
	batch->targets[batch->count] = (struct instance_key){ .cluster = DEFAULT_CLUSTER, .ip = STR(""), .ephemeral = true };
	return &batch->targets[batch->count++];
}

/* ---- the instances parameter ------------------------------------------------------ */

static const char *read_port(const struct json_item *item, int32_t *port)
{
	if (item->kind != JSON_NUMBER && item->kind != JSON_STRING)
		return "the port is not a number";
	return java_parse_int(str_trim(item->text), port) == 0 ? NULL : "the port is not a number";
}

static const char *read_ephemeral(const struct json_item *item, bool *ephemeral)
{
	*ephemeral = item->kind == JSON_TRUE || (item->kind == JSON_STRING && java_strict_bool(str_trim(item->text)));
	return item->kind == JSON_OBJECT || item->kind == JSON_ARRAY ? "ephemeral is not a boolean" : NULL;
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

static const char *on_item(void *arg, const struct json_item *item)
{
	struct batch *batch = arg;

	if (item->depth == 0)
		return item->kind == JSON_ARRAY ? NULL : "not an array";
	if (item->depth == 1) {
		if (item->kind != JSON_OBJECT)
			return "not an object";
		return add_target(batch) != NULL ? NULL : "out of memory";
	}
	return item->depth == 2 ? read_member(item, &batch->targets[batch->count - 1]) : NULL;
}

/* A text that does not parse names nobody. */
static void read_instances(struct batch *batch)
{
	struct json_limits limits = { .depth = DEPTH_MAX, .keys = KEYS_MAX };
	struct str text = request_optional(batch->rq, "instances", (struct str){ NULL, 0 });

	if (text.n > 0 && json_read(&batch->rq->arena, text, limits, on_item, batch, NULL, 0) < 0)
		batch->count = 0;
}

/* ---- one instance ----------------------------------------------------------------- */

static int change_packed(struct batch *batch, struct str old, struct instance_metadata *metadata)
{
	*metadata = (struct instance_metadata){ .null = false };
	return batch->remove ? metadata_without(&batch->scratch, old, batch->change, metadata)
	                     : metadata_merge(&batch->scratch, old, batch->change, metadata);
}

static void put_updated(struct batch *batch, struct str ip, int32_t port, struct str cluster, bool ephemeral)
{
	struct buf *b = &batch->updated;
	struct buf key;

	buf_init(&key);
	handler_put_datum_key(&key, ip, port, cluster);
	if (buf_failed(&key))
		batch->err = ERR_NOMEM;
	if (b->len > 0)
		buf_char(b, ',');
	buf_char(b, '"');
	json_escape(b, buf_view(&key));
	buf_printf(b, ":%s\"", ephemeral ? "ephemeral" : "persist");
	buf_free(&key);
}

static int set_metadata(struct batch *batch, const struct instance_key *key, const struct instance_view *instance)
{
	struct instance_metadata metadata;
	int ret;

	arena_reset(&batch->scratch);
	if ((ret = change_packed(batch, instance->metadata, &metadata)) < 0)
		return ret;
	guard_timings(batch->rq, &metadata);
	return registry_set_metadata(&batch->rq->worker->registry, guard_origin(batch->rq, CAUSE_CLIENT), &batch->service, key,
	                             instance->id, instance->revision, &metadata);
}

/* Reads, merges and writes back until nobody came in between. Unknown instances are left out. */
static void change_one(struct batch *batch, const struct instance_key *key)
{
	bool cluster_known;
	int ret = ERR_AGAIN;

	for (unsigned i = 0; i < ATTEMPTS && ret == ERR_AGAIN; i++) {
		ret = registry_get(&batch->rq->worker->registry, &batch->service, key, key->ephemeral, &batch->one,
		                   &cluster_known);
		if (ret == 0)
			ret = set_metadata(batch, key, &batch->one.instances[0]);
	}
	if (ret == 0)
		put_updated(batch, key->ip, key->port, key->cluster, key->ephemeral);
	else if (ret != ERR_NOT_FOUND && ret != ERR_NO_INSTANCE)
		batch->err = ret;
}

/* ---- all of them -------------------------------------------------------------------- */

/* The persistent ones first. */
static void change_named(struct batch *batch)
{
	read_instances(batch);
	for (int ephemeral = 0; ephemeral <= 1; ephemeral++) {
		for (size_t i = 0; i < batch->count && batch->err == 0; i++) {
			if (batch->targets[i].ephemeral == ephemeral)
				change_one(batch, &batch->targets[i]);
		}
	}
}

static void change_kind(struct batch *batch, bool ephemeral)
{
	struct service_view *view = batch->rq->view;
	int ret = registry_view(&batch->rq->worker->registry, &batch->service, view);

	if (ret < 0)
		batch->err = ret;
	else if (!view->stamp.found)
		return;
	for (uint32_t i = 0; i < view->instance_count && batch->err == 0; i++) {
		const struct instance_view *instance = &view->instances[i];
		struct instance_key key = { view->clusters[instance->cluster].name, instance->ip, instance->port, ephemeral };

		if (((instance->flags & INSTANCE_EPHEMERAL) != 0) != ephemeral)
			continue;
		ret = set_metadata(batch, &key, instance);
		if (ret == 0)
			put_updated(batch, key.ip, key.port, key.cluster, ephemeral);
		else if (ret == ERR_AGAIN)
			change_one(batch, &key);
		else if (ret != ERR_NO_INSTANCE && ret != ERR_NOT_FOUND)
			batch->err = ret;
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

static void answer(struct batch *batch)
{
	if (batch->err == 0 && buf_failed(&batch->updated))
		batch->err = ERR_NOMEM;
	if (batch->err < 0)
		reply_registry_error(batch->rq, batch->err, batch->service.name, STR(""));
	else
		reply_json(batch->rq, STR("{\"updated\":["), buf_view(&batch->updated), STR("]}"));
}

bool handler_parse_metadata(struct request *rq, struct str text, struct instance_metadata *metadata_r)
{
	int ret = metadata_parse(&rq->arena, text, metadata_r);

	if (ret == ERR_SYNTAX)
		reply_caused(rq, 500, "metadata format incorrect:%.*s", (int)text.n, text.p);
	else if (ret < 0)
		reply_registry_error(rq, ret, STR(""), STR(""));
	else
		guard_timings(rq, metadata_r);
	return ret == 0;
}

static bool read_batch(struct batch *batch)
{
	struct request *rq = batch->rq;
	struct instance_metadata metadata;
	struct str text;

	if (!handler_required_service(rq, &batch->service) || !request_required(rq, "metadata", &text))
		return false;
	if (!handler_parse_metadata(rq, text, &metadata))
		return false;
	batch->change = metadata.packed;
	return true;
}

static void run(struct request *rq, bool remove)
{
	struct batch batch = { .rq = rq, .remove = remove };

	if (!read_batch(&batch))
		return;
	arena_init(&batch.scratch, 0);
	service_view_init(&batch.one);
	buf_init(&batch.updated);
	change_all(&batch);
	answer(&batch);
	buf_free(&batch.updated);
	service_view_free(&batch.one);
	arena_free(&batch.scratch);
}

void handle_metadata_update(struct request *rq)
{
	run(rq, false);
}

void handle_metadata_delete(struct request *rq)
{
	run(rq, true);
}
