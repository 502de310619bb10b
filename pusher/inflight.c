/* SPDX-License-Identifier: Apache-2.0 */
#include "pusher/inflight.h"

#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#define NONE UINT32_MAX
#define CAPACITY_MIN 256U
#define WHEEL_SLOTS 512U
#define WHEEL_MS 4U

enum { LIST_NONE, LIST_WAITING, LIST_WHEEL }; /* LIST_WHEEL + slot */

struct list {
	uint32_t first, last;
};

struct inflight {
	struct inflight_entry *entries;
	uint32_t *by_sub, *by_key; /* capacity buckets each */
	uint32_t capacity, count, free;
	uint64_t seed;
	uint32_t delayed;
	uint64_t tick; /* of the wheel: everything before it has been given out */
	struct list lists[LIST_WHEEL + WHEEL_SLOTS];
};

static uint32_t sub_bucket(const struct inflight *f, uint8_t shard, uint64_t sub_id)
{
	return (uint32_t)XXH3_64bits_withSeed(&sub_id, sizeof sub_id, f->seed + shard) & (f->capacity - 1);
}

static uint32_t key_bucket(const struct inflight *f, const uint8_t address[16], uint16_t port, uint64_t key)
{
	uint8_t text[26];

	memcpy(text, address, 16);
	memcpy(text + 16, &key, 8);
	memcpy(text + 24, &port, 2);
	return (uint32_t)XXH3_64bits_withSeed(text, sizeof text, f->seed) & (f->capacity - 1);
}

static uint32_t index_of(const struct inflight *f, const struct inflight_entry *entry)
{
	return (uint32_t)(entry - f->entries);
}

static void hash_link(struct inflight *f, uint32_t i)
{
	struct inflight_entry *entry = &f->entries[i];
	uint32_t *sub = &f->by_sub[sub_bucket(f, entry->shard, entry->sub_id)];
	uint32_t *key = &f->by_key[key_bucket(f, entry->address, entry->port, entry->key)];

	entry->next_sub = *sub;
	*sub = i;
	entry->next_key = *key;
	*key = i;
}

static void hash_unlink(struct inflight *f, uint32_t i)
{
	struct inflight_entry *entry = &f->entries[i];
	uint32_t *link = &f->by_sub[sub_bucket(f, entry->shard, entry->sub_id)];

	while (*link != i)
		link = &f->entries[*link].next_sub;
	*link = entry->next_sub;
	link = &f->by_key[key_bucket(f, entry->address, entry->port, entry->key)];
	while (*link != i)
		link = &f->entries[*link].next_key;
	*link = entry->next_key;
}

static void list_append(struct inflight *f, unsigned number, uint32_t i)
{
	struct list *list = &f->lists[number];
	struct inflight_entry *entry = &f->entries[i];

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
	if (entry->prev == NONE)
		list->first = entry->next;
	else
		f->entries[entry->prev].next = entry->next;
	if (entry->next == NONE)
		list->last = entry->prev;
	else
		f->entries[entry->next].prev = entry->prev;
	if (entry->list >= LIST_WHEEL)
		f->delayed--;
	entry->list = LIST_NONE;
}

/* Chains the free entries of [from, capacity) and fills the buckets again. */
static void rehash(struct inflight *f, uint32_t from)
{
	uint32_t i;

	memset(f->by_sub, 0xff, f->capacity * sizeof *f->by_sub);
	memset(f->by_key, 0xff, f->capacity * sizeof *f->by_key);
	for (i = 0; i < from; i++) {
		if (f->entries[i].sub_id != 0)
			hash_link(f, i);
	}
	for (i = f->capacity; i-- > from;) {
		memset(&f->entries[i], 0, sizeof f->entries[i]);
		f->entries[i].next = f->free;
		f->free = i;
	}
}

static int resize(struct inflight *f, uint32_t capacity)
{
	struct inflight_entry *entries = realloc(f->entries, capacity * sizeof *entries);
	uint32_t *by_sub, *by_key;
	uint32_t old = f->capacity;

	if (entries == NULL)
		return ERR_NOMEM;
	f->entries = entries;
	by_sub = malloc(capacity * sizeof *by_sub);
	by_key = malloc(capacity * sizeof *by_key);
	if (by_sub == NULL || by_key == NULL) {
		free(by_sub);
		free(by_key);
		return ERR_NOMEM;
	}
	free(f->by_sub);
	free(f->by_key);
	f->by_sub = by_sub;
	f->by_key = by_key;
	f->capacity = capacity;
	rehash(f, old);
	return 0;
}

int inflight_new(uint64_t seed, struct inflight **inflight_r)
{
	struct inflight *f = calloc(1, sizeof *f);
	int ret;

	if (f == NULL)
		return ERR_NOMEM;
	f->seed = seed;
	f->free = NONE;
	memset(f->lists, 0xff, sizeof f->lists);
	if ((ret = resize(f, CAPACITY_MIN)) < 0)
		inflight_free(&f);
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
	return capacity == f->capacity ? 0 : resize(f, capacity);
}

void inflight_trim(struct inflight *f)
{
	if (f->count > 0 || f->capacity == CAPACITY_MIN)
		return;
	f->free = NONE;
	f->capacity = 0;
	if (resize(f, CAPACITY_MIN) == 0)
		return;
	/* Refused to shrink: the old arrays are all still there and at least this long. */
	f->capacity = CAPACITY_MIN;
	rehash(f, 0);
}

struct inflight_entry *inflight_find(struct inflight *f, uint8_t shard, uint64_t sub_id)
{
	uint32_t i = f->by_sub[sub_bucket(f, shard, sub_id)];

	while (i != NONE && (f->entries[i].sub_id != sub_id || f->entries[i].shard != shard))
		i = f->entries[i].next_sub;
	return i == NONE ? NULL : &f->entries[i];
}

static bool same_key(const struct inflight_entry *entry, const uint8_t address[16], uint16_t port, uint64_t key)
{
	return entry->key == key && entry->port == port && memcmp(entry->address, address, 16) == 0;
}

static struct inflight_entry *first_match(struct inflight *f, uint32_t i, const uint8_t address[16], uint16_t port, uint64_t key)
{
	while (i != NONE && !same_key(&f->entries[i], address, port, key))
		i = f->entries[i].next_key;
	return i == NONE ? NULL : &f->entries[i];
}

struct inflight_entry *inflight_match(struct inflight *f, const uint8_t address[16], uint16_t port, uint64_t key)
{
	return first_match(f, f->by_key[key_bucket(f, address, port, key)], address, port, key);
}

struct inflight_entry *inflight_match_next(struct inflight *f, const struct inflight_entry *entry)
{
	return first_match(f, entry->next_key, entry->address, entry->port, entry->key);
}

struct inflight_entry *inflight_add(struct inflight *f, const struct inflight_entry *fields)
{
	uint32_t i = f->free;
	struct inflight_entry *entry = &f->entries[i];

	f->free = entry->next;
	*entry = *fields;
	entry->list = LIST_NONE;
	hash_link(f, i);
	f->count++;
	return entry;
}

void inflight_remove(struct inflight *f, struct inflight_entry *entry)
{
	uint32_t i = index_of(f, entry);

	list_leave(f, i);
	hash_unlink(f, i);
	memset(entry, 0, sizeof *entry);
	entry->next = f->free;
	f->free = i;
	f->count--;
}

void inflight_wait(struct inflight *f, struct inflight_entry *entry)
{
	uint32_t i = index_of(f, entry);

	list_leave(f, i);
	list_append(f, LIST_WAITING, i);
}

void inflight_wait_first(struct inflight *f, struct inflight_entry *entry)
{
	uint32_t i = index_of(f, entry);

	list_leave(f, i);
	list_prepend(f, LIST_WAITING, i);
}

void inflight_delay(struct inflight *f, struct inflight_entry *entry, uint64_t now_ms, uint64_t due_ms)
{
	uint32_t i = index_of(f, entry);
	uint64_t tick = (due_ms + WHEEL_MS - 1) / WHEEL_MS;

	list_leave(f, i);
	if (f->delayed == 0)
		f->tick = now_ms / WHEEL_MS;
	if (tick < f->tick)
		tick = f->tick;
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
	return tick * WHEEL_MS;
}
