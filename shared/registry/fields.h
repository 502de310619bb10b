/* SPDX-License-Identifier: Apache-2.0 */
/* fields.h - the fields of stored objects: a row for each, and what is done alike with all of them.
 *
 * A row covers one member of a struct of layout.h, or a value that is made from members when it is
 * saved (snapshot_value.h). The rows of a kind cover every byte of its struct
 * (tests/unit/fields_test.c counts them), so a new member needs a row. These go by the rows:
 *
 *   - saving and loading a snapshot, and so the change to another layout of the segment;
 *   - the account of bytes, the release of texts, compaction and the references that
 *     registry_audit() follows;
 *   - the map of damage (tests/fault/corrupt_map.c), the model of tests/fault and the comparison of
 *     tests/unit/snapshot_test.c.
 *
 * Beats, lists and pushes read the members themselves: no row is looked at there.
 *
 * Keys. What is saved has a key in the snapshot. A number is never given another meaning; a new
 * field gets the next free one.
 *
 * All functions run under the lock of the shard that owns the object, and change nothing but what
 * they say. */
#ifndef REGISTRY_FIELDS_H
#define REGISTRY_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/assert.h"
#include "shared/base/str.h"
#include "shared/shm/undo.h"

#define FIELD_KEYS 24U                     /* room for the keys of each kind */
#define FIELD_WEIGHT 0x3ff0000000000000ULL /* usual of an instance: the bits of 1.0 */
#define STAMP_MAX ((1ULL << 53) - 1)
#define COUNTER_MAX ((1ULL << 47) - 1) /* half of what an id holds: the other half is to come */

enum saved_service {
	SAVED_SERVICE_NS = 1,
	SAVED_SERVICE_NAME = 2,
	SAVED_SERVICE_ID = 3,
	SAVED_SERVICE_STAMP = 4,
	SAVED_SERVICE_REVISION = 5,
	SAVED_SERVICE_CHANGED = 6,
	SAVED_SERVICE_CONTENT = 7,
	SAVED_SERVICE_CHECKSUM_CONTENT = 8,
	SAVED_SERVICE_CHECKSUM_0 = 9,
	SAVED_SERVICE_CHECKSUM_1 = 10,
	SAVED_SERVICE_METADATA = 11,
	SAVED_SERVICE_SELECTOR = 12,
	SAVED_SERVICE_THRESHOLD = 13, /* float bits */
	SAVED_SERVICE_FLAGS = 14,
	SAVED_SERVICE_PENDING_0 = 15, /* enum change bits, not yet taken by consumer 0 */
	SAVED_SERVICE_AGE_0 = 16,     /* ms since the first of these changes */
	SAVED_SERVICE_PENDING_1 = 17,
	SAVED_SERVICE_AGE_1 = 18,
	SAVED_SERVICE_KEYS,
};

enum saved_cluster {
	SAVED_CLUSTER_NAME = 1, /* left out: DEFAULT */
	SAVED_CLUSTER_METADATA = 2,
	SAVED_CLUSTER_CHECKER = 3,
	SAVED_CLUSTER_PORT = 4,
	SAVED_CLUSTER_OWN_PORT = 5, /* 1: not the port of the instance */
	SAVED_CLUSTER_KEYS,
};

enum saved_instance {
	SAVED_INSTANCE_IP = 1,
	SAVED_INSTANCE_PORT = 2,
	SAVED_INSTANCE_FLAGS = 3,
	SAVED_INSTANCE_ID = 4,
	SAVED_INSTANCE_BEAT = 5,
	SAVED_INSTANCE_STAMP = 6,
	SAVED_INSTANCE_REVISION = 7,
	SAVED_INSTANCE_WEIGHT = 8, /* double bits; left out: 1.0 */
	SAVED_INSTANCE_METADATA = 9,
	SAVED_INSTANCE_APP = 10,
	SAVED_INSTANCE_IDENT = 11,
	SAVED_INSTANCE_INTERVAL = 12, /* overrides; interval left out: not named */
	SAVED_INSTANCE_TIMEOUT = 13,  /* there: has overrides */
	SAVED_INSTANCE_DELETE = 14,
	SAVED_INSTANCE_SOURCE = 15, /* upper half of the sender: where its last beat came from */
	SAVED_INSTANCE_KEYS,
};

enum saved_audience {
	SAVED_AUDIENCE_NS = 1,
	SAVED_AUDIENCE_NAME = 2,
	SAVED_AUDIENCE_ID = 3,
	SAVED_AUDIENCE_KEYS
};

enum saved_subscriber {
	SAVED_SUBSCRIBER_ID = 1,
	SAVED_SUBSCRIBER_SEEN = 2,
	SAVED_SUBSCRIBER_SENT = 3,
	SAVED_SUBSCRIBER_ACKED = 4,
	SAVED_SUBSCRIBER_SENT_AGE = 5, /* plus one; left out: never sent */
	SAVED_SUBSCRIBER_PUSH_KEY = 6,
	SAVED_SUBSCRIBER_TRIES = 7,
	SAVED_SUBSCRIBER_AGENT = 8,
	SAVED_SUBSCRIBER_CLUSTERS = 9,
	SAVED_SUBSCRIBER_APP = 10,
	SAVED_SUBSCRIBER_TEXT = 11,
	SAVED_SUBSCRIBER_PORT = 12,
	SAVED_SUBSCRIBER_KIND = 13,
	SAVED_SUBSCRIBER_FLAGS = 14,
	SAVED_SUBSCRIBER_ADDRESS = 15,
	SAVED_SUBSCRIBER_SOURCE = 16,
	SAVED_SUBSCRIBER_VERSION = 17,
	SAVED_SUBSCRIBER_KEYS,
};

enum field_type {
	FIELD_INSIDE, /* bytes that mean something in this segment only, such as a link or a count; never saved */
	FIELD_U8,
	FIELD_U16,
	FIELD_U32,
	FIELD_U64,
	FIELD_I32,
	FIELD_ADDRESS, /* 16 bytes */
	FIELD_TEXT,    /* a text without a place of its own */
	FIELD_BLOB,    /* the reference of a text that the object owns; unset: 0 */
	FIELD_FILLED,  /* the same, but an empty text has no blob either */
	FIELD_PACKED,  /* the same as FIELD_BLOB, of a msgpack map of texts */
};

/* What is saved of a field; numbers below zero as two's complement. A text is a view. */
union field_value {
	uint64_t number;
	struct str text;
};

struct field_row {
	const char *name;   /* as findings and tests call it; NULL: the key is not in use */
	uint8_t type;       /* enum field_type */
	uint16_t at, bytes; /* its place in the object; bytes 0: it has none and is made */
	/* the bits whose damage registry_audit() or an attach notices; of long fields in each
	 * word */
	uint64_t noticed;
	bool shown; /* clients see it in replies or pushes */
	/* the SEGMENT_LAYOUT that saved it first; a load of an older one says that it is not
	 * there */
	uint8_t since;
	/* the highest value, or the longest text, that a load takes; 0: whatever the type holds */
	uint64_t most;
	uint64_t usual; /* this number is left out, and what is left out is this number */
};

struct fields {
	const struct field_row
	        *rows;         /* first those that are saved: the row of a key is rows[key] */
	uint32_t saved, count; /* keys are below `saved`; there are `count` rows in all */
};

extern const struct fields service_fields, cluster_fields, instance_fields, audience_fields,
        subscriber_fields;

static inline bool field_is_blob(const struct field_row *row)
{
	return row->type == FIELD_BLOB || row->type == FIELD_FILLED || row->type == FIELD_PACKED;
}

/* Returns the place of a blob's reference. */
static inline uint32_t *field_blob(const struct field_row *row, void *object)
{
	ROSTER_ASSERT(field_is_blob(row));
	return (uint32_t *)((char *)object + row->at);
}

/* Returns a number, or the reference of a blob. */
static inline uint64_t field_number(const struct field_row *row, const void *object)
{
	const char *at = (const char *)object + row->at;

	switch (row->type) {
	case FIELD_U8:
		return *(const uint8_t *)at;
	case FIELD_U16:
		return *(const uint16_t *)at;
	case FIELD_U64: /* some are stored without the lock */
		return __atomic_load_n((const uint64_t *)at, __ATOMIC_RELAXED);
	case FIELD_I32:
		return (uint64_t)(int64_t)(*(const int32_t *)at);
	default:
		return *(const uint32_t *)at;
	}
}

/* Stores a number plainly: for objects that nobody can reach yet. */
static inline void field_set_number(const struct field_row *row, void *object, uint64_t number)
{
	char *at = (char *)object + row->at;

	switch (row->type) {
	case FIELD_U8:
		*(uint8_t *)at = (uint8_t)number;
		break;
	case FIELD_U16:
		*(uint16_t *)at = (uint16_t)number;
		break;
	case FIELD_U64:
		*(uint64_t *)at = number;
		break;
	default:
		*(uint32_t *)at = (uint32_t)number;
		break;
	}
}

/* Returns the bytes of segment that the texts of an object take. */
int64_t fields_bytes(const struct tx *tx, const struct fields *fields, const void *object);
/* Gives the texts of an object back after the commit. */
void fields_free(struct tx *tx, const struct fields *fields, const void *object);

#endif
