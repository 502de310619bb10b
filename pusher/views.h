/* SPDX-License-Identifier: Apache-2.0 */
/* views.h - the views of one service that a round has made: one for each distinct `clusters` text,
 * grouped or bare names.
 *
 * Those who subscribe choose how many there are, and each costs time and the memory of a datagram.
 * There are as many texts as one likes to invent; what such a text shows is its pick of the
 * clusters (shared/view/pick.h). So the limits are:
 *
 *   - The text "" (what nearly everybody asks for) and the name of one cluster are always pushed
 *     for, and not counted: all clusters, each for itself, are one list. No other texts, however
 *     many, take that away.
 *   - Of other texts push.views different picks are shown. The same clusters in another order are
 *     another pick: each is a list to render.
 *   - Texts that say more than their pick (an unknown name, a doubled one, a comma too many) are
 *     limited too: push.views of one pick, since each costs the packing of a list that stands there
 *     already; and VIEWS_TEXTS times push.views of all picks, which is more than one pick can use
 *     up, so that those of one pick, or of none, do not take the room of the rest.
 *   - All datagrams have VIEWS_BYTES, which is 256 of the longest; the text "" is pushed for all
 *     the same.
 *   - What one source asked for first is at most push.views_per_source of all that is counted. A
 *     text that somebody else has asked for costs nothing more: a fleet behind one address is not
 *     hurt.
 *
 * Views are found by a hash under the seed of the segment, so who chooses texts does not choose
 * buckets. They are private to the process, and belong to one round. */
#ifndef PUSHER_VIEWS_H
#define PUSHER_VIEWS_H

#include <stdbool.h>
#include <stdint.h>

#include "pusher/datagram.h"
#include "shared/base/err.h"
#include "shared/base/str.h"
#include "shared/view/pick.h"

#define VIEWS_TEXTS 4U
#define VIEWS_BYTES (16U << 20)

/* What a subscriber asks for. */
struct view_wish {
	struct str clusters;
	bool grouped;
	uint64_t source; /* source_hash() */
	bool one;        /* "", or the name of one cluster; else: */
	bool plain;      /* as of the pick */
	uint64_t pick;   /* views_pick(); 0: no clusters */
};

struct push_view {
	struct datagram *datagram; /* NULL: no datagram can hold it */
	char *clusters;            /* own copy */
	uint32_t clusters_len;
	bool grouped;
	bool counted, plain;
	uint64_t source; /* who asked for it first */
	uint64_t hash, pick;
	uint32_t next; /* of the bucket */
};

struct views {
	uint64_t seed;
	struct push_view *list;
	uint32_t *buckets; /* cap of them */
	uint32_t count, cap;
	uint32_t picks; /* different ones */
	uint32_t texts; /* not plain */
	uint64_t bytes; /* of the datagrams */
};

struct views_limits {
	uint64_t all, per_source;
};

enum views_refusal { VIEWS_OK, VIEWS_TOO_MANY, VIEWS_SOURCE, VIEWS_TOO_LONG };

void views_init(struct views *views, uint64_t seed);
/* Releases the datagrams too. *views may be used again. */
void views_clear(struct views *views, struct datagrams *datagrams);

/* What is returned is valid until the next views_add(). NULL when there is no such view. */
struct push_view *views_find(struct views *views, struct str clusters, bool grouped);
/* Returns a number that stands for the clusters that are picked, and their order. */
uint64_t views_pick(const struct views *views, const struct pick *pick, bool grouped);
bool views_source_is_full(const struct views *views, const struct views_limits *limits,
                          uint64_t source);
/* May a view be made of a text that has none? */
enum views_refusal views_may_add(const struct views *views, const struct views_limits *limits,
                                 const struct view_wish *wish);
/* Takes the reference that the caller has on the datagram. NULL when there is no memory; then the
 * reference stays with the caller. */
struct push_view *views_add(struct views *views, const struct view_wish *wish,
                            struct datagram *datagram);

#endif
