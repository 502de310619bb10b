/* SPDX-License-Identifier: Apache-2.0 */
/* pick.h - which clusters of a service a `clusters` text asks for (specification 4.6), in its
 * normal form.
 *
 * The order asked for is the order in which hosts are shown, so it stays. Left out is what shows
 * nothing: names the service does not have, a name asked for again, clusters without instances. A
 * text without any name asks for all. Two texts with equal picks have the same hosts.
 *
 * Of the texts with one pick, one is plain: it names the clusters picked and nothing else.
 *
 * The time is linear in text and clusters (times a logarithm), whatever is asked, because names are
 * looked up in a sorted table. A pick belongs to one view, and means nothing any more when that is
 * filled anew. Its memory belongs to it until pick_free(). */
#ifndef VIEW_PICK_H
#define VIEW_PICK_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/err.h"
#include "shared/base/str.h"
#include "shared/registry/registry.h"

struct pick {
	/* where the instances of each cluster of the view begin, and their end: cluster_count +
	 * 1 */
	uint32_t *first;
	uint32_t *order; /* the clusters picked */
	uint32_t count;
	bool plain;
};

/* Makes the pick of a text. It comes to pauses (fiber.h). ERR_NOMEM, ERR_GONE: whatever it returns,
 * pick_free() may follow. */
int pick_make(struct pick *pick, const struct service_view *view, struct str text) MUST_CHECK;
void pick_free(struct pick *pick);
/* Writes the text in its normal form, a key for what was rendered: the names picked, with commas;
 * nothing for all; for none a blank, which no cluster is called. But for that blank it is never
 * longer than the text. ERR_NOMEM, ERR_GONE. */
int pick_normal(const struct service_view *view, struct str text, struct buf *normal_r) MUST_CHECK;
bool pick_same(const struct pick *a, const struct pick *b);
/* Is the text the name of one cluster, with instances or without? */
bool pick_is_one(const struct service_view *view, struct str text);

#endif
