/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/registry/snapshot_value.h"

#include <string.h>

#include "shared/registry/registry_internal.h"
#include "shared/shm/blob.h"

static uint64_t age(const struct field_context *context, uint64_t mono_ms)
{
	return context->mono_ms > mono_ms ? context->mono_ms - mono_ms : 0;
}

static bool make_service_name(const struct field_context *context, unsigned key, const void *object,
                              union field_value *value_r)
{
	const struct service *s = object;
	struct service_key name;

	if (!key_of(context->tx, s->name, s->ns_len, s->name_len, &name))
		return false;
	value_r->text = key == SAVED_SERVICE_NS ? name.ns : name.name;
	return true;
}

static bool make_audience_name(const struct field_context *context, unsigned key,
                               const void *object, union field_value *value_r)
{
	const struct audience *a = object;
	struct service_key name;

	if (!key_of(context->tx, a->name, a->ns_len, a->name_len, &name))
		return false;
	value_r->text = key == SAVED_AUDIENCE_NS ? name.ns : name.name;
	return true;
}

/* The 16 bytes of the MD5 are saved as two numbers. */
static bool make_checksum(const struct field_context *context, unsigned key, const void *object,
                          union field_value *value_r)
{
	const struct service *s = object;
	struct stored_checksum stored;
	uint64_t words[2];

	ROSTER_ASSERT(key >= SAVED_SERVICE_CHECKSUM_CONTENT && key <= SAVED_SERVICE_CHECKSUM_1);
	if (s->checksum == 0 ||
	    blob_copy(context->tx, s->checksum, (char *)&stored, sizeof(stored)) != sizeof(stored))
		return false;
	memcpy(words, stored.md5, sizeof(words));
	value_r->number = key == SAVED_SERVICE_CHECKSUM_CONTENT
	                          ? stored.content
	                          : words[key - SAVED_SERVICE_CHECKSUM_0];
	return true;
}

static bool make_queued(const struct field_context *context, unsigned key, const void *object,
                        union field_value *value_r)
{
	const struct service *s = object;
	/* Each consumer has two keys: what is pending, and for how long. */
	unsigned n = (unsigned)(key - SAVED_SERVICE_PENDING_0);
	const struct queue_link *link = &s->queue[n / 2];

	ROSTER_ASSERT(key >= SAVED_SERVICE_PENDING_0 && n / 2 < QUEUE_CONSUMERS);
	if (queue_link_pending(link) == 0)
		return false;
	value_r->number =
	        n % 2 == 0 ? queue_link_pending(link) : age(context, queue_link_changed_ms(link));
	return true;
}

static bool make_check(const struct field_context *context, unsigned key, const void *object,
                       union field_value *value_r)
{
	struct check_settings check;

	ROSTER_ASSERT(key >= SAVED_CLUSTER_CHECKER && key <= SAVED_CLUSTER_OWN_PORT);
	/* For a cluster without a text of its own these are the defaults. */
	cluster_check(context->tx, object, &check);
	if (key == SAVED_CLUSTER_CHECKER)
		value_r->text = check.checker;
	else if (key == SAVED_CLUSTER_PORT)
		value_r->number = (uint64_t)(int64_t)check.port;
	else
		value_r->number = !check.use_instance_port;
	return true;
}

/* Whether the address stands in the object or in a blob, it is saved as a text. */
static bool make_ip(const struct field_context *context, unsigned key, const void *object,
                    union field_value *value_r)
{
	(void)key;
	value_r->text = instance_ip(context->tx, object);
	return true;
}

static bool make_flags(const struct field_context *context, unsigned key, const void *object,
                       union field_value *value_r)
{
	const struct instance *i = object;

	(void)context;
	(void)key;
	/* The two flags that are left out say how this segment stores a text. A load decides that
	 * anew. */
	value_r->number = i->flags & ~(uint32_t)(INSTANCE_IP_BLOB | INSTANCE_APP_DEFAULT);
	return true;
}

static bool make_app(const struct field_context *context, unsigned key, const void *object,
                     union field_value *value_r)
{
	const struct instance *i = object;

	(void)context;
	(void)key;
	/* The usual name is a flag here, and a text in the snapshot. */
	value_r->text = DEFAULT_APP;
	return (i->flags & INSTANCE_APP_DEFAULT) != 0;
}

static bool make_timing(const struct field_context *context, unsigned key, const void *object,
                        union field_value *value_r)
{
	const struct instance *i = object;
	struct stored_overrides timing;

	ROSTER_ASSERT(key >= SAVED_INSTANCE_INTERVAL && key <= SAVED_INSTANCE_DELETE);
	if (i->overrides == 0)
		return false;
	/* The three numbers stand in one blob. */
	timing = instance_timing(context->tx, i);
	if (key == SAVED_INSTANCE_INTERVAL)
		value_r->number = timing.interval_ms;
	else
		value_r->number =
		        key == SAVED_INSTANCE_TIMEOUT ? timing.timeout_ms : timing.delete_ms;
	return true;
}

/* The lower half of a sender is known by the secret seed, which is not saved. */
static bool make_source(const struct field_context *context, unsigned key, const void *object,
                        union field_value *value_r)
{
	const struct instance *i = object;

	(void)context;
	(void)key;
	value_r->number = sender_source(__atomic_load_n(&i->sender, __ATOMIC_RELAXED));
	return true;
}

static bool make_sent_age(const struct field_context *context, unsigned key, const void *object,
                          union field_value *value_r)
{
	const struct subscriber *sub = object;

	(void)key;
	/* One is added, because 0 would be left out as the usual number. */
	value_r->number = age(context, sub->sent_at_ms) + 1;
	return sub->sent_at_ms != 0;
}

/* ---- which are made -------------------------------------------------------------------------- */

const struct saved_kind saved_services = {
	.fields = &service_fields,
	.make = {
		[SAVED_SERVICE_NS] = make_service_name,
		[SAVED_SERVICE_NAME] = make_service_name,
		[SAVED_SERVICE_CHECKSUM_CONTENT] = make_checksum,
		[SAVED_SERVICE_CHECKSUM_0] = make_checksum,
		[SAVED_SERVICE_CHECKSUM_1] = make_checksum,
		[SAVED_SERVICE_PENDING_0] = make_queued,
		[SAVED_SERVICE_AGE_0] = make_queued,
		[SAVED_SERVICE_PENDING_1] = make_queued,
		[SAVED_SERVICE_AGE_1] = make_queued,
	},
};

const struct saved_kind saved_clusters = {
	.fields = &cluster_fields,
	.make = {
		[SAVED_CLUSTER_CHECKER] = make_check,
		[SAVED_CLUSTER_PORT] = make_check,
		[SAVED_CLUSTER_OWN_PORT] = make_check,
	},
};

const struct saved_kind saved_instances = {
	.fields = &instance_fields,
	.make = {
		[SAVED_INSTANCE_IP] = make_ip,
		[SAVED_INSTANCE_FLAGS] = make_flags,
		[SAVED_INSTANCE_APP] = make_app,
		[SAVED_INSTANCE_INTERVAL] = make_timing,
		[SAVED_INSTANCE_TIMEOUT] = make_timing,
		[SAVED_INSTANCE_DELETE] = make_timing,
		[SAVED_INSTANCE_SOURCE] = make_source,
	},
};

const struct saved_kind saved_audiences = {
	.fields = &audience_fields,
	.make = {
		[SAVED_AUDIENCE_NS] = make_audience_name,
		[SAVED_AUDIENCE_NAME] = make_audience_name,
	},
};

const struct saved_kind saved_subscribers = {
	.fields = &subscriber_fields,
	.make = {
		[SAVED_SUBSCRIBER_SENT_AGE] = make_sent_age,
	},
};
