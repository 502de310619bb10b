/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/shm/departures.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "shared/base/assert.h"
#include "shared/base/word.h"

/* In front of an IPv4 address; as an IPv6 prefix it is reserved. */
#define MAPPED 0x0000ffff00000000ULL

/* ---- sources --------------------------------------------------------------------------------- */

static uint64_t big_endian(const uint8_t *bytes, unsigned n)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < n; i++)
		value = value << 8 | bytes[i];
	return value;
}

uint64_t departures_key(const uint8_t address[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	uint64_t key;

	if (memcmp(address, mapped, sizeof(mapped)) == 0)
		return MAPPED | big_endian(address + 12, 4);
	key = big_endian(address, 8);
	/* 0 is a free place, but also the prefix of ::1 and all others of ::/64. */
	return key != 0 ? key : 1;
}

const char *departures_text(uint64_t key, char out[DEPARTURES_TEXT])
{
	uint8_t address[16] = { 0 };
	char text[INET6_ADDRSTRLEN] = "";
	bool v4 = (key & ~0xffffffffULL) == MAPPED;

	if (key == 1)
		key = 0;
	for (unsigned i = 0; i < 8; i++)
		address[i] = (uint8_t)(key >> (56 - 8 * i));
	(void)inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? address + 4 : address, text, sizeof(text));
	snprintf(out, DEPARTURES_TEXT, "%s%s", text, v4 ? "" : "/64");
	return out;
}

/* ---- counts ---------------------------------------------------------------------------------- */

static bool swap(uint64_t *word, uint64_t *old, uint64_t value)
{
	return __atomic_compare_exchange_n(word, old, value, false, __ATOMIC_RELAXED,
	                                   __ATOMIC_RELAXED);
}

/* A word counts for one period only, whose number it has: one of an older period is 0 by now. */
static uint64_t count_in(const struct departures_source *source, uint64_t period)
{
	uint64_t word = word_load(&source->counts[period & 1]);

	return word >> 32 == (period & 0xffffffffU) ? word & 0xffffffffU : 0;
}

uint64_t departures_count(const struct departures_source *source, uint64_t now_ms,
                          uint64_t period_ms)
{
	uint64_t period;

	ROSTER_ASSERT(period_ms > 0);
	period = now_ms / period_ms;
	return count_in(source, period) +
	       count_in(source, period - 1) * (period_ms - now_ms % period_ms) / period_ms;
}

/* The count stops at the largest number instead of going round to 0. */
static void count_up(struct departures_source *source, uint64_t period, uint32_t count)
{
	uint64_t *word = &source->counts[period & 1], old = word_load(word), have, next;

	do {
		have = old >> 32 == (period & 0xffffffffU) ? old & 0xffffffffU : 0;
		next = have + count < 0xffffffffU ? have + count : 0xffffffffU;
	} while (!swap(word, &old, period << 32 | next));
}

/* ---- places ---------------------------------------------------------------------------------- */

static struct departures_source *set_of(const struct departures *d, uint64_t key)
{
	uint64_t at = key * 0x9e3779b97f4a7c15ULL >> 32;

	return (struct departures_source *)&d->sources[at % DEPARTURES_SETS * DEPARTURES_WAYS];
}

static struct departures_source *find_source(const struct departures *d, uint64_t key)
{
	struct departures_source *set = set_of(d, key);

	ROSTER_ASSERT(key != 0); /* of a free place */
	for (unsigned i = 0; i < DEPARTURES_WAYS; i++)
		if (word_load(&set[i].key) == key)
			return &set[i];
	return NULL;
}

/* The place with the fewest departures changes hands. It is emptied first, so that nobody inherits
 * a count. Returns NULL when somebody else was faster: these departures are then not counted. */
static struct departures_source *claim(struct departures *d, uint64_t key, uint64_t now_ms,
                                       uint64_t period_ms)
{
	struct departures_source *set = set_of(d, key), *best = set;
	uint64_t fewest = UINT64_MAX, owner;

	for (unsigned i = 0; i < DEPARTURES_WAYS; i++) {
		uint64_t count = departures_count(&set[i], now_ms, period_ms);

		if (count < fewest) {
			fewest = count;
			best = &set[i];
		}
	}
	owner = word_load(&best->key);
	for (unsigned i = 0; i < 2; i++)
		word_store(&best->counts[i], 0);
	word_store(&best->alarm, 0);
	return swap(&best->key, &owner, key) ? best : NULL;
}

void departures_add(struct departures *d, uint64_t key, uint64_t now_ms, uint64_t period_ms,
                    uint32_t count)
{
	struct departures_source *source = find_source(d, key);

	if (source == NULL)
		source = claim(d, key, now_ms, period_ms);
	if (source != NULL)
		count_up(source, now_ms / period_ms, count);
}

uint64_t departures_of(const struct departures *d, uint64_t key, uint64_t now_ms,
                       uint64_t period_ms)
{
	const struct departures_source *source = find_source(d, key);

	return source == NULL ? 0 : departures_count(source, now_ms, period_ms);
}
