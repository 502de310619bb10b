/* SPDX-License-Identifier: Apache-2.0 */
#include "pusher/views.h"

#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "shared/base/assert.h"

#define CAP_FIRST 8U
#define NONE UINT32_MAX

void views_init(struct views *views, uint64_t seed)
{
	*views = (struct views){ .seed = seed };
}

void views_clear(struct views *views, struct datagrams *datagrams)
{
	for (uint32_t i = 0; i < views->count; i++) {
		datagram_release(datagrams, &views->list[i].datagram);
		free(views->list[i].clusters);
	}
	free(views->list);
	free(views->buckets);
	views_init(views, views->seed);
}

static uint64_t view_hash(const struct views *views, struct str clusters, bool grouped)
{
	return XXH3_64bits_withSeed(clusters.p, clusters.n, views->seed + grouped);
}

struct push_view *views_find(struct views *views, struct str clusters, bool grouped)
{
	uint64_t hash = view_hash(views, clusters, grouped);
	/* Before the first view there are no buckets. */
	uint32_t i = views->cap == 0 ? NONE : views->buckets[hash & (views->cap - 1)];

	for (; i != NONE; i = views->list[i].next) {
		struct push_view *view = &views->list[i];

		if (view->hash == hash && view->grouped == grouped &&
		    str_eq(str_make(view->clusters, view->clusters_len), clusters))
			return view;
	}
	return NULL;
}

uint64_t views_pick(const struct views *views, const struct pick *pick, bool grouped)
{
	if (pick->count == 0)
		return 0;
	/* 0 is the pick that shows nothing, so no other one is 0. */
	return XXH3_64bits_withSeed(pick->order, pick->count * sizeof(pick->order[0]),
	                            views->seed + grouped) |
	       1;
}

bool views_source_is_full(const struct views *views, const struct views_limits *limits,
                          uint64_t source)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < views->count; i++)
		n += views->list[i].counted && views->list[i].source == source;
	return n >= limits->per_source;
}

/* A pick that shows nothing needs no list to be rendered, so it is not counted as one. */
static bool is_new_pick(const struct views *views, const struct view_wish *wish)
{
	if (wish->one || wish->pick == 0)
		return false;
	for (uint32_t i = 0; i < views->count; i++) {
		if (views->list[i].counted && views->list[i].pick == wish->pick)
			return false;
	}
	return true;
}

/* How many texts of this pick say more than the pick does. */
static uint32_t texts_of(const struct views *views, uint64_t pick)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < views->count; i++)
		n += views->list[i].counted && !views->list[i].plain && views->list[i].pick == pick;
	return n;
}

enum views_refusal views_may_add(const struct views *views, const struct views_limits *limits,
                                 const struct view_wish *wish)
{
	/* Nearly everybody asks for this text, so nothing may take it away. */
	if (wish->clusters.n == 0)
		return VIEWS_OK;
	if (views->bytes >= VIEWS_BYTES)
		return VIEWS_TOO_LONG;
	if (wish->one)
		return VIEWS_OK;
	/* All other texts are counted. */
	if (views_source_is_full(views, limits, wish->source))
		return VIEWS_SOURCE;
	if (is_new_pick(views, wish) && views->picks >= limits->all)
		return VIEWS_TOO_MANY;
	/* A plain text costs no more than its pick. */
	if (wish->plain)
		return VIEWS_OK;
	if (views->texts >= VIEWS_TEXTS * limits->all || texts_of(views, wish->pick) >= limits->all)
		return VIEWS_TOO_MANY;
	return VIEWS_OK;
}

/* New ones stand first in their bucket. */
static void link_view(struct views *views, uint32_t i)
{
	uint32_t *bucket = &views->buckets[views->list[i].hash & (views->cap - 1)];

	ROSTER_ASSERT(i < views->cap);
	views->list[i].next = *bucket;
	*bucket = i;
}

static bool views_grow(struct views *views)
{
	uint32_t cap = views->cap == 0 ? CAP_FIRST : 2 * views->cap;
	struct push_view *list = realloc(views->list, cap * sizeof(*list));
	uint32_t *buckets;

	ROSTER_ASSERT((cap & (cap - 1)) == 0); /* a hash is cut to it */
	if (list == NULL)
		return false;
	views->list = list; /* it may be longer than cap says, if the buckets are refused now */
	if ((buckets = realloc(views->buckets, cap * sizeof(*buckets))) == NULL)
		return false;
	views->buckets = buckets;
	views->cap = cap;
	memset(buckets, 0xff, cap * sizeof(*buckets));
	for (uint32_t i = 0; i < views->count; i++)
		link_view(views, i);
	return true;
}

struct push_view *views_add(struct views *views, const struct view_wish *wish,
                            struct datagram *datagram)
{
	struct str clusters = wish->clusters;
	struct push_view *view;
	char *text;

	if ((views->count == views->cap && !views_grow(views)) ||
	    (text = malloc(clusters.n + 1)) == NULL)
		return NULL;
	/* The text stands in the batch of the round, which the next batch overwrites. */
	if (clusters.n > 0)
		memcpy(text, clusters.p, clusters.n);
	view = &views->list[views->count];
	*view = (struct push_view){
		.datagram = datagram,
		.clusters = text,
		.clusters_len = (uint32_t)clusters.n,
		.grouped = wish->grouped,
		.counted = !wish->one,
		.plain = wish->plain,
		.source = wish->source,
		.hash = view_hash(views, clusters, wish->grouped),
		.pick = wish->pick,
	};
	views->picks += is_new_pick(views, wish);
	views->texts += !wish->one && !wish->plain;
	views->bytes += datagram != NULL ? datagram->len : 0;
	link_view(views, views->count++);
	return view;
}
