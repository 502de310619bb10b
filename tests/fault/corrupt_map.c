/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fault/corrupt.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "shared/registry/fields.h"
#include "shared/registry/office.h"
#include "shared/registry/registry_internal.h"
#include "shared/shm/blob.h"
#include "shared/shm/shard.h"
#include "shared/shm/slot.h"

#define ALL 0xffU

struct field {
	size_t at, bytes;
};

#define FIELD(type, member) \
	{ \
		offsetof(struct type, member), sizeof(((struct type *)0)->member) \
	}

static void put(struct map *map, uint64_t at, uint64_t n, enum area area, uint8_t must)
{
	memset(map->area + at, area, n);
	memset(map->must + at, must, n);
}

static void must(struct map *map, uint64_t at, uint64_t n, uint8_t bits)
{
	memset(map->must + at, bits, n);
}

static void must_fields(struct map *map, uint64_t at, const struct field *fields, size_t count)
{
	for (size_t n = 0; n < count; n++)
		must(map, at + fields[n].at, fields[n].bytes, ALL);
}

#define MUST(map, at, table) must_fields(map, at, table, sizeof(table) / sizeof((table)[0]))

static uint64_t at_of(const struct segment *seg, const void *p)
{
	return (uint64_t)((const uint8_t *)p - seg->base);
}

/* ---- before the pages ------------------------------------------------------------------------ */

static void map_header(const struct segment *seg, struct map *map)
{
	static const struct field fields[] = {
		FIELD(segment_header, magic),
		FIELD(segment_header, seal),
		FIELD(segment_header, damaged_ms),
		FIELD(segment_header, backed),
	};
	size_t sealed = offsetof(struct segment_header, layout);

	put(map, 0, offsetof(struct segment_header, spare), AREA_HEADER, 0);
	put(map, SEGMENT_QUEUE_AT, sizeof(struct queue_words), AREA_HEADER, 0);
	must(map, sealed, offsetof(struct segment_header, backed) - sealed, ALL);
	MUST(map, 0, fields);
	/* A step of the clock may lie between the two: 1.25 s, the lowest bits. */
	must(map, offsetof(struct segment_header, health_ms) + 2, 6, ALL);
	must(map, offsetof(struct segment_header, health_guard) + 2, 6, ALL);
	put(map, SEGMENT_PAGE, at_of(seg, seg->events) - SEGMENT_PAGE, AREA_SLOTS, 0);
}

/* The position of the next event may be a little ahead: slots that nobody filled are skipped by
 * readers. The busy bit makes an event one that is being written, and then one that is lost. */
static void map_ring(const struct segment *seg, struct map *map, const struct ring *ring,
                     uint32_t slots, bool names)
{
	uint64_t at = at_of(seg, ring), slot_bytes = (ring_bytes(slots, names) - 64) / slots;

	put(map, at, ring_bytes(slots, names), AREA_EVENTS, 0);
	put(map, at, 64, AREA_RINGS, 0);
	must(map, at + 2, 6, ALL);
	must(map, at + 8, 8, ALL);
	for (uint32_t n = 0; n < slots; n++) {
		put(map, at + 64 + n * slot_bytes, 8, AREA_RINGS, ALL);
		must(map, at + 64 + n * slot_bytes + 4, 4, 0);
	}
}

/* What the checksums of switches and counters are: none; their words are settings. */
static void map_office(const struct segment *seg, struct map *map)
{
	static const struct field fields[] = {
		FIELD(office, masters),        FIELD(office, limited),
		FIELD(office, status),         FIELD(office, first_namespace),
		FIELD(office, last_namespace), FIELD(office, namespace_bytes),
		FIELD(office, namespaces),
	};
	uint64_t at = at_of(seg, office_of(seg));

	put(map, at, sizeof(struct switches), AREA_SWITCHES, 0);
	put(map, at + sizeof(struct switches), sizeof(struct office) - sizeof(struct switches),
	    AREA_ROOTS, 0);
	MUST(map, at, fields);
	must(map, at + offsetof(struct office, namespaces) + offsetof(struct table, pad), 4, 0);
}

static void map_root(const struct segment *seg, struct map *map, const struct shard *shard)
{
	static const size_t tables[] = { offsetof(struct registry_root, services),
		                         offsetof(struct registry_root, instances),
		                         offsetof(struct registry_root, audiences),
		                         offsetof(struct registry_root, subscribers) };
	uint64_t at = at_of(seg, shard->root);

	put(map, at, sizeof(struct registry_root), AREA_ROOTS, ALL);
	for (unsigned n = 0; n < 4; n++)
		must(map, at + tables[n] + offsetof(struct table, pad), 4, 0);
	/* Hints: ids between the last service and the counter, and whether stale ones were
	 * dropped. */
	must(map, at + offsetof(struct registry_root, last_service_id), 8, 0);
	must(map, at + offsetof(struct registry_root, stale_attach), 16, 0);
}

static void map_shard(const struct segment *seg, struct map *map, const struct shard *shard)
{
	uint64_t at = at_of(seg, shard);

	put(map, at, sizeof(*shard), AREA_IDLE, 0);
	put(map, at, offsetof(struct shard, index), AREA_LOCKS, 0);
	put(map, at + offsetof(struct shard, index), 8, AREA_SHARDS, 0);
	must(map, at + offsetof(struct shard, index), 4, ALL);
	put(map, at + offsetof(struct shard, state), 40, AREA_SHARDS, 0);
	must(map, at + offsetof(struct shard, state), 8, ALL);
	put(map, at + offsetof(struct shard, slabs), sizeof(shard->slabs), AREA_SLABS, ALL);
	if (shard->index == SHARD_OFFICE)
		map_office(seg, map);
	else
		map_root(seg, map, shard);
}

/* A page without owner and use that gets an owner is given back by the next sweep. */
static void map_pages(const struct segment *seg, struct map *map, uint64_t backed)
{
	uint64_t owners = at_of(seg, seg->owners), descs = at_of(seg, seg->descs);

	put(map, owners, descs - owners, AREA_IDLE, 0);
	put(map, owners, seg->pages, AREA_OWNERS, ALL);
	put(map, descs, seg->data_off - descs, AREA_IDLE, 0);
	for (uint64_t page = 0; page < backed; page++) {
		uint64_t at = descs + page * sizeof(struct page_desc);

		put(map, at, sizeof(struct page_desc), AREA_DESCS, 0);
		must(map, at, 6, ALL);
		must(map, at + offsetof(struct page_desc, next), 8, ALL);
		must(map, at + offsetof(struct page_desc, bitmap), 32, ALL);
		if (seg->owners[page] == 0)
			must(map, owners + page, 1, 0);
		put(map, seg->data_off + page * SEGMENT_PAGE, SEGMENT_PAGE, AREA_FREE, 0);
	}
}

/* ---- objects --------------------------------------------------------------------------------- */

/* What its rows say is noticed; the callers know the states in which that does not hold. */
static void map_fields(struct map *map, uint64_t at, enum slab_kind kind, enum area area,
                       const struct fields *fields)
{
	put(map, at, slab_object_bytes(kind), area, 0);
	for (uint32_t n = 0; n < fields->count; n++) {
		const struct field_row *row = &fields->rows[n];

		for (uint32_t byte = 0; byte < row->bytes; byte++)
			must(map, at + row->at + byte, 1,
			     (uint8_t)(row->noticed >> 8 * (byte % 8)));
	}
}

static void map_service(struct map *map, uint64_t at, const struct service *s)
{
	map_fields(map, at, SLAB_SERVICE, AREA_SERVICES, &service_fields);
	if ((s->flags & SERVICE_REMOVED) != 0)
		must(map, at + offsetof(struct service, link), sizeof(s->link), 0);
	for (unsigned c = 0; c < QUEUE_CONSUMERS; c++) {
		uint64_t link =
		        at + offsetof(struct service, queue) + c * sizeof(struct queue_link);
		bool pending = queue_link_pending(&s->queue[c]) != 0;

		must(map, link, 8, pending ? ALL : 0);
		/* One kind of change for another still pushes; the time before the first change
		 * says nothing. */
		must(map, link + offsetof(struct queue_link, state), 1, pending ? 0xf0 : ALL);
	}
}

static void map_instance(struct map *map, uint64_t at, const struct instance *i)
{
	size_t ip = (i->flags & INSTANCE_IP_BLOB) != 0 ? 4 : strnlen(i->ip, sizeof(i->ip));

	map_fields(map, at, SLAB_INSTANCE, AREA_INSTANCES, &instance_fields);
	ip = ip < sizeof(i->ip) && ip != 4 ? ip + 1 : ip;
	must(map, at + offsetof(struct instance, ip) + ip, sizeof(i->ip) - ip, 0);
	if ((i->flags & INSTANCE_OWNED) == 0) /* it is who was heard last */
		must(map, at + offsetof(struct instance, sender), sizeof(i->sender), 0);
}

static void map_namespace(struct map *map, uint64_t at)
{
	put(map, at, SLAB_BYTES_NAMESPACE, AREA_NAMESPACES, 0);
	must(map, at, offsetof(struct namespace, pad), ALL);
}

/* The lower half of a length says how much of the text counts; within its class that is the text's
 * business. */
static void map_blob(struct map *map, uint64_t at, const struct blob *blob, uint32_t bytes)
{
	put(map, at, sizeof(*blob), AREA_BLOBS, ALL);
	must(map, at + offsetof(struct blob, len), 2, 0);
	put(map, at + sizeof(*blob), bytes - sizeof(*blob), AREA_TEXTS, 0);
}

static void map_object(struct map *map, uint64_t at, void *object, enum slab_kind kind)
{
	switch (kind) {
	case SLAB_SERVICE:
		map_service(map, at, object);
		break;
	case SLAB_CLUSTER:
		map_fields(map, at, SLAB_CLUSTER, AREA_CLUSTERS, &cluster_fields);
		break;
	case SLAB_INSTANCE:
		map_instance(map, at, object);
		break;
	case SLAB_AUDIENCE:
		map_fields(map, at, SLAB_AUDIENCE, AREA_AUDIENCES, &audience_fields);
		break;
	case SLAB_SUBSCRIBER:
		map_fields(map, at, SLAB_SUBSCRIBER, AREA_SUBSCRIBERS, &subscriber_fields);
		break;
	case SLAB_NAMESPACE:
		map_namespace(map, at);
		break;
	case SLAB_TABLE:
		break;
	default:
		map_blob(map, at, object, slab_object_bytes(kind));
		break;
	}
}

static void map_objects(const struct segment *seg, struct map *map, uint64_t backed)
{
	for (uint64_t page = 0; page < backed; page++) {
		const struct page_desc *desc = &seg->descs[page];
		uint32_t bytes = desc->kind == SLAB_NONE
		                         ? SEGMENT_PAGE
		                         : slab_object_bytes((enum slab_kind)desc->kind);

		for (uint32_t n = 0; seg->owners[page] != 0 && n < SEGMENT_PAGE / bytes; n++) {
			uint64_t at = seg->data_off + page * SEGMENT_PAGE + n * bytes;

			if (desc->bitmap[n / 64] >> n % 64 & 1)
				map_object(map, at, seg->base + at, (enum slab_kind)desc->kind);
		}
	}
}

/* Heads of buckets in use, and the whole directory. */
static void map_table(const struct segment *seg, struct map *map, uint32_t shard,
                      const struct table *table)
{
	const struct tx tx = { .seg = (struct segment *)seg, .shard = &seg->shards[shard] };

	if (table->dir == 0)
		return;
	put(map, (uint64_t)table->dir * SEGMENT_UNIT, SEGMENT_PAGE, AREA_TABLES, ALL);
	for (uint32_t n = 0; n < table_pages(table); n++) {
		uint64_t at = (uint64_t)table_page(&tx, table, n) * SEGMENT_UNIT;
		uint32_t heads = table->buckets - TABLE_INLINE - n * TABLE_HEADS;

		put(map, at, SEGMENT_PAGE, AREA_TABLES, 0);
		must(map, at, (heads < TABLE_HEADS ? heads : TABLE_HEADS) * 4, ALL);
	}
}

static void map_tables(const struct segment *seg, struct map *map)
{
	map_table(seg, map, SHARD_OFFICE, &office_of(seg)->namespaces);
	for (uint32_t n = 0; n < SHARDS; n++) {
		const struct registry_root *root =
		        (const struct registry_root *)seg->shards[n].root;

		map_table(seg, map, n, &root->services);
		map_table(seg, map, n, &root->instances);
		map_table(seg, map, n, &root->audiences);
		map_table(seg, map, n, &root->subscribers);
	}
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void list_words(struct map *map)
{
	for (unsigned pass = 0; pass < 2; pass++) {
		uint32_t count[AREAS] = { 0 };

		for (uint64_t at = 0; at < map->bytes; at += 8) {
			enum area area = (enum area)map->area[at];

			if (pass == 1)
				map->words[area][count[area]] = (uint32_t)at;
			count[area]++;
		}
		for (unsigned area = 0; area < AREAS && pass == 0; area++)
			if ((map->words[area] = calloc(count[area] + 1, sizeof(uint32_t))) == NULL)
				exit(2);
		memcpy(map->count, count, sizeof(count));
	}
}

/* The rest is what it was before the operations began. What their logs restore is not damaged
 * afterwards. */
void map_logs(struct segment *seg, const struct map *rest, struct map *map)
{
	*map = (struct map){ .bytes = rest->bytes,
		             .area = malloc(rest->bytes),
		             .must = malloc(rest->bytes) };
	if (map->area == NULL || map->must == NULL)
		exit(2);
	memcpy(map->area, rest->area, rest->bytes);
	memcpy(map->must, rest->must, rest->bytes);
	for (uint32_t n = 0; n < SHARDS_ALL; n++) {
		const struct shard *shard = &seg->shards[n];
		uint64_t at = at_of(seg, shard), entries = shard->state & 0xffff,
		         frees = shard->state >> 16 & 0xffff;

		put(map, at + offsetof(struct shard, undo), entries * sizeof(struct undo_entry),
		    AREA_LOG, ALL);
		put(map, at + offsetof(struct shard, frees), frees * 4, AREA_LOG,
		    0); /* forgotten by a roll-back */
		for (uint64_t i = 0; i < entries; i++)
			must(map, shard->undo[i].at & UNDO_PLACE, 8, 0);
	}
	list_words(map);
}

void map_make(struct segment *seg, struct map *map)
{
	uint64_t backed = segment_backed(seg);

	map->bytes = seg->data_off + backed * SEGMENT_PAGE;
	map->area = calloc(map->bytes, 1);
	map->must = calloc(map->bytes, 1);
	if (map->area == NULL || map->must == NULL)
		exit(2);
	put(map, 0, map->bytes, AREA_IDLE, 0);
	map_header(seg, map);
	map_ring(seg, map, seg->events, RING_EVENTS, false);
	map_ring(seg, map, seg->removed, RING_REMOVED, true);
	for (uint32_t n = 0; n < SHARDS_ALL; n++)
		map_shard(seg, map, &seg->shards[n]);
	map_pages(seg, map, backed);
	map_objects(seg, map, backed);
	map_tables(seg, map);
	list_words(map);
}
