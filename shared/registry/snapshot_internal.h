/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot_internal.h - kinds and keys of the stream, and the strict reader; for the sources of snapshot.h and their tests.
 *
 * A number here is never given another meaning. New fields of a map get the next free number below SNAPSHOT_MEMBERS. */
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
#define SNAPSHOT_WEIGHT 0x3ff0000000000000ULL /* default of an instance: the bits of 1.0 */
#define SNAPSHOT_MEMBERS 100U                 /* key of the list of members, the last of a map */
#define SNAPSHOT_ITEM_MAX (1U << 20)          /* a map without its members, in bytes */

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
};

enum snapshot_switches_key {
	SWITCHES_WORDS = 1, /* array, in the order of struct switches; new ones come behind */
	SWITCHES_MASTERS = 2,
	SWITCHES_LIMITED = 3,
	SWITCHES_STATUS = 4,
};

enum snapshot_namespace_key { NAMESPACE_ID = 1, NAMESPACE_NAME = 2, NAMESPACE_ABOUT = 3 };

enum snapshot_service_key {
	SERVICE_NS = 1,
	SERVICE_NAME = 2,
	SERVICE_ID = 3,
	SERVICE_STAMP = 4,
	SERVICE_REVISION = 5,
	SERVICE_CHANGED = 6,
	SERVICE_CONTENT = 7,
	SERVICE_CHECKSUM_CONTENT = 8,
	SERVICE_CHECKSUM_0 = 9,
	SERVICE_CHECKSUM_1 = 10,
	SERVICE_METADATA = 11,
	SERVICE_SELECTOR = 12,
	SERVICE_THRESHOLD = 13, /* float bits */
	SERVICE_FLAGS = 14,
	SERVICE_PENDING_0 = 15, /* enum change bits, not yet taken by consumer 0 */
	SERVICE_AGE_0 = 16,     /* ms since the first of these changes */
	SERVICE_PENDING_1 = 17,
	SERVICE_AGE_1 = 18,
};

enum snapshot_cluster_key {
	CLUSTER_NAME = 1, /* left out: DEFAULT */
	CLUSTER_METADATA = 2,
	CLUSTER_CHECKER = 3,
	CLUSTER_PORT = 4,
	CLUSTER_OWN_PORT = 5, /* 1: not the port of the instance */
};

enum snapshot_instance_key {
	INSTANCE_IP = 1,
	INSTANCE_PORT = 2,
	INSTANCE_FLAGS = 3,
	INSTANCE_ID = 4,
	INSTANCE_BEAT = 5,
	INSTANCE_STAMP = 6,
	INSTANCE_REVISION = 7,
	INSTANCE_WEIGHT = 8, /* double bits; left out: 1.0 */
	INSTANCE_METADATA = 9,
	INSTANCE_APP = 10,
	INSTANCE_IDENT = 11,
	INSTANCE_INTERVAL = 12, /* overrides; interval left out: not named */
	INSTANCE_TIMEOUT = 13,  /* there: has overrides */
	INSTANCE_DELETE = 14,
	INSTANCE_SOURCE = 15, /* upper half of the sender: where its last beat came from */
};

enum snapshot_audience_key { AUDIENCE_NS = 1, AUDIENCE_NAME = 2, AUDIENCE_ID = 3 };

enum snapshot_subscriber_key {
	SUBSCRIBER_ID = 1,
	SUBSCRIBER_SEEN = 2,
	SUBSCRIBER_SENT = 3,
	SUBSCRIBER_ACKED = 4,
	SUBSCRIBER_SENT_AGE = 5, /* plus one; left out: never sent */
	SUBSCRIBER_PUSH_KEY = 6,
	SUBSCRIBER_TRIES = 7,
	SUBSCRIBER_AGENT = 8,
	SUBSCRIBER_CLUSTERS = 9,
	SUBSCRIBER_APP = 10,
	SUBSCRIBER_TEXT = 11,
	SUBSCRIBER_PORT = 12,
	SUBSCRIBER_KIND = 13,
	SUBSCRIBER_FLAGS = 14,
	SUBSCRIBER_ADDRESS = 15,
	SUBSCRIBER_SOURCE = 16,
	SUBSCRIBER_VERSION = 17,
};

enum snapshot_end_key { END_SERVICES = 1, END_INSTANCES = 2, END_SUBSCRIBERS = 3 };

/* Reads the stream through a window. The first error sticks; from then on every call gives zero or an empty text, and every
 * map has ended. A text points into the window and is good until the next snapshot_map_begin(). */
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
struct str snapshot_text(struct snapshot_reader *r, size_t most);
/* Exactly n bytes. */
void snapshot_bytes(struct snapshot_reader *r, void *out, size_t n);
uint64_t snapshot_array(struct snapshot_reader *r);
/* Makes sure that SNAPSHOT_ITEM_MAX bytes, or the rest of the stream, are in the window. */
void snapshot_read_fill(struct snapshot_reader *r);
/* Fills first. */
void snapshot_map_begin(struct snapshot_reader *r, struct snapshot_map *map);
/* The next key in *key_r; keys that are not above the last one are an error. */
bool snapshot_map_next(struct snapshot_reader *r, struct snapshot_map *map, unsigned *key_r);
/* One value of any type, however deep: without recursion. */
void snapshot_skip(struct snapshot_reader *r);
/* The same for a value that no text of the same map is needed beside: may be of any length. */
void snapshot_skip_long(struct snapshot_reader *r);
/* Magic and version. */
void snapshot_read_start(struct snapshot_reader *r);
/* The checksum and the end of the stream. */
void snapshot_read_checksum(struct snapshot_reader *r);
uint64_t snapshot_read_bytes(const struct snapshot_reader *r);

#endif
