/* SPDX-License-Identifier: Apache-2.0 */
/* metadata.h - instance, service and cluster metadata: texts of clients in, msgpack in between, JSON out.
 *
 * Packed form: one msgpack map of string to string or nil, keys unique, in the order given (JSON) or in
 * Java HashMap order (k=v syntax, specification 7.5). An empty map is packed as {NULL, 0}.
 * Parsing follows specification 2.6: blank; JSON object of scalars (number texts kept as written by
 * the Java server; nulls kept and not shown); else k=v,k=v. */
#ifndef VIEW_METADATA_H
#define VIEW_METADATA_H

#include <stdbool.h>

#include "shared/base/arena.h"
#include "shared/base/buf.h"
#include "shared/base/err.h"
#include "shared/base/str.h"
#include "shared/registry/registry.h"

/* ERR_SYNTAX: answer 500 "metadata format incorrect:<text>"; ERR_TOO_BIG: longer than anything that can be stored. Memory
 * from the arena. This one, merge and without pause (fiber.h): ERR_GONE. */
int metadata_parse(struct arena *arena, struct str text, struct instance_metadata *metadata_r) MUST_CHECK;
/* From pairs a JSON reader collected (beats). value unset: null. */
struct metadata_pair {
	struct str key, value;
};
int metadata_pack(struct arena *arena, const struct metadata_pair *pairs, size_t count,
                  struct instance_metadata *metadata_r) MUST_CHECK;
/* The object with its braces; pairs whose value is null are left out. */
void metadata_json(struct buf *b, struct str packed);
/* Value of a key, unset when absent or null. */
struct str metadata_get(struct str packed, struct str key);
/* PUT batch: old with the pairs of change put over it. DELETE batch: old without the keys of change. */
int metadata_merge(struct arena *arena, struct str old, struct str change, struct instance_metadata *metadata_r) MUST_CHECK;
int metadata_without(struct arena *arena, struct str old, struct str change, struct instance_metadata *metadata_r) MUST_CHECK;

#endif
