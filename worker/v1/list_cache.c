/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/v1/list_cache.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "shared/base/assert.h"
#include "shared/base/discard.h"
#include "shared/base/fiber.h"

#define BUCKETS_MIN 256U
#define COPY_BYTES (512U * 1024U) /* between two pauses */

/* One allocation: the struct, then pieces, clusters, hosts and service metadata. */
struct node {
	struct node *chain;
	struct node *newer, *older;
	uint64_t hash;
	uint64_t bytes;
	unsigned held; /* by so many */
	bool dropped;  /* not in the cache any more; goes with the last one who holds it */
	struct list_cache_key key;
	struct list_cache_entry entry;
	_Alignas(struct list_piece) char text[];
};

struct list_cache {
	struct node **buckets;
	uint32_t bucket_count; /* a power of two */
	uint32_t count;
	uint64_t bytes, max_bytes;
	struct node *newest, *oldest;
};

/* The revision is left out, so that a newer one takes the place of an older one. */
static uint64_t key_hash(const struct list_cache_key *key)
{
	const uint64_t words[3] = { key->epoch, key->service_id,
		                    (uint64_t)key->grouped << 1 | key->healthy_only };

	return XXH3_64bits_withSeed(key->clusters.p, key->clusters.n,
	                            XXH3_64bits(words, sizeof(words)));
}

static bool same_key(const struct list_cache_key *a, const struct list_cache_key *b)
{
	return a->service_id == b->service_id && a->epoch == b->epoch && a->grouped == b->grouped &&
	       a->healthy_only == b->healthy_only && str_eq(a->clusters, b->clusters);
}

static struct node **bucket_of(const struct list_cache *cache, uint64_t hash)
{
	return &cache->buckets[hash & (cache->bucket_count - 1)];
}

static struct node *find_node(const struct list_cache *cache, const struct list_cache_key *key,
                              uint64_t hash)
{
	struct node *node = *bucket_of(cache, hash);

	while (node != NULL && (node->hash != hash || !same_key(&node->key, key)))
		node = node->chain;
	return node;
}

static void unlink_age(struct list_cache *cache, struct node *node)
{
	ROSTER_ASSERT((node->newer == NULL) == (cache->newest == node) &&
	              (node->older == NULL) == (cache->oldest == node));
	*(node->newer != NULL ? &node->newer->older : &cache->newest) = node->older;
	*(node->older != NULL ? &node->older->newer : &cache->oldest) = node->newer;
}

static void link_newest(struct list_cache *cache, struct node *node)
{
	ROSTER_ASSERT(cache->newest == NULL || cache->newest->newer == NULL);
	ROSTER_ASSERT((cache->newest == NULL) == (cache->oldest == NULL));
	node->newer = NULL;
	node->older = cache->newest;
	*(cache->newest != NULL ? &cache->newest->newer : &cache->oldest) = node;
	cache->newest = node;
}

static void drop(struct list_cache *cache, struct node *node)
{
	struct node **at = bucket_of(cache, node->hash);

	ROSTER_ASSERT(!node->dropped && cache->count > 0 && cache->bytes >= node->bytes);
	while (*at != node) {
		ROSTER_ASSERT(*at != NULL);
		at = &(*at)->chain;
	}
	*at = node->chain;
	unlink_age(cache, node);
	cache->bytes -= node->bytes;
	cache->count--;
	if (node->held == 0)
		discard(node, node->bytes);
	else
		node->dropped = true;
}

static void evict(struct list_cache *cache, uint64_t max_bytes)
{
	while (cache->bytes > max_bytes && cache->oldest != NULL)
		drop(cache, cache->oldest);
	ROSTER_ASSERT(cache->bytes <= max_bytes); /* an empty cache holds no bytes */
}

/* Refused memory only leaves the chains longer. */
static void grow(struct list_cache *cache)
{
	struct node **buckets;
	uint32_t count = cache->bucket_count * 2;

	if (cache->count < cache->bucket_count ||
	    (buckets = calloc(count, sizeof(struct node *))) == NULL)
		return;
	free(cache->buckets);
	cache->buckets = buckets;
	cache->bucket_count = count;
	for (struct node *node = cache->oldest; node != NULL; node = node->newer) {
		struct node **at = bucket_of(cache, node->hash);

		node->chain = *at;
		*at = node;
	}
}

/* Returns false when nobody waits for it any more. */
static bool append_text(char **at, struct str s, struct str *copy_r)
{
	char *copy = *at;

	*copy_r = str_make(copy, s.n);
	*at += s.n;
	return fiber_copy(copy, s.p, s.n, COPY_BYTES) == 0;
}

static bool fill(struct node *node, const struct list_cache_key *key,
                 const struct list_cache_entry *entry)
{
	char *at = node->text + entry->piece_count * sizeof(struct list_piece);

	ROSTER_ASSERT(entry->piece_count == 0 || entry->pieces != NULL);
	node->key = *key;
	node->entry = *entry;
	node->entry.pieces =
	        entry->piece_count > 0 ? (struct list_piece *)(void *)node->text : NULL;
	if (entry->piece_count > 0)
		memcpy(node->text, entry->pieces, entry->piece_count * sizeof(struct list_piece));
	return append_text(&at, key->clusters, &node->key.clusters) &&
	       append_text(&at, entry->hosts, &node->entry.hosts) &&
	       append_text(&at, entry->metadata_json, &node->entry.metadata_json);
}

int list_cache_new(uint64_t bytes, struct list_cache **cache_r)
{
	struct list_cache *cache = calloc(1, sizeof(*cache));

	if (cache == NULL)
		return ERR_NOMEM;
	cache->buckets = calloc(BUCKETS_MIN, sizeof(struct node *));
	if (cache->buckets == NULL) {
		free(cache);
		return ERR_NOMEM;
	}
	cache->bucket_count = BUCKETS_MIN;
	cache->max_bytes = bytes;
	*cache_r = cache;
	return 0;
}

void list_cache_free(struct list_cache **cache)
{
	if (*cache == NULL)
		return;
	evict(*cache, 0);
	ROSTER_ASSERT((*cache)->count == 0 && (*cache)->bytes == 0);
	free((*cache)->buckets);
	free(*cache);
	*cache = NULL;
}

void list_cache_resize(struct list_cache *cache, uint64_t bytes)
{
	cache->max_bytes = bytes;
	evict(cache, bytes);
}

const struct list_cache_entry *list_cache_hold(struct list_cache *cache,
                                               const struct list_cache_key *key)
{
	struct node *node = find_node(cache, key, key_hash(key));

	if (node == NULL || node->key.revision != key->revision)
		return NULL;
	ROSTER_ASSERT(!node->dropped);
	if (node != cache->newest) {
		unlink_age(cache, node);
		link_newest(cache, node);
	}
	node->held++;
	return &node->entry;
}

void list_cache_release(const struct list_cache_entry *entry)
{
	struct node *node = (struct node *)(void *)((char *)entry - offsetof(struct node, entry));

	ROSTER_ASSERT(node->held > 0);
	if (--node->held == 0 && node->dropped)
		discard(node, node->bytes);
}

const struct list_cache_entry *list_cache_older(struct list_cache *cache,
                                                const struct list_cache_key *key)
{
	const struct node *node = find_node(cache, key, key_hash(key));

	return node != NULL ? &node->entry : NULL;
}

/* A short text goes where an older revision stood, if it fits there and would not waste the room.
 * Nothing pauses. */
static bool take_place(struct list_cache *cache, struct node *older, uint64_t bytes,
                       const struct list_cache_key *key, const struct list_cache_entry *entry)
{
	if (bytes > COPY_BYTES || bytes > older->bytes || bytes < older->bytes / 2 ||
	    older->held > 0)
		return false;
	unlink_age(cache, older);
	link_newest(cache, older);
	return fill(older, key, entry);
}

static void link_in(struct list_cache *cache, struct node *node)
{
	struct node **at;

	ROSTER_ASSERT(node->bytes <= cache->max_bytes && node->held == 0 && !node->dropped);
	evict(cache, cache->max_bytes - node->bytes);
	grow(cache);
	at = bucket_of(cache, node->hash);
	node->chain = *at;
	*at = node;
	link_newest(cache, node);
	cache->bytes += node->bytes;
	cache->count++;
}

/* A node is made first and linked then, because a long one is copied in slices and others use the
 * cache meanwhile. */
void list_cache_put(struct list_cache *cache, const struct list_cache_key *key,
                    const struct list_cache_entry *entry)
{
	uint64_t bytes = sizeof(struct node) + key->clusters.n + entry->hosts.n +
	                 entry->metadata_json.n + entry->piece_count * sizeof(struct list_piece);
	uint64_t hash = key_hash(key);
	struct node *older = find_node(cache, key, hash), *node;

	if (older != NULL && take_place(cache, older, bytes, key, entry))
		return;
	node = bytes > cache->max_bytes ? NULL : malloc(bytes);
	if (node != NULL && !fill(node, key, entry)) {
		discard(node, bytes);
		return;
	}
	if ((older = find_node(cache, key, hash)) != NULL)
		drop(cache, older);
	if (node == NULL || bytes > cache->max_bytes) {
		discard(node, bytes);
		return;
	}
	node->hash = hash;
	node->bytes = bytes;
	node->held = 0;
	node->dropped = false;
	link_in(cache, node);
}
