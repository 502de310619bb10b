/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/registry/lookup.h"

#include <stdlib.h>

#include "shared/base/fiber.h"
#include "shared/registry/scan.h"

#define CLUSTERS_PIECE 256U /* looked into by hash in one hold */

static const struct origin reader = { 0 };

static enum walk_kind walk_kind_of(bool ephemeral)
{
	return ephemeral ? WALK_EPHEMERAL : WALK_PERSISTENT;
}

/* Looks in one hold after the other: fn sets *over, or is called again in the next one. */
typedef void piece_fn(struct scan *scan, struct op *op, const struct service *s, void *arg,
                      bool *over);

static int in_pieces(struct registry *reg, const struct service_key *key, bool ephemeral,
                     piece_fn *fn, void *arg)
{
	struct place place = key_place(reg, key);
	struct scan scan = { .place = place };
	bool over = false;
	int ret = 0;

	ROSTER_ASSERT(reg->seg->held == NULL);
	for (bool first = true; ret == 0 && !over; first = false) {
		struct service *s;
		struct op op;
		uint32_t soff;

		if (!first && (ret = fiber_pause()) < 0)
			return ret;
		if ((ret = op_begin(&op, reg, place.shard, reader)) < 0)
			return ret;
		/* Between two holds the service may have gone. */
		soff = service_find(&op, key, place.hash, &s);
		if (soff == 0)
			ret = ERR_NOT_FOUND;
		else if (first)
			scan_begin(&scan, &op, key, soff, s, walk_kind_of(ephemeral), 0);
		else
			ret = scan_return(&scan, &op, &s);
		if (ret == 0)
			fn(&scan, &op, s, arg, &over);
		if (op.tx.err != 0)
			ret = op.tx.err;
		op_end(&op);
	}
	return ret;
}

/* ---- equal ----------------------------------------------------------------------------------- */

/* The "equal" of specification 2.5; the cluster does not count. */
static bool is_equal(const struct op *op, const struct instance *i, const struct instance_key *key)
{
	return ((i->flags & INSTANCE_EPHEMERAL) != 0) == key->ephemeral &&
	       (key->port == 0 || i->port == key->port) && str_eq(instance_ip(&op->tx, i), key->ip);
}

struct equal {
	const struct instance_key *key;
	struct keeper_entry *found;
	uint32_t last, left; /* the last cluster looked into, 0: none; and how many are left */
	bool begun;
};

/* Port 0 matches any other one, so there is no key to look up, and all instances are gone
 * through. */
static void find_among_all(struct scan *scan, struct op *op, const struct service *s, void *arg,
                           bool *over)
{
	const struct equal *equal = arg;
	const struct instance *i;

	(void)s;
	while (!*over && (i = scan_next(scan, op)) != NULL) {
		if (!is_equal(op, i, equal->key))
			continue;
		ROSTER_ASSERT(scan->at.off != 0);
		*equal->found = (struct keeper_entry){ i->id, scan->at.off };
		*over = true;
	}
	*over |= scan->end;
}

/* Looks the instance up by its key in a few clusters of the list. Clusters stay where they are as
 * long as their service. */
static void find_by_cluster(struct scan *scan, struct op *op, const struct service *s, void *arg,
                            bool *over)
{
	struct equal *equal = arg;
	const struct cluster *c = equal->last == 0 ? NULL : cluster_at(op, equal->last);
	struct instance_key key = *equal->key;
	struct instance *i;
	uint32_t off = c == NULL ? s->first_cluster : c->next, ioff;

	ROSTER_ASSERT(equal->begun || equal->last == 0);
	if (!equal->begun)
		equal->left = s->clusters;
	equal->begun = true;
	for (unsigned n = 0; n < CLUSTERS_PIECE && equal->left > 0 && !*over; n++, equal->left--) {
		if ((c = cluster_at(op, off)) == NULL)
			return;
		key.cluster = cluster_name(&op->tx, c);
		if ((ioff = instance_find_exact(op, scan->soff, s, &key, &i)) != 0)
			*equal->found = (struct keeper_entry){ i->id, ioff };
		*over = ioff != 0;
		equal->last = off;
		off = c->next;
	}
	*over |= equal->left == 0;
}

int equal_find(struct registry *reg, const struct service_key *service,
               const struct instance_key *key, struct keeper_entry *known_r)
{
	struct equal equal = { .key = key, .found = known_r };
	int ret;

	*known_r = (struct keeper_entry){ .id = 0 };
	ret = in_pieces(reg, service, key->ephemeral,
	                key->port == 0 ? find_among_all : find_by_cluster, &equal);
	return ret == 0 && known_r->id == 0 ? ERR_NO_INSTANCE : ret;
}

int equal_here(struct op *op, uint32_t soff, const struct service *s,
               const struct instance_key *key, const struct keeper_entry *known)
{
	const struct instance *i =
	        known->id == 0 ? NULL : slab_try(&op->tx, known->off, SLAB_INSTANCE);
	struct keeper_entry found = { .id = 0 };
	struct equal equal = { .key = key, .found = &found };
	struct instance *exact;
	struct scan scan;
	bool over = false;

	/* What was found outside of the hold may still be there. */
	if (i != NULL && i->id == known->id && i->service == soff && is_equal(op, i, key))
		return 0;
	if (instance_find_exact(op, soff, s, key, &exact) != 0)
		return 0;
	/* There are too many of them to look at in this hold. */
	if (key->port == 0 ? s->instances > LOOKUP_INSTANCES : s->clusters > LOOKUP_CLUSTERS)
		return op->tx.err != 0 ? op->tx.err : ERR_AGAIN;
	scan_begin(&scan, op, NULL, soff, s, walk_kind_of(key->ephemeral), 0);
	if (key->port == 0)
		find_among_all(&scan, op, s, &equal, &over);
	else
		find_by_cluster(&scan, op, s, &equal, &over);
	return found.id != 0 ? 0 : op->tx.err != 0 ? op->tx.err : ERR_NO_INSTANCE;
}

/* ---- snowflake numbers ----------------------------------------------------------------------- */

static void ident_take(uint64_t *taken, uint32_t words, const struct instance *i)
{
	/* The number plus one is stored, since 0 says that there is none. */
	uint32_t number = i->ident - 1;

	if (i->ident != 0 && number / 64 < words)
		taken[number / 64] |= 1ULL << number % 64;
}

/* Of n instances one of the numbers 0 to n is free. Returns `words` * 64 when all bits are set. */
static uint32_t first_clear(const uint64_t *bits, uint32_t words)
{
	for (uint32_t w = 0; w < words; w++) {
		if (bits[w] != UINT64_MAX)
			return w * 64 + (uint32_t)__builtin_ctzll(~bits[w]);
	}
	return words * 64;
}

static void idents_read_piece(struct scan *scan, struct op *op, const struct service *s, void *arg,
                              bool *over)
{
	struct idents *idents = arg;
	const struct instance *i;

	ROSTER_ASSERT(idents->taken != NULL && idents->words > 0);
	idents->service_id = s->id;
	/* Those that come later are read by ident_take_new(). */
	idents->newest = scan->newest;
	while ((i = scan_next(scan, op)) != NULL)
		ident_take(idents->taken, idents->words, i);
	*over = scan->end;
}

/* Makes room for the instances that come while these are read, too. A service that is gone counts
 * as empty here; the look finds that out. */
static int idents_make_room(struct registry *reg, const struct service_key *key,
                            struct idents *idents)
{
	struct service_stamp stamp;
	int ret = registry_poll(reg, key, NULL, &stamp);

	if (ret < 0)
		return ret;
	free(idents->taken);
	idents->words = stamp.instances / 64 + 2 * LOOKUP_INSTANCES / 64 + 1;
	idents->taken = calloc(idents->words, sizeof(idents->taken[0]));
	return idents->taken == NULL ? ERR_NOMEM : 0;
}

int idents_read(struct registry *reg, const struct service_key *service, bool ephemeral,
                struct idents *idents)
{
	int ret;

	idents->service_id = 0;
	if ((ret = idents_make_room(reg, service, idents)) < 0)
		return ret;
	return in_pieces(reg, service, ephemeral, idents_read_piece, idents);
}

/* Takes the numbers of instances that came since the read: they stand at the ends of the lists.
 * Returns false when there are too many. */
static bool ident_take_new(struct op *op, const struct service *s, bool ephemeral,
                           struct idents *idents)
{
	uint32_t off = s->first_cluster, steps = 2 * LOOKUP_INSTANCES;

	for (uint32_t left = s->clusters; off != 0 && left > 0 && op->tx.err == 0; left--) {
		const struct cluster *c = cluster_at(op, off);
		const struct instance *i;

		for (uint32_t at = c == NULL ? 0 : c->last[ephemeral]; at != 0; at = i->prev) {
			if (steps-- == 0)
				return false;
			if ((i = instance_at(op, at)) == NULL ||
			    undo_id_number(i->id) <= idents->newest)
				break;
			ident_take(idents->taken, idents->words, i);
		}
		off = c == NULL ? 0 : c->next;
	}
	return true;
}

static uint32_t ident_of_few(struct op *op, const struct service *s, bool ephemeral)
{
	/* There are more bits than instances, so one of them is free. */
	uint64_t taken[LOOKUP_INSTANCES / 64 + 1] = { 0 };
	uint32_t words = sizeof(taken) / sizeof(taken[0]);
	struct walk w;

	for (walk_first(op, s, walk_kind_of(ephemeral), &w); w.off != 0; walk_next(op, &w))
		ident_take(taken, words, w.i);
	return first_clear(taken, words) + 1;
}

int ident_next(struct op *op, const struct service *s, bool ephemeral, struct idents *idents,
               uint32_t *ident_r)
{
	uint32_t count = ephemeral ? s->ephemeral : s->instances - s->ephemeral, found;

	if (count <= LOOKUP_INSTANCES) {
		*ident_r = ident_of_few(op, s, ephemeral);
		return op->tx.err;
	}
	if (idents == NULL || idents->service_id != s->id ||
	    !ident_take_new(op, s, ephemeral, idents))
		return op->tx.err != 0 ? op->tx.err : ERR_AGAIN;
	found = first_clear(idents->taken, idents->words);
	if (found == idents->words * 64) /* so many came meanwhile */
		return ERR_AGAIN;
	*ident_r = found + 1;
	return op->tx.err;
}
