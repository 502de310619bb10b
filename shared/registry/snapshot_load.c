/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/registry/snapshot.h"

#include <stdio.h>

#include "shared/base/clock.h"
#include "shared/registry/namespaces.h"
#include "shared/registry/snapshot_fill.h"
#include "shared/registry/snapshot_internal.h"
#include "shared/registry/switches.h"
#include "shared/shm/blob.h"
#include "shared/shm/fault.h"
#include "shared/shm/health.h"
#include "shared/shm/shard.h"

#define STAMP_MAX ((1ULL << 53) - 1)
#define COUNTER_MAX ((1ULL << 47) - 1) /* half of what an id holds: the other half is to come */
#define HEALTH_MAX ((1ULL << 47) - 1)
#define SWITCHES_WORDS_MAX 4096U

struct load {
	struct snapshot_reader r;
	struct fill f;
	struct snapshot_report *report;
	unsigned kind; /* of the record before */
	bool ended;
};

static void fail_ours(struct load *load)
{
	if (load->f.err != 0)
		snapshot_fail(&load->r, load->f.err, load->f.why);
}

/* ---- fields of a map by a table -------------------------------------------------------- */

enum field_type { FIELD_UNKNOWN, FIELD_U64, FIELD_U32, FIELD_U16, FIELD_U8, FIELD_I32, FIELD_TEXT, FIELD_ADDRESS };

struct field {
	uint8_t type; /* enum field_type */
	uint16_t at;  /* offset in the struct */
	uint64_t most;
};

struct fields {
	const struct field *rows; /* by key */
	unsigned count;
};

#define FIELD(type_, owner, member, most_) \
	{ \
		type_, offsetof(struct owner, member), most_ \
	}
#define FIELDS(rows_) ((struct fields){ rows_, sizeof(rows_) / sizeof((rows_)[0]) })

static void read_field(struct snapshot_reader *r, const struct field *field, void *out)
{
	char *at = (char *)out + field->at;

	switch (field->type) {
	case FIELD_U64:
		*(uint64_t *)at = snapshot_u64(r, field->most);
		break;
	case FIELD_U32:
		*(uint32_t *)at = (uint32_t)snapshot_u64(r, UINT32_MAX);
		break;
	case FIELD_U16:
		*(uint16_t *)at = (uint16_t)snapshot_u64(r, UINT16_MAX);
		break;
	case FIELD_U8:
		*(uint8_t *)at = (uint8_t)snapshot_u64(r, UINT8_MAX);
		break;
	case FIELD_I32:
		*(int32_t *)at = (int32_t)snapshot_i64(r, INT32_MIN, INT32_MAX);
		break;
	case FIELD_TEXT:
		*(struct str *)at = snapshot_text(r, (size_t)field->most);
		break;
	case FIELD_ADDRESS:
		snapshot_bytes(r, at, 16);
		break;
	default:
		snapshot_skip(r);
		break;
	}
}

static const struct field unknown = { FIELD_UNKNOWN, 0, 0 };

/* Reads fields up to the list of members; returns how many there are, 0 also without a list. */
static uint64_t read_fields(struct snapshot_reader *r, struct snapshot_map *map, struct fields fields, void *out)
{
	unsigned key;

	snapshot_map_begin(r, map);
	while (snapshot_map_next(r, map, &key)) {
		if (key == SNAPSHOT_MEMBERS)
			return snapshot_array(r);
		read_field(r, key < fields.count ? &fields.rows[key] : &unknown, out);
	}
	return 0;
}

/* A later version may have put fields behind the members. */
static void read_rest(struct snapshot_reader *r, struct snapshot_map *map)
{
	unsigned key;

	while (snapshot_map_next(r, map, &key))
		snapshot_skip_long(r);
}

static const struct field service_fields[] = {
	[SERVICE_NS] = FIELD(FIELD_TEXT, saved_service, ns, NAME_MAX_BYTES),
	[SERVICE_NAME] = FIELD(FIELD_TEXT, saved_service, name, NAME_MAX_BYTES),
	[SERVICE_ID] = FIELD(FIELD_U64, saved_service, id, UINT64_MAX),
	[SERVICE_STAMP] = FIELD(FIELD_U64, saved_service, stamp, STAMP_MAX),
	[SERVICE_REVISION] = FIELD(FIELD_U64, saved_service, revision, COUNTER_MAX),
	[SERVICE_CHANGED] = FIELD(FIELD_U64, saved_service, changed, COUNTER_MAX),
	[SERVICE_CONTENT] = FIELD(FIELD_U64, saved_service, content, COUNTER_MAX),
	[SERVICE_CHECKSUM_CONTENT] = FIELD(FIELD_U64, saved_service, checksum_content, COUNTER_MAX),
	[SERVICE_CHECKSUM_0] = FIELD(FIELD_U64, saved_service, checksum[0], UINT64_MAX),
	[SERVICE_CHECKSUM_1] = FIELD(FIELD_U64, saved_service, checksum[1], UINT64_MAX),
	[SERVICE_METADATA] = FIELD(FIELD_TEXT, saved_service, metadata, BLOB_MAX_BYTES),
	[SERVICE_SELECTOR] = FIELD(FIELD_TEXT, saved_service, selector, TEXT_MAX_BYTES),
	[SERVICE_THRESHOLD] = FIELD(FIELD_U32, saved_service, threshold, 0),
	[SERVICE_FLAGS] = FIELD(FIELD_U32, saved_service, flags, 0),
	[SERVICE_PENDING_0] = FIELD(FIELD_U64, saved_service, pending[0], UINT32_MAX),
	[SERVICE_AGE_0] = FIELD(FIELD_U64, saved_service, age[0], UINT64_MAX),
	[SERVICE_PENDING_1] = FIELD(FIELD_U64, saved_service, pending[1], UINT32_MAX),
	[SERVICE_AGE_1] = FIELD(FIELD_U64, saved_service, age[1], UINT64_MAX),
};

static const struct field cluster_fields[] = {
	[CLUSTER_NAME] = FIELD(FIELD_TEXT, saved_cluster, name, TEXT_MAX_BYTES),
	[CLUSTER_METADATA] = FIELD(FIELD_TEXT, saved_cluster, metadata, BLOB_MAX_BYTES),
	[CLUSTER_CHECKER] = FIELD(FIELD_TEXT, saved_cluster, checker, TEXT_MAX_BYTES),
	[CLUSTER_PORT] = FIELD(FIELD_I32, saved_cluster, port, 0),
	[CLUSTER_OWN_PORT] = FIELD(FIELD_U32, saved_cluster, own_port, 0),
};

static const struct field instance_fields[] = {
	[INSTANCE_IP] = FIELD(FIELD_TEXT, saved_instance, ip, TEXT_MAX_BYTES),
	[INSTANCE_PORT] = FIELD(FIELD_I32, saved_instance, port, 0),
	[INSTANCE_FLAGS] = FIELD(FIELD_U32, saved_instance, flags, 0),
	[INSTANCE_ID] = FIELD(FIELD_U64, saved_instance, id, UINT64_MAX),
	[INSTANCE_BEAT] = FIELD(FIELD_U64, saved_instance, beat, UINT64_MAX),
	[INSTANCE_STAMP] = FIELD(FIELD_U64, saved_instance, stamp, STAMP_MAX),
	[INSTANCE_REVISION] = FIELD(FIELD_U64, saved_instance, revision, COUNTER_MAX),
	[INSTANCE_WEIGHT] = FIELD(FIELD_U64, saved_instance, weight, UINT64_MAX),
	[INSTANCE_METADATA] = FIELD(FIELD_TEXT, saved_instance, metadata, BLOB_MAX_BYTES),
	[INSTANCE_APP] = FIELD(FIELD_TEXT, saved_instance, app, TEXT_MAX_BYTES),
	[INSTANCE_IDENT] = FIELD(FIELD_U32, saved_instance, ident, 0),
	[INSTANCE_INTERVAL] = FIELD(FIELD_U64, saved_instance, overrides.interval_ms, UINT64_MAX),
	[INSTANCE_TIMEOUT] = FIELD(FIELD_U64, saved_instance, overrides.timeout_ms, UINT64_MAX),
	[INSTANCE_DELETE] = FIELD(FIELD_U64, saved_instance, overrides.delete_ms, UINT64_MAX),
	[INSTANCE_SOURCE] = FIELD(FIELD_U32, saved_instance, source, 0),
};

static const struct field audience_fields[] = {
	[AUDIENCE_NS] = FIELD(FIELD_TEXT, saved_audience, ns, NAME_MAX_BYTES),
	[AUDIENCE_NAME] = FIELD(FIELD_TEXT, saved_audience, name, NAME_MAX_BYTES),
	[AUDIENCE_ID] = FIELD(FIELD_U64, saved_audience, id, UINT64_MAX),
};

static const struct field subscriber_fields[] = {
	[SUBSCRIBER_ID] = FIELD(FIELD_U64, saved_subscriber, id, UINT64_MAX),
	[SUBSCRIBER_SEEN] = FIELD(FIELD_U64, saved_subscriber, seen_ms, UINT64_MAX),
	[SUBSCRIBER_SENT] = FIELD(FIELD_U64, saved_subscriber, sent, COUNTER_MAX),
	[SUBSCRIBER_ACKED] = FIELD(FIELD_U64, saved_subscriber, acked, COUNTER_MAX),
	[SUBSCRIBER_SENT_AGE] = FIELD(FIELD_U64, saved_subscriber, sent_age, UINT64_MAX),
	[SUBSCRIBER_PUSH_KEY] = FIELD(FIELD_U64, saved_subscriber, push_key, STAMP_MAX),
	[SUBSCRIBER_TRIES] = FIELD(FIELD_U64, saved_subscriber, tries, UINT64_MAX),
	[SUBSCRIBER_AGENT] = FIELD(FIELD_TEXT, saved_subscriber, agent, TEXT_MAX_BYTES),
	[SUBSCRIBER_CLUSTERS] = FIELD(FIELD_TEXT, saved_subscriber, clusters, TEXT_MAX_BYTES),
	[SUBSCRIBER_APP] = FIELD(FIELD_TEXT, saved_subscriber, app, TEXT_MAX_BYTES),
	[SUBSCRIBER_TEXT] = FIELD(FIELD_TEXT, saved_subscriber, address_text, TEXT_MAX_BYTES),
	[SUBSCRIBER_PORT] = FIELD(FIELD_U16, saved_subscriber, port, 0),
	[SUBSCRIBER_KIND] = FIELD(FIELD_U8, saved_subscriber, kind, 0),
	[SUBSCRIBER_FLAGS] = FIELD(FIELD_U8, saved_subscriber, flags, 0),
	[SUBSCRIBER_ADDRESS] = FIELD(FIELD_ADDRESS, saved_subscriber, address, 0),
	[SUBSCRIBER_SOURCE] = FIELD(FIELD_ADDRESS, saved_subscriber, source, 0),
	[SUBSCRIBER_VERSION] = FIELD(FIELD_U32, saved_subscriber, agent_version, 0),
};

static const struct field namespace_fields[] = {
	[NAMESPACE_ID] = FIELD(FIELD_TEXT, saved_namespace, id, NAMESPACES_ID_MAX),
	[NAMESPACE_NAME] = FIELD(FIELD_TEXT, saved_namespace, name, NAMESPACES_TEXT_MAX),
	[NAMESPACE_ABOUT] = FIELD(FIELD_TEXT, saved_namespace, about, NAMESPACES_TEXT_MAX),
};

struct saved_header {
	uint64_t health_ms, stamp, served_at_ms, node, last_id, revision, instances;
};

static const struct field header_fields[] = {
	[HEADER_HEALTH] = FIELD(FIELD_U64, saved_header, health_ms, HEALTH_MAX),
	[HEADER_STAMP] = FIELD(FIELD_U64, saved_header, stamp, STAMP_MAX),
	[HEADER_SERVED_AT] = FIELD(FIELD_U64, saved_header, served_at_ms, UINT64_MAX),
	[HEADER_NODE] = FIELD(FIELD_U64, saved_header, node, 255),
	[HEADER_LAST_ID] = FIELD(FIELD_U64, saved_header, last_id, COUNTER_MAX),
	[HEADER_REVISION] = FIELD(FIELD_U64, saved_header, revision, COUNTER_MAX),
	[HEADER_INSTANCES] = FIELD(FIELD_U64, saved_header, instances, UINT64_MAX),
};

struct saved_end {
	uint64_t services, instances, subscribers;
};

static const struct field end_fields[] = {
	[END_SERVICES] = FIELD(FIELD_U64, saved_end, services, UINT64_MAX),
	[END_INSTANCES] = FIELD(FIELD_U64, saved_end, instances, UINT64_MAX),
	[END_SUBSCRIBERS] = FIELD(FIELD_U64, saved_end, subscribers, UINT64_MAX),
};

/* ---- header and office ------------------------------------------------------------------ */

/* The moment of a wall clock, by CLOCK_BOOTTIME; 0: before this boot. */
static uint64_t boot_of(uint64_t wall_ms)
{
	uint64_t now_ms = clock_wall_ms(), age_ms = now_ms > wall_ms ? now_ms - wall_ms : 0, boot_ms = clock_boot_ms();

	return boot_ms > age_ms ? boot_ms - age_ms : 0;
}

static void load_header(struct load *load)
{
	struct segment *seg = load->f.reg->seg;
	struct saved_header in = { 0 };
	struct snapshot_map map;

	if (read_fields(&load->r, &map, FIELDS(header_fields), &in) > 0 || in.health_ms == 0)
		snapshot_fail(&load->r, ERR_SYNTAX, "an impossible header");
	if (load->r.err != 0)
		return;
	seg->header->health_ms = in.health_ms;
	health_attach(seg, clock_mono_ms());
	seg->header->stamp = in.stamp;
	seg->header->health_guard = ~in.health_ms;
	seg->header->served_at_ms = boot_of(in.served_at_ms);
	seg->header->node = (uint32_t)in.node;
	seg->header->seal = segment_seal(seg->header);
	for (uint32_t i = 0; i < SHARDS_ALL; i++) {
		seg->shards[i].next_id = in.last_id;
		seg->shards[i].revision = in.revision;
	}
	load->f.last_id = in.last_id;
	load->f.revision = in.revision;
	load->f.stamp = in.stamp;
	fill_reserve(&load->f, in.instances);
	fail_ours(load);
}

/* What this version does not know is dropped, what it has beyond stays at the default. */
static void read_words(struct snapshot_reader *r, struct switches *words)
{
	uint64_t *at = (uint64_t *)words;
	uint64_t count = snapshot_array(r);

	if (count > SWITCHES_WORDS_MAX)
		snapshot_fail(r, ERR_SYNTAX, "too many switches");
	for (uint64_t i = 0; i < count && r->err == 0; i++) {
		uint64_t value = snapshot_u64(r, UINT64_MAX);

		if (i < sizeof(*words) / sizeof(*at))
			at[i] = value;
	}
}

static void load_switches(struct load *load)
{
	struct switches words, *own = (struct switches *)switches_of(load->f.reg->seg);
	struct switches_texts texts = { .masters = { NULL, 0 } };
	struct snapshot_reader *r = &load->r;
	struct snapshot_map map;
	uint64_t generation;
	unsigned key;
	int ret;

	switches_defaults(&words);
	snapshot_map_begin(r, &map);
	while (snapshot_map_next(r, &map, &key)) {
		if (key == SWITCHES_WORDS)
			read_words(r, &words);
		else if (key == SWITCHES_MASTERS)
			texts.masters = snapshot_text(r, SWITCHES_TEXT_MAX);
		else if (key == SWITCHES_LIMITED)
			texts.limited = snapshot_text(r, SWITCHES_TEXT_MAX);
		else if (key == SWITCHES_STATUS)
			texts.status = snapshot_text(r, SWITCHES_TEXT_MAX);
		else
			snapshot_skip(r);
	}
	if (r->err != 0)
		return;
	/* The write wants to change what is there, and counts itself. */
	generation = words.generation;
	words.generation = own->generation;
	if ((ret = switches_write(load->f.reg, &words, &texts)) < 0)
		snapshot_fail(r, ret, "the switches cannot be stored");
	own->generation = generation;
}

static void load_namespace(struct load *load)
{
	struct saved_namespace in = { .id = { NULL, 0 } };
	struct snapshot_map map;
	int ret;

	read_fields(&load->r, &map, FIELDS(namespace_fields), &in);
	if (!str_is_set(in.id) || !str_is_set(in.name))
		snapshot_fail(&load->r, ERR_SYNTAX, "a namespace without id or name");
	if (load->r.err != 0)
		return;
	ret = namespaces_create(load->f.reg, &(struct namespace_row){ in.id, in.name, in.about });
	if (ret == ERR_EXISTS)
		snapshot_fail(&load->r, ERR_SYNTAX, "a namespace twice");
	else if (ret < 0)
		snapshot_fail(&load->r, ret, "a namespace cannot be stored");
}

/* ---- services and audiences ----------------------------------------------------------- */

static void load_instance(struct load *load)
{
	struct saved_instance in = {
		.ip = STR(""),
		.weight = SNAPSHOT_WEIGHT,
		.overrides = { UINT64_MAX, UINT64_MAX, BEAT_DELETE_MS },
	};
	struct snapshot_map map;

	if (read_fields(&load->r, &map, FIELDS(instance_fields), &in) > 0)
		snapshot_fail(&load->r, ERR_SYNTAX, "an instance with members");
	if (load->r.err == 0)
		fill_instance(&load->f, &in);
	fail_ours(load);
	read_rest(&load->r, &map);
}

static void load_cluster(struct load *load)
{
	struct saved_cluster in = { .name = { NULL, 0 } };
	struct snapshot_map map;
	uint64_t instances = read_fields(&load->r, &map, FIELDS(cluster_fields), &in);

	if (load->r.err == 0)
		fill_cluster(&load->f, &in);
	fail_ours(load);
	for (uint64_t i = 0; i < instances && load->r.err == 0; i++)
		load_instance(load);
	read_rest(&load->r, &map);
}

static void load_service(struct load *load)
{
	struct saved_service in = { .ns = STR("") };
	struct snapshot_map map;
	uint64_t clusters = read_fields(&load->r, &map, FIELDS(service_fields), &in);

	FAULT_AT("load-service");
	if (load->r.err == 0)
		fill_service(&load->f, &in);
	fail_ours(load);
	for (uint64_t i = 0; i < clusters && load->r.err == 0; i++)
		load_cluster(load);
	fill_fail(&load->f, load->r.err, load->r.why);
	fill_end(&load->f);
	fail_ours(load);
	read_rest(&load->r, &map);
}

static void load_subscriber(struct load *load)
{
	struct saved_subscriber in = { .id = 0 };
	struct snapshot_map map;

	if (read_fields(&load->r, &map, FIELDS(subscriber_fields), &in) > 0)
		snapshot_fail(&load->r, ERR_SYNTAX, "a subscriber with members");
	if (load->r.err == 0)
		fill_subscriber(&load->f, &in);
	fail_ours(load);
	read_rest(&load->r, &map);
}

static void load_audience(struct load *load)
{
	struct saved_audience in = { .ns = STR("") };
	struct snapshot_map map;
	uint64_t subscribers = read_fields(&load->r, &map, FIELDS(audience_fields), &in);

	if (load->r.err == 0)
		fill_audience(&load->f, &in);
	fail_ours(load);
	for (uint64_t i = 0; i < subscribers && load->r.err == 0; i++)
		load_subscriber(load);
	fill_fail(&load->f, load->r.err, load->r.why);
	fill_end(&load->f);
	fail_ours(load);
	read_rest(&load->r, &map);
}

static void load_end(struct load *load)
{
	const struct snapshot_report *report = load->report;
	struct saved_end in = { 0 };
	struct snapshot_map map;

	if (read_fields(&load->r, &map, FIELDS(end_fields), &in) > 0 || in.services != report->services ||
	    in.instances != report->instances || in.subscribers != report->subscribers)
		snapshot_fail(&load->r, ERR_SYNTAX, "counts that are not those of what was read");
	load->ended = true;
}

/* ---- records -------------------------------------------------------------------------- */

static const struct {
	unsigned kind;
	bool once;
	void (*load)(struct load *load);
} record_rows[] = {
	{ SNAPSHOT_HEADER, true, load_header },        { SNAPSHOT_SWITCHES, true, load_switches },
	{ SNAPSHOT_NAMESPACE, false, load_namespace }, { SNAPSHOT_SERVICE, false, load_service },
	{ SNAPSHOT_AUDIENCE, false, load_audience },   { SNAPSHOT_END, true, load_end },
};
#define RECORD_ROWS (sizeof(record_rows) / sizeof(record_rows[0]))

static void load_record(struct load *load)
{
	unsigned kind = (unsigned)snapshot_u64(&load->r, UINT32_MAX);
	unsigned before = load->kind;

	if (load->r.err != 0)
		return;
	if (kind < before || (before == 0 && kind != SNAPSHOT_HEADER)) {
		snapshot_fail(&load->r, ERR_SYNTAX, "records out of order");
		return;
	}
	load->kind = kind;
	for (size_t i = 0; i < RECORD_ROWS; i++) {
		if (record_rows[i].kind != kind)
			continue;
		if (record_rows[i].once && kind == before)
			snapshot_fail(&load->r, ERR_SYNTAX, "a record twice");
		else
			record_rows[i].load(load);
		return;
	}
	snapshot_skip_long(&load->r);
}

static void load_all(struct load *load)
{
	snapshot_read_start(&load->r);
	while (!load->ended && load->r.err == 0) {
		snapshot_read_fill(&load->r);
		load_record(load);
	}
	if (load->r.err == 0)
		snapshot_read_checksum(&load->r);
}

static bool is_empty(struct registry *reg)
{
	struct registry_stats stats;

	registry_stats(reg, &stats);
	return stats.services + stats.subscribers + stats.draining == 0;
}

int snapshot_load(struct registry *reg, int fd, struct snapshot_report *report_r)
{
	uint64_t *magic = &reg->seg->header->magic;
	struct registry_limits limits = reg->limits;
	struct load load = { .report = report_r };
	int ret;

	*report_r = (struct snapshot_report){ .bytes = 0 };
	if (!is_empty(reg))
		return ERR_EXISTS;
	if ((ret = snapshot_reader_open(&load.r, fd)) < 0)
		return ret;
	fill_init(&load.f, reg, report_r);
	reg->limits = (struct registry_limits){ 0 };
	__atomic_store_n(magic, 0, __ATOMIC_RELEASE);
	load_all(&load);
	reg->limits = limits;
	report_r->bytes = snapshot_read_bytes(&load.r);
	if (load.r.err == 0)
		__atomic_store_n(magic, SEGMENT_MAGIC, __ATOMIC_RELEASE);
	else
		snprintf(report_r->why, sizeof(report_r->why), "%s", load.r.why);
	snapshot_reader_close(&load.r);
	fill_free(&load.f);
	reg->node = (uint8_t)reg->seg->header->node;
	return load.r.err;
}
