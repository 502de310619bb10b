/* SPDX-License-Identifier: Apache-2.0 */
/* The schedule of active checks against the real registry and a set clock; probes are only noted
 * here. */
#include "keeper/checks.h"

#include "shared/registry/registry_keeper.h"
#include "shared/registry/settings.h"
#include "shared/shm/health.h"
#include "tests/unit/registry_fixture.h"

#define NOTED 4096U

/* A probe that this test will end. */
struct noted {
	struct probe_order order;
	struct checker checker;
	probe_done_fn *done;
	void *arg;
	uint64_t at_ms;
	bool open, stopped;
};

struct world {
	struct fixture f;
	struct checks checks;
	struct config config;
	struct ev_loop *loop;
	uint64_t now_ms;
};

static struct world *world;
static struct noted noted[NOTED];
static unsigned noted_count, open_count, most_open;
static int start_error;

/* ---- probes ---------------------------------------------------------------------------------- */

static int note_start(struct ev_loop *loop, const struct probe_order *order, probe_done_fn *done,
                      void *arg, struct probe **probe_r)
{
	struct noted *n = &noted[noted_count % NOTED];

	(void)loop;
	*probe_r = NULL;
	if (start_error != 0)
		return start_error;
	noted_count++;
	*n = (struct noted){ .order = *order,
		             .checker = *order->checker,
		             .done = done,
		             .arg = arg,
		             .at_ms = clock_mono_ms(),
		             .open = true };
	open_count++;
	most_open = open_count > most_open ? open_count : most_open;
	*probe_r = (struct probe *)(void *)n;
	return 0;
}

static void note_stop(struct probe **probe)
{
	struct noted *n = (struct noted *)(void *)*probe;

	*probe = NULL;
	assert_true(n->open);
	n->open = false;
	n->stopped = true;
	open_count--;
}

static void answer(struct noted *n, enum check_verdict verdict, enum probe_rt rt, uint64_t rt_ms)
{
	struct probe_result result = {
		.verdict = verdict, .rt = rt, .rt_ms = rt_ms, .why = "test"
	};

	assert_true(n->open);
	n->open = false;
	open_count--;
	n->done(n->arg, &result);
}

static unsigned answer_all(enum check_verdict verdict)
{
	unsigned count = 0;

	for (unsigned i = 0; i < noted_count && i < NOTED; i++) {
		if (!noted[i].open)
			continue;
		answer(&noted[i], verdict,
		       verdict == CHECK_PASSED ? PROBE_RT_MEASURED : PROBE_RT_MAX, 1);
		count++;
	}
	return count;
}

/* ---- time ------------------------------------------------------------------------------------ */

static void set_clock(uint64_t now_ms)
{
	struct segment_header *header = world->f.seg->header;

	header->health_ms += now_ms - world->now_ms;
	header->health_mono_ms = now_ms;
	world->now_ms = now_ms;
	clock_set_for_test(now_ms * 1000, FIXTURE_WALL_US);
}

/* Goes on from time to time that the schedule names, answering at once, until end_ms. */
static void run_until(uint64_t end_ms, enum check_verdict verdict, bool answers)
{
	for (;;) {
		uint64_t wait = checks_step(&world->checks);

		if (answers && answer_all(verdict) > 0)
			continue;
		if (wait == 0)
			continue;
		if (wait == UINT64_MAX || world->now_ms + wait > end_ms)
			break;
		set_clock(world->now_ms + wait);
	}
	set_clock(end_ms);
}

/* ---- registry -------------------------------------------------------------------------------- */

static void put(const char *name, const char *ip, int32_t port, const char *cluster, bool healthy)
{
	struct service_key key = key_for(name);
	struct instance_spec spec = spec_for(ip, port);

	spec.key.cluster = str_of(cluster);
	spec.key.ephemeral = false;
	spec.healthy = healthy;
	assert_int_equal(registry_register(&world->f.reg, client, &key, &spec), 0);
}

static void drop(const char *name, const char *ip, int32_t port)
{
	struct service_key key = key_for(name);
	struct instance_key instance = { STR("DEFAULT"), str_of(ip), port, false };

	assert_int_equal(registry_deregister(&world->f.reg, client, &key, &instance, NULL), 0);
}

static void set_checker(const char *name, const char *cluster, const char *checker, int32_t port,
                        bool use_instance_port)
{
	struct cluster_settings settings = { .check_port = port,
		                             .use_instance_port = use_instance_port,
		                             .checker = str_of(checker) };
	struct service_key key = key_for(name);

	assert_int_equal(registry_update_cluster(&world->f.reg, client, &key, str_of(cluster),
	                                         &settings),
	                 0);
}

/* What the visits of the keeper do. */
static void learn(const char *name)
{
	uint32_t shard;
	struct keeper_entry entry = entry_of(&world->f, name, &shard);

	checks_learn(&world->checks, shard, entry);
}

static bool is_healthy(const char *name, const char *ip, int32_t port)
{
	struct service_view view;
	const struct instance_view *found;
	bool healthy;

	service_view_init(&view);
	view_of(&world->f, name, &view);
	found = view_find(&view, ip, port);
	assert_non_null(found);
	healthy = (found->flags & INSTANCE_HEALTHY) != 0;
	service_view_free(&view);
	return healthy;
}

static int setup(void **state)
{
	world = calloc(1, sizeof(*world));
	if (world == NULL || (world->loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV)) == NULL)
		return -1;
	fixture_open(&world->f, FIXTURE_BYTES);
	world->now_ms = FIXTURE_MONO_US / 1000;
	config_defaults(&world->config);
	checks_init(&world->checks, &world->f.reg, &world->config, world->loop);
	world->checks.start = note_start;
	world->checks.table.stop = note_stop;
	world->checks.random = 20240229;
	noted_count = open_count = most_open = 0;
	start_error = 0;
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	checks_free(&world->checks);
	assert_int_equal(open_count, 0);
	fixture_close(&world->f);
	ev_loop_destroy(world->loop);
	free(world);
	return 0;
}

/* ---- when ------------------------------------------------------------------------------------ */

static void test_nothing_to_do(void **state)
{
	(void)state;
	assert_true(checks_step(&world->checks) == UINT64_MAX);
	checks_tick(&world->checks);
	assert_false(ev_is_active(&world->checks.timer));
}

/* 2 to 7 s, then by the normalized response time: quicker and quicker while answers are quick. */
static void test_intervals(void **state)
{
	uint64_t begin = world->now_ms, first, gap, last_gap = 7000;

	(void)state;
	put("s", "10.0.0.1", 80, "DEFAULT", true);
	learn("s");
	assert_true(ev_is_active(&world->checks.timer));
	run_until(begin + 60000, CHECK_PASSED, true);
	first = noted[0].at_ms - begin;
	assert_in_range(first, 2000, 6999);
	assert_int_equal(noted[1].at_ms - noted[0].at_ms, first);
	for (unsigned i = 1; i < noted_count; i++) {
		gap = noted[i].at_ms - noted[i - 1].at_ms;
		assert_in_range(gap, 1000, 6999);
		assert_true(gap <= last_gap);
		last_gap = gap;
	}
	assert_int_equal(last_gap, 1000);
	assert_true(noted_count > 40);
}

/* Failures make it rarer, up to the maximum. */
static void test_failures_slow_down(void **state)
{
	uint64_t begin = world->now_ms;

	(void)state;
	put("s", "10.0.0.1", 80, "DEFAULT", true);
	learn("s");
	run_until(begin + 200000, CHECK_FAILED, true);
	/* Up to the limit, where rounding down stops it short of it. */
	assert_in_range(noted[noted_count - 1].at_ms - noted[noted_count - 2].at_ms, 4990, 5000);
}

/* Found a tick late: the first check does not come later for it. */
static void test_late_discovery(void **state)
{
	uint64_t begin = world->now_ms;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		char name[16];

		snprintf(name, sizeof(name), "s%u", i);
		put(name, "10.0.0.1", 80, "DEFAULT", true);
	}
	set_clock(begin + 999);
	for (unsigned i = 0; i < 100; i++) {
		char name[16];

		snprintf(name, sizeof(name), "s%u", i);
		learn(name);
		learn(name);
	}
	run_until(begin + 7000, CHECK_PASSED, true);
	assert_true(noted_count >= 100);
	for (unsigned i = 0; i < 100; i++)
		assert_in_range(noted[i].at_ms - begin, 2000, 7000);
}

/* Between two runs the loop sleeps: the timer wakes it when the next one is due, and not before. */
static void test_timer_waits_for_the_next_run(void **state)
{
	(void)state;
	put("s", "10.0.0.1", 80, "DEFAULT", true);
	learn("s");
	ev_run(world->loop, EVRUN_ONCE);
	for (unsigned i = 1; i <= 3; i++) {
		uint64_t due_ms = due_first(&world->checks.busy)->at_ms;

		assert_true(ev_is_active(&world->checks.timer));
		assert_float_equal(ev_timer_remaining(world->loop, &world->checks.timer),
		                   (double)(due_ms - world->now_ms) / 1000, 0.001);
		set_clock(due_ms);
		ev_feed_event(world->loop, &world->checks.timer, EV_TIMER);
		ev_run(world->loop, EVRUN_NOWAIT);
		assert_int_equal(noted_count, i);
		answer_all(CHECK_PASSED);
	}
}

static void test_switch(void **state)
{
	struct switches *switches = (struct switches *)(uintptr_t)switches_of(world->f.seg);
	uint64_t begin = world->now_ms;

	(void)state;
	put("s", "10.0.0.1", 80, "DEFAULT", true);
	switches->health_check = 0;
	checks_tick(&world->checks);
	learn("s");
	assert_true(checks_step(&world->checks) == UINT64_MAX);
	assert_false(ev_is_active(&world->checks.timer));
	set_clock(begin + 60000);
	checks_tick(&world->checks);
	assert_true(checks_step(&world->checks) == UINT64_MAX);
	switches->health_check = 1;
	checks_tick(&world->checks);
	assert_true(ev_is_active(&world->checks.timer));
	run_until(world->now_ms + 7000, CHECK_PASSED, true);
	assert_true(noted_count >= 1);
	/* Off in the middle: what is under way ends, no more begins. */
	run_until(world->now_ms + 7000, CHECK_PASSED, false);
	assert_int_equal(open_count, 1);
	switches->health_check = 0;
	checks_tick(&world->checks);
	assert_int_equal(answer_all(CHECK_PASSED), 1);
	assert_false(ev_is_active(&world->checks.timer));
}

/* ---- what comes of it ------------------------------------------------------------------------ */

static void test_flips(void **state)
{
	uint64_t begin = world->now_ms;
	unsigned n;

	(void)state;
	put("s", "10.0.0.1", 80, "DEFAULT", true);
	put("s", "10.0.0.2", 80, "DEFAULT", true);
	learn("s");
	run_until(begin + 20000, CHECK_FAILED, true);
	assert_false(is_healthy("s", "10.0.0.1", 80));
	assert_false(is_healthy("s", "10.0.0.2", 80));
	n = noted_count;
	for (unsigned i = 0; is_healthy("s", "10.0.0.1", 80) == false; i++) {
		assert_true(i < 20);
		run_until(world->now_ms + 1000, CHECK_PASSED, true);
	}
	/* Three for each of the two. */
	assert_int_equal(noted_count - n, 6);
	n = noted_count;
	while (noted_count == n)
		run_until(world->now_ms + 100, CHECK_REFUSED, true);
	assert_int_equal(noted_count - n, 2);
	assert_false(is_healthy("s", "10.0.0.1", 80));
	assert_clean(&world->f);
}

/* Set by hand in between: the next run counts from there. */
static void test_changed_in_between(void **state)
{
	struct instance_key key = { STR("DEFAULT"), STR("10.0.0.1"), 80, false };
	struct service_key service = key_for("s");
	uint64_t begin = world->now_ms;
	unsigned n;

	(void)state;
	put("s", "10.0.0.1", 80, "DEFAULT", true);
	learn("s");
	run_until(begin + 40000, CHECK_PASSED, true);
	assert_int_equal(registry_set_health(&world->f.reg, client, &service, &key, false), 0);
	n = noted_count;
	for (unsigned i = 0; !is_healthy("s", "10.0.0.1", 80); i++) {
		assert_true(i < 200);
		run_until(world->now_ms + 100, CHECK_PASSED, true);
	}
	/* Three passed long before: the first one is enough (specification 8.3: the count is not
	 * reset). */
	assert_int_equal(noted_count - n, 1);
}

static void test_not_answered_is_skipped(void **state)
{
	uint64_t begin = world->now_ms;
	struct check_cluster *cluster;
	uint64_t normalized;

	(void)state;
	put("s", "10.0.0.1", 80, "DEFAULT", true);
	learn("s");
	run_until(begin + 7000, CHECK_PASSED, false);
	assert_int_equal(noted_count, 1);
	cluster = ((struct check_service *)due_first(&world->checks.busy))->clusters;
	normalized = cluster->rt.normalized;
	run_until(world->now_ms + 7000, CHECK_PASSED, false);
	/* Looked at again, twice the time reckoned with, no second probe. */
	assert_int_equal(noted_count, 1);
	assert_true(cluster->rt.last >= 2 * normalized || cluster->rt.last == 2 * 5000);
	assert_int_equal(answer_all(CHECK_PASSED), 1);
	run_until(world->now_ms + 7000, CHECK_PASSED, true);
	assert_true(noted_count > 1);
}

static void test_unmade(void **state)
{
	uint64_t begin = world->now_ms;

	(void)state;
	put("s", "10.0.0.1", 80, "DEFAULT", true);
	learn("s");
	start_error = ERR_IO;
	run_until(begin + 60000, CHECK_PASSED, true);
	assert_int_equal(noted_count, 0);
	assert_true(is_healthy("s", "10.0.0.1", 80));
	start_error = 0;
	run_until(world->now_ms + 7000, CHECK_PASSED, true);
	assert_true(noted_count > 0);
}

/* The checker of a cluster is taken away while a probe is under way: what the probe finds is of no
 * interest any more. */
static void test_checker_taken_away(void **state)
{
	uint64_t begin = world->now_ms, last;
	struct check_cluster *cluster;

	(void)state;
	put("s", "10.0.0.1", 80, "DEFAULT", true);
	learn("s");
	run_until(begin + 7000, CHECK_REFUSED, false);
	assert_int_equal(open_count, 1);
	cluster = ((struct check_service *)due_first(&world->checks.busy))->clusters;
	set_checker("s", "DEFAULT", "{\"type\":\"NONE\"}", 80, true);
	run_until(world->now_ms + 7000, CHECK_REFUSED, false);
	assert_int_equal(cluster->checker.type, CHECKER_NONE);
	assert_int_equal(open_count, 1);
	last = cluster->rt.last;
	assert_int_equal(answer_all(CHECK_REFUSED), 1);
	assert_int_equal(cluster->rt.last, last);
	run_until(world->now_ms + 60000, CHECK_REFUSED, true);
	assert_int_equal(noted_count, 1);
	assert_true(is_healthy("s", "10.0.0.1", 80));
	assert_clean(&world->f);
}

/* ---- what is checked ------------------------------------------------------------------------- */

static void test_addresses_and_ports(void **state)
{
	uint64_t begin = world->now_ms;

	(void)state;
	put("s", "example.org", 80, "DEFAULT", true);
	put("s", "169.254.169.254", 80, "DEFAULT", true);
	put("s", "10.0.0.1", 0, "DEFAULT", true);
	put("s", "10.0.0.2", 80, "other", true);
	put("s", "[fd00::2]", 80, "other", true);
	put("s", "fd00::2%eth0", 80, "other", true);
	set_checker("s", "other", "", 8080, false);
	learn("s");
	run_until(begin + 30000, CHECK_PASSED, true);
	assert_true(noted_count > 0);
	for (unsigned i = 0; i < noted_count; i++) {
		assert_int_equal(noted[i].order.port, 8080);
		assert_int_equal(noted[i].order.address[15], 2);
	}
	assert_false(is_healthy("s", "example.org", 80));
	assert_false(is_healthy("s", "169.254.169.254", 80));
	assert_false(is_healthy("s", "10.0.0.1", 0));
	assert_true(is_healthy("s", "10.0.0.2", 80));
	assert_true(is_healthy("s", "[fd00::2]", 80));
	assert_true(is_healthy("s", "fd00::2%eth0", 80));
}

static void test_checkers(void **state)
{
	uint64_t begin = world->now_ms;
	unsigned n, looked = 0;

	(void)state;
	put("s", "10.0.0.1", 80, "DEFAULT", true);
	set_checker(
	        "s", "DEFAULT",
	        "{\"type\":\"HTTP\",\"path\":\"/a\",\"headers\":\"b:c\",\"expectedResponseCode\":200}",
	        80, true);
	learn("s");
	run_until(begin + 7000, CHECK_PASSED, true);
	assert_true(noted_count > 0);
	assert_int_equal(noted[0].checker.type, CHECKER_HTTP);
	assert_true(str_eq(noted[0].checker.path, STR("/a")));
	set_checker("s", "DEFAULT", "{\"type\":\"NONE\"}", 80, true);
	run_until(world->now_ms + 7000, CHECK_PASSED, true);
	n = noted_count;
	/* Nothing is waited for now: only the tick looks. */
	ev_timer_stop(world->loop, &world->checks.timer);
	assert_true(checks_step(&world->checks) == UINT64_MAX);
	for (unsigned i = 0; i < 10; i++) {
		set_clock(world->now_ms + 1000);
		checks_tick(&world->checks);
		if (ev_is_active(&world->checks.timer)) {
			ev_timer_stop(world->loop, &world->checks.timer);
			looked++;
			assert_true(checks_step(&world->checks) == UINT64_MAX);
		}
	}
	assert_true(looked > 0);
	assert_int_equal(noted_count, n);
	assert_false(ev_is_active(&world->checks.timer));
	set_checker("s", "DEFAULT",
	            "{\"type\":\"MYSQL\",\"user\":\"u\",\"pwd\":\"p\",\"cmd\":\"c\"}", 80, true);
	for (unsigned i = 0; i < 10; i++) {
		set_clock(world->now_ms + 1000);
		checks_tick(&world->checks);
		run_until(world->now_ms, CHECK_PASSED, true);
	}
	assert_true(noted_count > n);
	assert_int_equal(noted[n].checker.type, CHECKER_MYSQL);
	assert_true(str_eq(noted[n].checker.cmd, STR("c")));
	/* A text that nobody can read checks nothing. */
	n = noted_count;
	set_checker("s", "DEFAULT", "{\"type\":", 80, true);
	run_until(world->now_ms + 10000, CHECK_PASSED, true);
	assert_int_equal(noted_count, n);
}

/* ---- coming and going ------------------------------------------------------------------------ */

static void test_gone_while_checked(void **state)
{
	struct service_key key = key_for("s");
	uint64_t begin = world->now_ms;

	(void)state;
	put("s", "10.0.0.1", 80, "DEFAULT", true);
	put("s", "10.0.0.2", 80, "DEFAULT", true);
	put("s", "10.0.0.3", 80, "other", true);
	learn("s");
	run_until(begin + 7000, CHECK_PASSED, false);
	assert_int_equal(open_count, 3);
	drop("s", "10.0.0.1", 80);
	run_until(world->now_ms + 7000, CHECK_PASSED, false);
	assert_int_equal(open_count, 2);
	assert_int_equal(world->checks.table.probes, 2);
	assert_int_equal(registry_remove_service(&world->f.reg, client, &key, NULL), 0);
	run_until(world->now_ms + 7000, CHECK_PASSED, false);
	assert_int_equal(open_count, 0);
	assert_int_equal(world->checks.table.count, 0);
	assert_true(checks_step(&world->checks) == UINT64_MAX);
}

/* The last persistent one left: forgotten, and learned anew. */
static void test_forgotten_and_learned(void **state)
{
	uint64_t begin = world->now_ms;
	unsigned n;

	(void)state;
	put("s", "10.0.0.1", 80, "DEFAULT", true);
	add(&world->f, "s", "10.0.0.9", 80);
	learn("s");
	run_until(begin + 10000, CHECK_PASSED, true);
	drop("s", "10.0.0.1", 80);
	run_until(world->now_ms + 10000, CHECK_PASSED, true);
	assert_int_equal(world->checks.table.count, 0);
	n = noted_count;
	put("s", "10.0.0.1", 80, "DEFAULT", true);
	learn("s");
	run_until(world->now_ms + 7000, CHECK_PASSED, true);
	assert_true(noted_count > n);
}

static void test_marked_and_ephemeral_are_left_alone(void **state)
{
	uint64_t begin = world->now_ms;

	(void)state;
	put("s", "10.0.0.1", 80, "DEFAULT", true);
	add(&world->f, "s", "10.0.0.9", 80);
	learn("s");
	run_until(begin + 30000, CHECK_PASSED, true);
	for (unsigned i = 0; i < noted_count; i++)
		assert_int_equal(noted[i].order.address[15], 1);
}

/* ---- many ------------------------------------------------------------------------------------ */

static void test_bound_and_turns(void **state)
{
	uint64_t begin = world->now_ms;
	char ip[32];
	bool small = false;

	(void)state;
	world->config.checks_concurrency = 50;
	checks_configure(&world->checks);
	for (unsigned i = 0; i < 2000; i++) {
		snprintf(ip, sizeof(ip), "10.1.%u.%u", i / 250, i % 250 + 1);
		put("large", ip, 80, "DEFAULT", true);
	}
	put("small", "10.9.9.9", 80, "DEFAULT", true);
	learn("large");
	learn("small");
	run_until(begin, CHECK_PASSED, false);
	set_clock(begin + 7000);
	while (checks_step(&world->checks) == 0)
		;
	/* Both runs are in work: the small one has its turn at once. */
	assert_int_equal(open_count, 50);
	for (unsigned i = 0; i < 50; i++)
		small = small || noted[i].order.address[13] == 9;
	assert_true(small);
	while (noted_count < 2001) {
		assert_true(answer_all(CHECK_PASSED) > 0);
		assert_true(ev_is_active(&world->checks.timer));
		while (checks_step(&world->checks) == 0)
			;
	}
	answer_all(CHECK_PASSED);
	assert_int_equal(noted_count, 2001);
	assert_int_equal(most_open, 50);
	assert_null(world->checks.table.run_first);
}

/* Instances come and go while a run is in work: each is checked once, none twice. */
static void test_changes_during_a_run(void **state)
{
	uint64_t begin = world->now_ms;
	uint8_t seen[256] = { 0 };
	char ip[32];

	(void)state;
	world->config.checks_concurrency = 1;
	checks_configure(&world->checks);
	for (unsigned i = 1; i <= 100; i++) {
		snprintf(ip, sizeof(ip), "10.0.0.%u", i);
		put("s", ip, 80, "DEFAULT", true);
	}
	learn("s");
	run_until(begin, CHECK_PASSED, false);
	set_clock(begin + 7000);
	while (noted_count < 50) {
		while (checks_step(&world->checks) == 0)
			;
		answer_all(CHECK_PASSED);
	}
	for (unsigned i = 10; i <= 90; i += 10) {
		snprintf(ip, sizeof(ip), "10.0.0.%u", i);
		drop("s", ip, 80);
	}
	put("s", "10.0.0.200", 80, "DEFAULT", true);
	set_clock(begin + 14500); /* looked at again, the run goes on */
	for (unsigned i = 0; i < 60; i++) {
		while (checks_step(&world->checks) == 0)
			;
		answer_all(CHECK_PASSED);
	}
	assert_int_equal(noted_count, 100 - 4 + 1);
	for (unsigned i = 0; i < noted_count; i++)
		seen[noted[i].order.address[15]]++;
	for (unsigned i = 1; i <= 100; i++)
		assert_int_equal(seen[i], i > 50 && i % 10 == 0 && i <= 90 ? 0 : 1);
	assert_int_equal(seen[200], 1);
}

#define LARGE 50000U

/* The steps of one look at the service, by the real clock: a step ends when its time is over. */
static unsigned steps_of_a_look(struct check_service *service)
{
	unsigned steps = 0;

	assert_int_equal(due_set(&world->checks.busy, &service->due, 0), 0);
	do {
		(void)checks_step(&world->checks);
		steps++;
		answer_all(CHECK_PASSED); /* while it stands still */
	} while (world->checks.looks != NULL);
	return steps;
}

/* A service is looked at in many steps, others come and are answered between them; and half of it
 * goes. */
static void test_a_large_service_takes_many_steps(void **state)
{
	struct check_service *service;
	struct check_cluster *cluster;
	char ip[32];

	(void)state;
	clock_set_for_test(0, 0);
	for (unsigned i = 0; i < LARGE; i++) {
		snprintf(ip, sizeof(ip), "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
		put("large", ip, 80, "DEFAULT", true);
	}
	put("small", "10.9.9.9", 80, "DEFAULT", true);
	learn("large");
	service = (struct check_service *)due_first(&world->checks.busy);
	learn("small");
	assert_true(steps_of_a_look(service) > 2);
	cluster = service->clusters;
	assert_int_equal(cluster->count, LARGE);
	assert_int_equal(world->checks.table.count, 2);
	for (unsigned i = 0; i < LARGE; i += 2) {
		snprintf(ip, sizeof(ip), "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
		drop("large", ip, 80);
	}
	cluster->due_ms = 0; /* a run is in work meanwhile */
	assert_true(steps_of_a_look(service) > 2);
	assert_int_equal(cluster->count, LARGE / 2);
	assert_true(cluster->turn < cluster->count);
	for (uint32_t i = 1; i < cluster->count; i++)
		assert_true(cluster->targets[i - 1]->id < cluster->targets[i]->id);
	/* Left standing in the middle of the next one. */
	drop("large", "10.0.0.1", 80);
	assert_int_equal(due_set(&world->checks.busy, &service->due, 0), 0);
	(void)checks_step(&world->checks);
	assert_non_null(world->checks.looks);
}

/* The table of services grows by one bucket a service. */
static void test_many_services(void **state)
{
	struct check_table *table = &world->checks.table;
	bool new;

	(void)state;
	for (uint64_t id = 1; id <= 20000; id++) {
		assert_non_null(check_table_learn(table, (uint32_t)(id % 64),
		                                  (struct keeper_entry){ id, 1 }, &new));
		assert_true(new);
		assert_true(table->bucket_count >= table->count &&
		            table->bucket_count <= table->bucket_cap);
	}
	for (uint64_t id = 1; id <= 20000; id++) {
		struct check_service *service =
		        check_table_learn(table, (uint32_t)(id % 64),
		                          (struct keeper_entry){ id, 1 }, &new);

		assert_false(new);
		assert_int_equal(service->id, id);
		if (id % 2 == 0)
			check_table_forget(table, service);
	}
	assert_int_equal(table->count, 10000);
	for (uint64_t id = 1; id <= 20000; id++) {
		check_table_learn(table, (uint32_t)(id % 64), (struct keeper_entry){ id, 1 }, &new);
		assert_int_equal(new, id % 2 == 0);
	}
}

static void test_descriptors(void **state)
{
	(void)state;
	world->config.checks_concurrency = 10000;
	checks_configure(&world->checks);
	assert_in_range(world->checks.most, 1, 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing_to_do, setup, teardown),
		cmocka_unit_test_setup_teardown(test_intervals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failures_slow_down, setup, teardown),
		cmocka_unit_test_setup_teardown(test_late_discovery, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timer_waits_for_the_next_run, setup, teardown),
		cmocka_unit_test_setup_teardown(test_switch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flips, setup, teardown),
		cmocka_unit_test_setup_teardown(test_changed_in_between, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_answered_is_skipped, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unmade, setup, teardown),
		cmocka_unit_test_setup_teardown(test_checker_taken_away, setup, teardown),
		cmocka_unit_test_setup_teardown(test_addresses_and_ports, setup, teardown),
		cmocka_unit_test_setup_teardown(test_checkers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gone_while_checked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forgotten_and_learned, setup, teardown),
		cmocka_unit_test_setup_teardown(test_marked_and_ephemeral_are_left_alone, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(test_bound_and_turns, setup, teardown),
		cmocka_unit_test_setup_teardown(test_changes_during_a_run, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_large_service_takes_many_steps, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(test_many_services, setup, teardown),
		cmocka_unit_test_setup_teardown(test_descriptors, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
