/* SPDX-License-Identifier: Apache-2.0 */
/* lookup.h - what a registration has to know about all instances of its service. For
 * shared/registry only.
 *
 * In a small service the hold that writes looks at all of them. In a large one it says ERR_AGAIN;
 * the caller looks outside of it, in bounded holds (scan.h), and writes again with what was found,
 * which the hold then makes sure of in a few steps. */
#ifndef REGISTRY_LOOKUP_H
#define REGISTRY_LOOKUP_H

#include "shared/registry/registry_internal.h"

#define LOOKUP_INSTANCES 512U /* looked at in the hold that writes */
#define LOOKUP_CLUSTERS 64U

/* The "equal" of specification 2.5 with the new entry on the left: the same ip, port and kind in
 * any cluster, where port 0 of the new one matches any. *known is what equal_find() found last (id
 * 0: nothing). Returns 0 when there is one, ERR_NO_INSTANCE, or ERR_AGAIN. */
int equal_here(struct op *op, uint32_t soff, const struct service *s,
               const struct instance_key *key, const struct keeper_entry *known) MUST_CHECK;
/* Looks for it outside of the hold. Returns 0, ERR_NO_INSTANCE, ERR_NOT_FOUND (no service) or
 * ERR_GONE. */
int equal_find(struct registry *reg, const struct service_key *service,
               const struct instance_key *key, struct keeper_entry *known_r) MUST_CHECK;

/* The snowflake numbers that the instances of one kind have. */
struct idents {
	uint64_t service_id; /* 0: nothing was read */
	uint64_t newest;     /* number of the newest instance looked at */
	uint32_t words;
	uint64_t *taken; /* a bit a number; owned, free() it */
};
/* Returns the smallest number that none has, plus one. Marks in *idents those that came since the
 * read. ERR_AGAIN: idents_read() has to look first. */
int ident_next(struct op *op, const struct service *s, bool ephemeral, struct idents *idents,
               uint32_t *ident_r) MUST_CHECK;
/* Reads all numbers anew. ERR_NOT_FOUND, ERR_NOMEM, ERR_GONE. */
int idents_read(struct registry *reg, const struct service_key *service, bool ephemeral,
                struct idents *idents) MUST_CHECK;

#endif
