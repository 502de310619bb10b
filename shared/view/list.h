/* SPDX-License-Identifier: Apache-2.0 */
/* list.h - the reply of GET /instance/list, for workers and pushes alike (specification 4.6).
 *
 * There are two steps: the array of hosts depends on (service revision, agent group, clusters,
 * healthyOnly) only and may be cached; the rest of the reply is written for each request.
 *
 * What takes long for a large service comes to pauses (fiber.h): the array and the checksum. In a
 * fiber that was told to give up they return ERR_GONE. The view and the buffers belong to the
 * caller throughout. */
#ifndef VIEW_LIST_H
#define VIEW_LIST_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/err.h"
#include "shared/base/str.h"
#include "shared/registry/registry.h"
#include "shared/view/pick.h"

struct list_query {
	struct str clusters; /* verbatim; "" = all */
	bool healthy_only;
	bool grouped; /* names for Java >= 1.0 */
	bool is_check;
	size_t most; /* a longer array is given up at so many bytes: ERR_TOO_BIG; 0: no limit */
};

/* What the reply needs to know of a rendered list beside the array itself. */
struct list_shape {
	bool empty;     /* no candidates: shape E */
	uint32_t hosts; /* shown */
	char checksum[33];
};

/* Where an instance of the view stands in the array: n bytes from `at` on, none when it is not
 * shown. `health` is where in the piece the two values of its health begin. Pieces are in the order
 * of the view. */
struct list_piece {
	uint32_t at, n, health;
};

/* Writes the array "[...]" (nothing for shape E) into b. Computes the checksum when the view has
 * none; *fresh_checksum_r says so, and the caller stores it. pieces has room for one for each
 * instance of the view, or is NULL. ERR_NOMEM, ERR_GONE, ERR_TOO_BIG: what is in b is of no use. */
int list_hosts(const struct service_view *view, const struct list_query *query, struct buf *b,
               struct list_shape *shape_r, bool *fresh_checksum_r, uint8_t checksum_r[16],
               struct list_piece *pieces) MUST_CHECK;
/* Writes the array alone, of clusters that were picked before from this view, which must not have
 * been filled anew since. query->clusters is not looked at, and the checksum is not filled in. */
int list_hosts_picked(const struct service_view *view, const struct pick *pick,
                      const struct list_query *query, struct buf *b, struct list_shape *shape_r,
                      struct list_piece *pieces) MUST_CHECK;
/* Fills in the checksum alone, as list_hosts() does it. */
int list_shape_checksum(const struct service_view *view, struct list_shape *shape, bool *fresh_r,
                        uint8_t checksum_r[16]) MUST_CHECK;
/* Writes the same array as it is after flips of health and nothing else, from the pieces of the old
 * one. That has to be one of all clusters, and not of healthy instances only. Bit n % 64 of
 * healthy[n / 64] is the n-th of count instances, of which there is one at least. The pieces move
 * along. */
int list_flipped(struct str hosts, struct list_piece *pieces, uint32_t count,
                 const uint64_t *healthy, float threshold, struct buf *b) MUST_CHECK;

struct list_fields {
	struct str name; /* group@@service */
	struct str dom;  /* name as this agent gets it */
	struct str clusters, env;
	uint64_t cache_ms, last_ref_time;
	struct str metadata_json; /* of the service */
};

/* Writes a whole reply: shape F, or shape E, or {} for isCheck when there are candidates. */
void list_reply(struct buf *b, const struct list_query *query, const struct list_shape *shape,
                struct str hosts, const struct list_fields *fields);
/* Shape F is LIST_HEAD, the array of hosts, and this tail: so a worker sends the array without
 * copying it first. */
#define LIST_HEAD "{\"hosts\":"
void list_reply_tail(struct buf *b, const struct list_shape *shape,
                     const struct list_fields *fields);
/* Writes the four fields that are the reply when the service is unknown. */
void list_reply_unknown(struct buf *b, const struct list_fields *fields);
/* The service part of group@@service, which is what agents below Java 1.0 get. */
struct str list_bare_name(struct str grouped);

/* Computes the MD5 of specification 7.4. ERR_NOMEM, ERR_GONE. */
int list_checksum(const struct service_view *view, uint8_t out[16]) MUST_CHECK;
/* Writes the text of instanceId (2.5), escaped for a JSON string, without the quotes. */
void list_instance_id(struct buf *b, const struct service_view *view,
                      const struct instance_view *instance);

#endif
