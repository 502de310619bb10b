/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot_load.c - a stream of records into a fresh segment. The format is in snapshot.h. */
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

#define HEALTH_MAX ((1ULL << 47) - 1)
#define SWITCHES_WORDS_MAX 4096U
#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

struct load {
	struct snapshot_reader r;
	struct fill f;
	struct snapshot_report *report;
	unsigned kind; /* of the record before */
	bool ended;
};

/* What cannot be stored ends the reading too. */
static void fail_ours(struct load *load)
{
	if (load->f.err != 0)
		snapshot_fail(&load->r, load->f.err, load->f.why);
}

/* ---- fields of a map by their rows ----------------------------------------------------------- */

static void read_field(struct snapshot_reader *r, const struct field_row *row,
                       union field_value *value_r)
{
	switch (row->type) {
	case FIELD_U8:
		value_r->number = snapshot_u64(r, UINT8_MAX);
		break;
	case FIELD_U16:
		value_r->number = snapshot_u64(r, UINT16_MAX);
		break;
	case FIELD_U32:
		value_r->number = snapshot_u64(r, UINT32_MAX);
		break;
	case FIELD_U64:
		/* 0 means that there is no bound but that of the type. */
		value_r->number = snapshot_u64(r, row->most == 0 ? UINT64_MAX : row->most);
		break;
	case FIELD_I32:
		value_r->number = (uint64_t)snapshot_i64(r, INT32_MIN, INT32_MAX);
		break;
	case FIELD_ADDRESS:
		value_r->text = snapshot_bytes(r, row->bytes);
		break;
	case FIELD_PACKED:
		value_r->text = snapshot_packed(r, (size_t)row->most);
		break;
	default:
		ROSTER_ASSERT(row->type == FIELD_TEXT || field_is_blob(row));
		value_r->text = snapshot_text(r, (size_t)row->most);
		break;
	}
}

/* Reads fields up to the list of members into values[key]. Returns how many members there are; 0
 * also when there is no list. */
static uint64_t read_fields(struct snapshot_reader *r, struct snapshot_map *map,
                            const struct fields *fields, union field_value values[FIELD_KEYS])
{
	unsigned key;

	ROSTER_ASSERT(fields->saved <= FIELD_KEYS);
	for (key = 0; key < fields->saved; key++) {
		values[key] = (union field_value){ .text = { NULL, 0 } };
		values[key].number = fields->rows[key].usual; /* 0 of a text: it is unset */
	}
	snapshot_map_begin(r, map);
	while (snapshot_map_next(r, map, &key)) {
		/* The members are read by the caller, one by one. */
		if (key == SNAPSHOT_MEMBERS)
			return snapshot_array(r);
		if (key < fields->saved && fields->rows[key].name != NULL)
			read_field(r, &fields->rows[key], &values[key]);
		else
			snapshot_skip(r);
	}
	return 0;
}

/* Skips what a later version may have put behind the members. */
static void read_rest(struct snapshot_reader *r, struct snapshot_map *map)
{
	unsigned key;

	while (snapshot_map_next(r, map, &key))
		snapshot_skip_long(r);
}

/* Records that are no stored objects: their fields have no place. */

static const struct field_row namespace_rows[] = {
	[NAMESPACE_ID] = { .name = "id",
	                   .type = FIELD_TEXT,
	                   .since = 2,
	                   .most = NAMESPACES_ID_MAX },
	[NAMESPACE_NAME] = { .name = "name",
	                     .type = FIELD_TEXT,
	                     .since = 2,
	                     .most = NAMESPACES_TEXT_MAX },
	[NAMESPACE_ABOUT] = { .name = "description",
	                      .type = FIELD_TEXT,
	                      .since = 2,
	                      .most = NAMESPACES_TEXT_MAX },
};

static const struct field_row header_rows[] = {
	[HEADER_HEALTH] = { .name = "health clock",
	                    .type = FIELD_U64,
	                    .since = 2,
	                    .most = HEALTH_MAX },
	[HEADER_STAMP] = { .name = "stamp", .type = FIELD_U64, .since = 2, .most = STAMP_MAX },
	[HEADER_SERVED_AT] = { .name = "served at", .type = FIELD_U64, .since = 2 },
	[HEADER_NODE] = { .name = "node", .type = FIELD_U64, .since = 2, .most = 255 },
	[HEADER_LAST_ID] = { .name = "last id",
	                     .type = FIELD_U64,
	                     .since = 2,
	                     .most = COUNTER_MAX },
	[HEADER_REVISION] = { .name = "revision",
	                      .type = FIELD_U64,
	                      .since = 2,
	                      .most = COUNTER_MAX },
	[HEADER_INSTANCES] = { .name = "instances", .type = FIELD_U64, .since = 3 },
	[HEADER_LAYOUT] = { .name = "layout", .type = FIELD_U32, .since = 5 },
};

static const struct field_row end_rows[] = {
	[END_SERVICES] = { .name = "services", .type = FIELD_U64, .since = 2 },
	[END_INSTANCES] = { .name = "instances", .type = FIELD_U64, .since = 2 },
	[END_SUBSCRIBERS] = { .name = "subscribers", .type = FIELD_U64, .since = 2 },
};

static const struct fields namespace_fields = { namespace_rows, COUNT(namespace_rows),
	                                        COUNT(namespace_rows) };
static const struct fields header_fields = { header_rows, COUNT(header_rows), COUNT(header_rows) };
static const struct fields end_fields = { end_rows, COUNT(end_rows), COUNT(end_rows) };

/* ---- header and office ----------------------------------------------------------------------- */

/* Turns a moment of the wall clock into one of CLOCK_BOOTTIME; 0 stands for any before this
 * boot. */
static uint64_t boot_of(uint64_t wall_ms)
{
	uint64_t now_ms = clock_wall_ms(), age_ms = now_ms > wall_ms ? now_ms - wall_ms : 0,
	         boot_ms = clock_boot_ms();

	return boot_ms > age_ms ? boot_ms - age_ms : 0;
}

static void note_lacks(struct snapshot_report *report, const struct fields *fields, uint64_t layout)
{
	for (unsigned key = 1; key < fields->saved; key++) {
		const struct field_row *row = &fields->rows[key];
		size_t n = strlen(report->lacks);

		if (row->name != NULL && row->since > layout)
			snprintf(report->lacks + n, sizeof(report->lacks) - n, "%s%s",
			         n == 0 ? "" : ", ", row->name);
	}
}

/* Whoever does not say its layout has one in which that was not said yet, or an early state of the
 * first one in which it was. */
static void note_layout(struct snapshot_report *report, uint64_t told)
{
	uint64_t layout = told != 0 ? told : header_rows[HEADER_LAYOUT].since;

	report->layout = (uint32_t)told;
	note_lacks(report, &service_fields, layout);
	note_lacks(report, &cluster_fields, layout);
	note_lacks(report, &instance_fields, layout);
	note_lacks(report, &audience_fields, layout);
	note_lacks(report, &subscriber_fields, layout);
}

static void load_header(struct load *load)
{
	struct segment *seg = load->f.reg->seg;
	union field_value in[FIELD_KEYS];
	struct snapshot_map map;

	if (read_fields(&load->r, &map, &header_fields, in) > 0 || in[HEADER_HEALTH].number == 0)
		snapshot_fail(&load->r, ERR_SYNTAX, "an impossible header");
	if (load->r.err != 0)
		return;
	note_layout(load->report, in[HEADER_LAYOUT].number);
	seg->header->health_ms = in[HEADER_HEALTH].number;
	/* The health clock goes on from the saved moment. */
	health_attach(seg, clock_mono_ms());
	seg->header->stamp = load->f.stamp = in[HEADER_STAMP].number;
	seg->header->health_guard = ~in[HEADER_HEALTH].number;
	seg->header->served_at_ms = boot_of(in[HEADER_SERVED_AT].number);
	seg->header->node = (uint32_t)in[HEADER_NODE].number;
	seg->header->seal = segment_seal(seg->header);
	load->f.health_ms = in[HEADER_HEALTH].number;
	load->f.last_id = in[HEADER_LAST_ID].number;
	load->f.revision = in[HEADER_REVISION].number;
	/* Every shard goes on above the highest, so that nothing is handed out twice. */
	for (uint32_t i = 0; i < SHARDS_ALL; i++) {
		seg->shards[i].next_id = load->f.last_id;
		seg->shards[i].revision = load->f.revision;
	}
	fill_reserve(&load->f, in[HEADER_INSTANCES].number);
	fail_ours(load);
}

/* Switches that this version does not know are dropped; those that it has beyond the saved ones
 * stay at their defaults. */
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

	/* What is not in the stream stays at its default. */
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
	/* The write compares the generation with the present one and raises it itself. */
	generation = words.generation;
	words.generation = own->generation;
	if ((ret = switches_write(load->f.reg, &words, &texts)) < 0)
		snapshot_fail(r, ret, "the switches cannot be stored");
	/* A plain store will do, since nobody else uses the segment. */
	own->generation = generation;
}

static void load_namespace(struct load *load)
{
	union field_value in[FIELD_KEYS];
	struct namespace_row row;
	struct snapshot_map map;
	int ret;

	read_fields(&load->r, &map, &namespace_fields, in);
	row = (struct namespace_row){ in[NAMESPACE_ID].text, in[NAMESPACE_NAME].text,
		                      in[NAMESPACE_ABOUT].text };
	if (!str_is_set(row.id) || !str_is_set(row.name))
		snapshot_fail(&load->r, ERR_SYNTAX, "a namespace without id or name");
	if (load->r.err != 0)
		return;
	ret = namespaces_create(load->f.reg, &row);
	if (ret == ERR_EXISTS)
		snapshot_fail(&load->r, ERR_SYNTAX, "a namespace twice");
	else if (ret < 0)
		snapshot_fail(&load->r, ret, "a namespace cannot be stored");
}

/* ---- services and audiences ------------------------------------------------------------------ */

static void load_instance(struct load *load)
{
	union field_value in[FIELD_KEYS];
	struct snapshot_map map;

	if (read_fields(&load->r, &map, &instance_fields, in) > 0)
		snapshot_fail(&load->r, ERR_SYNTAX, "an instance with members");
	if (load->r.err == 0)
		fill_instance(&load->f, in);
	fail_ours(load);
	read_rest(&load->r, &map);
}

static void load_cluster(struct load *load)
{
	union field_value in[FIELD_KEYS];
	struct snapshot_map map;
	uint64_t instances = read_fields(&load->r, &map, &cluster_fields, in);

	if (load->r.err == 0)
		fill_cluster(&load->f, in);
	fail_ours(load);
	for (uint64_t i = 0; i < instances && load->r.err == 0; i++)
		load_instance(load);
	read_rest(&load->r, &map);
}

static void load_service(struct load *load)
{
	union field_value in[FIELD_KEYS];
	struct snapshot_map map;
	uint64_t clusters = read_fields(&load->r, &map, &service_fields, in);

	FAULT_AT("load-service");
	if (load->r.err == 0)
		fill_service(&load->f, in);
	fail_ours(load);
	for (uint64_t i = 0; i < clusters && load->r.err == 0; i++)
		load_cluster(load);
	/* What cannot be read is not kept: the end of the hold rolls back then. */
	fill_fail(&load->f, load->r.err, load->r.why);
	fill_end(&load->f);
	fail_ours(load);
	read_rest(&load->r, &map);
}

static void load_subscriber(struct load *load)
{
	union field_value in[FIELD_KEYS];
	struct snapshot_map map;

	if (read_fields(&load->r, &map, &subscriber_fields, in) > 0)
		snapshot_fail(&load->r, ERR_SYNTAX, "a subscriber with members");
	if (load->r.err == 0)
		fill_subscriber(&load->f, in);
	fail_ours(load);
	read_rest(&load->r, &map);
}

static void load_audience(struct load *load)
{
	union field_value in[FIELD_KEYS];
	struct snapshot_map map;
	uint64_t subscribers = read_fields(&load->r, &map, &audience_fields, in);

	if (load->r.err == 0)
		fill_audience(&load->f, in);
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
	union field_value in[FIELD_KEYS];
	struct snapshot_map map;

	if (read_fields(&load->r, &map, &end_fields, in) > 0 ||
	    in[END_SERVICES].number != report->services ||
	    in[END_INSTANCES].number != report->instances ||
	    in[END_SUBSCRIBERS].number != report->subscribers)
		snapshot_fail(&load->r, ERR_SYNTAX, "counts that are not those of what was read");
	/* Behind this record stands nothing but the checksum. */
	load->ended = true;
}

/* ---- records --------------------------------------------------------------------------------- */

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
	/* Kinds rise in a stream, and the header comes first. */
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
	/* A later version knows more kinds. */
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

/* A load adds to nothing: what is there already would be mixed with what comes. */
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
	/* What was within the limits once is taken whatever they are now. */
	reg->limits = (struct registry_limits){ 0 };
	/* From here on, until the magic is back, a death leaves a file that is no segment. */
	__atomic_store_n(magic, 0, __ATOMIC_RELEASE);
	load_all(&load);
	ROSTER_ASSERT(reg->seg->held == NULL);
	reg->limits = limits;
	report_r->bytes = snapshot_read_bytes(&load.r);
	if (load.r.err == 0)
		__atomic_store_n(magic, SEGMENT_MAGIC, __ATOMIC_RELEASE);
	else
		snprintf(report_r->why, sizeof(report_r->why), "%s", load.r.why);
	snapshot_reader_close(&load.r);
	fill_free(&load.f);
	/* The node came with the header. */
	reg->node = (uint8_t)reg->seg->header->node;
	return load.r.err;
}
