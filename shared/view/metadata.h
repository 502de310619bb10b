/* SPDX-License-Identifier: Apache-2.0 */
/* metadata.h - instance, service and cluster metadata: texts of clients in, msgpack in between,
 * JSON out.
 *
 * The packed form is one msgpack map of string to string or nil. Its keys are unique, in the order
 * given (JSON) or in the order of a Java HashMap (k=v syntax, specification 7.5). An empty map is
 * packed as {NULL, 0}. Parsing follows specification 2.6: the text is blank, or a JSON object of
 * scalars (numbers are kept as the Java server writes them, nulls are kept and not shown), else
 * k=v,k=v. */
#ifndef VIEW_METADATA_H
#define VIEW_METADATA_H

#include <stdbool.h>

#include "shared/base/arena.h"
#include "shared/base/buf.h"
#include "shared/base/err.h"
#include "shared/base/str.h"
#include "shared/registry/registry.h"

/* Parses a text of a client. The memory is the arena's. ERR_SYNTAX: the answer is 500 "metadata
 * format incorrect:<text>"; ERR_TOO_BIG: a text is longer than anything that can be stored;
 * ERR_NOMEM. This function, metadata_pack(), metadata_merge() and metadata_without() come to pauses
 * (fiber.h): ERR_GONE. */
int metadata_parse(struct arena *arena, struct str text,
                   struct instance_metadata *metadata_r) MUST_CHECK;
/* Packs pairs that a JSON reader has collected (beats). A value that is unset is null. */
struct metadata_pair {
	struct str key, value;
};
int metadata_pack(struct arena *arena, const struct metadata_pair *pairs, size_t count,
                  struct instance_metadata *metadata_r) MUST_CHECK;
/* Writes the JSON object with its braces. Pairs whose value is null are left out. */
void metadata_json(struct buf *b, struct str packed);
/* Returns the value of a key, unset when there is none or when it is null. */
struct str metadata_get(struct str packed, struct str key);
/* For the batches. PUT merges: old with the pairs of change put over it. DELETE leaves out: old
 * without the keys of change. */
int metadata_merge(struct arena *arena, struct str old, struct str change,
                   struct instance_metadata *metadata_r) MUST_CHECK;
int metadata_without(struct arena *arena, struct str old, struct str change,
                     struct instance_metadata *metadata_r) MUST_CHECK;

#endif
