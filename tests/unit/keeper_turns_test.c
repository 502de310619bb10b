/* SPDX-License-Identifier: Apache-2.0 */
/* A keeper with 100,000 services whose beats all stop at once, and 100,000 instances to check in
 * one service: health flips, the brake holds, is released, everything is removed, the empty
 * services go, and all the time the registry is checked and its pages are emptied. No turn of it is
 * a long one, its clock ticks every second, and whoever beats meanwhile is served. */
#include "shared/process/process.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/base/clock.h"
#include "shared/metrics/metrics.h"
#include "shared/registry/registry.h"
#include "shared/registry/registry_audit.h"
#include "shared/registry/registry_keeper.h"
#include "shared/shm/brake_state.h"
#include "shared/shm/health.h"

#define SEGMENT_BYTES (1024ULL << 20)
#define SERVICES 100000U
#define EACH 3U
#define SILENT (SERVICES * EACH)
#define CHECKED 100000U
#define SOURCES 200U
#define HUNG_MS 600000U /* only ends what hangs */
#define TICKS_MISSED 3U /* by this process, which counts seconds with an idle eye */

static struct process proc;
static struct registry reg;
static int master_end;
static pid_t child;
static uint64_t slowest_us, beats;

static const struct origin client = { .writer = WRITER_CLIENT, .cause = CAUSE_CLIENT };

static struct service_key name_of(const char *prefix, unsigned n, char text[64])
{
	snprintf(text, 64, "DEFAULT_GROUP@@%s-%u", prefix, n);
	return (struct service_key){ .ns = STR("public"), .name = str_of(text) };
}

static struct instance_key address_of(unsigned n, bool ephemeral, char text[32])
{
	/* Persistent ones where no check may go: they fail without a packet. */
	snprintf(text, 32, ephemeral ? "10.%u.%u.%u" : "169.254.%u.%u", n >> 16 & 255, n >> 8 & 255,
	         n & 255);
	if (!ephemeral)
		snprintf(text, 32, "169.254.%u.%u", n >> 8 & 255, n & 255);
	return (struct instance_key){ STR("DEFAULT"), str_of(text), (int32_t)(1 + n / 65536),
		                      ephemeral };
}

/* Registered by its source, and has beaten once. */
static void add(const struct service_key *key, unsigned n)
{
	uint8_t from[16] = {
		[10] = 0xff, [11] = 0xff, [12] = 127, [14] = (uint8_t)(n % SOURCES), [15] = 1
	};
	struct origin origin = { .cause = CAUSE_CLIENT, .sender = registry_sender(&reg, from) };
	struct instance_spec spec = { .weight = 1, .enabled = true, .healthy = true };
	struct beat_result result;
	char ip[32];

	spec.key = address_of(n, true, ip);
	assert_int_equal(registry_register(&reg, origin, key, &spec), 0);
	assert_int_equal(registry_beat(&reg, origin, key, &spec.key, &result), 0);
}

static void fill(void)
{
	struct instance_spec spec = { .weight = 1, .enabled = true, .healthy = true };
	struct service_key key;
	char name[64], ip[32];

	for (unsigned n = 0; n < SILENT; n++) {
		key = name_of("silent", n / EACH, name);
		add(&key, n);
	}
	key = name_of("checked", 0, name);
	for (unsigned n = 0; n < CHECKED; n++) {
		spec.key = address_of(n, false, ip);
		assert_int_equal(registry_register(&reg, client, &key, &spec), 0);
	}
	key = name_of("calm", 0, name);
	add(&key, SILENT);
}

/* The neighbour's beat, as a worker hears it. */
static void beat(void)
{
	char name[64], ip[32];
	struct service_key key = name_of("calm", 0, name);
	struct instance_key at = address_of(SILENT, true, ip);
	uint64_t began_us = clock_mono_us(), us;
	struct beat_result result;

	assert_int_equal(registry_beat(&reg, client, &key, &at, &result), 0);
	us = clock_mono_us() - began_us;
	slowest_us = us > slowest_us ? us : slowest_us;
	beats++;
}

static uint64_t sum(enum metric id)
{
	return metric_sum(proc.seg, id);
}

static struct registry_stats stats(void)
{
	struct registry_stats now;

	registry_stats(&reg, &now);
	return now;
}

typedef bool condition_fn(void);

/* Beats until the condition holds. The clock ticks meanwhile. */
static void wait_for(const char *what, condition_fn *condition)
{
	uint64_t began_ms = clock_mono_ms(), ticks = sum(METRIC_KEEPER_TICKS), seconds;

	while (!condition()) {
		assert_true(clock_mono_ms() - began_ms < HUNG_MS);
		beat();
		poll(NULL, 0, 1);
	}
	seconds = (clock_mono_ms() - began_ms) / 1000;
	ticks = sum(METRIC_KEEPER_TICKS) - ticks;
	print_message(
	        "%-12s %3llu s, %3llu ticks, %llu long turns, slowest beat %llu us, longest loop %llu us\n",
	        what, (unsigned long long)seconds, (unsigned long long)ticks,
	        (unsigned long long)sum(METRIC_TURN_LONG), (unsigned long long)slowest_us,
	        (unsigned long long)proc.slot->busy_us_max);
	assert_true(ticks + TICKS_MISSED >= seconds);
	slowest_us = 0;
	proc.slot->busy_us_max = 0;
}

static void print_turns(void)
{
	const struct metric_histogram *h = &metric_histograms[METRIC_TIME_TURN];

	for (unsigned i = 0; i < METRIC_BUCKETS; i++)
		print_message("turns <= %-6s s: %llu\n", h->bounds[i],
		              (unsigned long long)sum((enum metric)(h->first + i)));
}

/* ---- conditions ------------------------------------------------------------------------------ */

static bool checked_once(void)
{
	return __atomic_load_n(&proc.seg->header->audit_passes, __ATOMIC_RELAXED) > 0;
}

static bool all_seen(void)
{
	return sum(METRIC_EXPIRY_VISITS) > SERVICES &&
	       __atomic_load_n(&proc.seg->brake->sources, __ATOMIC_RELAXED) == SOURCES;
}

/* And those that are checked, by three failures each. */
static bool all_flipped(void)
{
	return sum(METRIC_EXPIRY_FLIPS) == SILENT && sum(METRIC_CHECKS_FLIPS) == CHECKED;
}

static bool all_held(void)
{
	return __atomic_load_n(&proc.seg->brake->held, __ATOMIC_RELAXED) == SILENT;
}

static bool all_removed(void)
{
	return sum(METRIC_EXPIRY_REMOVALS) == SILENT;
}

static bool only_two_left(void)
{
	return stats().services == 2 && stats().draining == 0;
}

static bool compacted(void)
{
	for (uint32_t shard = 0; shard < SHARDS; shard++) {
		if (registry_wasteful(&reg, shard))
			return false;
	}
	return true;
}

/* ---- the life of the keeper ------------------------------------------------------------------ */

static int setup(void **state)
{
	int ends[2];

	(void)state;
	config_defaults(&proc.config);
	proc.config.empty_delay_ms = proc.config.empty_period_ms = 1000;
	if (segment_open_anonymous(SEGMENT_BYTES, &proc.seg) < 0 || registry_format(proc.seg) < 0 ||
	    pipe(ends) < 0)
		return -1;
	health_attach(proc.seg, clock_mono_ms());
	proc.role = ROLE_KEEPER;
	proc.slot = &proc.seg->slots[0];
	proc.slot->role = ROLE_KEEPER;
	proc.seg->slots[1].role = ROLE_WORKER;
	proc.seg->slots[1].state = SLOT_READY;
	proc.alive_fd = ends[0];
	proc.notice_fd = -1;
	proc.ready_fd = eventfd(0, EFD_CLOEXEC);
	snprintf(proc.name, sizeof(proc.name), "keeper/0");
	master_end = ends[1];
	registry_init(&reg, proc.seg);
	return proc.ready_fd < 0 ? -1 : 0;
}

static void start(void)
{
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		close(master_end);
		process_enter(&proc);
		_exit(keeper_main(&proc));
	}
}

static void stop(void)
{
	int status;

	kill(child, SIGTERM);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* All that is silent is so for that much longer. The keeper may store the clock at the same
 * moment. */
static void let_pass(uint64_t ms)
{
	uint64_t *clock = &proc.seg->header->health_ms,
	         wanted = __atomic_load_n(clock, __ATOMIC_RELAXED) + ms;

	while (__atomic_load_n(clock, __ATOMIC_RELAXED) < wanted) {
		__atomic_store_n(clock, wanted, __ATOMIC_RELAXED);
		poll(NULL, 0, 5);
	}
	beat();
}

static void test_everything_at_once(void **state)
{
	(void)state;
	fill();
	start();
	wait_for("checked", checked_once);
	wait_for("seen", all_seen);
	let_pass(BEAT_TIMEOUT_MS);
	wait_for("flipped", all_flipped);
	assert_int_equal(sum(METRIC_EXPIRY_REMOVALS), 0);
	assert_int_equal(brake_state_phase(proc.seg->brake->state), BRAKE_HOLDING);
	let_pass(BEAT_DELETE_MS - BEAT_TIMEOUT_MS);
	wait_for("held", all_held);
	assert_int_equal(sum(METRIC_EXPIRY_REMOVALS), 0);
	proc.seg->brake->release = proc.seg->brake->state;
	wait_for("removed", all_removed);
	wait_for("cleaned up", only_two_left);
	wait_for("compacted", compacted);
	stop();
	print_turns();
	assert_int_equal(sum(METRIC_TURN_LONG), 0);
	assert_int_equal(registry_audit(&reg, NULL, NULL), 0);
	assert_true(beats > 1000);
}

static int teardown(void **state)
{
	(void)state;
	close(proc.ready_fd);
	close(proc.alive_fd);
	close(master_end);
	segment_close_for_test(&proc.seg);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_everything_at_once, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
