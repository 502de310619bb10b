/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/view/instance_json.h"

#include "shared/base/assert.h"
#include "shared/codec/java.h"
#include "shared/codec/json_write.h"
#include "shared/registry/layout.h"
#include "shared/view/list.h"
#include "shared/view/metadata.h"

/* Returns a time that the metadata may name. What is not a number, or has a sign, does not
 * count. */
static int64_t time_of(const struct instance_view *instance, struct str key, int64_t fallback)
{
	struct str text = metadata_get(instance->metadata, key);
	int64_t value;

	if (text.n == 0 || text.p[0] < '0' || text.p[0] > '9' || java_parse_long(text, &value) < 0)
		return fallback;
	return value;
}

/* The field is absent when there is metadata without the key: an oddity that clients may see. */
static void put_generator(struct buf *b, const struct instance_view *instance)
{
	struct str generator =
	        metadata_get(instance->metadata, STR("preserved.instance.id.generator"));

	if (instance->metadata.n == 0)
		generator = STR("simple");
	if (str_is_set(generator))
		JSON_PUT_STRING(b, "instanceIdGenerator", generator);
}

static void put_beat(struct buf *b, const struct instance_view *instance,
                     struct instance_json_clock now)
{
	uint64_t age = now.health_ms > instance->beat_ms ? now.health_ms - instance->beat_ms : 0;

	/* The age is by the health clock, which stands still with the server; the answer is wall
	 * time. */
	JSON_PUT_U64(b, "lastBeat", age < now.wall_ms ? now.wall_ms - age : 0);
}

static void put_metadata(struct buf *b, const struct instance_view *instance)
{
	if (instance->flags & INSTANCE_METADATA_NULL)
		return;
	JSON_KEY(b, "metadata");
	metadata_json(b, instance->metadata);
}

void instance_json(struct buf *b, const struct service_view *view,
                   const struct instance_view *instance, struct instance_json_clock now)
{
	ROSTER_ASSERT(instance->cluster < view->cluster_count);
	BUF_LIT(b, "{\"instanceId\":\"");
	list_instance_id(b, view, instance);
	buf_char(b, '"');
	JSON_PUT_STRING(b, "ip", instance->ip);
	JSON_PUT_I64(b, "port", instance->port);
	JSON_PUT_DOUBLE(b, "weight", instance->weight);
	JSON_PUT_BOOL(b, "healthy", instance->flags & INSTANCE_HEALTHY);
	JSON_PUT_BOOL(b, "enabled", instance->flags & INSTANCE_ENABLED);
	JSON_PUT_BOOL(b, "ephemeral", instance->flags & INSTANCE_EPHEMERAL);
	JSON_PUT_STRING(b, "clusterName", view->clusters[instance->cluster].name);
	JSON_PUT_STRING(b, "serviceName", view->name);
	put_metadata(b, instance);
	put_beat(b, instance, now);
	JSON_PUT_BOOL(b, "marked", instance->flags & INSTANCE_MARKED);
	if (str_is_set(instance->app))
		JSON_PUT_STRING(b, "app", instance->app);
	JSON_PUT_I64(b, "instanceHeartBeatInterval",
	             time_of(instance, STR("preserved.heart.beat.interval"), BEAT_INTERVAL_MS));
	put_generator(b, instance);
	JSON_PUT_I64(b, "instanceHeartBeatTimeOut",
	             time_of(instance, STR("preserved.heart.beat.timeout"), BEAT_TIMEOUT_MS));
	JSON_PUT_I64(b, "ipDeleteTimeout",
	             time_of(instance, STR("preserved.ip.delete.timeout"), BEAT_DELETE_MS));
	buf_char(b, '}');
}
