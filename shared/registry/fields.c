/* SPDX-License-Identifier: Apache-2.0 */
/* fields.c - the rows of fields.h, and the texts of an object by its rows. */
#include "shared/registry/fields.h"

#include "shared/registry/registry_internal.h"
#include "shared/shm/blob.h"

/* AT gives place and size of a member. UNSAVED fills the columns of a row that has no key, and so
 * is never saved. */
#define AT(object, member) offsetof(struct object, member), sizeof(((struct object *)0)->member)
#define NOWHERE 0, 0
#define ALL UINT64_MAX
#define NONE 0
#define UNSAVED 0, 0, 0
#define BLOB_MOST BLOB_MAX_BYTES
#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
/* In the lower half of an id another number that was given out, and still rises, is as good. */
#define ID_BITS 0xffffffff00000000ULL
#define FLAG_BITS (INSTANCE_EPHEMERAL | INSTANCE_HEALTHY | INSTANCE_IP_BLOB | INSTANCE_OWNED)

/* ---- the rows -------------------------------------------------------------------------------- */

/* Some fields are noticed in some states only: tests/fault/corrupt_map.c takes the others out. */

/* clang-format off */
static const struct field_row service_rows[] = {
	/* name, type, place, noticed, shown, since, most, usual */
	[SAVED_SERVICE_NS] = { "service namespace", FIELD_TEXT, NOWHERE, NONE, 1, 2, NAME_MAX_BYTES, 0 },
	[SAVED_SERVICE_NAME] = { "service full name", FIELD_TEXT, NOWHERE, NONE, 1, 2, NAME_MAX_BYTES, 0 },
	[SAVED_SERVICE_ID] = { "service id", FIELD_U64, AT(service, id), ID_BITS, 0, 2, 0, 0 },
	[SAVED_SERVICE_STAMP] = { "service stamp", FIELD_U64, AT(service, stamp), NONE, 1, 2, STAMP_MAX, 0 },
	[SAVED_SERVICE_REVISION] = { "service revision", FIELD_U64, AT(service, revision), NONE, 0, 2, COUNTER_MAX, 0 },
	[SAVED_SERVICE_CHANGED] = { "service changed", FIELD_U64, AT(service, changed), NONE, 0, 2, COUNTER_MAX, 0 },
	[SAVED_SERVICE_CONTENT] = { "service content", FIELD_U64, AT(service, content), NONE, 0, 2, COUNTER_MAX, 0 },
	[SAVED_SERVICE_CHECKSUM_CONTENT] = { "checksum content", FIELD_U64, NOWHERE, NONE, 0, 2, COUNTER_MAX, 0 },
	[SAVED_SERVICE_CHECKSUM_0] = { "checksum, first half", FIELD_U64, NOWHERE, NONE, 1, 2, 0, 0 },
	[SAVED_SERVICE_CHECKSUM_1] = { "checksum, second half", FIELD_U64, NOWHERE, NONE, 1, 2, 0, 0 },
	[SAVED_SERVICE_METADATA] = { "service metadata", FIELD_PACKED, AT(service, metadata), ALL, 1, 2, BLOB_MOST, 0 },
	[SAVED_SERVICE_SELECTOR] = { "service selector", FIELD_BLOB, AT(service, selector), ALL, 1, 2, TEXT_MAX_BYTES, 0 },
	[SAVED_SERVICE_THRESHOLD] = { "service threshold", FIELD_U32, AT(service, threshold), NONE, 1, 2, 0, 0 },
	[SAVED_SERVICE_FLAGS] = { "service flags", FIELD_U32, AT(service, flags), NONE, 0, 2, 0, 0 },
	[SAVED_SERVICE_PENDING_0] = { "pending of consumer 0", FIELD_U64, NOWHERE, NONE, 0, 2, UINT32_MAX, 0 },
	[SAVED_SERVICE_AGE_0] = { "age of consumer 0", FIELD_U64, NOWHERE, NONE, 0, 2, 0, 0 },
	[SAVED_SERVICE_PENDING_1] = { "pending of consumer 1", FIELD_U64, NOWHERE, NONE, 0, 2, UINT32_MAX, 0 },
	[SAVED_SERVICE_AGE_1] = { "age of consumer 1", FIELD_U64, NOWHERE, NONE, 0, 2, 0, 0 },

	{ "service name", FIELD_BLOB, AT(service, name), ALL, 0, UNSAVED },
	{ "checksum", FIELD_BLOB, AT(service, checksum), ALL, 0, UNSAVED },
	{ "service link", FIELD_INSIDE, AT(service, link), ALL, 0, UNSAVED },
	{ "service due", FIELD_INSIDE, AT(service, due_ms), NONE, 0, UNSAVED },
	{ "service new due", FIELD_INSIDE, AT(service, due_new), NONE, 0, UNSAVED },
	{ "service bytes", FIELD_INSIDE, AT(service, bytes), ALL, 0, UNSAVED },
	{ "service owners", FIELD_INSIDE, AT(service, owners), ALL, 0, UNSAVED },
	{ "service next", FIELD_INSIDE, AT(service, next), ALL, 0, UNSAVED },
	{ "service prev", FIELD_INSIDE, AT(service, prev), ALL, 0, UNSAVED },
	{ "namespace length", FIELD_INSIDE, AT(service, ns_len), ALL, 0, UNSAVED },
	{ "name length", FIELD_INSIDE, AT(service, name_len), ALL, 0, UNSAVED },
	{ "first cluster", FIELD_INSIDE, AT(service, first_cluster), ALL, 0, UNSAVED },
	{ "number of clusters", FIELD_INSIDE, AT(service, clusters), ALL, 0, UNSAVED },
	{ "number of instances", FIELD_INSIDE, AT(service, instances), ALL, 0, UNSAVED },
	{ "number of ephemerals", FIELD_INSIDE, AT(service, ephemeral), ALL, 0, UNSAVED },
	{ "number of healthy ones", FIELD_INSIDE, AT(service, healthy), ALL, 0, UNSAVED },
	{ "number of owned ones", FIELD_INSIDE, AT(service, owned), ALL, 0, UNSAVED },
	{ "service pad", FIELD_INSIDE, AT(service, pad), NONE, 0, UNSAVED },
	{ "service queue", FIELD_INSIDE, AT(service, queue), NONE, 0, UNSAVED },
};

static const struct field_row cluster_rows[] = {
	/* name, type, place, noticed, shown, since, most, usual */
	[SAVED_CLUSTER_NAME] = { "cluster name", FIELD_BLOB, AT(cluster, name), ALL, 1, 2, TEXT_MAX_BYTES, 0 },
	[SAVED_CLUSTER_METADATA] = { "cluster metadata", FIELD_PACKED, AT(cluster, metadata), ALL, 1, 2, BLOB_MOST, 0 },
	[SAVED_CLUSTER_CHECKER] = { "checker of a cluster", FIELD_TEXT, NOWHERE, NONE, 1, 2, TEXT_MAX_BYTES, 0 },
	[SAVED_CLUSTER_PORT] = { "check port", FIELD_I32, NOWHERE, NONE, 1, 2, 0, 0 },
	[SAVED_CLUSTER_OWN_PORT] = { "check port is its own", FIELD_U32, NOWHERE, NONE, 1, 2, 0, 0 },

	{ "cluster checker", FIELD_BLOB, AT(cluster, check), ALL, 0, UNSAVED },
	{ "cluster next", FIELD_INSIDE, AT(cluster, next), ALL, 0, UNSAVED },
	{ "cluster service", FIELD_INSIDE, AT(cluster, service), ALL, 0, UNSAVED },
	{ "first instances", FIELD_INSIDE, AT(cluster, first), ALL, 0, UNSAVED },
	{ "last instances", FIELD_INSIDE, AT(cluster, last), ALL, 0, UNSAVED },
	{ "numbers of instances", FIELD_INSIDE, AT(cluster, count), ALL, 0, UNSAVED },
};

static const struct field_row instance_rows[] = {
	/* name, type, place, noticed, shown, since, most, usual */
	[SAVED_INSTANCE_IP] = { "address of an instance", FIELD_TEXT, NOWHERE, NONE, 1, 2, TEXT_MAX_BYTES, 0 },
	[SAVED_INSTANCE_PORT] = { "instance port", FIELD_I32, AT(instance, port), ALL, 1, 2, 0, 0 },
	[SAVED_INSTANCE_FLAGS] = { "instance flags", FIELD_U32, AT(instance, flags), FLAG_BITS, 1, 2, 0, 0 },
	[SAVED_INSTANCE_ID] = { "instance id", FIELD_U64, AT(instance, id), NONE, 0, 2, 0, 0 },
	[SAVED_INSTANCE_BEAT] = { "instance beat", FIELD_U64, AT(instance, beat), NONE, 1, 2, 0, 0 },
	[SAVED_INSTANCE_STAMP] = { "instance stamp", FIELD_U64, AT(instance, stamp), NONE, 0, 2, STAMP_MAX, 0 },
	[SAVED_INSTANCE_REVISION] = { "instance revision", FIELD_U64, AT(instance, revision), NONE, 0, 2, COUNTER_MAX, 0 },
	[SAVED_INSTANCE_WEIGHT] = { "instance weight", FIELD_U64, AT(instance, weight), NONE, 1, 2, 0, FIELD_WEIGHT },
	[SAVED_INSTANCE_METADATA] = { "instance metadata", FIELD_PACKED, AT(instance, metadata), ALL, 1, 2, BLOB_MOST, 0 },
	[SAVED_INSTANCE_APP] = { "instance app", FIELD_BLOB, AT(instance, app), ALL, 1, 2, TEXT_MAX_BYTES, 0 },
	[SAVED_INSTANCE_IDENT] = { "instance ident", FIELD_U32, AT(instance, ident), NONE, 1, 2, 0, 0 },
	[SAVED_INSTANCE_INTERVAL] = { "interval of beats", FIELD_U64, NOWHERE, NONE, 1, 2, 0, UINT64_MAX },
	[SAVED_INSTANCE_TIMEOUT] = { "beat timeout", FIELD_U64, NOWHERE, NONE, 1, 2, 0, UINT64_MAX },
	[SAVED_INSTANCE_DELETE] = { "delete timeout", FIELD_U64, NOWHERE, NONE, 1, 2, 0, BEAT_DELETE_MS },
	[SAVED_INSTANCE_SOURCE] = { "instance source", FIELD_U32, NOWHERE, NONE, 0, 4, 0, 0 },

	{ "instance overrides", FIELD_BLOB, AT(instance, overrides), ALL, 0, UNSAVED },
	{ "instance ip", FIELD_INSIDE, AT(instance, ip), ALL, 0, UNSAVED },
	{ "instance sender", FIELD_INSIDE, AT(instance, sender), ALL, 0, UNSAVED },
	{ "instance link", FIELD_INSIDE, AT(instance, link), ALL, 0, UNSAVED },
	{ "instance service", FIELD_INSIDE, AT(instance, service), ALL, 0, UNSAVED },
	{ "instance cluster", FIELD_INSIDE, AT(instance, cluster), ALL, 0, UNSAVED },
	{ "instance next", FIELD_INSIDE, AT(instance, next), ALL, 0, UNSAVED },
	{ "instance prev", FIELD_INSIDE, AT(instance, prev), ALL, 0, UNSAVED },
};

static const struct field_row audience_rows[] = {
	/* name, type, place, noticed, shown, since, most, usual */
	[SAVED_AUDIENCE_NS] = { "audience namespace", FIELD_TEXT, NOWHERE, NONE, 1, 2, NAME_MAX_BYTES, 0 },
	[SAVED_AUDIENCE_NAME] = { "audience full name", FIELD_TEXT, NOWHERE, NONE, 1, 2, NAME_MAX_BYTES, 0 },
	[SAVED_AUDIENCE_ID] = { "audience id", FIELD_U64, AT(audience, id), ALL, 0, 2, 0, 0 },

	{ "audience name", FIELD_BLOB, AT(audience, name), ALL, 0, UNSAVED },
	{ "audience link", FIELD_INSIDE, AT(audience, link), ALL, 0, UNSAVED },
	{ "audience next", FIELD_INSIDE, AT(audience, next), ALL, 0, UNSAVED },
	{ "audience prev", FIELD_INSIDE, AT(audience, prev), ALL, 0, UNSAVED },
	{ "namespace length", FIELD_INSIDE, AT(audience, ns_len), ALL, 0, UNSAVED },
	{ "name length", FIELD_INSIDE, AT(audience, name_len), ALL, 0, UNSAVED },
	{ "first subscriber", FIELD_INSIDE, AT(audience, first), ALL, 0, UNSAVED },
	{ "last subscriber", FIELD_INSIDE, AT(audience, last), ALL, 0, UNSAVED },
	{ "number of subscribers", FIELD_INSIDE, AT(audience, count), ALL, 0, UNSAVED },
	{ "audience pad", FIELD_INSIDE, AT(audience, pad), NONE, 0, UNSAVED },
};

static const struct field_row subscriber_rows[] = {
	/* name, type, place, noticed, shown, since, most, usual */
	[SAVED_SUBSCRIBER_ID] = { "subscriber id", FIELD_U64, AT(subscriber, id), NONE, 0, 2, 0, 0 },
	[SAVED_SUBSCRIBER_SEEN] = { "seen", FIELD_U64, AT(subscriber, seen_ms), NONE, 0, 2, 0, 0 },
	[SAVED_SUBSCRIBER_SENT] = { "sent", FIELD_U64, AT(subscriber, sent_revision), NONE, 0, 2, COUNTER_MAX, 0 },
	[SAVED_SUBSCRIBER_ACKED] = { "acked", FIELD_U64, AT(subscriber, acked_revision), NONE, 0, 2, COUNTER_MAX, 0 },
	[SAVED_SUBSCRIBER_SENT_AGE] = { "age of the push", FIELD_U64, NOWHERE, NONE, 0, 2, 0, 0 },
	[SAVED_SUBSCRIBER_PUSH_KEY] = { "push key", FIELD_U64, AT(subscriber, push_key), NONE, 0, 2, STAMP_MAX, 0 },
	[SAVED_SUBSCRIBER_TRIES] = { "tries", FIELD_U64, AT(subscriber, tries), NONE, 0, 2, 0, 0 },
	[SAVED_SUBSCRIBER_AGENT] = { "agent", FIELD_FILLED, AT(subscriber, agent), ALL, 1, 2, TEXT_MAX_BYTES, 0 },
	[SAVED_SUBSCRIBER_CLUSTERS] = { "clusters", FIELD_FILLED, AT(subscriber, clusters), ALL, 1, 2, TEXT_MAX_BYTES, 0 },
	[SAVED_SUBSCRIBER_APP] = { "app", FIELD_FILLED, AT(subscriber, app), ALL, 1, 2, TEXT_MAX_BYTES, 0 },
	[SAVED_SUBSCRIBER_TEXT] = { "address", FIELD_FILLED, AT(subscriber, address_text), ALL, 1, 2, TEXT_MAX_BYTES, 0 },
	[SAVED_SUBSCRIBER_PORT] = { "subscriber port", FIELD_U16, AT(subscriber, port), ALL, 1, 2, 0, 0 },
	[SAVED_SUBSCRIBER_KIND] = { "agent kind", FIELD_U8, AT(subscriber, agent_kind), NONE, 0, 2, 0, 0 },
	[SAVED_SUBSCRIBER_FLAGS] = { "subscriber flags", FIELD_U8, AT(subscriber, flags), NONE, 0, 2, 0, 0 },
	[SAVED_SUBSCRIBER_ADDRESS] = { "push address", FIELD_ADDRESS, AT(subscriber, address), ALL, 0, 2, 0, 0 },
	[SAVED_SUBSCRIBER_SOURCE] = { "subscriber source", FIELD_ADDRESS, AT(subscriber, source), NONE, 0, 2, 0, 0 },
	[SAVED_SUBSCRIBER_VERSION] = { "agent version", FIELD_U32, AT(subscriber, agent_version), NONE, 0, 2, 0, 0 },

	{ "subscriber link", FIELD_INSIDE, AT(subscriber, link), ALL, 0, UNSAVED },
	{ "time of the push", FIELD_INSIDE, AT(subscriber, sent_at_ms), NONE, 0, UNSAVED },
	{ "subscriber next", FIELD_INSIDE, AT(subscriber, next), ALL, 0, UNSAVED },
	{ "subscriber prev", FIELD_INSIDE, AT(subscriber, prev), ALL, 0, UNSAVED },
	{ "audience", FIELD_INSIDE, AT(subscriber, audience), ALL, 0, UNSAVED },
	{ "subscriber pad", FIELD_INSIDE, AT(subscriber, pad), NONE, 0, UNSAVED },
};
/* clang-format on */

const struct fields service_fields = { service_rows, SAVED_SERVICE_KEYS, COUNT(service_rows) };
const struct fields cluster_fields = { cluster_rows, SAVED_CLUSTER_KEYS, COUNT(cluster_rows) };
const struct fields instance_fields = { instance_rows, SAVED_INSTANCE_KEYS, COUNT(instance_rows) };
const struct fields audience_fields = { audience_rows, SAVED_AUDIENCE_KEYS, COUNT(audience_rows) };
const struct fields subscriber_fields = { subscriber_rows, SAVED_SUBSCRIBER_KEYS,
	                                  COUNT(subscriber_rows) };

/* ---- texts of an object ---------------------------------------------------------------------- */

int64_t fields_bytes(const struct tx *tx, const struct fields *fields, const void *object)
{
	int64_t sum = 0;

	for (uint32_t n = 0; n < fields->count; n++) {
		if (field_is_blob(&fields->rows[n]))
			sum += blob_bytes(tx, (uint32_t)field_number(&fields->rows[n], object));
	}
	return sum;
}

void fields_free(struct tx *tx, const struct fields *fields, const void *object)
{
	for (uint32_t n = 0; n < fields->count; n++) {
		if (field_is_blob(&fields->rows[n]))
			blob_free(tx, (uint32_t)field_number(&fields->rows[n], object));
	}
}
