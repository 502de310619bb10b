/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/process/sources.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "shared/base/assert.h"
#include "shared/base/source.h"
#include "shared/metrics/metrics.h"
#include "shared/shm/slot.h"

#define LINES 2048U
#define LINE_WORDS 8U
#define TAG_BITS 16U
#define TIME_MASK ((1ULL << (64 - TAG_BITS)) - 1) /* 2^48 us: eight years of uptime */
#define ROWS 2U
#define COLUMNS 8192U

struct worker_counts {
	uint32_t counts[ROWS][COLUMNS];
};

struct sources {
	uint64_t seed;
	uint64_t used; /* bit a worker: it has counted connections, so its page is worth a look */
	_Alignas(64) uint64_t buckets[LINES][LINE_WORDS];
	struct worker_counts workers[WORKERS_MAX];
};

_Static_assert(WORKERS_MAX <= 64, "a bit a worker");

int sources_new(struct sources **sources_r)
{
	struct sources *sources = mmap(NULL, sizeof(*sources), PROT_READ | PROT_WRITE,
	                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (sources == MAP_FAILED)
		return ERR_NOMEM;
	if (getrandom(&sources->seed, sizeof(sources->seed), 0) != (ssize_t)sizeof(sources->seed)) {
		munmap(sources, sizeof(*sources));
		return ERR_IO;
	}
	*sources_r = sources;
	return 0;
}

void sources_free_for_test(struct sources **sources)
{
	munmap(*sources, sizeof(**sources));
	*sources = NULL;
}

uint64_t sources_hash(const struct sources *sources, const uint8_t address[16])
{
	return source_hash(sources->seed, address);
}

/* ---- requests -------------------------------------------------------------------------------- */

static uint64_t source_tag(uint64_t hash)
{
	return hash >> (64 - TAG_BITS);
}

static uint64_t word_time(uint64_t word)
{
	return word & TIME_MASK;
}

/* Returns the word of that source, else the one to take: that of the source which owes least, so a
 * free word or a full bucket comes first. */
static uint64_t *word_of(struct sources *sources, uint64_t hash, uint64_t *word_r)
{
	uint64_t *line = sources->buckets[hash % LINES], *best = NULL;

	for (unsigned i = 0; i < LINE_WORDS; i++) {
		uint64_t word = __atomic_load_n(&line[i], __ATOMIC_RELAXED);

		if (word != 0 && word >> (64 - TAG_BITS) == source_tag(hash)) {
			*word_r = word;
			return &line[i];
		}
		if (best == NULL || word_time(word) < word_time(*word_r)) {
			best = &line[i];
			*word_r = word;
		}
	}
	return best;
}

static bool swap_word(uint64_t *at, uint64_t word, uint64_t hash, uint64_t full_us)
{
	uint64_t fresh = source_tag(hash) << (64 - TAG_BITS) | (full_us & TIME_MASK);

	return __atomic_compare_exchange_n(at, &word, fresh, false, __ATOMIC_RELAXED,
	                                   __ATOMIC_RELAXED);
}

uint64_t sources_take(struct sources *sources, uint64_t hash, uint64_t now_us, uint32_t per_second,
                      uint32_t burst)
{
	uint64_t interval_us, empty_us;

	ROSTER_ASSERT(per_second > 0 && burst > 0);
	interval_us = 1000000ULL / per_second;
	empty_us = now_us + interval_us * burst;
	for (;;) {
		uint64_t word, full_us, *at = word_of(sources, hash, &word);

		full_us = word >> (64 - TAG_BITS) == source_tag(hash) ? word_time(word) : 0;
		full_us = full_us < now_us ? now_us : full_us;
		if (full_us > empty_us) {
			/* It was filled by a larger burst than a reload now allows: the bucket is
			 * empty, and not deeper than that. */
			(void)swap_word(at, word, hash, empty_us);
			return interval_us;
		}
		if (full_us + interval_us > empty_us)
			return full_us + interval_us - empty_us;
		/* Another worker may have been faster: then we look again. */
		if (swap_word(at, word, hash, full_us + interval_us))
			return 0;
	}
}

/* ---- connections ----------------------------------------------------------------------------- */

static unsigned column_of(uint64_t hash, unsigned row)
{
	return (unsigned)(hash >> (row * 32)) % COLUMNS;
}

void sources_connection(struct sources *sources, unsigned worker, uint64_t hash, int change)
{
	struct worker_counts *own = &sources->workers[worker];
	bool miscounted = false;

	ROSTER_ASSERT(worker < WORKERS_MAX && (change == 1 || change == -1));
	if ((__atomic_load_n(&sources->used, __ATOMIC_RELAXED) >> worker & 1) == 0)
		__atomic_fetch_or(&sources->used, 1ULL << worker, __ATOMIC_RELAXED);
	for (unsigned row = 0; row < ROWS; row++) {
		uint32_t *count = &own->counts[row][column_of(hash, row)];

		/* Only what was counted goes, but each worker can write here. */
		if (change < 0 && *count == 0)
			miscounted = true;
		else
			__atomic_store_n(count, *count + (uint32_t)change, __ATOMIC_RELAXED);
	}
	if (miscounted)
		metric_add(METRIC_SOURCE_MISCOUNTED, 1);
}

uint64_t sources_connections(const struct sources *sources, uint64_t hash)
{
	uint64_t used = __atomic_load_n(&sources->used, __ATOMIC_RELAXED), least = UINT64_MAX;

	for (unsigned row = 0; row < ROWS; row++) {
		unsigned column = column_of(hash, row);
		uint64_t sum = 0;

		for (unsigned worker = 0; worker < WORKERS_MAX; worker++) {
			if (used >> worker & 1)
				sum += __atomic_load_n(
				        &sources->workers[worker].counts[row][column],
				        __ATOMIC_RELAXED);
		}
		least = sum < least ? sum : least;
	}
	return least;
}

void sources_clear(struct sources *sources, unsigned worker)
{
	ROSTER_ASSERT(worker < WORKERS_MAX);
	__atomic_fetch_and(&sources->used, ~(1ULL << worker), __ATOMIC_RELAXED);
	memset(&sources->workers[worker], 0, sizeof(sources->workers[worker]));
}
