/* SPDX-License-Identifier: Apache-2.0 */
/* Who is found ready, who is found stuck, and who is killed for it. */
#include "master/watch.h"

#include "tests/unit/master_fixture.h"
#include "shared/shm/shard.h"

static unsigned advanced, ready;
static const struct child *last_ready;

static void advance(struct master *of)
{
	assert_ptr_equal(of, &m);
	advanced++;
}

static void child_ready(struct master *of, const struct child *child)
{
	assert_ptr_equal(of, &m);
	assert_true(child->ready);
	ready++;
	last_ready = child;
}

static const struct plan rows[] = {
	{ "test", .advance = advance, .child_ready = child_ready },
	{ .name = NULL },
};

static int set_up(void **state)
{
	(void)state;
	advanced = ready = 0;
	fixture_init(rows);
	watch_start(&m);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	ev_timer_stop(m.loop, &m.watch);
	fixture_deinit();
	return 0;
}

/* What the timer does once a second; however late we are, it is in time. */
static void turn(void)
{
	m.watch_ms = clock_mono_ms();
	ev_invoke(m.loop, &m.watch, EV_TIMER);
}

static struct slot *slot_of(const struct child *child)
{
	return &m.seg->slots[child->slot];
}

static void expect_killed(struct child *child, const char *line)
{
	siginfo_t info = fixture_wait_end(child);

	assert_int_equal(info.si_status, SIGKILL);
	assert_true(child->killed);
	assert_int_equal(fixture_log_count(line), 1);
}

/* It runs, and nobody has sent it anything. */
static void expect_untouched(const struct child *child)
{
	siginfo_t info = { 0 };

	assert_false(child->killed);
	assert_int_equal(waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT), 0);
	assert_int_equal(info.si_pid, 0);
}

static void a_child_is_ready_once(void **state)
{
	(void)state;
	m.children[1].backoff.failures = 3;
	spawn_wanted(&m);
	while (ready < 4) {
		fixture_wait_ring();
		watch_ring(&m);
	}
	assert_true(m.children[1].ready && m.children[KEEPER].ready);
	assert_int_equal(m.children[1].backoff.failures, 0);
	assert_int_equal(fixture_log_count("op=child-ready name=worker/1"), 1);
	advanced = 0;
	watch_ring(&m);
	assert_int_equal(ready, 4);
	assert_int_equal(advanced, 1);
}

static void a_start_does_not_log_each(void **state)
{
	(void)state;
	m.state = MASTER_STARTING;
	fixture_start(&m.children[0]);
	slot_of(&m.children[0])->state = SLOT_READY;
	watch_ring(&m);
	assert_int_equal(ready, 1);
	assert_ptr_equal(last_ready, &m.children[0]);
	assert_int_equal(fixture_log_count("op=child-ready"), 0);
}

/* So that a slow machine makes no difference. */
static void be_patient_with(struct child *child)
{
	static struct role_row row;

	row = *child->role;
	row.busy_kill_ms = 60000;
	child->role = &row;
}

static void a_long_turn_is_said_and_then_ended(void **state)
{
	struct child *child = &m.children[0];
	uint64_t now = clock_mono_ms();

	(void)state;
	fixture_start(child);
	child_set_ready(child);
	be_patient_with(child);
	slot_of(child)->busy_since_ms = now - WATCH_BUSY_MS - 500;
	turn();
	turn();
	assert_true(child->busy);
	assert_int_equal(fixture_log_count("op=child-busy name=worker/0"), 1);
	slot_of(child)->busy_since_ms = 0;
	turn();
	assert_false(child->busy);
	slot_of(child)->busy_since_ms = now - child->role->busy_kill_ms - 1;
	expect_untouched(child);
	turn();
	expect_killed(child, "op=kill name=worker/0");
}

static void time_in_which_it_or_we_stood_still_does_not_count(void **state)
{
	struct child *child = &m.children[0];

	(void)state;
	fixture_start(child);
	child_set_ready(child);
	be_patient_with(child);
	slot_of(child)->busy_since_ms = clock_mono_ms() - child->role->busy_kill_ms - 1;
	child_set_stopped(child, true);
	turn();
	expect_untouched(child);
	child_set_stopped(child, false); /* its time begins here */
	turn();
	expect_untouched(child);
	child->resumed_ms = 0;
	m.watch_ms = clock_mono_ms() - 3000; /* the timer is late */
	ev_invoke(m.loop, &m.watch, EV_TIMER);
	assert_true(m.resumed_ms > 0 && m.resumed_ms == m.watch_ms);
	expect_untouched(child);
	m.resumed_ms = 0;
	turn();
	expect_killed(child, "why=busy");
}

static void who_is_not_ready_in_time_is_killed(void **state)
{
	struct child *late = &m.children[0], *told = &m.children[1],
	             *ready_one = &m.children[KEEPER];

	(void)state;
	fixture_start(late);
	fixture_start(told);
	fixture_start(ready_one);
	child_set_ready(ready_one);
	told->told = true;
	late->forked_ms = told->forked_ms = ready_one->forked_ms =
	        clock_mono_ms() - WATCH_START_MS - 1;
	turn();
	expect_killed(late, "op=kill name=worker/0 ");
	assert_int_equal(fixture_log_count("why=not-ready"), 1);
	expect_untouched(told);
	expect_untouched(ready_one);
}

static void report(const struct child *waiter, unsigned shard, pid_t owner)
{
	slot_of(waiter)->stuck_owner = (uint32_t)owner;
	slot_of(waiter)->stuck_shard = shard + 1;
	watch_ring(&m);
	assert_int_equal(slot_of(waiter)->stuck_shard, 0); /* taken */
}

static void who_holds_a_lock_for_too_long_is_killed(void **state)
{
	struct child *waiter = &m.children[0], *owner = &m.children[1];

	(void)state;
	fixture_start(waiter);
	fixture_start(owner);
	report(waiter, 7, owner->pid); /* the shard has no owner: the report is old */
	expect_untouched(owner);
	m.seg->shards[7].owner = (uint32_t)getpid();
	report(waiter, 7, getpid());
	assert_int_equal(fixture_log_count("op=lock-stuck shard=7 waiter=worker/0 owner="), 1);
	assert_int_equal(fixture_log_count("result=not-a-child"), 1);
	m.seg->shards[7].owner = (uint32_t)owner->pid;
	report(waiter, SHARDS_ALL, owner->pid); /* no such shard */
	expect_untouched(owner);
	report(waiter, 7, owner->pid);
	expect_killed(owner, "op=kill name=worker/1");
	expect_untouched(waiter);
}

static void who_was_stopped_may_hold_a_lock_of_nobody(void **state)
{
	struct child *waiter = &m.children[0], *stopped = &m.children[1];

	(void)state;
	fixture_start(waiter);
	fixture_start(stopped);
	child_set_stopped(stopped, true);
	report(waiter, 7, 0);
	expect_killed(stopped, "op=kill name=worker/1");
	expect_untouched(waiter);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		ROW(a_child_is_ready_once),
		ROW(a_start_does_not_log_each),
		ROW(a_long_turn_is_said_and_then_ended),
		ROW(time_in_which_it_or_we_stood_still_does_not_count),
		ROW(who_is_not_ready_in_time_is_killed),
		ROW(who_holds_a_lock_for_too_long_is_killed),
		ROW(who_was_stopped_may_hold_a_lock_of_nobody),
	};

	return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
