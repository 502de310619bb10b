/* SPDX-License-Identifier: Apache-2.0 */
/* views.h - the views of one service that a round has rendered: one for each distinct `clusters` text, grouped or bare names.
 *
 * How many there are is the choice of those who subscribe, and each costs the time of rendering and packing and the memory of a
 * datagram. So a round renders at most push.views of them, and at most push.views_per_source for what one source asked for
 * first; the text "" (all clusters, what nearly everybody asks for) is always rendered and not counted. A text that somebody
 * else has asked for costs nothing more: a fleet behind one address is not hurt.
 *
 * Found by hash under the seed of the segment; who chooses texts does not choose buckets. Process-private, of one round. */
#ifndef PUSHER_VIEWS_H
#define PUSHER_VIEWS_H

#include <stdbool.h>
#include <stdint.h>

#include "pusher/datagram.h"
#include "shared/base/err.h"
#include "shared/base/str.h"

struct push_view {
	struct datagram *datagram; /* NULL: no datagram can hold it */
	char *clusters;            /* own copy */
	uint32_t clusters_len;
	bool grouped;
	uint64_t source; /* who asked for it first: source_hash() */
	uint64_t hash;
	uint32_t next; /* of the bucket */
};

struct views {
	uint64_t seed;
	struct push_view *list;
	uint32_t *buckets; /* cap of them */
	uint32_t count, cap;
	uint32_t counted; /* without "" */
};

struct views_limits {
	uint64_t all, per_source;
};

enum views_refusal { VIEWS_OK, VIEWS_TOO_MANY, VIEWS_SOURCE };

void views_init(struct views *views, uint64_t seed);
/* Releases the datagrams too; may be used again. */
void views_clear(struct views *views, struct datagrams *datagrams);

/* Valid until the next views_add(). NULL: there is none. */
struct push_view *views_find(struct views *views, struct str clusters, bool grouped);
/* Of a text that is not there: may a view of it be rendered for this source? */
enum views_refusal views_may_add(const struct views *views, const struct views_limits *limits, struct str clusters,
                                 uint64_t source);
/* Takes the caller's reference of the datagram. NULL: no memory; the reference stays the caller's. */
struct push_view *views_add(struct views *views, struct str clusters, bool grouped, uint64_t source, struct datagram *datagram);

#endif
