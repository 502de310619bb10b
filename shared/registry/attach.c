/* SPDX-License-Identifier: Apache-2.0 */
/* attach.c - the look at roots and tables when a segment is opened again: may its registry be
 * used? */
#include "shared/registry/office.h"
#include "shared/registry/registry_audit.h"
#include "shared/registry/registry_internal.h"
#include "shared/shm/shard.h"

/* A list has both ends, which are objects of its kind, or neither. */
static bool ends_valid(const struct tx *tx, uint32_t first, uint32_t last, enum slab_kind kind)
{
	if (first == 0 || last == 0)
		return first == last;
	return slab_try(tx, first, kind) != NULL && slab_try(tx, last, kind) != NULL;
}

static bool lists_valid(const struct tx *tx, const struct registry_root *root)
{
	for (uint32_t c = 0; c < QUEUE_CONSUMERS; c++) {
		const struct queue_list *list = &root->queue[c];

		if (!ends_valid(tx, list->first, list->last, SLAB_SERVICE) ||
		    (list->count == 0) != (list->first == 0) || list->count > root->service_count)
			return false;
	}
	return ends_valid(tx, root->first_service, root->last_service, SLAB_SERVICE) &&
	       ends_valid(tx, root->first_drain, root->last_drain, SLAB_SERVICE) &&
	       ends_valid(tx, root->first_audience, root->last_audience, SLAB_AUDIENCE) &&
	       (root->first_service == 0) == (root->service_count == 0) &&
	       (root->first_drain == 0) == (root->drain_count == 0) &&
	       (root->first_audience == 0) == (root->audiences.count == 0);
}

/* Compares the sums of the root with those that slabs and tables keep for themselves. What belongs
 * to removed services is still in tables and slabs, and no more in the sums. */
static bool counts_valid(const struct tx *tx, const struct registry_root *root)
{
	const struct slab *slabs = tx->shard->slabs;

	return root->services.count == root->service_count &&
	       root->subscribers.count == root->subscriber_count &&
	       root->service_count + root->drain_count == slabs[SLAB_SERVICE].objects &&
	       root->instances.count == slabs[SLAB_INSTANCE].objects &&
	       root->audiences.count == slabs[SLAB_AUDIENCE].objects &&
	       root->subscribers.count == slabs[SLAB_SUBSCRIBER].objects &&
	       root->instance_count <= root->instances.count &&
	       root->ephemeral_count <= root->instance_count &&
	       root->healthy_count <= root->instance_count &&
	       root->waiting_count <= root->audiences.count;
}

/* Returns what is wrong, or NULL. No lock is held: at an attach nobody else maps the segment. */
static const char *shard_damaged(const struct tx *tx)
{
	const struct registry_root *root = (const struct registry_root *)tx->shard->root;
	const struct {
		const struct table *table;
		enum slab_kind kind;
	} tables[] = { { &root->services, SLAB_SERVICE },
		       { &root->instances, SLAB_INSTANCE },
		       { &root->audiences, SLAB_AUDIENCE },
		       { &root->subscribers, SLAB_SUBSCRIBER } };
	const char *why = NULL;

	for (unsigned n = 0; n < sizeof(tables) / sizeof(tables[0]) && why == NULL; n++)
		why = table_damaged(tx, tables[n].table, tables[n].kind);
	if (why == NULL && !lists_valid(tx, root))
		why = "the ends of a shard's lists are impossible";
	if (why == NULL && !counts_valid(tx, root))
		why = "the sums of a shard contradict each other";
	return why;
}

static const char *office_damaged(const struct tx *tx, const struct office *office)
{
	const char *why = table_damaged(tx, &office->namespaces, SLAB_NAMESPACE);

	if (why == NULL &&
	    (!ends_valid(tx, office->first_namespace, office->last_namespace, SLAB_NAMESPACE) ||
	     (office->first_namespace == 0) != (office->namespaces.count == 0)))
		why = "the list of namespaces is impossible";
	return why;
}

const char *registry_damaged(struct segment *seg)
{
	const char *why = NULL;

	for (uint32_t shard = 0; shard < SHARDS_ALL && why == NULL; shard++) {
		const struct tx tx = { .seg = seg, .shard = &seg->shards[shard] };

		why = shard == SHARD_OFFICE ? office_damaged(&tx, office_of(seg))
		                            : shard_damaged(&tx);
	}
	return why;
}
