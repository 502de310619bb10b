/* SPDX-License-Identifier: Apache-2.0 */
/* A signal of the table does what its row says, from the loop and not from a handler. */
#include "master/signals.h"

#include "tests/unit/master_fixture.h"

static unsigned reopened, reaped;

static void on_usr1(struct master *of)
{
	assert_ptr_equal(of, &m);
	reopened++;
}

static void on_chld(struct master *of)
{
	(void)of;
	reaped++;
}

static const struct signal_row rows[] = {
	{ SIGCHLD, "CHLD", on_chld },
	{ SIGUSR1, "USR1", on_usr1 },
	{ 0, NULL, NULL },
};

static int set_up(void **state)
{
	(void)state;
	reopened = reaped = 0;
	fixture_init(NULL);
	m.signals = rows;
	return signals_start(&m);
}

static int tear_down(void **state)
{
	sigset_t set;

	(void)state;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	ev_io_stop(m.loop, &m.signal_io);
	close(m.signal_fd);
	fixture_deinit();
	return 0;
}

static void each_signal_has_its_action(void **state)
{
	(void)state;
	assert_int_equal(kill(getpid(), SIGUSR1), 0);
	assert_int_equal(reopened, 0); /* it is blocked, and waits for the loop */
	ev_run(m.loop, EVRUN_ONCE);
	assert_int_equal(reopened, 1);
	assert_int_equal(reaped, 0);
	assert_int_equal(fixture_log_count("op=signal name=USR1"), 1);
}

static void all_that_came_are_served_in_one_turn(void **state)
{
	(void)state;
	assert_int_equal(kill(getpid(), SIGUSR1), 0);
	assert_int_equal(kill(getpid(), SIGCHLD), 0);
	ev_run(m.loop, EVRUN_ONCE);
	assert_true(reopened == 1 && reaped == 1);
	assert_int_equal(fixture_log_count("op=signal"), 1); /* deaths have lines of their own */
}

static void a_broken_pipe_ends_nobody(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	close(ends[0]);
	assert_int_equal(write(ends[1], "x", 1), -1);
	assert_int_equal(errno, EPIPE);
	close(ends[1]);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		ROW(each_signal_has_its_action),
		ROW(all_that_came_are_served_in_one_turn),
		ROW(a_broken_pipe_ends_nobody),
	};

	return cmocka_run_group_tests_name("signals", tests, NULL, NULL);
}
