/* SPDX-License-Identifier: Apache-2.0 */
/* office.h - what lies at the root of shard 64: switches and namespaces. For shared/registry only.
 *
 * The office has no services: its root is no struct registry_root. */
#ifndef REGISTRY_OFFICE_H
#define REGISTRY_OFFICE_H

#include "shared/registry/registry_internal.h"
#include "shared/registry/switches.h"

struct office {
	struct switches switches;          /* first: switches_of() */
	uint32_t masters, limited, status; /* blobs of one chunk, 0: unset */
	uint32_t first_namespace, last_namespace;
	uint32_t pad;
	uint64_t namespace_bytes; /* of ids, names and descriptions together */
	struct table namespaces;
};

/* A stored namespace; owns its texts. */
struct namespace
{
	struct table_link link;
	uint32_t next, prev; /* in order of creation */
	uint32_t id, name;   /* blobs */
	uint32_t about;      /* blob, 0: null */
	uint32_t pad;
	uint64_t number; /* rises along the list: one more than the last one had */
};

_Static_assert(sizeof(struct office) <= SHARD_ROOT_BYTES, "the office fits its place");
_Static_assert(sizeof(struct namespace) <= SLAB_BYTES_NAMESPACE, "a namespace fits its object");

static inline struct office *office_of(const struct segment *seg)
{
	return (struct office *)seg->shards[SHARD_OFFICE].root;
}

/* Lays out the office of a new segment; registry_format() calls it. */
void office_format(struct segment *seg);
/* Both are in namespaces.c and are used by the audit, too. */
uint32_t namespaces_find(struct op *op, struct str id, struct namespace **row_r);
uint32_t namespaces_hash(const struct registry *reg, struct str id);

static inline struct chain office_chain(struct office *office)
{
	return (struct chain){ &office->first_namespace, &office->last_namespace, SLAB_NAMESPACE,
		               offsetof(struct namespace, next) };
}

#endif
