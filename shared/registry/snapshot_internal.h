/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot_internal.h - the kinds of records, the keys of those that are no stored objects, and the
 * strict reader; for the sources of snapshot.h and their tests. The keys of services, clusters,
 * instances and subscribers stand in fields.h.
 *
 * A number here is never given another meaning. New fields of a map get the next free number below
 * SNAPSHOT_MEMBERS. */
#ifndef REGISTRY_SNAPSHOT_INTERNAL_H
#define REGISTRY_SNAPSHOT_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xxhash.h>

#include "shared/base/err.h"
#include "shared/base/str.h"
#include "shared/registry/snapshot.h"

#define SNAPSHOT_MAGIC "roster-snapshot"
#define SNAPSHOT_VERSION 1U
#define SNAPSHOT_MEMBERS 100U        /* key of the list of members, the last of a map */
#define SNAPSHOT_ITEM_MAX (1U << 20) /* a map without its members, in bytes */

enum snapshot_kind {
	SNAPSHOT_HEADER = 1,
	SNAPSHOT_SWITCHES = 2,
	SNAPSHOT_NAMESPACE = 3,
	SNAPSHOT_SERVICE = 4,
	SNAPSHOT_AUDIENCE = 5,
	SNAPSHOT_END = 127,
};

enum snapshot_header_key {
	HEADER_MADE_BY = 1, /* text, for people */
	HEADER_HEALTH = 2,
	HEADER_STAMP = 3,
	HEADER_SERVED_AT = 4,
	HEADER_NODE = 5,
	HEADER_LAST_ID = 6, /* highest counter of any shard */
	HEADER_REVISION = 7,
	HEADER_INSTANCES = 8, /* about so many will come: a hint for the size of tables */
	HEADER_LAYOUT = 9,    /* SEGMENT_LAYOUT of who saved it */
};

enum snapshot_switches_key {
	SWITCHES_WORDS = 1, /* array, in the order of struct switches; new ones come behind */
	SWITCHES_MASTERS = 2,
	SWITCHES_LIMITED = 3,
	SWITCHES_STATUS = 4,
};

enum snapshot_namespace_key { NAMESPACE_ID = 1, NAMESPACE_NAME = 2, NAMESPACE_ABOUT = 3 };

enum snapshot_end_key { END_SERVICES = 1, END_INSTANCES = 2, END_SUBSCRIBERS = 3 };

/* Reads the stream through a window. The first error sticks; from then on every call gives zero or
 * an empty text, and every map has ended. A text points into the window and is good until the next
 * snapshot_map_begin(). */
struct snapshot_reader {
	int fd;
	uint8_t *window;
	const uint8_t *p, *end;
	const uint8_t *hashed; /* up to here the bytes are in the hash */
	XXH3_state_t *hash;
	uint64_t gone; /* bytes before the window */
	bool eof;
	int err;
	const char *why;
};

struct snapshot_map {
	uint64_t left; /* pairs */
	uint64_t key;  /* the last one */
};

int snapshot_reader_open(struct snapshot_reader *r, int fd) MUST_CHECK;
void snapshot_reader_close(struct snapshot_reader *r);
void snapshot_fail(struct snapshot_reader *r, int err, const char *why);
uint64_t snapshot_u64(struct snapshot_reader *r, uint64_t most);
int64_t snapshot_i64(struct snapshot_reader *r, int64_t least, int64_t most);
/* A text is UTF-8: clients are shown it. */
struct str snapshot_text(struct snapshot_reader *r, size_t most);
/* Returns a packed map. Its texts are UTF-8 as far as who unpacks it comes; what is no map of texts
 * shows nothing. */
struct str snapshot_packed(struct snapshot_reader *r, size_t most);
/* Returns exactly n bytes, or an empty text after an error. */
struct str snapshot_bytes(struct snapshot_reader *r, size_t n);
uint64_t snapshot_array(struct snapshot_reader *r);
/* Makes sure that SNAPSHOT_ITEM_MAX bytes, or the rest of the stream, are in the window. */
void snapshot_read_fill(struct snapshot_reader *r);
/* Begins a map; fills the window first. */
void snapshot_map_begin(struct snapshot_reader *r, struct snapshot_map *map);
/* Gives the next key through *key_r; keys that are not above the last one are an error. */
bool snapshot_map_next(struct snapshot_reader *r, struct snapshot_map *map, unsigned *key_r);
/* Skips one value of any type, however deep, without recursion. */
void snapshot_skip(struct snapshot_reader *r);
/* Skips a value of any length, beside which no text of the same map is needed. */
void snapshot_skip_long(struct snapshot_reader *r);
/* Reads magic and version. */
void snapshot_read_start(struct snapshot_reader *r);
/* Reads the checksum and the end of the stream. */
void snapshot_read_checksum(struct snapshot_reader *r);
uint64_t snapshot_read_bytes(const struct snapshot_reader *r);

#endif
