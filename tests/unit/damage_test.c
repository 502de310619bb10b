/* SPDX-License-Identifier: Apache-2.0 */
/* Which deaths speak against the segment, and when it is given up. */
#include "master/damage.h"

#include "tests/unit/master_fixture.h"

static const siginfo_t segv = { .si_code = CLD_DUMPED, .si_status = SIGSEGV };

static int set_up(void **state)
{
	(void)state;
	fixture_init(NULL);
	m.origin = SEGMENT_ATTACHED;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fixture_deinit();
	return 0;
}

static void die(const siginfo_t *info)
{
	damage_child_died(&m, &m.children[0], info);
}

static uint64_t asked(void)
{
	return m.seg->header->audit_wanted;
}

static void crashes_after_an_attach_give_it_up(void **state)
{
	const siginfo_t abrt = { .si_code = CLD_KILLED, .si_status = SIGABRT };

	(void)state;
	for (unsigned i = 1; i < DAMAGE_CRASHES; i++) {
		die(i % 2 ? &segv : &abrt);
		assert_int_equal(m.crashes, i);
		assert_int_equal(asked(), i);
		assert_int_not_equal(m.state, MASTER_STOPPING);
	}
	die(&segv);
	assert_true(m.state == MASTER_STOPPING && m.renew);
	assert_int_equal(fixture_log_count("op=new-segment by=crashes"), 1);
	die(&segv); /* nobody counts any more */
	assert_int_equal(m.crashes, DAMAGE_CRASHES);
}

static void other_deaths_do_not_count(void **state)
{
	const siginfo_t others[] = {
		{ .si_code = CLD_EXITED,
		  .si_status = SIGSEGV }, /* an exit code that looks like one */
		{ .si_code = CLD_EXITED, .si_status = 0 },
		{ .si_code = CLD_KILLED, .si_status = SIGKILL },
		{ .si_code = CLD_KILLED, .si_status = SIGTERM },
	};

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		die(&others[i]);
	m.children[0].told = true;
	die(&segv);
	m.children[0].told = false;
	assert_int_equal(m.crashes, 0);
	assert_int_equal(asked(), 0);
	m.children[0].killed = true; /* it hung: the content is looked at, no more */
	die(&others[2]);
	assert_int_equal(m.crashes, 0);
	assert_int_equal(asked(), 1);
}

static void late_crashes_and_those_of_a_new_one_only_ask_for_a_check(void **state)
{
	(void)state;
	m.started_ms = clock_mono_ms() - DAMAGE_WINDOW_MS - 1;
	die(&segv);
	m.started_ms = clock_mono_ms();
	m.origin = SEGMENT_NEW;
	die(&segv);
	assert_int_equal(m.crashes, 0);
	assert_int_equal(asked(), 2);
}

/* One request may break a rule of the program again and again; what is stored is not to blame. */
static void an_assert_only_asks_for_a_check(void **state)
{
	const siginfo_t abrt = { .si_code = CLD_DUMPED, .si_status = SIGABRT };

	(void)state;
	m.children[0].asserted = true;
	for (unsigned i = 1; i <= 2 * DAMAGE_CRASHES; i++) {
		die(&abrt);
		assert_int_equal(asked(), i);
	}
	assert_int_equal(m.crashes, 0);
	assert_int_equal(m.state, MASTER_SERVING);
}

static void a_check_that_found_damage_gives_it_up(void **state)
{
	(void)state;
	damage_advance(&m);
	assert_int_equal(m.state, MASTER_SERVING);
	segment_condemn(m.seg);
	damage_advance(&m);
	assert_true(m.state == MASTER_STOPPING && m.renew);
	assert_int_equal(fixture_log_count("op=new-segment by=check result=all-restart"), 1);
}

static void a_new_one_is_kept_for_a_while(void **state)
{
	(void)state;
	m.origin = SEGMENT_NEW;
	segment_condemn(m.seg);
	damage_advance(&m);
	damage_advance(&m);
	assert_true(m.condemned && m.state == MASTER_SERVING);
	assert_int_equal(fixture_log_count("op=new-segment by=check result=waits"), 1);
	m.started_ms = clock_mono_ms() - DAMAGE_GAP_MS;
	damage_advance(&m);
	assert_true(m.state == MASTER_STOPPING && m.renew);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		ROW(crashes_after_an_attach_give_it_up),
		ROW(other_deaths_do_not_count),
		ROW(late_crashes_and_those_of_a_new_one_only_ask_for_a_check),
		ROW(an_assert_only_asks_for_a_check),
		ROW(a_check_that_found_damage_gives_it_up),
		ROW(a_new_one_is_kept_for_a_while),
	};

	return cmocka_run_group_tests_name("damage", tests, NULL, NULL);
}
