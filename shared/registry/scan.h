/* SPDX-License-Identifier: Apache-2.0 */
/* scan.h - goes through the instances of one service in bounded holds, whatever others do to it in
 * between. For shared/registry only.
 *
 *     scan_begin(&scan, &op, ...)                  in the first hold
 *     while ((i = scan_next(&scan, &op)) != NULL)  ... SCAN_STEPS steps a hold at most
 *                                                  scan.end: that was all
 *     ret = scan_return(&scan, &op, &s)            in each further hold, then scan_next() again
 *
 * The order is that of a walk: cluster by cluster, persistent before ephemeral. Instances that come
 * after scan_begin() are not seen, so a scan ends however many do; those that go before they are
 * reached are not seen either; none is seen twice. That rests on two things: clusters stay where
 * they are as long as their service, and the number in an id (undo_id_number()) rises along every
 * list, in this segment and in one that was loaded from a snapshot.
 *
 * Where it was is a reference beside an id. When the instance is gone, or was moved by the
 * compaction, the scan goes back to the last of its marks (several a hold, thinned out in a long
 * list) that still stands, and steps over what it has passed already. */
#ifndef REGISTRY_SCAN_H
#define REGISTRY_SCAN_H

#include "shared/registry/registry_internal.h"

#define SCAN_STEPS 1024U /* of one hold: lists, and instances looked at */
#define SCAN_MARKS 64U

struct scan_mark {
	uint64_t id; /* 0: before the first of the list */
	uint32_t off;
};

struct scan {
	const struct service_key *key; /* the caller's */
	struct place place;
	uint32_t soff;
	uint64_t service_id, revision; /* when it began */
	uint64_t newest;               /* number of the newest instance that is seen */
	uint64_t left;                 /* steps before the lists are called broken */
	bool moved;                    /* the revision is another one by now */
	bool end;
	/* The list in work. */
	uint32_t kinds;         /* enum walk_kind */
	uint32_t cluster;       /* 0: none is left */
	uint32_t cluster_index; /* counted from the first */
	uint32_t clusters;      /* after this one */
	unsigned kind;
	/* The place in it. */
	struct scan_mark at;     /* the last instance stepped over */
	uint64_t passed;         /* number of the last one handed out, 0: none */
	struct scan_mark before; /* both, as they were before it */
	uint64_t passed_before;
	bool skipping;  /* a mark was gone back to */
	uint32_t off;   /* in this hold: the next one, 0: end of the list */
	uint32_t steps; /* left in this hold */
	struct scan_mark marks[SCAN_MARKS];
	uint32_t mark_count, since, stride; /* since: instances after the last mark */
};

/* Begins with all clusters (coff 0), or with that one alone. */
void scan_begin(struct scan *scan, struct op *op, const struct service_key *key, uint32_t soff,
                const struct service *s, enum walk_kind kinds, uint32_t coff);
/* Returns the next instance. NULL: it is the end (scan->end), no steps are left, or there is an
 * error in op. */
struct instance *scan_next(struct scan *scan, struct op *op);
/* Makes the instance just handed out come again, in the next hold. */
void scan_step_back(struct scan *scan);
/* Goes on in a further hold: finds the service again (*s_r) and sets scan->moved. ERR_NOT_FOUND:
 * the service is gone. */
int scan_return(struct scan *scan, struct op *op, struct service **s_r) MUST_CHECK;

#endif
