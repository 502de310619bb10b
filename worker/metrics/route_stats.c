/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/metrics/route_stats.h"

#include <time.h>

#include "shared/base/assert.h"
#include "shared/base/word.h"
#include "shared/process/process.h"

#define SAMPLE_EVERY 64U

static const uint32_t bounds_us[SLOT_ROUTE_BUCKETS - 1] = {
	50, 100, 250, 1000, 5000, 25000, 1000000
};
const char *const route_stats_bounds[SLOT_ROUTE_BUCKETS] = { "0.00005", "0.0001", "0.00025",
	                                                     "0.001",   "0.005",  "0.025",
	                                                     "1",       "+Inf" };

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

/* Returns a number from 1 to 127, 64 in the mean. */
static uint32_t next_gap(struct route_stats *stats)
{
	uint32_t x = stats->random;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	stats->random = x;
	return 1 + x % (2 * SAMPLE_EVERY - 1);
}

uint64_t route_stats_begin(struct route_stats *stats, uint64_t now_us)
{
	uint64_t began_cpu_ns = 0;

	if (stats->gap > 1) {
		stats->gap--;
		return 0;
	}
	if (stats->random != 0)
		began_cpu_ns = cpu_ns();
	else /* the first request of all stands for no others */
		stats->random = (uint32_t)now_us | 1;
	stats->gap = next_gap(stats);
	return began_cpu_ns;
}

struct slot_route *route_stats_row(const struct process *proc, unsigned route)
{
	ROSTER_ASSERT(route < SLOT_ROUTES);
	return proc->seg == NULL
	               ? NULL
	               : &proc->seg->routes[slot_routes_at(proc->bank, proc->index) + route];
}

/* Each row has one writer, so no read-modify-write instruction is needed, only whole stores. */
static void add_to_word(uint64_t *word, uint64_t n)
{
	word_store(word, *word + n);
}

void route_stats_handled(struct slot_route *row, uint64_t began_cpu_ns)
{
	if (row != NULL)
		add_to_word(&row->cpu_ns, (cpu_ns() - began_cpu_ns) * SAMPLE_EVERY);
}

void route_stats_answered(struct slot_route *row, uint64_t us, bool is_error)
{
	unsigned bucket = 0;

	if (row == NULL)
		return;
	while (bucket < SLOT_ROUTE_BUCKETS - 1 && us > bounds_us[bucket])
		bucket++;
	add_to_word(&row->buckets[bucket], 1);
	add_to_word(&row->us, us);
	if (is_error)
		add_to_word(&row->errors, 1);
}

void route_stats_sum(const struct segment *seg, unsigned route, struct slot_route *sum_r)
{
	ROSTER_ASSERT(route < SLOT_ROUTES);
	*sum_r = (struct slot_route){ .errors = 0 };
	for (unsigned i = 0; i < SLOT_BANKS * WORKERS_MAX; i++) {
		unsigned bank = i / WORKERS_MAX, worker = i % WORKERS_MAX;
		const struct slot_route *row = &seg->routes[slot_routes_at(bank, worker) + route];

		if (__atomic_load_n(&seg->slots[slot_of_worker(bank, worker)].generation,
		                    __ATOMIC_RELAXED) == 0)
			continue; /* never ran: its page stays untouched */
		sum_r->errors += word_load(&row->errors);
		sum_r->us += word_load(&row->us);
		sum_r->cpu_ns += word_load(&row->cpu_ns);
		for (unsigned b = 0; b < SLOT_ROUTE_BUCKETS; b++)
			sum_r->buckets[b] += word_load(&row->buckets[b]);
	}
}

uint64_t route_stats_requests(const struct slot_route *sum)
{
	uint64_t requests = 0;

	for (unsigned b = 0; b < SLOT_ROUTE_BUCKETS; b++)
		requests += sum->buckets[b];
	return requests;
}
