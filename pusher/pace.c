/* SPDX-License-Identifier: Apache-2.0 */
#include "pusher/pace.h"

#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "shared/base/assert.h"

#define SLOTS_MIN 1024U
#define SLOTS_MAX (1U << 20)

struct clock_slot {
	uint64_t hash;    /* 0: empty */
	uint64_t next_ns; /* scheduled time of the next datagram */
};

struct pace {
	struct clock_slot *slots;
	uint32_t size, used;
	uint64_t seed;
};

static struct clock_slot *find_clock(struct clock_slot *slots, uint32_t size, uint64_t hash)
{
	uint32_t i = (uint32_t)(hash & (size - 1));

	ROSTER_ASSERT(hash != 0); /* of a free place */
	while (slots[i].hash != 0 && slots[i].hash != hash)
		i = (i + 1) & (size - 1);
	return &slots[i];
}

static uint32_t busy_slots(const struct pace *pace, uint64_t now_ns)
{
	uint32_t busy = 0, i;

	for (i = 0; i < pace->size; i++)
		busy += pace->slots[i].hash != 0 && pace->slots[i].next_ns > now_ns;
	return busy;
}

/* Makes a table with four places for each busy destination, as far as SLOTS_MAX allows; those at
 * rest are left out. */
static int rebuild(struct pace *pace, uint64_t now_ns)
{
	uint32_t busy = busy_slots(pace, now_ns), size = SLOTS_MIN, i;
	struct clock_slot *slots;

	while (size / 4 < busy && size < SLOTS_MAX)
		size *= 2;
	if (busy > size / 2 || (slots = calloc(size, sizeof *slots)) == NULL)
		return ERR_NOMEM;
	for (i = 0; i < pace->size; i++) {
		if (pace->slots[i].hash != 0 && pace->slots[i].next_ns > now_ns)
			*find_clock(slots, size, pace->slots[i].hash) = pace->slots[i];
	}
	free(pace->slots);
	pace->slots = slots;
	pace->size = size;
	pace->used = busy;
	return 0;
}

int pace_new(uint64_t seed, struct pace **pace_r)
{
	struct pace *pace = calloc(1, sizeof *pace);

	*pace_r = NULL;
	if (pace == NULL)
		return ERR_NOMEM;
	pace->seed = seed;
	if (rebuild(pace, 0) < 0) {
		free(pace);
		return ERR_NOMEM;
	}
	*pace_r = pace;
	return 0;
}

void pace_free(struct pace **pace)
{
	if (*pace != NULL)
		free((*pace)->slots);
	free(*pace);
	*pace = NULL;
}

void pace_trim(struct pace *pace, uint64_t now_us)
{
	/* If memory is refused, the large table stays. */
	if (pace->size > SLOTS_MIN && busy_slots(pace, now_us * 1000) == 0)
		(void)!rebuild(pace, now_us * 1000);
}

/* Returns the clock of a socket or, without a port, that of the whole address. It is made if it is
 * new. */
static struct clock_slot *clock_of(struct pace *pace, const uint8_t address[16],
                                   const uint16_t *port)
{
	uint8_t text[18];
	uint64_t hash;
	struct clock_slot *slot;

	memcpy(text, address, 16);
	if (port != NULL)
		memcpy(text + 16, port, 2);
	/* 0 marks an empty slot, so no hash is 0. */
	hash = XXH3_64bits_withSeed(text, port != NULL ? 18 : 16, pace->seed) | 1;
	slot = find_clock(pace->slots, pace->size, hash);
	if (slot->hash == 0) {
		/* Without free places a search would not end. */
		ROSTER_ASSERT(pace->used + 1 < pace->size);
		slot->hash = hash;
		slot->next_ns = 0;
		pace->used++;
	}
	return slot;
}

/* How far ahead of its clock a destination may be sent to. */
static uint64_t burst_ns(uint64_t rate)
{
	uint64_t by_time = PACE_BURST_MS * 1000000ULL;
	uint64_t by_count = PACE_BURST_MIN * 1000000000ULL / rate;

	return by_time > by_count ? by_time : by_count;
}

static uint64_t wait_ns(const struct clock_slot *slot, uint64_t rate, uint64_t now_ns)
{
	uint64_t burst;

	if (rate == 0)
		return 0;
	burst = burst_ns(rate);
	return slot->next_ns < now_ns + burst ? 0 : slot->next_ns - burst - now_ns + 1;
}

static void advance_clock(struct clock_slot *slot, uint64_t rate, uint64_t now_ns)
{
	if (slot->next_ns < now_ns)
		slot->next_ns = now_ns;
	if (rate > 0)
		slot->next_ns += 1000000000ULL / rate;
}

uint32_t pace_reserve(struct pace *pace, const struct pace_rates *rates, const uint8_t address[16],
                      uint16_t port, uint64_t now_us, uint32_t max_ms)
{
	uint64_t now_ns = now_us * 1000, socket_ns, address_ns, wait_ms;
	struct clock_slot *one, *all;

	if (rates->socket == 0 && rates->address == 0)
		return 0;
	/* Two clocks may be new, and half of the slots stay free, so that searches are short. */
	if (pace->used + 2 > pace->size / 2 && rebuild(pace, now_ns) < 0)
		return PACE_REFUSED;
	/* Both clocks have to agree before either moves: a refusal costs nothing. */
	one = clock_of(pace, address, &port);
	all = clock_of(pace, address, NULL);
	socket_ns = wait_ns(one, rates->socket, now_ns);
	address_ns = wait_ns(all, rates->address, now_ns);
	wait_ms = ((socket_ns > address_ns ? socket_ns : address_ns) + 999999) / 1000000;
	if (wait_ms > max_ms)
		return PACE_REFUSED;
	advance_clock(one, rates->socket, now_ns);
	advance_clock(all, rates->address, now_ns);
	return (uint32_t)wait_ms;
}
