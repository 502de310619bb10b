/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/view/pick.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/assert.h"
#include "shared/base/breath.h"

#define TAKEN (1U << 31) /* in an entry of the sorted table: asked for already */

struct names {
	const struct service_view *view;
	uint32_t *sorted; /* clusters by name */
	struct breath breath;
};

static int compare_names(const void *a, const void *b, void *arg)
{
	const struct cluster_view *clusters = arg;

	return str_compare(clusters[*(const uint32_t *)a].name,
	                   clusters[*(const uint32_t *)b].name);
}

/* Returns the entry of the sorted table, taken or not, or NULL. */
static uint32_t *find_name(const struct names *names, struct str name)
{
	uint32_t low = 0, high = names->view->cluster_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2, cluster = names->sorted[middle] & ~TAKEN;
		int order;

		ROSTER_ASSERT(cluster < names->view->cluster_count);
		order = str_compare(name, names->view->clusters[cluster].name);

		if (order == 0)
			return &names->sorted[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

static void add(struct pick *pick, uint32_t c)
{
	if (pick->first[c] < pick->first[c + 1])
		pick->order[pick->count++] = c;
}

/* A name asked for twice counts once: a reply must not be multiplied by its request. */
static void add_name(struct pick *pick, const struct names *names, struct str name)
{
	uint32_t *found = find_name(names, name);

	if (found == NULL || (*found & TAKEN) != 0)
		return;
	add(pick, *found);
	*found |= TAKEN;
}

static int add_names(struct pick *pick, struct names *names, struct str text)
{
	int ret = 0;

	while (text.n > 0 && ret == 0) {
		const char *comma = memchr(text.p, ',', text.n);
		size_t n = comma != NULL ? (size_t)(comma - text.p) : text.n;

		if (n > 0)
			add_name(pick, names, str_make(text.p, n));
		n += comma != NULL;
		text = str_make(text.p + n, text.n - n);
		ret = breathe(&names->breath, 64);
	}
	return ret;
}

/* Commas alone name nothing, and so ask for all. */
static bool has_name(struct str text)
{
	size_t i = 0;

	while (i < text.n && text.p[i] == ',')
		i++;
	return i < text.n;
}

/* The instances of a view stand by cluster, in the order of the clusters. */
static int find_begins(struct pick *pick, const struct service_view *view, struct breath *breath)
{
	uint32_t at = 0;

	for (uint32_t c = 0; c < view->cluster_count; c++) {
		for (; at < view->instance_count && view->instances[at].cluster < c; at++) {
			if (breathe(breath, 4) < 0)
				return ERR_GONE;
		}
		pick->first[c] = at;
	}
	ROSTER_ASSERT(at <= view->instance_count);
	pick->first[view->cluster_count] = view->instance_count;
	return 0;
}

/* The names picked differ, and all stand in the text: if they and the commas between them are as
 * long as the text, nothing else is in it. */
static bool is_plain(const struct pick *pick, const struct service_view *view, struct str text)
{
	size_t n = pick->count > 0 ? pick->count - 1 : 0;

	for (uint32_t i = 0; i < pick->count; i++)
		n += view->clusters[pick->order[i]].name.n;
	return n == text.n;
}

static int fill(struct pick *pick, struct names *names, struct str text)
{
	uint32_t clusters = names->view->cluster_count;
	int ret = find_begins(pick, names->view, &names->breath);

	if (ret < 0)
		return ret;
	if (!has_name(text)) {
		for (uint32_t c = 0; c < clusters; c++)
			add(pick, c);
		return 0;
	}
	for (uint32_t c = 0; c < clusters; c++)
		names->sorted[c] = c;
	if (clusters > 1)
		qsort_r(names->sorted, clusters, sizeof(names->sorted[0]), compare_names,
		        names->view->clusters);
	return add_names(pick, names, text);
}

int pick_make(struct pick *pick, const struct service_view *view, struct str text)
{
	uint32_t clusters = view->cluster_count;
	struct names names = { .view = view };
	int ret;

	ROSTER_ASSERT(clusters < TAKEN);
	/* One block for the three arrays: where clusters begin, what is picked, and the sorted
	 * table. */
	*pick = (struct pick){ .first = malloc((3 * (size_t)clusters + 1) * sizeof(uint32_t)) };
	if (pick->first == NULL)
		return ERR_NOMEM;
	pick->order = pick->first + clusters + 1;
	names.sorted = pick->order + clusters;
	ret = fill(pick, &names, text);
	ROSTER_ASSERT(pick->count <= clusters); /* or the sorted table behind it is overwritten */
	pick->plain = ret == 0 && is_plain(pick, view, text);
	return ret;
}

void pick_free(struct pick *pick)
{
	free(pick->first);
	*pick = (struct pick){ .first = NULL };
}

static void put_names(struct buf *b, const struct pick *pick, const struct service_view *view)
{
	for (uint32_t i = 0; i < pick->count; i++) {
		if (i > 0)
			buf_char(b, ',');
		buf_str(b, view->clusters[pick->order[i]].name);
	}
	if (pick->count == 0)
		buf_char(b, ' ');
}

int pick_normal(const struct service_view *view, struct str text, struct buf *normal_r)
{
	struct pick pick;
	int ret;

	if (!has_name(text))
		return 0;
	ret = pick_make(&pick, view, text);
	if (ret == 0)
		put_names(normal_r, &pick, view);
	pick_free(&pick);
	return ret == 0 && buf_failed(normal_r) ? ERR_NOMEM : ret;
}

bool pick_same(const struct pick *a, const struct pick *b)
{
	return a->count == b->count &&
	       (a->count == 0 || memcmp(a->order, b->order, a->count * sizeof(a->order[0])) == 0);
}

bool pick_is_one(const struct service_view *view, struct str text)
{
	for (uint32_t c = 0; c < view->cluster_count; c++) {
		if (str_eq(view->clusters[c].name, text))
			return true;
	}
	return false;
}
