/* SPDX-License-Identifier: Apache-2.0 */
/* slab_audit.c - the audit of pages, bitmaps, bins and counts of the slabs, whole at an attach
 * and in slices for the keeper. */
#include <stdio.h>
#include <string.h>

#include "shared/shm/slab_internal.h"

#define FREE_LOOKS 3U

/* ---- attach ---------------------------------------------------------------------------------- */

static uint32_t bits_set(const struct page_desc *desc)
{
	uint32_t used = 0;

	for (uint32_t word = 0; word < 4; word++)
		used += (uint32_t)__builtin_popcountll(desc->bitmap[word]);
	return used;
}

/* Is the neighbour in the bin a page of the same shard, kind and bin that points back? */
static bool neighbour_agrees(const struct segment *seg, uint64_t page, uint32_t link, bool ahead)
{
	const struct page_desc *desc = &seg->descs[page], *other;

	ROSTER_ASSERT(page < seg->pages);
	if (link == 0)
		return true;
	if (link > segment_backed(seg) || seg->owners[link - 1] != seg->owners[page])
		return false;
	other = &seg->descs[link - 1];
	return other->kind == desc->kind && other->bin == desc->bin &&
	       (ahead ? other->prev : other->next) == page + 1;
}

/* One page that has an owner. The totals are those of all shards: they grow in its owner's. */
static const char *owned_damaged(const struct segment *seg, uint64_t page,
                                 struct slab_totals *totals)
{
	const struct page_desc *desc = &seg->descs[page];
	uint32_t used = bits_set(desc);
	const struct slab *slab;

	if (desc->kind == SLAB_NONE || desc->kind >= SLAB_KINDS)
		return "a page has an owner and no kind";
	slab = &seg->shards[seg->owners[page] - 1].slabs[desc->kind];
	if (used == 0 || used != desc->used ||
	    desc->bin != slab_bin_for(&slab_kinds[desc->kind], used))
		return "a page's bitmap and counts contradict each other";
	for (uint32_t word = 0; word < 4; word++)
		if ((desc->bitmap[word] & ~slab_word_mask(&slab_kinds[desc->kind], word)) != 0)
			return "a page's bitmap has bits beyond its objects";
	totals += seg->owners[page] - 1;
	totals->objects[desc->kind] += used;
	totals->pages[desc->kind]++;
	if (desc->bin >= SLAB_BINS)
		return desc->next == 0 && desc->prev == 0 ? NULL : "a full page is listed";
	totals->binned[desc->kind][desc->bin]++;
	if (!neighbour_agrees(seg, page, desc->next, true) ||
	    !neighbour_agrees(seg, page, desc->prev, false) ||
	    (desc->prev == 0 && slab->bins[desc->bin] != page + 1))
		return "a list of pages is broken";
	return NULL;
}

static bool is_blank(const struct page_desc *desc)
{
	return desc->kind == SLAB_NONE && desc->used == 0 && desc->bin == 0 && desc->next == 0 &&
	       desc->prev == 0 && bits_set(desc) == 0;
}

/* The head of an empty bin is 0. That of another one needs no look: it was met as the page without
 * a predecessor, which is compared with the head. */
static bool slab_agrees(const struct slab *slab, const struct slab_totals *totals, uint32_t kind)
{
	for (uint32_t bin = 0; bin < SLAB_BINS; bin++)
		if ((slab->bins[bin] == 0) != (totals->binned[kind][bin] == 0))
			return false;
	return slab->objects == totals->objects[kind] && slab->pages == totals->pages[kind];
}

const char *slab_damaged(const struct segment *seg)
{
	static struct slab_totals totals[SHARDS_ALL]; /* large for a stack */
	const char *why = NULL;

	memset(totals, 0, sizeof(totals));
	for (uint64_t page = 0, backed = segment_backed(seg); page < backed && why == NULL;
	     page++) {
		if (seg->owners[page] != 0)
			why = owned_damaged(seg, page, totals);
		else if (!is_blank(&seg->descs[page]))
			why = "a free page is described as used";
	}
	for (uint32_t shard = 0; shard < SHARDS_ALL && why == NULL; shard++)
		for (uint32_t kind = 0; kind < SLAB_KINDS && why == NULL; kind++)
			if (!slab_agrees(&seg->shards[shard].slabs[kind], &totals[shard], kind))
				why = "the counts of a shard's objects are wrong";
	return why;
}

unsigned slab_audit_free(const struct segment *seg, uint64_t *page, uint32_t pages,
                         slab_say_fn *say, void *arg)
{
	uint64_t backed = segment_backed(seg);
	unsigned found = 0;
	char text[64];

	for (; *page < backed && pages > 0; (*page)++, pages--) {
		bool wrong = true;

		/* No lock is held: who takes or returns the page at this moment has done so at the
		 * next look. */
		for (unsigned look = 0; look < FREE_LOOKS && wrong; look++)
			wrong = __atomic_load_n(&seg->owners[*page], __ATOMIC_ACQUIRE) == 0 &&
			        !is_blank(&seg->descs[*page]) &&
			        __atomic_load_n(&seg->owners[*page], __ATOMIC_ACQUIRE) == 0;
		if (!wrong)
			continue;
		found++;
		snprintf(text, sizeof(text), "slab: free page %llu is described as used",
		         (unsigned long long)*page);
		if (say != NULL)
			say(text, arg);
	}
	return found;
}

/* ---- audit ----------------------------------------------------------------------------------- */

struct auditor {
	const struct tx *tx;
	slab_say_fn *say;
	void *arg;
	unsigned broken;
	struct slab_totals *totals;
};

static void slab_broken(struct auditor *auditor, const char *what, uint64_t where, uint64_t found,
                        uint64_t expected)
{
	char text[160];

	auditor->broken++;
	if (auditor->say == NULL)
		return;
	snprintf(text, sizeof(text), "slab: shard %u: %s %llu: %llu, expected %llu",
	         auditor->tx->shard->index, what, (unsigned long long)where,
	         (unsigned long long)found, (unsigned long long)expected);
	auditor->say(text, auditor->arg);
}

/* Looks at one page of the shard, and adds it to the totals even if something is wrong with it. */
static void audit_page(struct auditor *auditor, uint32_t page)
{
	const struct page_desc *desc = &auditor->tx->seg->descs[page];
	const struct slab_kind_row *row;
	uint64_t used = 0, beyond = 0;

	if (desc->kind == SLAB_NONE || desc->kind >= SLAB_KINDS) {
		slab_broken(auditor, "page owned but unused", page, desc->kind, 0);
		return;
	}
	row = &slab_kinds[desc->kind];
	for (uint32_t word = 0; word < 4; word++) {
		used += (uint64_t)__builtin_popcountll(desc->bitmap[word]);
		beyond |= desc->bitmap[word] & ~slab_word_mask(row, word);
	}
	if (desc->used != used || used == 0)
		slab_broken(auditor, "objects of page", page, desc->used, used);
	if (beyond != 0)
		slab_broken(auditor, "bits beyond the objects of page", page, beyond, 0);
	if (desc->bin != slab_bin_for(row, (uint32_t)used))
		slab_broken(auditor, "bin of page", page, desc->bin,
		            slab_bin_for(row, (uint32_t)used));
	if (!neighbour_agrees(auditor->tx->seg, page, desc->next, true) ||
	    !neighbour_agrees(auditor->tx->seg, page, desc->prev, false))
		slab_broken(auditor, "neighbours of page", page, desc->next, desc->prev);
	auditor->totals->objects[desc->kind] += used;
	auditor->totals->pages[desc->kind]++;
	if (desc->bin < SLAB_BINS)
		auditor->totals->binned[desc->kind][desc->bin]++;
}

unsigned slab_audit_pages(const struct tx *tx, uint64_t *page, uint32_t most,
                          struct slab_totals *totals, slab_say_fn *say, void *arg)
{
	struct auditor auditor = { .tx = tx, .say = say, .arg = arg, .totals = totals };
	uint64_t backed = segment_backed(tx->seg),
	         end = backed - *page < most ? backed : *page + most;

	for (; *page < end; (*page)++) {
		const uint8_t *at =
		        memchr(tx->seg->owners + *page, slab_owner_mark(tx), end - *page);

		if (at == NULL)
			break;
		*page = (uint64_t)(at - tx->seg->owners);
		audit_page(&auditor, (uint32_t)*page);
	}
	*page = end;
	return auditor.broken;
}

/* Looks at one page of a bin's list and goes on to the next, or ends the walk where it is
 * broken. */
static void audit_listed(struct auditor *auditor, struct slab_bin_walk *walk)
{
	const struct segment *seg = auditor->tx->seg;
	const struct page_desc *desc;

	ROSTER_ASSERT(walk->link != 0 && walk->kind < SLAB_KINDS && walk->bin < SLAB_BINS);
	walk->over = true;
	if (walk->link > seg->pages ||
	    seg->owners[walk->link - 1] != slab_owner_mark(auditor->tx) ||
	    walk->seen >= auditor->totals->binned[walk->kind][walk->bin]) {
		slab_broken(auditor, "link in bin", walk->bin, walk->link, 0);
		return;
	}
	desc = &seg->descs[walk->link - 1];
	if (desc->kind != walk->kind || desc->bin != walk->bin || desc->prev != walk->prev) {
		slab_broken(auditor, "listed page", walk->link - 1, desc->kind, walk->kind);
		return;
	}
	walk->over = false;
	walk->seen++;
	walk->prev = walk->link;
	walk->link = desc->next;
}

/* A list with right back links and the right length holds each page of the bin once. */
static void audit_bin(struct auditor *auditor, struct slab_bin_walk *walk, uint32_t *most)
{
	uint64_t expected = auditor->totals->binned[walk->kind][walk->bin];

	/* A list is walked from its beginning. */
	ROSTER_ASSERT(walk->begun || (walk->seen == 0 && walk->prev == 0));
	if (!walk->begun)
		walk->link = auditor->tx->shard->slabs[walk->kind].bins[walk->bin];
	walk->begun = true;
	for (; walk->link != 0 && !walk->over && *most > 0; (*most)--)
		audit_listed(auditor, walk);
	if (walk->link != 0 && !walk->over)
		return;
	if (!walk->over && walk->seen != expected)
		slab_broken(auditor, "pages in bin", walk->bin, walk->seen, expected);
	*walk = (struct slab_bin_walk){ walk->kind, walk->bin + 1, .begun = false };
	if (walk->bin == SLAB_BINS)
		*walk = (struct slab_bin_walk){ walk->kind + 1, 0, .begun = false };
}

unsigned slab_audit_bins(const struct tx *tx, struct slab_bin_walk *walk, uint32_t most,
                         struct slab_totals *totals, slab_say_fn *say, void *arg)
{
	struct auditor auditor = { .tx = tx, .say = say, .arg = arg, .totals = totals };

	while (walk->kind < SLAB_KINDS && most > 0)
		audit_bin(&auditor, walk, &most);
	return auditor.broken;
}

unsigned slab_audit_totals(const struct tx *tx, struct slab_totals *totals, slab_say_fn *say,
                           void *arg)
{
	struct auditor auditor = { .tx = tx, .say = say, .arg = arg, .totals = totals };
	const struct slab *slabs = tx->shard->slabs;

	for (uint32_t kind = 0; kind < SLAB_KINDS; kind++) {
		if (slabs[kind].objects != totals->objects[kind])
			slab_broken(&auditor, "objects of kind", kind, slabs[kind].objects,
			            totals->objects[kind]);
		if (slabs[kind].pages != totals->pages[kind])
			slab_broken(&auditor, "pages of kind", kind, slabs[kind].pages,
			            totals->pages[kind]);
	}
	return auditor.broken;
}

unsigned slab_audit(const struct tx *tx, slab_say_fn *say, void *arg)
{
	struct slab_totals totals = { .objects = { 0 } };
	struct slab_bin_walk walk = { .kind = 0 };
	uint64_t page = 0;
	unsigned found = 0;

	while (page < segment_backed(tx->seg))
		found += slab_audit_pages(tx, &page, UINT32_MAX, &totals, say, arg);
	found += slab_audit_totals(tx, &totals, say, arg);
	while (walk.kind < SLAB_KINDS)
		found += slab_audit_bins(tx, &walk, UINT32_MAX, &totals, say, arg);
	return found;
}
