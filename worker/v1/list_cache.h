/* SPDX-License-Identifier: Apache-2.0 */
/* list_cache.h - rendered hosts arrays of one worker.
 *
 * The key is: segment epoch, service id, revision, agent group (grouped names or not), clusters in
 * their normal form (shared/view/pick.h: the order asked for shows, so it stays), healthyOnly.
 * Clusters are first looked for as they came in the request, because most are in that form already.
 * Only a revision number read under the lock makes an entry fresh. An entry knows where each
 * instance stands in its hosts: when only health has changed since (the content is the same), the
 * array is put together anew from its pieces instead of being rendered. It holds at most
 * http.list_cache bytes; the least recently used entry goes first. It is private to the process. */
#ifndef WORKER_V1_LIST_CACHE_H
#define WORKER_V1_LIST_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/view/list.h"

struct list_cache;

struct list_cache_key {
	uint64_t epoch, service_id, revision;
	struct str clusters;
	bool grouped, healthy_only;
};

struct list_cache_entry {
	struct str hosts;
	struct str metadata_json;
	struct list_shape shape;
	uint64_t content;          /* of the service when it was rendered */
	struct list_piece *pieces; /* of each instance; NULL: not kept */
	uint32_t piece_count;
};

int list_cache_new(uint64_t bytes, struct list_cache **cache_r) MUST_CHECK;
void list_cache_free(struct list_cache **cache);
void list_cache_resize(struct list_cache *cache, uint64_t bytes);
/* Returns the entry, which stays as it is until list_cache_release(), whatever others do to the
 * cache meanwhile; or NULL when there is none. */
const struct list_cache_entry *list_cache_hold(struct list_cache *cache,
                                               const struct list_cache_key *key);
void list_cache_release(const struct list_cache_entry *entry);
/* Returns the entry of another revision of the same key, valid until the next put or pause; or NULL
 * when there is none. */
const struct list_cache_entry *list_cache_older(struct list_cache *cache,
                                                const struct list_cache_key *key);
/* Stores a copy, which takes the place of an older revision of the same key. No text of key or
 * entry may be the cache's own. Does nothing when it is too large. May pause (shared/base/fiber.h)
 * when it is long. */
void list_cache_put(struct list_cache *cache, const struct list_cache_key *key,
                    const struct list_cache_entry *entry);

#endif
