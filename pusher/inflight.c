/* SPDX-License-Identifier: Apache-2.0 */
#include "pusher/inflight.h"

#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "shared/base/assert.h"
#include "shared/base/split.h"

#define NONE UINT32_MAX
#define CAPACITY_MIN 256U
#define WHEEL_SLOTS 512U
#define WHEEL_MS 4U

enum { LIST_NONE, LIST_WAITING, LIST_WHEEL }; /* LIST_WHEEL + slot */

struct list {
	uint32_t first, last;
};

/* Both tables grow by one bucket an entry (split.h). In by_key stands one entry of each key only;
 * the others of that key hang on it in a list, so that many with the same key make no long
 * bucket. */
struct inflight {
	struct inflight_entry *entries;
	uint32_t *by_sub, *by_key; /* room for capacity buckets each */
	uint32_t capacity, count;
	uint32_t free;    /* chained by next */
	uint32_t fresh;   /* never used, from here on */
	uint32_t buckets; /* in use, of either table */
	uint64_t seed;
	uint32_t delayed;
	uint64_t tick; /* of the wheel: everything before it has been given out */
	struct list lists[LIST_WHEEL + WHEEL_SLOTS];
};

static uint32_t bucket_of_hash(const struct inflight *f, uint64_t hash)
{
	return split_place((uint32_t)hash, f->buckets);
}

static uint32_t bucket_of_sub(const struct inflight *f, uint8_t shard, uint64_t sub_id)
{
	return bucket_of_hash(f, XXH3_64bits_withSeed(&sub_id, sizeof sub_id, f->seed + shard));
}

static uint32_t bucket_of_key(const struct inflight *f, const uint8_t address[16], uint16_t port,
                              uint64_t key)
{
	uint8_t text[26];

	memcpy(text, address, 16);
	memcpy(text + 16, &key, 8);
	memcpy(text + 24, &port, 2);
	return bucket_of_hash(f, XXH3_64bits_withSeed(text, sizeof text, f->seed));
}

static uint32_t index_of(const struct inflight *f, const struct inflight_entry *entry)
{
	uint32_t i = (uint32_t)(entry - f->entries);

	ROSTER_ASSERT(i < f->fresh); /* not one from before the entries moved */
	return i;
}

static void link_sub(struct inflight *f, uint32_t i)
{
	struct inflight_entry *entry = &f->entries[i];
	uint32_t *bucket = &f->by_sub[bucket_of_sub(f, entry->shard, entry->sub_id)];

	entry->next_sub = *bucket;
	*bucket = i;
}

static void unlink_sub(struct inflight *f, uint32_t i)
{
	struct inflight_entry *entry = &f->entries[i];
	uint32_t *link = &f->by_sub[bucket_of_sub(f, entry->shard, entry->sub_id)];

	while (*link != i) {
		ROSTER_ASSERT(*link != NONE); /* it stands in the bucket of its subscriber */
		link = &f->entries[*link].next_sub;
	}
	*link = entry->next_sub;
}

/* Returns the place that points to the entry of by_key with that key, or the end of its bucket. */
static uint32_t *key_link(struct inflight *f, const uint8_t address[16], uint16_t port,
                          uint64_t key)
{
	uint32_t *link = &f->by_key[bucket_of_key(f, address, port, key)];

	while (*link != NONE) {
		const struct inflight_entry *entry = &f->entries[*link];

		if (entry->key == key && entry->port == port &&
		    memcmp(entry->address, address, 16) == 0)
			break;
		link = &f->entries[*link].next_key;
	}
	return link;
}

/* An entry whose key is known stands behind the first of that key, not in the bucket. */
static void link_key(struct inflight *f, uint32_t i)
{
	struct inflight_entry *entry = &f->entries[i];
	uint32_t *link = key_link(f, entry->address, entry->port, entry->key);

	entry->next_key = entry->next_same = entry->prev_same = NONE;
	if (*link == NONE) {
		*link = i;
		return;
	}
	entry->prev_same = *link;
	entry->next_same = f->entries[*link].next_same;
	f->entries[*link].next_same = i;
	if (entry->next_same != NONE)
		f->entries[entry->next_same].prev_same = i;
}

/* When the first of its key leaves, the next one takes its place in the bucket. */
static void unlink_key(struct inflight *f, uint32_t i)
{
	struct inflight_entry *entry = &f->entries[i];
	uint32_t *link;

	if (entry->next_same != NONE)
		f->entries[entry->next_same].prev_same = entry->prev_same;
	if (entry->prev_same != NONE) {
		f->entries[entry->prev_same].next_same = entry->next_same;
		return;
	}
	link = key_link(f, entry->address, entry->port, entry->key);
	ROSTER_ASSERT(*link == i);
	*link = entry->next_key;
	if (entry->next_same != NONE) {
		f->entries[entry->next_same].next_key = entry->next_key;
		*link = entry->next_same;
	}
}

/* Divides the bucket whose turn it is in both tables: what belongs to the new bucket moves
 * there. */
static void split_bucket(struct inflight *f)
{
	uint32_t from = split_next(f->buckets), to = f->buckets++, sub = f->by_sub[from],
	         key = f->by_key[from], next;

	/* The tables have as many buckets as there is room for entries. */
	ROSTER_ASSERT(to < f->capacity);
	f->by_sub[from] = f->by_sub[to] = f->by_key[from] = f->by_key[to] = NONE;
	for (; sub != NONE; sub = next) {
		next = f->entries[sub].next_sub;
		link_sub(f, sub);
	}
	for (; key != NONE; key = next) {
		/* Others of the same key hang on this entry and come along. */
		const struct inflight_entry *entry = &f->entries[key];
		uint32_t *bucket =
		        &f->by_key[bucket_of_key(f, entry->address, entry->port, entry->key)];

		next = entry->next_key;
		f->entries[key].next_key = *bucket;
		*bucket = key;
	}
}

static void list_append(struct inflight *f, unsigned number, uint32_t i)
{
	struct list *list = &f->lists[number];
	struct inflight_entry *entry = &f->entries[i];

	ROSTER_ASSERT(entry->list == LIST_NONE && number < LIST_WHEEL + WHEEL_SLOTS);
	entry->list = (uint16_t)number;
	entry->next = NONE;
	entry->prev = list->last;
	if (list->last == NONE)
		list->first = i;
	else
		f->entries[list->last].next = i;
	list->last = i;
	if (number >= LIST_WHEEL)
		f->delayed++;
}

static void list_prepend(struct inflight *f, unsigned number, uint32_t i)
{
	struct list *list = &f->lists[number];
	struct inflight_entry *entry = &f->entries[i];

	/* Entries of the wheel are counted, which list_append() does. */
	ROSTER_ASSERT(entry->list == LIST_NONE && number < LIST_WHEEL);
	entry->list = (uint16_t)number;
	entry->prev = NONE;
	entry->next = list->first;
	if (list->first == NONE)
		list->last = i;
	else
		f->entries[list->first].prev = i;
	list->first = i;
}

static void list_leave(struct inflight *f, uint32_t i)
{
	struct inflight_entry *entry = &f->entries[i];
	struct list *list = &f->lists[entry->list];

	if (entry->list == LIST_NONE)
		return;
	ROSTER_ASSERT((entry->prev == NONE) == (list->first == i) &&
	              (entry->next == NONE) == (list->last == i));
	if (entry->prev == NONE)
		list->first = entry->next;
	else
		f->entries[entry->prev].next = entry->next;
	if (entry->next == NONE)
		list->last = entry->prev;
	else
		f->entries[entry->next].prev = entry->prev;
	if (entry->list >= LIST_WHEEL) {
		ROSTER_ASSERT(f->delayed > 0);
		f->delayed--;
	}
	entry->list = LIST_NONE;
}

static int resize_table(uint32_t **at, uint32_t count)
{
	uint32_t *new = realloc(*at, count * sizeof(*new));

	if (new == NULL)
		return ERR_NOMEM;
	*at = new;
	return 0;
}

/* If one of the three is refused, the others are only longer than capacity says. */
static int resize_all(struct inflight *f, uint32_t capacity)
{
	struct inflight_entry *entries = realloc(f->entries, capacity * sizeof *entries);

	if (entries == NULL)
		return ERR_NOMEM;
	f->entries = entries;
	if (resize_table(&f->by_sub, capacity) < 0 || resize_table(&f->by_key, capacity) < 0)
		return ERR_NOMEM;
	f->capacity = capacity;
	return 0;
}

/* Makes both tables and the array as they are with nothing in flight. */
static void clear_tables(struct inflight *f)
{
	ROSTER_ASSERT(f->count == 0 && f->delayed == 0 && f->lists[LIST_WAITING].first == NONE);
	f->free = NONE;
	f->fresh = 0;
	f->buckets = CAPACITY_MIN;
	/* NONE has all bits set. */
	memset(f->by_sub, 0xff, CAPACITY_MIN * sizeof *f->by_sub);
	memset(f->by_key, 0xff, CAPACITY_MIN * sizeof *f->by_key);
}

int inflight_new(uint64_t seed, struct inflight **inflight_r)
{
	struct inflight *f = calloc(1, sizeof *f);
	int ret;

	if (f == NULL)
		return ERR_NOMEM;
	f->seed = seed;
	memset(f->lists, 0xff, sizeof f->lists);
	if ((ret = resize_all(f, CAPACITY_MIN)) < 0)
		inflight_free(&f);
	else
		clear_tables(f);
	*inflight_r = f;
	return ret;
}

void inflight_free(struct inflight **inflight)
{
	struct inflight *f = *inflight;

	*inflight = NULL;
	if (f == NULL)
		return;
	free(f->entries);
	free(f->by_sub);
	free(f->by_key);
	free(f);
}

uint32_t inflight_count(const struct inflight *f)
{
	return f->count;
}

int inflight_reserve(struct inflight *f, uint32_t more)
{
	uint32_t capacity = f->capacity;

	while (capacity - f->count < more && capacity < UINT32_MAX / 2)
		capacity *= 2;
	return capacity == f->capacity ? 0 : resize_all(f, capacity);
}

void inflight_trim(struct inflight *f)
{
	if (f->count > 0 || f->capacity == CAPACITY_MIN)
		return;
	/* If memory is refused, what is there is at least as long, and only used in part. */
	if (resize_all(f, CAPACITY_MIN) < 0)
		f->capacity = CAPACITY_MIN;
	clear_tables(f);
}

struct inflight_entry *inflight_find(struct inflight *f, uint8_t shard, uint64_t sub_id)
{
	uint32_t i = f->by_sub[bucket_of_sub(f, shard, sub_id)];

	while (i != NONE && (f->entries[i].sub_id != sub_id || f->entries[i].shard != shard))
		i = f->entries[i].next_sub;
	return i == NONE ? NULL : &f->entries[i];
}

struct inflight_entry *inflight_match(struct inflight *f, const uint8_t address[16], uint16_t port,
                                      uint64_t key)
{
	uint32_t i = *key_link(f, address, port, key);

	return i == NONE ? NULL : &f->entries[i];
}

struct inflight_entry *inflight_match_next(struct inflight *f, const struct inflight_entry *entry)
{
	return entry->next_same == NONE ? NULL : &f->entries[entry->next_same];
}

/* Places that were in use before come first, so that the array stays dense. */
static uint32_t take_free(struct inflight *f)
{
	uint32_t i = f->free;

	if (i == NONE) {
		ROSTER_ASSERT(f->fresh < f->capacity); /* room must have been reserved */
		return f->fresh++;
	}
	f->free = f->entries[i].next;
	return i;
}

struct inflight_entry *inflight_add(struct inflight *f, const struct inflight_entry *fields)
{
	uint32_t i = take_free(f);
	struct inflight_entry *entry = &f->entries[i];

	*entry = *fields;
	entry->list = LIST_NONE;
	if (++f->count > f->buckets && f->buckets < f->capacity)
		split_bucket(f);
	link_sub(f, i);
	link_key(f, i);
	return entry;
}

void inflight_remove(struct inflight *f, struct inflight_entry *entry)
{
	uint32_t i = index_of(f, entry);

	ROSTER_ASSERT(f->count > 0);
	list_leave(f, i);
	unlink_sub(f, i);
	unlink_key(f, i);
	memset(entry, 0, sizeof *entry);
	entry->next = f->free;
	f->free = i;
	f->count--;
}

void inflight_wait(struct inflight *f, struct inflight_entry *entry)
{
	uint32_t i = index_of(f, entry), last;

	list_leave(f, i);
	last = f->lists[LIST_WAITING].last;
	/* Or the first would not be the oldest. */
	ROSTER_ASSERT(last == NONE || f->entries[last].sent_ms <= entry->sent_ms);
	list_append(f, LIST_WAITING, i);
}

void inflight_wait_first(struct inflight *f, struct inflight_entry *entry)
{
	uint32_t i = index_of(f, entry);

	list_leave(f, i);
	list_prepend(f, LIST_WAITING, i);
}

void inflight_delay(struct inflight *f, struct inflight_entry *entry, uint64_t now_ms,
                    uint64_t due_ms)
{
	uint32_t i = index_of(f, entry);
	uint64_t tick = (due_ms + WHEEL_MS - 1) / WHEEL_MS;

	ROSTER_ASSERT(due_ms <= now_ms + INFLIGHT_DELAY_MAX_MS);
	list_leave(f, i);
	/* Nobody turned the wheel while it was empty. */
	if (f->delayed == 0)
		f->tick = now_ms / WHEEL_MS;
	/* Slots before the tick are not looked at again until the wheel comes round. */
	if (tick < f->tick)
		tick = f->tick;
	/* A time beyond the reach of the wheel is cut to its last slot. */
	if (tick >= f->tick + WHEEL_SLOTS)
		tick = f->tick + WHEEL_SLOTS - 1;
	list_append(f, (unsigned)(LIST_WHEEL + tick % WHEEL_SLOTS), i);
}

void inflight_hold(struct inflight *f, struct inflight_entry *entry)
{
	list_leave(f, index_of(f, entry));
}

struct inflight_entry *inflight_oldest(struct inflight *f)
{
	uint32_t i = f->lists[LIST_WAITING].first;

	return i == NONE ? NULL : &f->entries[i];
}

/* The tick stands still at a slot until that is empty. Whoever takes an entry puts it elsewhere, or
 * it would be found again. */
struct inflight_entry *inflight_due(struct inflight *f, uint64_t now_ms)
{
	uint32_t i;

	if (f->delayed == 0)
		return NULL;
	for (; f->tick <= now_ms / WHEEL_MS; f->tick++) {
		i = f->lists[LIST_WHEEL + f->tick % WHEEL_SLOTS].first;
		if (i != NONE)
			return &f->entries[i];
	}
	return NULL;
}

uint64_t inflight_next_due(const struct inflight *f)
{
	uint64_t tick;

	if (f->delayed == 0)
		return UINT64_MAX;
	for (tick = f->tick; tick < f->tick + WHEEL_SLOTS; tick++) {
		if (f->lists[LIST_WHEEL + tick % WHEEL_SLOTS].first != NONE)
			break;
	}
	ROSTER_ASSERT(tick < f->tick + WHEEL_SLOTS); /* whoever is delayed stands in a slot */
	return tick * WHEEL_MS;
}
