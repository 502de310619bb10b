/* SPDX-License-Identifier: Apache-2.0 */
/* lookup.h - what a registration has to know about all instances of its service. For shared/registry only.
 *
 * In a small service the hold that writes looks at all of them. In a large one it says ERR_AGAIN; the caller looks outside of it,
 * in bounded holds (scan.h), and writes again with what was found, which the hold then makes sure of in a few steps. */
#ifndef REGISTRY_LOOKUP_H
#define REGISTRY_LOOKUP_H

#include "shared/registry/registry_internal.h"

#define LOOKUP_INSTANCES 512U /* looked at in the hold that writes */
#define LOOKUP_CLUSTERS 64U

/* "Equal" of specification 2.5 with the new entry on the left: same ip, port and kind in any cluster; its port 0 matches any.
 * *known is what equal_find() found last, id 0: nothing. 0: there is one; ERR_NO_INSTANCE; ERR_AGAIN. */
int equal_here(struct op *op, uint32_t soff, const struct service *s, const struct instance_key *key,
               const struct keeper_entry *known) MUST_CHECK;
/* 0, ERR_NO_INSTANCE, ERR_NOT_FOUND (no service), ERR_GONE. */
int equal_find(struct registry *reg, const struct service_key *service, const struct instance_key *key,
               struct keeper_entry *known_r) MUST_CHECK;

/* Snowflake numbers that the instances of one kind have. */
struct idents {
	uint64_t service_id; /* 0: nothing was read */
	uint64_t newest;     /* number of the newest instance looked at */
	uint32_t words;
	uint64_t *taken; /* a bit a number; owned, free() it */
};
/* The smallest number that none has, plus one. Marks in *idents those that came since. ERR_AGAIN. */
int ident_next(struct op *op, const struct service *s, bool ephemeral, struct idents *idents, uint32_t *ident_r) MUST_CHECK;
/* Anew. ERR_NOT_FOUND, ERR_NOMEM, ERR_GONE. */
int idents_read(struct registry *reg, const struct service_key *service, bool ephemeral, struct idents *idents) MUST_CHECK;

#endif
