/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/registry/persistent.h"

#include "shared/registry/registry_internal.h"
#include "shared/shm/blob.h"
#include "shared/shm/health.h"

#define LOOKS_SPARE 1024U

static const struct origin reader = { 0 };

/* ---- looking --------------------------------------------------------------------------------- */

static void look_copy_cluster(struct op *op, const struct cluster *c, struct persistent_look *look)
{
	struct str name = cluster_name(&op->tx, c);
	struct check_settings check;

	/* The copy has room for every name that is taken. One that is longer, or empty, is
	 * damaged. */
	look->name_len = name.n <= sizeof(look->name) ? (uint32_t)name.n : 0;
	if (look->name_len == 0)
		undo_fail(&op->tx, ERR_CORRUPT);
	else
		memcpy(look->name, name.p, name.n);
	cluster_check(&op->tx, c, &check);
	look->checker_len =
	        (uint32_t)(check.checker.n <= sizeof(look->checker) ? check.checker.n : 0);
	if (look->checker_len != check.checker.n)
		undo_fail(&op->tx, ERR_CORRUPT);
	else if (look->checker_len > 0)
		memcpy(look->checker, check.checker.p, look->checker_len);
	look->check_port = check.port;
	look->use_instance_port = check.use_instance_port;
}

/* A row whose text is too long keeps the length, which says so. */
static void look_copy_row(struct op *op, const struct instance *i, uint32_t off,
                          struct persistent_look *look)
{
	struct persistent_row *row = &look->row[look->rows++];
	struct str ip = instance_ip(&op->tx, i);

	ROSTER_ASSERT(look->rows <= PERSISTENT_ROWS);
	row->id = i->id;
	row->off = off;
	row->flags = i->flags;
	row->port = i->port;
	/* A persistent instance does not beat: this is when it was registered. */
	row->beat_ms = beat_ms(i->beat);
	row->ip_len = (uint32_t)ip.n;
	if (ip.n > 0 && ip.n <= sizeof(row->ip))
		memcpy(row->ip, ip.p, ip.n);
}

/* Returns the instance to begin with, or 0 when none is left in this cluster. */
static uint32_t first_row(struct op *op, const struct cluster *c, struct persistent_look *look)
{
	const struct instance *i;

	if (look->resume_id == 0)
		return c->first[0];
	i = slab_try(&op->tx, look->resume_off, SLAB_INSTANCE);
	if (i != NULL && i->id == look->resume_id && i->cluster == look->cluster_off &&
	    (i->flags & INSTANCE_EPHEMERAL) == 0)
		return look->resume_off;
	/* The instance went away between two looks. The rest of the cluster is left out, and the
	 * caller looks again. */
	look->cut = true;
	return 0;
}

static void look_copy_rows(struct op *op, const struct cluster *c, struct persistent_look *look)
{
	uint32_t off = first_row(op, c, look);
	const struct instance *i;

	for (; off != 0 && look->rows < PERSISTENT_ROWS; off = i->next) {
		if ((i = instance_at(op, off)) == NULL)
			return;
		look_copy_row(op, i, off, look);
	}
	look->resume_off = off;
	look->resume_id = off == 0 || (i = instance_at(op, off)) == NULL ? 0 : i->id;
}

/* Returns the cluster to look at: the one in work, else the next with persistent instances; 0 when
 * there is none. */
static uint32_t next_cluster(struct op *op, uint32_t off, uint32_t left)
{
	const struct cluster *c;

	for (; off != 0 && left > 0; left--) {
		if ((c = cluster_at(op, off)) == NULL)
			return 0;
		if (c->count[0] > 0)
			return off;
		off = c->next;
	}
	if (off != 0)
		undo_fail(&op->tx, ERR_CORRUPT);
	return 0;
}

static int look_at_service(struct op *op, struct service *s, uint32_t soff,
                           struct persistent_look *look)
{
	bool first = look->cluster_off == 0;
	const struct cluster *c = first ? NULL : slab_try(&op->tx, look->cluster_off, SLAB_CLUSTER);

	/* An instance to go on at lies in a cluster to go on in. */
	ROSTER_ASSERT(!first || look->resume_id == 0);
	if (first)
		look->seen = s->revision;
	else if (c == NULL || c->service != soff)
		return ERR_CORRUPT; /* a cluster lives as long as its service */
	/* Each look gets through with a cluster or with PERSISTENT_ROWS instances, so more looks
	 * than this mean a list without an end. */
	if (look->looks++ > 2 * (op_most(op, SLAB_CLUSTER, s->clusters) +
	                         op_most(op, SLAB_INSTANCE, s->instances) / PERSISTENT_ROWS) +
	                            LOOKS_SPARE)
		return ERR_CORRUPT;
	look->persistent = s->instances - s->ephemeral;
	look->unchanged = first && look->revision == s->revision;
	look->rows = 0;
	look->name_len = 0;
	look->done = true;
	if (look->unchanged)
		return 0;
	if (first && (look->cluster_off = next_cluster(op, s->first_cluster, s->clusters)) == 0)
		return op->tx.err;
	if ((c = cluster_at(op, look->cluster_off)) == NULL)
		return op->tx.err;
	look_copy_cluster(op, c, look);
	look_copy_rows(op, c, look);
	/* All instances of this cluster are copied. */
	if (look->resume_id == 0)
		look->cluster_off = next_cluster(op, c->next, s->clusters);
	look->done = look->cluster_off == 0;
	return op->tx.err;
}

int registry_look_persistent(struct registry *reg, uint32_t shard, struct persistent_look *look)
{
	struct op op;
	struct service *s;
	int ret = op_begin(&op, reg, shard, reader);

	if (ret < 0)
		return ret;
	s = service_hinted(&op, look->service);
	ret = s == NULL ? ERR_NOT_FOUND : look_at_service(&op, s, look->service.off, look);
	if (op.tx.err != 0)
		ret = op.tx.err;
	op_end(&op);
	return ret;
}

/* ---- judging --------------------------------------------------------------------------------- */

static int set_checked(struct op *op, struct keeper_entry service, struct keeper_entry instance,
                       bool healthy)
{
	struct service *s = service_hinted(op, service);
	struct instance *i = s == NULL ? NULL : slab_try(&op->tx, instance.off, SLAB_INSTANCE);

	if (i == NULL || i->id != instance.id || i->service != service.off ||
	    (i->flags & (INSTANCE_EPHEMERAL | INSTANCE_MARKED)) != 0)
		return ERR_NO_INSTANCE;
	/* INSTANCE_CONFIRMED says that the last checks in a row found the instance well. */
	undo_set32(&op->tx, &i->flags,
	           (i->flags & ~(uint32_t)INSTANCE_CONFIRMED) |
	                   (healthy ? (uint32_t)INSTANCE_CONFIRMED : 0));
	if (((i->flags & INSTANCE_HEALTHY) != 0) != healthy)
		registry_flip(op, service.off, s, i, healthy);
	else
		instance_stamp(op, i, service_mark(op, service.off, s, CHANGE_HEALTH));
	return 0;
}

int registry_set_checked(struct registry *reg, struct origin origin, uint32_t shard,
                         struct keeper_entry service, struct keeper_entry instance, bool healthy)
{
	struct op op;
	int ret = op_begin(&op, reg, shard, origin);

	if (ret < 0)
		return ret;
	op.now_ms = health_now(reg->seg);
	return op_finish(&op, set_checked(&op, service, instance, healthy));
}
