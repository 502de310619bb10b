/* SPDX-License-Identifier: Apache-2.0 */
/* corrupt.h - what the parts of the campaign of damaged segments share.
 *
 * A file with something of everything in it is made once (corrupt_content.c). corrupt_map.c says of
 * each byte of it which area it lies in and which of its bits are structure: what an attach or a
 * check has to notice. corrupt.c damages copies and lets children attach, check and work on them
 * (corrupt_ops.c). */
#ifndef TESTS_FAULT_CORRUPT_H
#define TESTS_FAULT_CORRUPT_H

#include <stdint.h>

#include "shared/registry/registry.h"
#include "shared/shm/segment.h"

#define CONTENT_BYTES (16U << 20)
#define CONTENT_SERVICES 40U

enum area {
	AREA_HEADER,
	AREA_SLOTS, /* with board and routes: cleared by each start */
	AREA_RINGS,
	AREA_EVENTS,
	AREA_SHARDS, /* index, state, numbers */
	AREA_LOCKS,
	AREA_LOG,  /* entries in use */
	AREA_IDLE, /* entries not in use, room at the roots, pages beyond: never read */
	AREA_SLABS,
	AREA_ROOTS,
	AREA_SWITCHES,
	AREA_OWNERS,
	AREA_DESCS,
	AREA_TABLES,
	AREA_SERVICES,
	AREA_CLUSTERS,
	AREA_INSTANCES,
	AREA_AUDIENCES,
	AREA_SUBSCRIBERS,
	AREA_NAMESPACES,
	AREA_BLOBS,
	AREA_TEXTS,
	AREA_FREE, /* pages and objects nobody has */
	AREA_FILE, /* not bytes: truncated, another fingerprint */
	AREAS
};

struct map {
	uint64_t bytes;         /* of the file, from its beginning, that are copied for each case */
	uint8_t *area;          /* enum area of each byte */
	uint8_t *must;          /* bits of each byte whose change has to be noticed */
	uint32_t *words[AREAS]; /* offsets of the 8-byte words of each area */
	uint32_t count[AREAS];
};

/* Services, clusters, instances, subscribers, namespaces, switches, a service being drained, queued
 * changes, events. */
void content_make(struct registry *reg);
/* Operations that died in the middle: their logs stay. */
void content_half_done(struct registry *reg);
struct service_key content_key(unsigned n, char text[64]);

void map_make(struct segment *seg, struct map *map);
void map_logs(struct segment *seg, const struct map *rest, struct map *map);

/* What workers, the keeper and the pusher do, all of it. Returns the number of loops that had no
 * end. */
unsigned ops_run(struct registry *reg, uint32_t random);

#endif
