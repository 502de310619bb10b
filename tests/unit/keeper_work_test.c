/* SPDX-License-Identifier: Apache-2.0 */
/* work: what a tick leaves to do, by turning the loop by hand. The clock stands still. */
#include "keeper/keeper.h"

#include "shared/metrics/metrics.h"
#include "tests/unit/registry_fixture.h"

#define SERVICES 200
#define TURNS_MAX 100000 /* only ends what hangs */

static struct process proc;
static struct keeper k;

static int setup(void **state)
{
	struct fixture *f;

	if (fixture_setup(state) != 0)
		return -1;
	f = *state;
	memset(&proc, 0, sizeof(proc));
	memset(&k, 0, sizeof(k));
	config_defaults(&proc.config);
	proc.seg = f->seg;
	proc.slot = &f->seg->slots[0];
	proc.slot->state = SLOT_STARTING;
	proc.ready_fd = -1;
	metrics_use(proc.slot);
	for (int n = 0; n < SERVICES; n++) {
		char name[32];

		snprintf(name, sizeof(name), "g@@s%d", n);
		add(f, name, "10.0.0.1", 80);
	}
	return 0;
}

/* As main.c does. */
static void make_keeper(struct fixture *f, bool stale)
{
	uint64_t now_ms = clock_mono_ms();

	proc.stale = stale;
	k.proc = &proc;
	k.loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
	assert_non_null(k.loop);
	registry_init(&k.reg, f->seg);
	cleanup_init(&k.cleanup, &k.reg, &proc.config, now_ms);
	brake_init(&k.brake, f->seg, &proc.config);
	expiry_init(&k.expiry, &k.reg, &k.cleanup);
	k.expiry.brake = &k.brake;
	audit_init(&k.audit, &k.reg, &proc.config, -1, now_ms);
	checks_init(&k.checks, &k.reg, &proc.config, k.loop);
	work_init(&k);
}

static int teardown(void **state)
{
	expiry_free(&k.expiry);
	audit_free(&k.audit);
	checks_free(&k.checks);
	ev_loop_destroy(k.loop);
	fiber_free_spare();
	metrics_use(NULL);
	return fixture_teardown(state);
}

static bool has_work(void)
{
	return ev_is_active(&k.work.idle);
}

static void do_all(void)
{
	for (unsigned n = 0; n < TURNS_MAX && has_work(); n++)
		ev_run(k.loop, EVRUN_NOWAIT);
	assert_false(has_work());
	assert_int_equal(k.work.todo, 0);
}

static uint64_t turns(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < METRIC_BUCKETS; i++)
		sum += proc.slot->counters[METRIC_TURN_BUCKET_0 + i];
	return sum;
}

static void a_tick_is_done_to_its_end(void **state)
{
	make_keeper(*state, false);
	assert_false(has_work());
	work_begin(&k);
	assert_true(has_work());
	do_all();
	assert_int_equal(k.audit.running, false);
	assert_true(proc.slot->counters[METRIC_EXPIRY_VISITS] >= SERVICES);
	/* Who is not stale says elsewhere that it is ready. */
	assert_int_equal(proc.slot->state, SLOT_STARTING);
}

static void each_turn_is_one_step_and_the_next_job(void **state)
{
	make_keeper(*state, false);
	work_begin(&k);
	while (has_work()) {
		unsigned last = k.work.last, others = k.work.todo & ~(1U << last);
		uint64_t before = turns();

		ev_run(k.loop, EVRUN_NOWAIT);
		assert_int_equal(turns(), before + 1);
		assert_true(others == 0 || k.work.last != last);
	}
}

static void the_next_tick_adds_to_what_is_left(void **state)
{
	make_keeper(*state, false);
	work_begin(&k);
	ev_run(k.loop, EVRUN_NOWAIT);
	work_begin(&k);
	do_all();
	work_begin(&k);
	do_all();
}

static void a_run_of_the_cleanup_visits_every_service(void **state)
{
	const uint64_t *visits = &proc.slot->counters[METRIC_EXPIRY_VISITS];
	uint64_t before;

	make_keeper(*state, false);
	work_begin(&k);
	do_all();
	before = *visits;
	work_begin(&k);
	do_all();
	assert_int_equal(*visits, before); /* nothing is due */
	clock_set_for_test(k.cleanup.next_run_ms * 1000, FIXTURE_WALL_US);
	work_begin(&k);
	do_all();
	assert_int_equal(*visits, before + SERVICES);
}

static void old_instances_go_first(void **state)
{
	struct fixture *f = *state;
	unsigned jobs;

	f->seg->header->attach_count++;
	make_keeper(f, true);
	work_begin(&k);
	assert_int_equal(__builtin_popcount(k.work.todo), 1);
	jobs = k.work.todo;
	assert_int_equal(proc.slot->state, SLOT_STARTING);
	do_all();
	assert_int_equal(proc.slot->state, SLOT_READY);
	assert_int_equal(proc.slot->counters[METRIC_STALE_DROPPED], SERVICES);
	assert_int_equal(proc.slot->counters[METRIC_EXPIRY_VISITS], 0);
	work_begin(&k);
	assert_true(k.work.todo != 0 && (k.work.todo & jobs) == 0);
	do_all();
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_tick_is_done_to_its_end),
		CASE(each_turn_is_one_step_and_the_next_job),
		CASE(a_run_of_the_cleanup_visits_every_service),
		CASE(the_next_tick_adds_to_what_is_left),
		CASE(old_instances_go_first),
	};

	return cmocka_run_group_tests_name("keeper_work", tests, NULL, NULL);
}
