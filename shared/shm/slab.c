/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/shm/slab.h"

#include <stddef.h>
#include <string.h>

#include "shared/shm/fault.h"
#include "shared/shm/shard.h"
#include "shared/shm/slab_internal.h"
#include "shared/shm/undo.h"

#define WASTEFUL_PAGES 8U /* of a kind in a shard: fewer are not worth the walk */

/* The place of each reference is divided by the size of an object, so the row has the inverse
 * too. */
#define KIND_ROW(size) \
	{ \
		(size), (size) / SEGMENT_UNIT, SEGMENT_PAGE / (size), \
		        (65536U + (size) / SEGMENT_UNIT - 1) / ((size) / SEGMENT_UNIT) \
	}

const struct slab_kind_row slab_kinds[SLAB_KINDS] = {
	[SLAB_TABLE] = KIND_ROW(SLAB_BYTES_TABLE),
	[SLAB_SERVICE] = KIND_ROW(SLAB_BYTES_SERVICE),
	[SLAB_CLUSTER] = KIND_ROW(SLAB_BYTES_CLUSTER),
	[SLAB_INSTANCE] = KIND_ROW(SLAB_BYTES_INSTANCE),
	[SLAB_AUDIENCE] = KIND_ROW(SLAB_BYTES_AUDIENCE),
	[SLAB_SUBSCRIBER] = KIND_ROW(SLAB_BYTES_SUBSCRIBER),
	[SLAB_NAMESPACE] = KIND_ROW(SLAB_BYTES_NAMESPACE),
	[SLAB_BLOB32] = KIND_ROW(32U),
	[SLAB_BLOB48] = KIND_ROW(48U),
	[SLAB_BLOB64] = KIND_ROW(64U),
	[SLAB_BLOB128] = KIND_ROW(128U),
	[SLAB_BLOB256] = KIND_ROW(256U),
	[SLAB_BLOB512] = KIND_ROW(512U),
	[SLAB_BLOB1K] = KIND_ROW(1024U),
	[SLAB_BLOB1360] = KIND_ROW(1360U),
	[SLAB_BLOB2K] = KIND_ROW(2048U),
	[SLAB_BLOB4K] = KIND_ROW(4096U),
};

#define UNITS(size) _Static_assert((size) % SEGMENT_UNIT == 0, "a place is counted in units")
UNITS(SLAB_BYTES_TABLE);
UNITS(SLAB_BYTES_SERVICE);
UNITS(SLAB_BYTES_CLUSTER);
UNITS(SLAB_BYTES_INSTANCE);
UNITS(SLAB_BYTES_AUDIENCE);
UNITS(SLAB_BYTES_SUBSCRIBER);
UNITS(SLAB_BYTES_NAMESPACE);
_Static_assert(sizeof(struct page_desc) == 64, "a descriptor is one cache line");
_Static_assert(offsetof(struct page_desc, next) == 8, "next and prev are one word");

/* The first 8 bytes of a descriptor, changed and logged as one word. */
struct page_head {
	uint16_t kind, used, bin, pad;
};

struct place {
	uint32_t page;
	uint32_t index; /* of the object in it */
};

uint32_t slab_object_bytes(enum slab_kind kind)
{
	return slab_kinds[kind].bytes;
}

uint64_t slab_most(const struct segment *seg, enum slab_kind kind)
{
	return (unsigned)kind < SLAB_KINDS ? (uint64_t)seg->pages * slab_kinds[kind].capacity : 0;
}

static const char *const kind_names[SLAB_KINDS] = {
	[SLAB_NONE] = "none",
	[SLAB_TABLE] = "table",
	[SLAB_SERVICE] = "service",
	[SLAB_CLUSTER] = "cluster",
	[SLAB_INSTANCE] = "instance",
	[SLAB_AUDIENCE] = "audience",
	[SLAB_SUBSCRIBER] = "subscriber",
	[SLAB_NAMESPACE] = "namespace",
	[SLAB_BLOB32] = "blob32",
	[SLAB_BLOB48] = "blob48",
	[SLAB_BLOB64] = "blob64",
	[SLAB_BLOB128] = "blob128",
	[SLAB_BLOB256] = "blob256",
	[SLAB_BLOB512] = "blob512",
	[SLAB_BLOB1K] = "blob1k",
	[SLAB_BLOB1360] = "blob1360",
	[SLAB_BLOB2K] = "blob2k",
	[SLAB_BLOB4K] = "blob4k",
};

const char *slab_kind_name(enum slab_kind kind)
{
	ROSTER_ASSERT((unsigned)kind < SLAB_KINDS);
	return kind_names[kind];
}

void slab_usage(const struct segment *seg, enum slab_kind kind, uint64_t *objects_r,
                uint64_t *pages_r)
{
	ROSTER_ASSERT((unsigned)kind < SLAB_KINDS);
	*objects_r = *pages_r = 0;
	for (uint32_t i = 0; i < SHARDS_ALL; i++) {
		*objects_r +=
		        __atomic_load_n(&seg->shards[i].slabs[kind].objects, __ATOMIC_RELAXED);
		*pages_r += __atomic_load_n(&seg->shards[i].slabs[kind].pages, __ATOMIC_RELAXED);
	}
}

/* ---- references ------------------------------------------------------------------------------ */

/* Returns false unless off lies in a page of this shard. */
static inline bool page_of(const struct tx *tx, uint32_t off, uint32_t *page_r)
{
	/* Below data_off the difference wraps to something larger than any page. */
	uint64_t at = (uint64_t)off * SEGMENT_UNIT - tx->seg->data_off;

	if (at >= (uint64_t)tx->seg->pages * SEGMENT_PAGE)
		return false;
	*page_r = (uint32_t)(at / SEGMENT_PAGE);
	return tx->seg->owners[*page_r] == slab_owner_mark(tx);
}

/* Every reference goes through here: what it says has to agree with owner, kind, boundary and
 * bitmap. */
static inline bool object_place(const struct tx *tx, uint32_t off, enum slab_kind kind,
                                struct place *place_r)
{
	const struct slab_kind_row *row;
	const struct page_desc *desc;
	uint32_t page, unit, index;

	/* The kind may come from the segment, too. */
	if (kind == SLAB_NONE || (unsigned)kind >= SLAB_KINDS || !page_of(tx, off, &page))
		return false;
	row = &slab_kinds[kind];
	desc = &tx->seg->descs[page];
	unit = (off - (uint32_t)(tx->seg->data_off / SEGMENT_UNIT)) % (SEGMENT_PAGE / SEGMENT_UNIT);
	index = unit * row->inverse >> 16;
	if (desc->kind != kind || index * row->units != unit || index >= row->capacity)
		return false;
	*place_r = (struct place){ page, index };
	return (desc->bitmap[index / 64] >> index % 64 & 1) != 0;
}

void *slab_try(const struct tx *tx, uint32_t off, enum slab_kind kind)
{
	struct place place;

	return object_place(tx, off, kind, &place) ? tx->seg->base + (uint64_t)off * SEGMENT_UNIT
	                                           : NULL;
}

void *slab_at(const struct tx *tx, uint32_t off, enum slab_kind kind)
{
	void *object = slab_try(tx, off, kind);

	if (object == NULL)
		__atomic_fetch_add(&tx->seg->header->corrupt, 1, __ATOMIC_RELAXED);
	return object;
}

enum slab_kind slab_kind_at(const struct tx *tx, uint32_t off)
{
	uint32_t page;

	return page_of(tx, off, &page) && tx->seg->descs[page].kind < SLAB_KINDS
	               ? (enum slab_kind)tx->seg->descs[page].kind
	               : SLAB_NONE;
}

/* ---- bins ------------------------------------------------------------------------------------ */

/* Returns the descriptor behind a link (a page number + 1), or NULL with an error. */
static struct page_desc *linked(struct tx *tx, uint32_t link)
{
	if (link == 0 || link > tx->seg->pages ||
	    tx->seg->owners[link - 1] != slab_owner_mark(tx)) {
		undo_fail(tx, ERR_CORRUPT);
		return NULL;
	}
	return &tx->seg->descs[link - 1];
}

/* Both links are one word of the log. */
static void set_links(struct tx *tx, struct page_desc *desc, uint32_t next, uint32_t prev)
{
	uint32_t pair[2] = { next, prev };
	uint64_t word;

	memcpy(&word, pair, sizeof(word));
	undo_set64(tx, (uint64_t *)(void *)&desc->next, word);
}

/* Kind, number and list of a page change together, as one word of the log. */
static void set_head(struct tx *tx, struct page_desc *desc, enum slab_kind kind, uint32_t used,
                     uint32_t bin)
{
	struct page_head head = { (uint16_t)kind, (uint16_t)used, (uint16_t)bin, 0 };
	uint64_t word;

	memcpy(&word, &head, sizeof(word));
	undo_set64(tx, (uint64_t *)(void *)&desc->kind, word);
}

static void bin_unlink(struct tx *tx, struct slab *slab, const struct page_desc *desc)
{
	uint32_t link = (uint32_t)(desc - tx->seg->descs) + 1;
	struct page_desc *prev = desc->prev == 0 ? NULL : linked(tx, desc->prev);
	struct page_desc *next = desc->next == 0 ? NULL : linked(tx, desc->next);

	/* Neighbours that do not know this page are not written to, so that damage does not
	 * spread. */
	if (tx->err != 0 || (prev == NULL ? slab->bins[desc->bin] : prev->next) != link ||
	    (next != NULL && next->prev != link)) {
		undo_fail(tx, ERR_CORRUPT);
		return;
	}
	undo_set32(tx, prev == NULL ? &slab->bins[desc->bin] : &prev->next, desc->next);
	if (next != NULL)
		undo_set32(tx, &next->prev, desc->prev);
}

static void bin_push(struct tx *tx, struct slab *slab, struct page_desc *desc, uint32_t bin)
{
	uint32_t link = (uint32_t)(desc - tx->seg->descs) + 1;
	uint32_t first = slab->bins[bin];
	struct page_desc *neighbour;

	ROSTER_ASSERT(bin < SLAB_BINS && link <= tx->seg->pages);
	if (first != 0 && (neighbour = linked(tx, first)) != NULL)
		undo_set32(tx, &neighbour->prev, link);
	undo_set32(tx, &slab->bins[bin], link);
	set_links(tx, desc, first, 0);
}

/* Brings a page of the kind to a new number of taken objects: bin, links, head. */
static void set_used(struct tx *tx, enum slab_kind kind, struct page_desc *desc, uint32_t used)
{
	struct slab *slab = &tx->shard->slabs[kind];
	uint32_t bin = slab_bin_for(&slab_kinds[kind], used);

	if (bin != desc->bin) {
		if (desc->bin < SLAB_BINS)
			bin_unlink(tx, slab, desc);
		if (bin < SLAB_BINS)
			bin_push(tx, slab, desc, bin);
		else
			set_links(tx, desc, 0, 0);
	}
	if (used == 0)
		set_head(tx, desc, SLAB_NONE, 0, 0);
	else
		set_head(tx, desc, kind, used, bin);
}

/* ---- pages ----------------------------------------------------------------------------------- */

/* A free page is one whose owner byte is 0; whoever swaps it has it. */
static bool page_claim(struct tx *tx, uint64_t from, uint64_t to, uint32_t *page_r)
{
	uint8_t *owners = tx->seg->owners;

	ROSTER_ASSERT(to <= tx->seg->pages);
	while (from < to) {
		uint8_t *at = memchr(owners + from, 0, to - from);
		uint8_t none = 0;

		if (at == NULL)
			return false;
		from = (uint64_t)(at - owners);
		if (__atomic_compare_exchange_n(at, &none, slab_owner_mark(tx), false,
		                                __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
			*page_r = (uint32_t)from;
			return true;
		}
		from++;
	}
	return false;
}

/* Takes a free page for the shard. The owner byte has no entry in the log: a roll-back finds the
 * page in seg->taken, and after a death slab_sweep() finds it by its unused descriptor. */
static bool page_take(struct tx *tx, uint32_t *page_r)
{
	struct segment_header *header = tx->seg->header;
	uint64_t backed = segment_backed(tx->seg);
	uint64_t hint = __atomic_load_n(&header->page_hint, __ATOMIC_RELAXED);

	if (hint > backed)
		hint = 0;
	tx->pages++;
	if (!page_claim(tx, hint, backed, page_r) && !page_claim(tx, 0, hint, page_r)) {
		/* Whatever the hint said, there is none: the next segment_ensure() grows. */
		tx->pages--;
		__atomic_store_n(&header->free_hint, 0, __ATOMIC_RELAXED);
		return false;
	}
	ROSTER_ASSERT(*page_r < tx->seg->pages);
	FAULT("page-owned");
	if (tx->pages <= SEGMENT_TAKEN)
		tx->seg->taken[tx->pages - 1] = *page_r;
	__atomic_store_n(&header->page_hint, (uint64_t)*page_r + 1, __ATOMIC_RELAXED);
	__atomic_fetch_sub(&header->free_hint, 1, __ATOMIC_RELAXED);
	FAULT("page-counted");
	return true;
}

/* The descriptor is blank already, so with its owner byte the page is anybody's. The hints follow,
 * and may be a page behind for a moment or, after a death, until the next count. */
static void page_return(struct tx *tx, uint32_t page)
{
	struct segment_header *header = tx->seg->header;

	ROSTER_ASSERT(page < tx->seg->pages);
	FAULT("page-before-return");
	__atomic_store_n(&tx->seg->owners[page], 0, __ATOMIC_RELEASE);
	FAULT("page-returned");
	__atomic_fetch_add(&header->free_hint, 1, __ATOMIC_RELAXED);
	FAULT("page-return-counted");
	if (page < __atomic_load_n(&header->page_hint, __ATOMIC_RELAXED))
		__atomic_store_n(&header->page_hint, page, __ATOMIC_RELAXED);
}

/* Takes a page that nobody uses, whose descriptor is therefore all zero, and puts it into use. */
static struct page_desc *page_new(struct tx *tx, enum slab_kind kind, uint32_t *page_r)
{
	struct slab *slab = &tx->shard->slabs[kind];
	struct page_desc *desc;

	if (!page_take(tx, page_r)) {
		undo_fail(tx, ERR_FULL);
		return NULL;
	}
	desc = &tx->seg->descs[*page_r];
	if (desc->kind != SLAB_NONE || desc->used != 0) {
		undo_fail(tx, ERR_CORRUPT);
		return NULL;
	}
	set_head(tx, desc, kind, 0, SLAB_BINS);
	undo_set64(tx, &slab->pages, slab->pages + 1);
	return desc;
}

/* Finds the fullest page with room, or takes a new one. */
static struct page_desc *page_for(struct tx *tx, enum slab_kind kind, uint32_t *page_r)
{
	const struct slab *slab = &tx->shard->slabs[kind];
	struct page_desc *desc;

	for (unsigned bin = SLAB_BINS; bin-- > 0;) {
		if (slab->bins[bin] == 0)
			continue;
		desc = linked(tx, slab->bins[bin]);
		if (desc != NULL && desc->kind != kind) {
			undo_fail(tx, ERR_CORRUPT);
			desc = NULL;
		}
		*page_r = slab->bins[bin] - 1;
		return desc;
	}
	return page_new(tx, kind, page_r);
}

/* ---- objects --------------------------------------------------------------------------------- */

/* A page that hangs in a list has a free bit; one without is damaged. */
static bool take_bit(struct tx *tx, const struct slab_kind_row *row, struct page_desc *desc,
                     uint32_t *index_r)
{
	for (uint32_t word = 0; word < 4; word++) {
		uint64_t free_bits = ~desc->bitmap[word] & slab_word_mask(row, word);

		if (free_bits == 0)
			continue;
		*index_r = word * 64 + (uint32_t)__builtin_ctzll(free_bits);
		ROSTER_ASSERT(*index_r < row->capacity);
		undo_set64(tx, &desc->bitmap[word], desc->bitmap[word] | (free_bits & -free_bits));
		return true;
	}
	undo_fail(tx, ERR_CORRUPT);
	return false;
}

uint32_t slab_alloc(struct tx *tx, enum slab_kind kind)
{
	const struct slab_kind_row *row = &slab_kinds[kind];
	struct slab *slab = &tx->shard->slabs[kind];
	struct page_desc *desc;
	uint32_t page, index;

	ROSTER_ASSERT(kind > SLAB_NONE && kind < SLAB_KINDS);
	ROSTER_ASSERT(tx->shard != NULL && !tx->drain);
	/* A transaction that has failed is rolled back: whatever it took would only be given
	 * back. */
	if (tx->err != 0)
		return 0;
	desc = page_for(tx, kind, &page);
	if (desc == NULL || !take_bit(tx, row, desc, &index))
		return 0;
	set_used(tx, kind, desc, desc->used + 1U);
	undo_set64(tx, &slab->objects, slab->objects + 1);
	if (tx->err != 0)
		return 0;
	return (uint32_t)((tx->seg->data_off + (uint64_t)page * SEGMENT_PAGE) / SEGMENT_UNIT) +
	       index * row->units;
}

void slab_free(struct tx *tx, uint32_t off)
{
	if (slab_at(tx, off, slab_kind_at(tx, off)) == NULL) {
		undo_fail(tx, ERR_CORRUPT);
		return;
	}
	undo_push_free(tx, off);
}

bool slab_worth_moving(const struct tx *tx, uint32_t off)
{
	enum slab_kind kind = slab_kind_at(tx, off);
	const struct slab *slab = &tx->shard->slabs[kind];
	uint32_t page, bin = SLAB_BINS;

	/* Pages in the lists 0 and 1 are at most half full. */
	if (kind == SLAB_NONE || !page_of(tx, off, &page) || tx->seg->descs[page].bin > 1)
		return false;
	/* The page that slab_alloc() would take; a page's link is its number + 1. */
	while (bin > 0 && slab->bins[--bin] == 0)
		;
	return slab->bins[bin] != 0 && slab->bins[bin] != page + 1;
}

bool slab_wasteful(const struct segment *seg, uint32_t shard, enum slab_kind kind)
{
	const struct slab *slab = &seg->shards[shard].slabs[kind];
	uint64_t pages = __atomic_load_n(&slab->pages, __ATOMIC_RELAXED);

	ROSTER_ASSERT(shard < SHARDS_ALL && kind > SLAB_NONE && kind < SLAB_KINDS);
	return pages >= WASTEFUL_PAGES && __atomic_load_n(&slab->objects, __ATOMIC_RELAXED) * 2 <
	                                          pages * slab_kinds[kind].capacity;
}

void slab_release(struct tx *tx, uint32_t off)
{
	enum slab_kind kind = slab_kind_at(tx, off);
	struct slab *slab = &tx->shard->slabs[kind];
	struct page_desc *desc;
	struct place place;
	uint64_t *word;

	if (!object_place(tx, off, kind, &place) || tx->seg->descs[place.page].used == 0) {
		undo_fail(tx, ERR_CORRUPT);
		return;
	}
	desc = &tx->seg->descs[place.page];
	word = &desc->bitmap[place.index / 64];
	undo_set64(tx, word, *word & ~(1ULL << place.index % 64));
	set_used(tx, kind, desc, desc->used - 1U);
	undo_set64(tx, &slab->objects, slab->objects - 1);
	/* The page stays ours until the commit: slab_give_back() returns it. */
	if (desc->used == 0)
		undo_set64(tx, &slab->pages, slab->pages - 1);
}

/* The page's descriptor says SLAB_NONE only if the free that was committed emptied it. */
void slab_give_back(struct tx *tx, uint32_t off)
{
	uint32_t page;

	if (page_of(tx, off, &page) && tx->seg->descs[page].kind == SLAB_NONE)
		page_return(tx, page);
}

void slab_untake(struct tx *tx)
{
	if (tx->pages > SEGMENT_TAKEN) { /* more than are remembered: they have to be looked for */
		slab_sweep(tx);
		return;
	}
	for (unsigned n = 0; n < tx->pages; n++) {
		uint32_t page = tx->seg->taken[n];

		if (tx->seg->owners[page] == slab_owner_mark(tx) &&
		    tx->seg->descs[page].kind == SLAB_NONE)
			page_return(tx, page);
	}
}

unsigned slab_sweep(struct tx *tx)
{
	const uint8_t *owners = tx->seg->owners;
	uint64_t backed = segment_backed(tx->seg);
	unsigned found = 0;

	/* memchr() over a byte for each page: most pages belong to other shards. */
	for (uint64_t from = 0; from < backed;) {
		const uint8_t *at = memchr(owners + from, slab_owner_mark(tx), backed - from);

		if (at == NULL)
			break;
		from = (uint64_t)(at - owners);
		if (tx->seg->descs[from].kind == SLAB_NONE) {
			page_return(tx, (uint32_t)from);
			found++;
		}
		from++;
	}
	return found;
}
