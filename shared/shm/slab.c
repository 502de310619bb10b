/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/shm/slab.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "shared/shm/fault.h"
#include "shared/shm/shard.h"
#include "shared/shm/undo.h"

#define WASTEFUL_PAGES 8U /* of a kind in a shard: fewer are not worth the walk */

struct kind_row {
	uint16_t bytes;
	uint16_t units;    /* bytes / SEGMENT_UNIT */
	uint16_t capacity; /* objects a page */
	uint32_t inverse;  /* (unit * inverse) >> 16 == unit / units, exact for unit < 256 */
};

#define KIND_ROW(size) \
	{ \
		(size), (size) / SEGMENT_UNIT, SEGMENT_PAGE / (size), \
		        (65536U + (size) / SEGMENT_UNIT - 1) / ((size) / SEGMENT_UNIT) \
	}

static const struct kind_row kinds[SLAB_KINDS] = {
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

#define FREE_LOOKS 3U

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
	return kinds[kind].bytes;
}

uint64_t slab_most(const struct segment *seg, enum slab_kind kind)
{
	return (unsigned)kind < SLAB_KINDS ? (uint64_t)seg->pages * kinds[kind].capacity : 0;
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
	return kind_names[kind];
}

void slab_usage(const struct segment *seg, enum slab_kind kind, uint64_t *objects_r, uint64_t *pages_r)
{
	*objects_r = *pages_r = 0;
	for (uint32_t i = 0; i < SHARDS_ALL; i++) {
		*objects_r += __atomic_load_n(&seg->shards[i].slabs[kind].objects, __ATOMIC_RELAXED);
		*pages_r += __atomic_load_n(&seg->shards[i].slabs[kind].pages, __ATOMIC_RELAXED);
	}
}

/* ---- references ------------------------------------------------------------ */

static inline uint8_t owner_mark(const struct tx *tx)
{
	return (uint8_t)(tx->shard->index + 1);
}

static inline bool page_of(const struct tx *tx, uint32_t off, uint32_t *page_r)
{
	/* Below data_off the difference wraps to something larger than any page. */
	uint64_t at = (uint64_t)off * SEGMENT_UNIT - tx->seg->data_off;

	if (at >= (uint64_t)tx->seg->pages * SEGMENT_PAGE)
		return false;
	*page_r = (uint32_t)(at / SEGMENT_PAGE);
	return tx->seg->owners[*page_r] == owner_mark(tx);
}

static inline bool place_of(const struct tx *tx, uint32_t off, enum slab_kind kind, struct place *place_r)
{
	const struct kind_row *row;
	const struct page_desc *desc;
	uint32_t page, unit, index;

	/* The kind may come from the segment, too. */
	if (kind == SLAB_NONE || (unsigned)kind >= SLAB_KINDS || !page_of(tx, off, &page))
		return false;
	row = &kinds[kind];
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

	return place_of(tx, off, kind, &place) ? tx->seg->base + (uint64_t)off * SEGMENT_UNIT : NULL;
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

	return page_of(tx, off, &page) && tx->seg->descs[page].kind < SLAB_KINDS ? (enum slab_kind)tx->seg->descs[page].kind
	                                                                         : SLAB_NONE;
}

/* ---- bins ------------------------------------------------------------------ */

/* The descriptor behind a link (page number + 1), or NULL with an error. */
static struct page_desc *linked(struct tx *tx, uint32_t link)
{
	if (link == 0 || link > tx->seg->pages || tx->seg->owners[link - 1] != owner_mark(tx)) {
		undo_fail(tx, ERR_CORRUPT);
		return NULL;
	}
	return &tx->seg->descs[link - 1];
}

static uint16_t bin_for(const struct kind_row *row, uint32_t used)
{
	if (used == 0 || used >= row->capacity)
		return SLAB_BINS;
	return (uint16_t)((used * 4 - 1) / row->capacity);
}

static void set_links(struct tx *tx, struct page_desc *desc, uint32_t next, uint32_t prev)
{
	uint32_t pair[2] = { next, prev };
	uint64_t word;

	memcpy(&word, pair, sizeof(word));
	undo_set64(tx, (uint64_t *)(void *)&desc->next, word);
}

static void set_head(struct tx *tx, struct page_desc *desc, enum slab_kind kind, uint32_t used, uint32_t bin)
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

	/* Neighbours that do not know this page are not written to: damage must not spread. */
	if (tx->err != 0 || (prev == NULL ? slab->bins[desc->bin] : prev->next) != link || (next != NULL && next->prev != link)) {
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

	if (first != 0 && (neighbour = linked(tx, first)) != NULL)
		undo_set32(tx, &neighbour->prev, link);
	undo_set32(tx, &slab->bins[bin], link);
	set_links(tx, desc, first, 0);
}

/* Brings a page of the kind to a new number of taken objects: bin, links, head. */
static void set_used(struct tx *tx, enum slab_kind kind, struct page_desc *desc, uint32_t used)
{
	struct slab *slab = &tx->shard->slabs[kind];
	uint32_t bin = bin_for(&kinds[kind], used);

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

/* ---- pages ----------------------------------------------------------------- */

/* A free page is one whose owner byte is 0; whoever swaps it has it. */
static bool page_claim(struct tx *tx, uint64_t from, uint64_t to, uint32_t *page_r)
{
	uint8_t *owners = tx->seg->owners;

	while (from < to) {
		uint8_t *at = memchr(owners + from, 0, to - from);
		uint8_t none = 0;

		if (at == NULL)
			return false;
		from = (uint64_t)(at - owners);
		if (__atomic_compare_exchange_n(at, &none, owner_mark(tx), false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
			*page_r = (uint32_t)from;
			return true;
		}
		from++;
	}
	return false;
}

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
	FAULT("page-owned");
	if (tx->pages <= SEGMENT_TAKEN)
		tx->seg->taken[tx->pages - 1] = *page_r;
	__atomic_store_n(&header->page_hint, (uint64_t)*page_r + 1, __ATOMIC_RELAXED);
	__atomic_fetch_sub(&header->free_hint, 1, __ATOMIC_RELAXED);
	FAULT("page-counted");
	return true;
}

static void page_return(struct tx *tx, uint32_t page)
{
	struct segment_header *header = tx->seg->header;

	FAULT("page-before-return");
	__atomic_store_n(&tx->seg->owners[page], 0, __ATOMIC_RELEASE);
	FAULT("page-returned");
	__atomic_fetch_add(&header->free_hint, 1, __ATOMIC_RELAXED);
	FAULT("page-return-counted");
	if (page < __atomic_load_n(&header->page_hint, __ATOMIC_RELAXED))
		__atomic_store_n(&header->page_hint, page, __ATOMIC_RELAXED);
}

/* A page that nobody uses: its descriptor is all zero. */
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

/* The fullest page with room, or a new one. */
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

/* ---- objects --------------------------------------------------------------- */

static uint64_t word_mask(const struct kind_row *row, uint32_t word)
{
	uint32_t bits = row->capacity > word * 64 ? row->capacity - word * 64 : 0;

	return bits >= 64 ? UINT64_MAX : (1ULL << bits) - 1;
}

static bool take_bit(struct tx *tx, const struct kind_row *row, struct page_desc *desc, uint32_t *index_r)
{
	for (uint32_t word = 0; word < 4; word++) {
		uint64_t free_bits = ~desc->bitmap[word] & word_mask(row, word);

		if (free_bits == 0)
			continue;
		*index_r = word * 64 + (uint32_t)__builtin_ctzll(free_bits);
		undo_set64(tx, &desc->bitmap[word], desc->bitmap[word] | (free_bits & -free_bits));
		return true;
	}
	undo_fail(tx, ERR_CORRUPT);
	return false;
}

static void count_objects(struct tx *tx, struct slab *slab, uint64_t objects)
{
	if (mutant_is(MUTANT_UNLOGGED_COUNTER))
		slab->objects = objects;
	else
		undo_set64(tx, &slab->objects, objects);
}

uint32_t slab_alloc(struct tx *tx, enum slab_kind kind)
{
	const struct kind_row *row = &kinds[kind];
	struct slab *slab = &tx->shard->slabs[kind];
	struct page_desc *desc;
	uint32_t page, index;

	if (tx->err != 0)
		return 0;
	desc = page_for(tx, kind, &page);
	if (desc == NULL || !take_bit(tx, row, desc, &index))
		return 0;
	set_used(tx, kind, desc, desc->used + 1U);
	count_objects(tx, slab, slab->objects + 1);
	if (tx->err != 0)
		return 0;
	return (uint32_t)((tx->seg->data_off + (uint64_t)page * SEGMENT_PAGE) / SEGMENT_UNIT) + index * row->units;
}

void slab_free(struct tx *tx, uint32_t off)
{
	if (slab_at(tx, off, slab_kind_at(tx, off)) == NULL) {
		undo_fail(tx, ERR_CORRUPT);
		return;
	}
	if (mutant_is(MUTANT_FREES_AT_ONCE))
		slab_release(tx, off);
	else
		undo_push_free(tx, off);
}

bool slab_worth_moving(const struct tx *tx, uint32_t off)
{
	enum slab_kind kind = slab_kind_at(tx, off);
	const struct slab *slab = &tx->shard->slabs[kind];
	uint32_t page, bin = SLAB_BINS;

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

	return pages >= WASTEFUL_PAGES && __atomic_load_n(&slab->objects, __ATOMIC_RELAXED) * 2 < pages * kinds[kind].capacity;
}

void slab_release(struct tx *tx, uint32_t off)
{
	enum slab_kind kind = slab_kind_at(tx, off);
	struct slab *slab = &tx->shard->slabs[kind];
	struct page_desc *desc;
	struct place place;
	uint64_t *word;

	if (!place_of(tx, off, kind, &place) || tx->seg->descs[place.page].used == 0) {
		undo_fail(tx, ERR_CORRUPT);
		return;
	}
	desc = &tx->seg->descs[place.page];
	word = &desc->bitmap[place.index / 64];
	undo_set64(tx, word, *word & ~(1ULL << place.index % 64));
	set_used(tx, kind, desc, desc->used - 1U);
	if (!mutant_is(MUTANT_STORE_AFTER))
		count_objects(tx, slab, slab->objects - 1);
	if (desc->used == 0)
		undo_set64(tx, &slab->pages, slab->pages - 1);
}

void slab_give_back(struct tx *tx, uint32_t off)
{
	uint32_t page;

	if (page_of(tx, off, &page) && tx->seg->descs[page].kind == SLAB_NONE)
		page_return(tx, page);
}

void slab_untake(struct tx *tx)
{
	if (mutant_is(MUTANT_NO_SWEEP))
		return;
	if (tx->pages > SEGMENT_TAKEN) {
		slab_sweep(tx);
		return;
	}
	for (unsigned n = 0; n < tx->pages; n++) {
		uint32_t page = tx->seg->taken[n];

		if (tx->seg->owners[page] == owner_mark(tx) && tx->seg->descs[page].kind == SLAB_NONE)
			page_return(tx, page);
	}
}

unsigned slab_sweep(struct tx *tx)
{
	const uint8_t *owners = tx->seg->owners;
	uint64_t backed = segment_backed(tx->seg);
	unsigned found = 0;

	if (mutant_is(MUTANT_NO_SWEEP))
		return 0;
	for (uint64_t from = 0; from < backed;) {
		const uint8_t *at = memchr(owners + from, owner_mark(tx), backed - from);

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

/* ---- attach ---------------------------------------------------------------- */

static uint32_t bits_set(const struct page_desc *desc)
{
	uint32_t used = 0;

	for (uint32_t word = 0; word < 4; word++)
		used += (uint32_t)__builtin_popcountll(desc->bitmap[word]);
	return used;
}

/* The neighbour in the bin is a page of the same shard, kind and bin that points back. */
static bool neighbour_agrees(const struct segment *seg, uint64_t page, uint32_t link, bool ahead)
{
	const struct page_desc *desc = &seg->descs[page], *other;

	if (link == 0)
		return true;
	if (link > segment_backed(seg) || seg->owners[link - 1] != seg->owners[page])
		return false;
	other = &seg->descs[link - 1];
	return other->kind == desc->kind && other->bin == desc->bin && (ahead ? other->prev : other->next) == page + 1;
}

static const char *owned_damaged(const struct segment *seg, uint64_t page, struct slab_totals *totals)
{
	const struct page_desc *desc = &seg->descs[page];
	uint32_t used = bits_set(desc);
	const struct slab *slab;

	if (desc->kind == SLAB_NONE || desc->kind >= SLAB_KINDS)
		return "a page has an owner and no kind";
	slab = &seg->shards[seg->owners[page] - 1].slabs[desc->kind];
	if (used == 0 || used != desc->used || desc->bin != bin_for(&kinds[desc->kind], used))
		return "a page's bitmap and counts contradict each other";
	for (uint32_t word = 0; word < 4; word++)
		if ((desc->bitmap[word] & ~word_mask(&kinds[desc->kind], word)) != 0)
			return "a page's bitmap has bits beyond its objects";
	totals += seg->owners[page] - 1;
	totals->objects[desc->kind] += used;
	totals->pages[desc->kind]++;
	if (desc->bin >= SLAB_BINS)
		return desc->next == 0 && desc->prev == 0 ? NULL : "a full page is listed";
	totals->binned[desc->kind][desc->bin]++;
	if (!neighbour_agrees(seg, page, desc->next, true) || !neighbour_agrees(seg, page, desc->prev, false) ||
	    (desc->prev == 0 && slab->bins[desc->bin] != page + 1))
		return "a list of pages is broken";
	return NULL;
}

static bool is_blank(const struct page_desc *desc)
{
	return desc->kind == SLAB_NONE && desc->used == 0 && desc->bin == 0 && desc->next == 0 && desc->prev == 0 &&
	       bits_set(desc) == 0;
}

/* Heads of empty bins are 0; the others were met as pages without predecessor. */
static bool slab_agrees(const struct slab *slab, const struct slab_totals *totals, uint32_t kind)
{
	for (uint32_t bin = 0; bin < SLAB_BINS; bin++)
		if ((slab->bins[bin] == 0) != (totals->binned[kind][bin] == 0))
			return false;
	return slab->objects == totals->objects[kind] && slab->pages == totals->pages[kind];
}

const char *slab_damaged(const struct segment *seg)
{
	static struct slab_totals totals[SHARDS_ALL];
	const char *why = NULL;

	memset(totals, 0, sizeof(totals));
	for (uint64_t page = 0, backed = segment_backed(seg); page < backed && why == NULL; page++) {
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

unsigned slab_check_free(const struct segment *seg, uint64_t *page, uint32_t pages, slab_say_fn *say, void *arg)
{
	uint64_t backed = segment_backed(seg);
	unsigned found = 0;
	char text[64];

	for (; *page < backed && pages > 0; (*page)++, pages--) {
		bool wrong = true;

		/* Whoever takes or returns it at this moment is done at the next look. */
		for (unsigned look = 0; look < FREE_LOOKS && wrong; look++)
			wrong = __atomic_load_n(&seg->owners[*page], __ATOMIC_ACQUIRE) == 0 && !is_blank(&seg->descs[*page]) &&
			        __atomic_load_n(&seg->owners[*page], __ATOMIC_ACQUIRE) == 0;
		if (!wrong)
			continue;
		found++;
		snprintf(text, sizeof(text), "slab: free page %llu is described as used", (unsigned long long)*page);
		if (say != NULL)
			say(text, arg);
	}
	return found;
}

/* ---- check ----------------------------------------------------------------- */

struct check {
	const struct tx *tx;
	slab_say_fn *say;
	void *arg;
	unsigned broken;
	struct slab_totals *totals;
};

static void broken(struct check *check, const char *what, uint64_t where, uint64_t found, uint64_t expected)
{
	char text[160];

	check->broken++;
	if (check->say == NULL)
		return;
	snprintf(text, sizeof(text), "slab: shard %u: %s %llu: %llu, expected %llu", check->tx->shard->index, what,
	         (unsigned long long)where, (unsigned long long)found, (unsigned long long)expected);
	check->say(text, check->arg);
}

static void check_page(struct check *check, uint32_t page)
{
	const struct page_desc *desc = &check->tx->seg->descs[page];
	const struct kind_row *row;
	uint64_t used = 0, beyond = 0;

	if (desc->kind == SLAB_NONE || desc->kind >= SLAB_KINDS) {
		broken(check, "page owned but unused", page, desc->kind, 0);
		return;
	}
	row = &kinds[desc->kind];
	for (uint32_t word = 0; word < 4; word++) {
		used += (uint64_t)__builtin_popcountll(desc->bitmap[word]);
		beyond |= desc->bitmap[word] & ~word_mask(row, word);
	}
	if (desc->used != used || used == 0)
		broken(check, "objects of page", page, desc->used, used);
	if (beyond != 0)
		broken(check, "bits beyond the objects of page", page, beyond, 0);
	if (desc->bin != bin_for(row, (uint32_t)used))
		broken(check, "bin of page", page, desc->bin, bin_for(row, (uint32_t)used));
	if (!neighbour_agrees(check->tx->seg, page, desc->next, true) ||
	    !neighbour_agrees(check->tx->seg, page, desc->prev, false))
		broken(check, "neighbours of page", page, desc->next, desc->prev);
	check->totals->objects[desc->kind] += used;
	check->totals->pages[desc->kind]++;
	if (desc->bin < SLAB_BINS)
		check->totals->binned[desc->kind][desc->bin]++;
}

unsigned slab_check_pages(const struct tx *tx, uint64_t *page, uint32_t most, struct slab_totals *totals, slab_say_fn *say,
                          void *arg)
{
	struct check check = { .tx = tx, .say = say, .arg = arg, .totals = totals };
	uint64_t backed = segment_backed(tx->seg), end = backed - *page < most ? backed : *page + most;

	for (; *page < end; (*page)++) {
		const uint8_t *at = memchr(tx->seg->owners + *page, owner_mark(tx), end - *page);

		if (at == NULL)
			break;
		*page = (uint64_t)(at - tx->seg->owners);
		check_page(&check, (uint32_t)*page);
	}
	*page = end;
	return check.broken;
}

/* One page of a bin's list. */
static void check_listed(struct check *check, struct slab_bin_walk *walk)
{
	const struct segment *seg = check->tx->seg;
	const struct page_desc *desc;

	walk->over = true;
	if (walk->link > seg->pages || seg->owners[walk->link - 1] != owner_mark(check->tx) ||
	    walk->seen >= check->totals->binned[walk->kind][walk->bin]) {
		broken(check, "link in bin", walk->bin, walk->link, 0);
		return;
	}
	desc = &seg->descs[walk->link - 1];
	if (desc->kind != walk->kind || desc->bin != walk->bin || desc->prev != walk->prev) {
		broken(check, "listed page", walk->link - 1, desc->kind, walk->kind);
		return;
	}
	walk->over = false;
	walk->seen++;
	walk->prev = walk->link;
	walk->link = desc->next;
}

/* With right back links and the right length, the list holds each page of the bin once. */
static void check_bin(struct check *check, struct slab_bin_walk *walk, uint32_t *most)
{
	uint64_t expected = check->totals->binned[walk->kind][walk->bin];

	if (!walk->begun)
		walk->link = check->tx->shard->slabs[walk->kind].bins[walk->bin];
	walk->begun = true;
	for (; walk->link != 0 && !walk->over && *most > 0; (*most)--)
		check_listed(check, walk);
	if (walk->link != 0 && !walk->over)
		return;
	if (!walk->over && walk->seen != expected)
		broken(check, "pages in bin", walk->bin, walk->seen, expected);
	*walk = (struct slab_bin_walk){ walk->kind, walk->bin + 1, .begun = false };
	if (walk->bin == SLAB_BINS)
		*walk = (struct slab_bin_walk){ walk->kind + 1, 0, .begun = false };
}

unsigned slab_check_bins(const struct tx *tx, struct slab_bin_walk *walk, uint32_t most, struct slab_totals *totals,
                         slab_say_fn *say, void *arg)
{
	struct check check = { .tx = tx, .say = say, .arg = arg, .totals = totals };

	while (walk->kind < SLAB_KINDS && most > 0)
		check_bin(&check, walk, &most);
	return check.broken;
}

unsigned slab_check_totals(const struct tx *tx, struct slab_totals *totals, slab_say_fn *say, void *arg)
{
	struct check check = { .tx = tx, .say = say, .arg = arg, .totals = totals };
	const struct slab *slabs = tx->shard->slabs;

	for (uint32_t kind = 0; kind < SLAB_KINDS; kind++) {
		if (slabs[kind].objects != totals->objects[kind])
			broken(&check, "objects of kind", kind, slabs[kind].objects, totals->objects[kind]);
		if (slabs[kind].pages != totals->pages[kind])
			broken(&check, "pages of kind", kind, slabs[kind].pages, totals->pages[kind]);
	}
	return check.broken;
}

unsigned slab_check(const struct tx *tx, slab_say_fn *say, void *arg)
{
	struct slab_totals totals = { .objects = { 0 } };
	struct slab_bin_walk walk = { .kind = 0 };
	uint64_t page = 0;
	unsigned found = 0;

	while (page < segment_backed(tx->seg))
		found += slab_check_pages(tx, &page, UINT32_MAX, &totals, say, arg);
	found += slab_check_totals(tx, &totals, say, arg);
	while (walk.kind < SLAB_KINDS)
		found += slab_check_bins(tx, &walk, UINT32_MAX, &totals, say, arg);
	return found;
}
