/* SPDX-License-Identifier: Apache-2.0 */
/* cluster.c - clusters of a service: finding, making, freeing, their health check, and the walk
 * over their instances. */
#include "shared/registry/registry_internal.h"

#include "shared/registry/fields.h"
#include "shared/shm/blob.h"

#define DEFAULT_CHECK_PORT 80

struct cluster *cluster_at(struct op *op, uint32_t off)
{
	struct cluster *c = slab_at(&op->tx, off, SLAB_CLUSTER);

	if (c == NULL)
		undo_fail(&op->tx, ERR_CORRUPT);
	return c;
}

struct str cluster_name(const struct tx *tx, const struct cluster *c)
{
	return c->name == 0 ? DEFAULT_CLUSTER : blob_view(tx, c->name);
}

uint32_t cluster_find(struct op *op, const struct service *s, struct str name, struct cluster **c_r)
{
	uint32_t off = s->first_cluster;

	for (uint32_t left = s->clusters; off != 0 && left > 0; left--) {
		struct cluster *c = cluster_at(op, off);

		if (c == NULL)
			break;
		if (str_eq(cluster_name(&op->tx, c), name)) {
			*c_r = c;
			return off;
		}
		off = c->next;
	}
	/* A list that is longer than its count is damaged. */
	if (off != 0)
		undo_fail(&op->tx, ERR_CORRUPT);
	*c_r = NULL;
	return 0;
}

/* Returns the word that is to name a new last cluster. NULL: the list is damaged. */
static uint32_t *last_link(struct op *op, struct service *s)
{
	uint32_t *link = &s->first_cluster;

	for (uint32_t left = s->clusters; *link != 0; left--) {
		struct cluster *c = left == 0 ? NULL : cluster_at(op, *link);

		if (c == NULL) {
			undo_fail(&op->tx, ERR_CORRUPT);
			return NULL;
		}
		link = &c->next;
	}
	return link;
}

int64_t cluster_bytes(const struct tx *tx, const struct cluster *c)
{
	return (int64_t)slab_object_bytes(SLAB_CLUSTER) + fields_bytes(tx, &cluster_fields, c);
}

uint32_t cluster_create(struct op *op, uint32_t soff, struct service *s, struct str name,
                        struct cluster **c_r)
{
	uint64_t limit = op->reg->limits.clusters_per_service;
	uint32_t off, blob = 0, *link;

	*c_r = NULL;
	if (limit == 0 || limit > REGISTRY_CLUSTERS_MOST)
		limit = REGISTRY_CLUSTERS_MOST;
	if (s->clusters >= limit) {
		undo_fail(&op->tx, key_refuse(op->reg, REGISTRY_LIMIT_CLUSTERS_PER_SERVICE, limit));
		return 0;
	}
	off = slab_alloc(&op->tx, SLAB_CLUSTER);
	/* Most clusters are called DEFAULT, and have no text of their own. */
	if (!str_eq(name, DEFAULT_CLUSTER))
		blob = blob_new(&op->tx, name);
	link = last_link(op, s);
	if (off == 0 || op->tx.err != 0 || link == NULL || (*c_r = cluster_at(op, off)) == NULL)
		return 0;
	/* A plain store is enough, because nobody can reach the cluster yet. */
	**c_r = (struct cluster){ .service = soff, .name = blob };
	undo_set32(&op->tx, link, off);
	undo_set32(&op->tx, &s->clusters, s->clusters + 1);
	service_account(op, s, cluster_bytes(&op->tx, *c_r));
	return off;
}

void cluster_free_first(struct op *op, struct service *s, struct cluster *c)
{
	uint32_t off = s->first_cluster;

	/* The bytes are counted while the texts are still there. */
	service_account(op, s, -cluster_bytes(&op->tx, c));
	undo_set32(&op->tx, &s->first_cluster, c->next);
	undo_set32(&op->tx, &s->clusters, s->clusters - 1);
	fields_free(&op->tx, &cluster_fields, c);
	slab_free(&op->tx, off);
}

/* ---- checks ---------------------------------------------------------------------------------- */

void cluster_check(const struct tx *tx, const struct cluster *c, struct check_settings *check_r)
{
	struct str stored = c->check == 0 ? (struct str){ NULL, 0 } : blob_view(tx, c->check);
	struct stored_check head;

	*check_r = (struct check_settings){ .port = DEFAULT_CHECK_PORT, .use_instance_port = true };
	/* Without a text, or with a damaged one, the defaults hold. */
	if (stored.n < sizeof(head))
		return;
	memcpy(&head, stored.p, sizeof(head));
	check_r->port = head.port;
	check_r->use_instance_port = head.use_instance_port != 0;
	if (head.has_text)
		check_r->checker = str_make(stored.p + sizeof(head), stored.n - sizeof(head));
}

struct str cluster_check_text(const struct check_settings *check, char bytes[CHECK_TEXT_MAX])
{
	struct stored_check head = { check->port, check->use_instance_port,
		                     str_is_set(check->checker) };

	ROSTER_ASSERT(check->checker.n <= TEXT_MAX_BYTES);
	/* The defaults are stored as nothing. */
	if (check->port == DEFAULT_CHECK_PORT && check->use_instance_port &&
	    !str_is_set(check->checker))
		return (struct str){ NULL, 0 };
	memcpy(bytes, &head, sizeof(head));
	if (check->checker.n > 0)
		memcpy(bytes + sizeof(head), check->checker.p, check->checker.n);
	return str_make(bytes, sizeof(head) + check->checker.n);
}

/* The length of a client's text was checked before the lock; whoever forgets it gets an error, not
 * an overflow. */
void cluster_set_check(struct op *op, struct service *s, struct cluster *c,
                       const struct check_settings *check)
{
	char bytes[CHECK_TEXT_MAX];

	if (check->checker.n > TEXT_MAX_BYTES)
		undo_fail(&op->tx, ERR_TOO_BIG);
	else
		service_account(op, s, field_set(op, &c->check, cluster_check_text(check, bytes)));
}

/* ---- walks ----------------------------------------------------------------------------------- */

static void walk_end(struct walk *w)
{
	w->off = 0;
	w->i = NULL;
}

static void walk_broken(struct op *op, struct walk *w)
{
	undo_fail(&op->tx, ERR_CORRUPT);
	walk_end(w);
}

/* Goes to the instance at off, or, when that is 0, to the first one of the lists behind (cluster,
 * kind). */
static void walk_settle(struct op *op, struct walk *w, uint32_t off, unsigned kind)
{
	ROSTER_ASSERT(kind <= 1);
	while (off == 0) {
		const struct cluster *c = NULL;

		/* Behind both lists of a cluster comes the next cluster. */
		if (++kind > 1) {
			kind = 0;
			if (w->cluster != 0) {
				if ((c = cluster_at(op, w->cluster)) == NULL) {
					walk_broken(op, w);
					return;
				}
				w->cluster = c->next;
				w->cluster_index++;
			}
		}
		if (w->cluster == 0) {
			walk_end(w);
			return;
		}
		/* Each list and each instance is a step, so a damaged list that runs in a circle
		 * ends here. */
		if (w->left-- == 0 || (c = cluster_at(op, w->cluster)) == NULL) {
			walk_broken(op, w);
			return;
		}
		if (w->kinds >> kind & 1)
			off = c->first[kind];
	}
	w->off = off;
	w->i = instance_at(op, off);
	if (w->i == NULL || w->left-- == 0)
		walk_broken(op, w);
}

static void walk_init(const struct op *op, const struct service *s, enum walk_kind kinds,
                      struct walk *w)
{
	ROSTER_ASSERT(kinds >= WALK_PERSISTENT && kinds <= WALK_ALL);
	/* Each instance is a step, and so is each of the two lists of a cluster. */
	*w = (struct walk){
		.cluster = s->first_cluster,
		.kinds = kinds,
		.left = op_most(op, SLAB_INSTANCE, s->instances) +
		        2 * op_most(op, SLAB_CLUSTER, s->clusters) + 2,
	};
}

void walk_first(struct op *op, const struct service *s, enum walk_kind kinds, struct walk *w)
{
	const struct cluster *c;

	walk_init(op, s, kinds, w);
	if (s->first_cluster == 0)
		return;
	if ((c = cluster_at(op, s->first_cluster)) == NULL) {
		walk_broken(op, w);
		return;
	}
	walk_settle(op, w, kinds & WALK_PERSISTENT ? c->first[0] : 0, 0);
}

void walk_next(struct op *op, struct walk *w)
{
	ROSTER_ASSERT(w->off != 0 && w->i != NULL);
	walk_settle(op, w, w->i->next, (w->i->flags & INSTANCE_EPHEMERAL) != 0);
}

void walk_at(struct op *op, const struct service *s, enum walk_kind kinds, uint32_t off,
             struct walk *w)
{
	ROSTER_ASSERT(off != 0);
	walk_init(op, s, kinds, w);
	w->i = instance_at(op, off);
	if (w->i == NULL) {
		walk_broken(op, w);
		return;
	}
	w->off = off;
	w->cluster = w->i->cluster;
}
