/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/view/instance_json.h"

#include "shared/base/assert.h"
#include "shared/codec/java.h"
#include "shared/codec/json_write.h"
#include "shared/registry/layout.h"
#include "shared/view/list.h"
#include "shared/view/metadata.h"

static void put_text(struct buf *b, const char *name, struct str value)
{
	buf_printf(b, ",\"%s\":", name);
	json_string(b, value);
}

static void put_flag(struct buf *b, const char *name, uint32_t set)
{
	buf_printf(b, ",\"%s\":%s", name, set != 0 ? "true" : "false");
}

/* Writes a time that the metadata may name. What is not a number, or has a sign, does not count. */
static void put_time(struct buf *b, const char *name, const struct instance_view *instance,
                     struct str key, int64_t fallback)
{
	struct str text = metadata_get(instance->metadata, key);
	int64_t value;

	if (text.n == 0 || text.p[0] < '0' || text.p[0] > '9' || java_parse_long(text, &value) < 0)
		value = fallback;
	buf_printf(b, ",\"%s\":", name);
	buf_i64(b, value);
}

/* The field is absent when there is metadata without the key: an oddity that clients may see. */
static void put_generator(struct buf *b, const struct instance_view *instance)
{
	struct str generator =
	        metadata_get(instance->metadata, STR("preserved.instance.id.generator"));

	if (instance->metadata.n == 0)
		generator = STR("simple");
	if (str_is_set(generator))
		put_text(b, "instanceIdGenerator", generator);
}

static void put_beat(struct buf *b, const struct instance_view *instance,
                     struct instance_json_clock now)
{
	uint64_t age = now.health_ms > instance->beat_ms ? now.health_ms - instance->beat_ms : 0;

	/* The age is by the health clock, which stands still with the server; the answer is wall
	 * time. */
	BUF_LIT(b, ",\"lastBeat\":");
	buf_u64(b, age < now.wall_ms ? now.wall_ms - age : 0);
}

static void put_metadata(struct buf *b, const struct instance_view *instance)
{
	if (instance->flags & INSTANCE_METADATA_NULL)
		return;
	BUF_LIT(b, ",\"metadata\":");
	metadata_json(b, instance->metadata);
}

void instance_json(struct buf *b, const struct service_view *view,
                   const struct instance_view *instance, struct instance_json_clock now)
{
	ROSTER_ASSERT(instance->cluster < view->cluster_count);
	BUF_LIT(b, "{\"instanceId\":\"");
	list_instance_id(b, view, instance);
	buf_char(b, '"');
	put_text(b, "ip", instance->ip);
	BUF_LIT(b, ",\"port\":");
	buf_i64(b, instance->port);
	BUF_LIT(b, ",\"weight\":");
	json_double(b, instance->weight);
	put_flag(b, "healthy", instance->flags & INSTANCE_HEALTHY);
	put_flag(b, "enabled", instance->flags & INSTANCE_ENABLED);
	put_flag(b, "ephemeral", instance->flags & INSTANCE_EPHEMERAL);
	put_text(b, "clusterName", view->clusters[instance->cluster].name);
	put_text(b, "serviceName", view->name);
	put_metadata(b, instance);
	put_beat(b, instance, now);
	put_flag(b, "marked", instance->flags & INSTANCE_MARKED);
	if (str_is_set(instance->app))
		put_text(b, "app", instance->app);
	put_time(b, "instanceHeartBeatInterval", instance, STR("preserved.heart.beat.interval"),
	         BEAT_INTERVAL_MS);
	put_generator(b, instance);
	put_time(b, "instanceHeartBeatTimeOut", instance, STR("preserved.heart.beat.timeout"),
	         BEAT_TIMEOUT_MS);
	put_time(b, "ipDeleteTimeout", instance, STR("preserved.ip.delete.timeout"),
	         BEAT_DELETE_MS);
	buf_char(b, '}');
}
