/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/registry/scan.h"

#define SPARE 65536U
#define MARK_STRIDE 64U /* at first */

/* ---- lists ----------------------------------------------------------------------------------- */

static void scan_broken(struct scan *scan, struct op *op)
{
	undo_fail(&op->tx, ERR_CORRUPT);
	scan->cluster = 0;
}

/* Goes to the beginning of the list (cluster, kind). */
static void list_enter(struct scan *scan, struct op *op)
{
	const struct cluster *c = scan->cluster == 0 ? NULL : cluster_at(op, scan->cluster);

	scan->at = scan->before = (struct scan_mark){ .id = 0 };
	scan->passed = scan->passed_before = 0;
	scan->skipping = false;
	scan->mark_count = scan->since = 0;
	scan->stride = MARK_STRIDE;
	scan->off = 0;
	if (c != NULL && c->service != scan->soff)
		scan_broken(scan, op);
	else if (c != NULL && (scan->kinds >> scan->kind & 1) != 0)
		scan->off = c->first[scan->kind];
}

static void list_next(struct scan *scan, struct op *op)
{
	const struct cluster *c;

	if (scan->kind == 0) {
		scan->kind = 1;
	} else if ((c = cluster_at(op, scan->cluster)) == NULL) {
		scan_broken(scan, op);
		return;
	} else {
		scan->kind = 0;
		scan->cluster = scan->clusters == 0 ? 0 : c->next;
		scan->clusters -= scan->clusters > 0;
		scan->cluster_index++;
	}
	list_enter(scan, op);
}

/* ---- steps ----------------------------------------------------------------------------------- */

void scan_begin(struct scan *scan, struct op *op, const struct service_key *key, uint32_t soff,
                const struct service *s, enum walk_kind kinds, uint32_t coff)
{
	/* What comes later has a higher number than `newest` and is left out. `left` bounds the
	 * steps if a list has no end. */
	*scan = (struct scan){
		.key = key,
		.place = { op->tx.shard->index, s->link.hash },
		.soff = soff,
		.service_id = s->id,
		.revision = s->revision,
		.newest = op->tx.shard->next_id,
		.left = 2 * op_most(op, SLAB_INSTANCE, s->instances) +
		        2 * op_most(op, SLAB_CLUSTER, s->clusters) + SPARE,
		.kinds = kinds,
		.cluster = coff != 0 ? coff : s->first_cluster,
		.clusters = coff != 0 || s->clusters == 0 ? 0 : s->clusters - 1,
		.steps = SCAN_STEPS,
	};
	ROSTER_ASSERT(kinds >= WALK_PERSISTENT && kinds <= WALK_ALL);
	list_enter(scan, op);
	scan->end = scan->cluster == 0;
}

/* Drops every second mark, so that those left cover twice as much. */
static void thin_out(struct scan *scan)
{
	ROSTER_ASSERT(scan->mark_count == SCAN_MARKS);
	for (uint32_t n = 0; n < SCAN_MARKS / 2; n++)
		scan->marks[n] = scan->marks[2 * n];
	scan->mark_count = SCAN_MARKS / 2;
	scan->stride *= 2;
}

/* Steps over an instance, and marks it if the last mark is far enough behind. */
static void scan_pass(struct scan *scan, const struct instance *i)
{
	scan->before = scan->at;
	scan->passed_before = scan->passed;
	scan->at = (struct scan_mark){ i->id, scan->off };
	scan->off = i->next;
	if (++scan->since < scan->stride)
		return;
	scan->since = 0;
	if (scan->mark_count == SCAN_MARKS)
		thin_out(scan);
	ROSTER_ASSERT(scan->mark_count < SCAN_MARKS);
	scan->marks[scan->mark_count++] = scan->at;
}

struct instance *scan_next(struct scan *scan, struct op *op)
{
	while (scan->cluster != 0 && scan->steps > 0 && op->tx.err == 0) {
		struct instance *i = scan->off == 0 ? NULL : instance_at(op, scan->off);
		uint64_t number = i == NULL ? 0 : undo_id_number(i->id);

		scan->steps--;
		if (scan->left-- == 0) {
			scan_broken(scan, op);
			return NULL;
		}
		if (scan->off != 0 && i == NULL)
			return NULL;
		if (i == NULL || number > scan->newest) { /* all behind it are newer still */
			list_next(scan, op);
			continue;
		}
		scan_pass(scan, i);
		/* Behind an earlier mark come instances again that were handed out already. */
		if (scan->skipping && number <= scan->passed)
			continue;
		scan->skipping = false;
		scan->passed = number;
		return i;
	}
	scan->end = scan->cluster == 0;
	return NULL;
}

void scan_step_back(struct scan *scan)
{
	ROSTER_ASSERT(scan->at.off != 0 && (scan->since > 0 || scan->mark_count > 0));
	if (scan->since > 0)
		scan->since--;
	else /* it was marked; so it will be again */
		scan->mark_count--;
	scan->at = scan->before;
	scan->passed = scan->passed_before;
	scan->steps = 0;
}

/* ---- from hold to hold ----------------------------------------------------------------------- */

static const struct instance *scan_standing(const struct scan *scan, const struct op *op,
                                            const struct scan_mark *mark)
{
	const struct instance *i = slab_try(&op->tx, mark->off, SLAB_INSTANCE);

	return i != NULL && i->id == mark->id && i->service == scan->soff ? i : NULL;
}

/* Goes on behind the last instance stepped over, or, when that is gone, behind an earlier one that
 * still stands. */
static void scan_resume(struct scan *scan, struct op *op)
{
	const struct cluster *c = cluster_at(op, scan->cluster);
	const struct instance *i = scan->at.id == 0 ? NULL : scan_standing(scan, op, &scan->at);

	if (c == NULL || c->service != scan->soff) {
		scan_broken(scan, op);
		return;
	}
	if (scan->at.id != 0 && i == NULL) {
		/* What was handed out before comes again, and is stepped over. */
		scan->skipping = true;
		while (i == NULL && scan->mark_count > 0)
			i = scan_standing(scan, op, &scan->marks[--scan->mark_count]);
		scan->at = (struct scan_mark){ .id = 0 };
		ROSTER_ASSERT(scan->mark_count < SCAN_MARKS);
		if (i != NULL)
			scan->at = scan->marks[scan->mark_count++];
	}
	if (i != NULL)
		scan->off = i->next;
	else
		scan->off = (scan->kinds >> scan->kind & 1) != 0 ? c->first[scan->kind] : 0;
}

int scan_return(struct scan *scan, struct op *op, struct service **s_r)
{
	ROSTER_ASSERT(scan->key != NULL && !scan->end);
	scan->steps = SCAN_STEPS;
	if (service_find(op, scan->key, scan->place.hash, s_r) != scan->soff ||
	    (*s_r)->id != scan->service_id)
		return op->tx.err != 0 ? op->tx.err : ERR_NOT_FOUND;
	/* The caller knows whether a copy may be of several states. */
	scan->moved |= (*s_r)->revision != scan->revision;
	if (scan->cluster != 0)
		scan_resume(scan, op);
	return op->tx.err;
}
