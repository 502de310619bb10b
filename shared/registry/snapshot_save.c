/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot_save.c - the whole registry as a stream of records, a service at a time. The format is
 * in snapshot.h. */
#include "shared/registry/snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "shared/base/clock.h"
#include "shared/registry/namespaces.h"
#include "shared/registry/registry_internal.h"
#include "shared/registry/snapshot_internal.h"
#include "shared/registry/snapshot_pack.h"
#include "shared/registry/snapshot_value.h"
#include "shared/registry/switches.h"
#include "shared/shm/fault.h"
#include "shared/shm/shard.h"

#define HOLD_BYTES 262144U /* packed in one hold of a lock */
#define BUFFER_BYTES 1048576U

struct save {
	struct registry *reg;
	int fd;
	struct pack pack;
	XXH3_state_t *hash;
	struct snapshot_report *report;
	uint64_t mono_ms;
	int err;
};

/* The first error stays. */
static void save_fail(struct save *save, int err, const char *why)
{
	if (save->err != 0)
		return;
	save->err = err;
	snprintf(save->report->why, sizeof(save->report->why), "%s", why);
}

/* ---- output ---------------------------------------------------------------------------------- */

static void save_write(struct save *save, const char *data, size_t n)
{
	while (n > 0 && save->err == 0) {
		ssize_t done = write(save->fd, data, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			save_fail(save, ERR_IO, "cannot be written");
			return;
		}
		data += done;
		n -= (size_t)done;
	}
}

/* Writes out what is packed so far; the checksum is of all that was written. */
static void save_flush(struct save *save)
{
	ROSTER_ASSERT(save->pack.len <= save->pack.cap); /* what did not fit was only counted */
	XXH3_64bits_update(save->hash, save->pack.data, save->pack.len);
	save_write(save, save->pack.data, save->pack.len);
	save->report->bytes += save->pack.len;
	save->pack.len = 0;
}

/* Makes room for one object that did not fit; never under a lock. */
static void save_make_room(struct save *save, size_t bytes)
{
	char *data = realloc(save->pack.data, bytes);

	ROSTER_ASSERT(bytes > save->pack.cap && save->reg->seg->held == NULL);
	if (data == NULL) {
		save_fail(save, ERR_NOMEM, "no memory for the largest service");
		return;
	}
	save->pack.data = data;
	save->pack.cap = bytes;
}

/* A record is its kind and a map, whose pairs are counted as they come. */
static struct pack_map record_begin(struct save *save, enum snapshot_kind kind)
{
	pack_uint8(&save->pack, (uint8_t)kind);
	return pack_map_begin(&save->pack);
}

/* ---- header and office ----------------------------------------------------------------------- */

/* Says by the wall clock when this segment served last: the other side may be another machine. */
static uint64_t served_wall_ms(const struct segment *seg)
{
	uint64_t boot_ms = clock_boot_ms(), served_ms = seg->header->served_at_ms;

	return clock_wall_ms() - (boot_ms > served_ms ? boot_ms - served_ms : 0);
}

static void pack_header(struct save *save)
{
	const struct segment *seg = save->reg->seg;
	struct registry_stats stats;
	struct pack_map map;
	uint64_t last_id = 0, revision = 0;

	for (uint32_t i = 0; i < SHARDS_ALL; i++) {
		last_id = seg->shards[i].next_id > last_id ? seg->shards[i].next_id : last_id;
		revision = seg->shards[i].revision > revision ? seg->shards[i].revision : revision;
	}
	pack_str(&save->pack, sizeof(SNAPSHOT_MAGIC) - 1);
	pack_append(&save->pack, SNAPSHOT_MAGIC, sizeof(SNAPSHOT_MAGIC) - 1);
	pack_uint32(&save->pack, SNAPSHOT_VERSION);
	map = record_begin(save, SNAPSHOT_HEADER);
	pack_text(&map, HEADER_MADE_BY, STR(PACKAGE_STRING));
	pack_number(&map, HEADER_HEALTH, seg->header->health_ms);
	pack_number(&map, HEADER_STAMP, seg->header->stamp);
	pack_number(&map, HEADER_SERVED_AT, served_wall_ms(seg));
	pack_number(&map, HEADER_NODE, seg->header->node);
	pack_number(&map, HEADER_LAST_ID, last_id);
	pack_number(&map, HEADER_REVISION, revision);
	/* This number is a hint for the size of tables; nothing depends on it. */
	registry_stats(save->reg, &stats);
	pack_number(&map, HEADER_INSTANCES, stats.instances);
	pack_number(&map, HEADER_LAYOUT, SEGMENT_LAYOUT);
	pack_map_end(&map);
}

static void pack_switches(struct save *save)
{
	struct switches_copy copy;
	uint64_t words[sizeof(copy.words) / sizeof(uint64_t)];
	struct pack_map map;
	int ret = switches_read(save->reg, &copy);

	if (ret < 0) {
		save_fail(save, ret, "the switches cannot be read");
		return;
	}
	/* All switches are words. A load takes as many of them as it knows. */
	memcpy(words, &copy.words, sizeof(words));
	map = record_begin(save, SNAPSHOT_SWITCHES);
	pack_array(pack_key(&map, SWITCHES_WORDS), sizeof(words) / sizeof(words[0]));
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		pack_uint64(map.pack, words[i]);
	pack_text(&map, SWITCHES_MASTERS, copy.texts.masters);
	pack_text(&map, SWITCHES_LIMITED, copy.texts.limited);
	pack_text(&map, SWITCHES_STATUS, copy.texts.status);
	pack_map_end(&map);
}

static void pack_namespace(const struct namespace_row *row, void *arg)
{
	struct save *save = arg;
	struct pack_map map = record_begin(save, SNAPSHOT_NAMESPACE);

	pack_text(&map, NAMESPACE_ID, row->id);
	pack_text(&map, NAMESPACE_NAME, row->name);
	pack_text(&map, NAMESPACE_ABOUT, row->about);
	pack_map_end(&map);
	/* No lock is held here, so the buffer may be written out. */
	if (save->pack.len > HOLD_BYTES)
		save_flush(save);
}

static void save_office(struct save *save)
{
	int ret;

	pack_switches(save);
	ret = save->err == 0 ? namespaces_each(save->reg, pack_namespace, save) : 0;
	if (ret < 0)
		save_fail(save, ret, "the namespaces cannot be read");
}

/* ---- services -------------------------------------------------------------------------------- */

/* Packs one field. A number that is usual and a text that is unset are left out; an empty text is
 * written. */
static void pack_field(const struct field_context *context, struct pack_map *map,
                       const struct saved_kind *kind, unsigned key, const void *object)
{
	const struct field_row *row = &kind->fields->rows[key];
	union field_value value;
	uint32_t blob;

	if (!field_saved(context, kind, key, object, &value, &blob))
		return;
	if (blob != 0)
		pack_blob(map, key, context->tx, blob);
	else if (row->type == FIELD_ADDRESS)
		pack_bytes(map, key, value.text.p, value.text.n);
	else if (row->type == FIELD_TEXT || field_is_blob(row))
		pack_text(map, key, value.text);
	else if (row->type == FIELD_I32 && value.number != row->usual)
		pack_int64(pack_key(map, key), (int64_t)value.number);
	else if (value.number != row->usual)
		pack_uint64(pack_key(map, key), value.number);
}

static void pack_fields(const struct save *save, struct pack_map *map, const struct tx *tx,
                        const struct saved_kind *kind, const void *object)
{
	const struct field_context context = { tx, save->mono_ms };

	for (unsigned key = 1; key < kind->fields->saved; key++)
		pack_field(&context, map, kind, key, object);
}

static void pack_instances(struct save *save, struct op *op, const struct cluster *c)
{
	for (unsigned kind = 0; kind < 2; kind++) {
		uint32_t off = c->first[kind];

		/* The list of members has announced so many instances. A list that ends before is
		 * damaged. */
		for (uint32_t left = c->count[kind]; left > 0 && op->tx.err == 0; left--) {
			const struct instance *i = instance_at(op, off);
			struct pack_map map;

			if (i == NULL)
				return;
			map = pack_map_begin(&save->pack);
			pack_fields(save, &map, &op->tx, &saved_instances, i);
			pack_map_end(&map);
			off = i->next;
		}
	}
}

static void pack_cluster(struct save *save, struct op *op, const struct cluster *c)
{
	struct pack_map map = pack_map_begin(&save->pack);

	pack_fields(save, &map, &op->tx, &saved_clusters, c);
	/* The members come last, under the highest key of a map. */
	pack_array(pack_key(&map, SNAPSHOT_MEMBERS), (size_t)c->count[0] + c->count[1]);
	pack_instances(save, op, c);
	pack_map_end(&map);
}

static void pack_clusters(struct save *save, struct op *op, struct pack_map *map,
                          const struct service *s)
{
	uint32_t off = s->first_cluster;

	pack_array(pack_key(map, SNAPSHOT_MEMBERS), s->clusters);
	for (uint32_t left = s->clusters; left > 0 && op->tx.err == 0; left--) {
		const struct cluster *c = cluster_at(op, off);

		if (c == NULL)
			return;
		pack_cluster(save, op, c);
		off = c->next;
	}
}

/* Fails when the name is damaged: the rows would leave namespace and name out. */
static void need_name(struct op *op, uint32_t name, uint32_t ns_len, uint32_t name_len)
{
	struct service_key key;

	if (!key_of(&op->tx, name, ns_len, name_len, &key))
		undo_fail(&op->tx, ERR_CORRUPT);
}

static void pack_service(struct save *save, struct op *op, const struct service *s)
{
	struct pack_map map = record_begin(save, SNAPSHOT_SERVICE);

	need_name(op, s->name, s->ns_len, s->name_len);
	pack_fields(save, &map, &op->tx, &saved_services, s);
	pack_clusters(save, op, &map, s);
	pack_map_end(&map);
}

/* ---- audiences ------------------------------------------------------------------------------- */

static void pack_audience(struct save *save, struct op *op, const struct audience *a)
{
	struct pack_map map = record_begin(save, SNAPSHOT_AUDIENCE);
	uint32_t off = a->first;

	need_name(op, a->name, a->ns_len, a->name_len);
	pack_fields(save, &map, &op->tx, &saved_audiences, a);
	pack_array(pack_key(&map, SNAPSHOT_MEMBERS), a->count);
	for (uint32_t left = a->count; left > 0 && op->tx.err == 0; left--) {
		const struct subscriber *sub = subscriber_at(op, off);
		struct pack_map member;

		if (sub == NULL)
			break;
		member = pack_map_begin(&save->pack);
		pack_fields(save, &member, &op->tx, &saved_subscribers, sub);
		pack_map_end(&member);
		off = sub->next;
	}
	pack_map_end(&map);
}

/* ---- the walk -------------------------------------------------------------------------------- */

/* One kind of object in one shard: services or audiences, both in lists of rising ids. */
struct walker {
	bool (*seek)(struct op *op, struct registry_cursor *cursor, uint32_t *off_r);
	/* Packs the object and returns its id. The next one and the number of members packed go
	 * through the pointers. */
	uint64_t (*pack)(struct save *save, struct op *op, uint32_t off, uint32_t *next_r,
	                 uint64_t *members_r);
	uint64_t *(*members)(struct snapshot_report *report);
};

static uint64_t walk_service(struct save *save, struct op *op, uint32_t off, uint32_t *next_r,
                             uint64_t *members_r)
{
	const struct service *s = service_at(op, off);

	if (s == NULL)
		return 0;
	pack_service(save, op, s);
	*next_r = s->next;
	*members_r = s->instances;
	return s->id;
}

static uint64_t walk_audience(struct save *save, struct op *op, uint32_t off, uint32_t *next_r,
                              uint64_t *members_r)
{
	const struct audience *a = audience_at(op, off);

	if (a == NULL)
		return 0;
	pack_audience(save, op, a);
	*next_r = a->next;
	*members_r = a->count;
	return a->id;
}

static uint64_t *instances_of(struct snapshot_report *report)
{
	return &report->instances;
}

static uint64_t *subscribers_of(struct snapshot_report *report)
{
	return &report->subscribers;
}

static const struct walker services = { service_seek, walk_service, instances_of };
static const struct walker audiences = { audience_seek, walk_audience, subscribers_of };

/* Packs in one hold. Returns 0 at the end of the shard, else how much room the next object needs
 * (1: as much as there is). */
static size_t walk_hold(struct save *save, const struct walker *w, struct op *op,
                        struct registry_cursor *cursor)
{
	uint32_t off;

	/* This hold was too short to find the place to go on at. */
	if (!w->seek(op, cursor, &off))
		return 1;

	while (off != 0 && op->tx.err == 0) {
		size_t before = save->pack.len;
		uint64_t members = 0, id;
		uint32_t next = 0;

		if (before > HOLD_BYTES)
			return 1;
		id = w->pack(save, op, off, &next, &members);
		/* What was packed of it is forgotten. It comes again when there is room. */
		if (save->pack.len > save->pack.cap) {
			size_t needed = save->pack.len;

			save->pack.len = before;
			return needed;
		}
		*cursor = (struct registry_cursor){ .shard = op->tx.shard->index,
			                            .off = off,
			                            .id = id };
		/* Members are counted only now that the object is packed as a whole. */
		*w->members(save->report) += members;
		save->report->services += w == &services;
		off = next;
	}
	return 0;
}

static void walk_shard(struct save *save, const struct walker *w, uint32_t shard)
{
	struct registry_cursor cursor = { .shard = shard };
	size_t room = 1;

	while (room > 0 && save->err == 0) {
		struct op op;
		int ret = op_begin(&op, save->reg, shard, (struct origin){ 0 });

		if (ret < 0) {
			save_fail(save, ret, "a shard cannot be locked");
			return;
		}
		room = walk_hold(save, w, &op, &cursor);
		if (op.tx.err != 0)
			save_fail(save, op.tx.err, "a reference is impossible");
		op_end(&op);
		/* The buffer is written out without the lock. */
		if (room > 0)
			save_flush(save);
		if (room > save->pack.cap)
			save_make_room(save, room);
	}
}

static void pack_end(struct save *save)
{
	struct pack_map map = record_begin(save, SNAPSHOT_END);
	uint64_t checksum;

	pack_number(&map, END_SERVICES, save->report->services);
	pack_number(&map, END_INSTANCES, save->report->instances);
	pack_number(&map, END_SUBSCRIBERS, save->report->subscribers);
	pack_map_end(&map);
	save_flush(save);
	checksum = __builtin_bswap64(XXH3_64bits_digest(save->hash));
	/* The checksum always has its full length: a load finds it by the length of the stream. */
	pack_append(&save->pack, "\xcf", 1);
	pack_append(&save->pack, &checksum, sizeof(checksum));
	save_flush(save);
}

static void save_all(struct save *save)
{
	pack_header(save);
	save_office(save);
	/* Kinds rise in a stream, so all services come before the first audience. */
	for (uint32_t shard = 0; shard < SHARDS; shard++)
		walk_shard(save, &services, shard);
	FAULT_AT("save-services");
	for (uint32_t shard = 0; shard < SHARDS; shard++)
		walk_shard(save, &audiences, shard);
	if (save->err == 0)
		pack_end(save);
}

int snapshot_save(struct registry *reg, int fd, struct snapshot_report *report_r)
{
	struct save save = { .reg = reg, .fd = fd, .report = report_r, .mono_ms = clock_mono_ms() };

	*report_r = (struct snapshot_report){ .bytes = 0 };
	save.pack = (struct pack){ malloc(BUFFER_BYTES), 0, BUFFER_BYTES };
	save.hash = XXH3_createState();
	if (save.pack.data == NULL || save.hash == NULL) {
		save_fail(&save, ERR_NOMEM, "out of memory");
	} else {
		XXH3_64bits_reset(save.hash);
		save_all(&save);
	}
	free(save.pack.data);
	XXH3_freeState(save.hash);
	return save.err;
}
