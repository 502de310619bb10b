/* SPDX-License-Identifier: Apache-2.0 */
/* SIGUSR2 in the image that serves: what is refused, what the trial decides, and the exec. The new
 * binary is a script. */
#include "master/upgrade/upgrade.h"

#include <sys/stat.h>

#include "tests/unit/master_fixture.h"
#include "master/upgrade/handover.h"

static int set_up(void **state)
{
	static char *args[] = { (char *)"rosterd", (char *)"-f", NULL };

	(void)state;
	fixture_init(NULL);
	m.args = args;
	m.seg->fd = open("/dev/null", O_RDWR | O_CLOEXEC); /* for the trial to look at */
	snprintf(m.path, sizeof(m.path), "%s/bin", fixture_folder);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	upgrade_release(&m);
	unlink(m.path);
	fixture_deinit();
	return 0;
}

static void put_binary(const char *body)
{
	FILE *file = fopen(m.path, "we");

	assert_non_null(file);
	fprintf(file, "#!/bin/sh\n%s\n", body);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(m.path, 0700), 0);
}

/* Until the trial has ended, as the loop and SIGCHLD would. */
static void finish_trial(void)
{
	siginfo_t info;

	assert_true(m.upgrade.trial.pid > 0);
	while (waitid(P_PID, (id_t)m.upgrade.trial.pid, &info, WEXITED | WNOWAIT) < 0)
		assert_int_equal(errno, EINTR);
	upgrade_advance(&m);
	assert_int_equal(m.upgrade.trial.pid, 0);
}

static void expect_refused(unsigned count, const char *why)
{
	assert_int_equal(m.seg->board->upgrades_refused, count);
	assert_int_equal(m.upgrade.step, UPGRADE_NONE);
	assert_null(m.upgrade.page);
	assert_true(m.upgrade.page_fd == -1 && m.upgrade.next_fd == -1);
	assert_int_equal(fixture_log_count(why), 1);
}

static void only_a_server_that_serves_is_replaced(void **state)
{
	(void)state;
	put_binary("exit 1");
	m.state = MASTER_STARTING;
	upgrade_begin(&m);
	expect_refused(1, "not serving yet, or no longer");
}

static void a_binary_that_is_not_there_is_refused(void **state)
{
	(void)state;
	upgrade_begin(&m);
	expect_refused(1, "the binary: No such file or directory");
}

static void one_that_fails_its_trial_is_refused(void **state)
{
	(void)state;
	put_binary("echo no such key; exit 1");
	upgrade_begin(&m);
	assert_int_equal(m.upgrade.step, UPGRADE_TRYING);
	finish_trial();
	expect_refused(1, "the trial failed, exit=1: no such key");
	put_binary("true"); /* any program */
	upgrade_begin(&m);
	finish_trial();
	expect_refused(2, "is this rosterd?");
	put_binary("kill -9 $$");
	upgrade_begin(&m);
	finish_trial();
	expect_refused(3, "the trial failed, signal=9");
}

static void one_at_a_time(void **state)
{
	(void)state;
	put_binary("exec sleep 1000");
	upgrade_begin(&m);
	upgrade_begin(&m);
	assert_int_equal(m.upgrade.step, UPGRADE_TRYING);
	assert_int_equal(fixture_log_count("the last one is not over"), 1);
	assert_int_equal(m.seg->board->upgrades_refused, 1);
	upgrade_stop(&m);
	assert_int_equal(m.upgrade.trial.pid, 0);
	assert_int_equal(m.upgrade.step, UPGRADE_NONE);
}

static void a_trial_that_hangs_is_ended(void **state)
{
	(void)state;
	put_binary("sleep 1000 & wait");
	upgrade_begin(&m);
	ev_invoke(m.loop, &m.upgrade.trial.limit, EV_TIMER);
	finish_trial();
	expect_refused(1, "the trial took longer than upgrade.trial_limit");
}

static void what_ends_during_the_stop_is_not_judged(void **state)
{
	(void)state;
	put_binary("case $1 in --handover=*) exit 1;; esac; echo 'roster: trial passed'");
	upgrade_begin(&m);
	m.state = MASTER_STOPPING;
	finish_trial(); /* no exec: we are still here */
	assert_int_equal(m.seg->board->upgrades_refused, 0);
	assert_int_equal(fixture_log_count("step=exec"), 0);
}

/* The children would have to stand still first, and they do already. */
static void another_layout_needs_a_conversion(void **state)
{
	(void)state;
	put_binary("echo 'roster: trial passed'; exit 3");
	upgrade_begin(&m);
	m.freeze.active = true;
	finish_trial();
	expect_refused(1, "another layout, and the registry cannot be converted now");
	m.freeze.active = false;
}

static void what_passed_the_trial_is_executed(void **state)
{
	siginfo_t info;
	pid_t pid;

	(void)state;
	put_binary(
	        "case $1 in --trial=*) echo 'roster: trial passed';; --handover=*) test $2 = -f && exit 77;; esac");
	fixture_start(&m.children[0]);
	if ((pid = fork()) == 0) {
		upgrade_begin(&m);
		finish_trial();
		_exit(1); /* it returned */
	}
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED), 0);
	assert_int_equal(info.si_status, 77);
	assert_int_equal(fixture_log_count("op=upgrade step=exec"), 1);
}

static void a_stop_ends_what_waits(void **state)
{
	(void)state;
	ev_init(&m.upgrade.prove, NULL);
	ev_init(&m.upgrade.drain, NULL);
	ev_timer_set(&m.upgrade.prove, 3600., 0.);
	ev_timer_set(&m.upgrade.drain, 3600., 0.);
	ev_timer_start(m.loop, &m.upgrade.prove);
	ev_timer_start(m.loop, &m.upgrade.drain);
	m.upgrade.step = UPGRADE_LEAVING;
	upgrade_stop(&m);
	assert_false(ev_is_active(&m.upgrade.prove) || ev_is_active(&m.upgrade.drain));
	assert_int_equal(m.upgrade.step, UPGRADE_NONE);
}

static void a_child_has_no_page(void **state)
{
	(void)state;
	m.upgrade.page_fd = dup(m.ready_fd);
	upgrade_in_child(&m, &m.children[0]);
	assert_int_equal(fcntl(m.upgrade.page_fd, F_GETFD), -1);
	m.upgrade.page_fd = -1;
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		ROW(only_a_server_that_serves_is_replaced),
		ROW(a_binary_that_is_not_there_is_refused),
		ROW(one_that_fails_its_trial_is_refused),
		ROW(one_at_a_time),
		ROW(a_trial_that_hangs_is_ended),
		ROW(what_ends_during_the_stop_is_not_judged),
		ROW(another_layout_needs_a_conversion),
		ROW(what_passed_the_trial_is_executed),
		ROW(a_stop_ends_what_waits),
		ROW(a_child_has_no_page),
	};

	return cmocka_run_group_tests_name("upgrade", tests, NULL, NULL);
}
