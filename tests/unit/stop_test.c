/* SPDX-License-Identifier: Apache-2.0 */
/* The end: in which order children leave, what bounds it, and that plans end first. */
#include "master/stop.h"

#include "tests/unit/master_fixture.h"

static unsigned plans_ended;

static void end_of_plan(struct master *of)
{
	assert_int_not_equal(of->state, MASTER_STOPPING);
	plans_ended++;
}

static const struct plan rows[] = {
	{ "stop", .advance = stop_advance, .stop = end_of_plan },
	{ .name = NULL },
};

static int set_up(void **state)
{
	(void)state;
	plans_ended = 0;
	fixture_init(rows);
	fixture_start(&m.children[0]);
	fixture_start(&m.children[PUSHER]);
	fixture_start(&m.children[KEEPER]);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fixture_deinit();
	return 0;
}

static void lose(struct child *child, int signal_number)
{
	siginfo_t info = fixture_wait_end(child);

	assert_int_equal(info.si_status, signal_number);
	waitpid(child->pid, NULL, 0);
	child_died(child, &info);
}

static bool told(unsigned place)
{
	return m.children[place].told;
}

static void who_serves_clients_leaves_first(void **state)
{
	(void)state;
	child_wait(&m.children[1], m.loop, 60000);
	m.children[KEEPER].told = true; /* to take its time, by an upgrade */
	stop_bounded(&m);
	assert_int_equal(plans_ended, 1);
	assert_int_equal(m.state, MASTER_STOPPING);
	assert_true(m.bounded && ev_is_active(&m.kill) && !m.failed && !m.renew);
	assert_false(ev_is_active(&m.children[1].respawn));
	assert_true(told(0) && !told(PUSHER) && !told(KEEPER));
	stop_advance(&m);
	assert_false(told(PUSHER));
	lose(&m.children[0], SIGTERM);
	stop_advance(&m);
	assert_true(told(PUSHER) && told(KEEPER));
	lose(&m.children[PUSHER], SIGTERM);
	lose(&m.children[KEEPER], SIGTERM);
	assert_int_equal(fixture_log_count("op=stop signal=15 bounded=1 children=3"), 1);
}

static bool listens(int fd)
{
	int on = 0;
	socklen_t size = sizeof(on);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &size), 0);
	return on != 0;
}

/* Callers shall be refused, not kept waiting; but not as long as somebody may still accept. */
static void sockets_end_when_nobody_accepts(void **state)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_int_equal(listen(fd, 1), 0);
	m.sockets.listen.fds[0] = fd;
	fixture_start(&m.children[1]);
	stop_bounded(&m);
	m.seg->slots[m.children[0].slot].state = SLOT_STOPPING;
	stop_advance(&m);
	assert_true(listens(fd));
	m.seg->slots[m.children[1].slot].state = SLOT_STOPPING;
	stop_advance(&m);
	assert_false(listens(fd));
	close(fd);
}

static void on_idle(struct ev_loop *loop, ev_idle *idle, int revents)
{
	(void)revents;
	for (unsigned i = 0; i < CHILDREN; i++)
		if (m.children[i].pid > 0 && m.children[i].told)
			lose(&m.children[i], SIGQUIT);
	if (children_running(m.children) == 0)
		ev_idle_stop(loop, idle);
	stop_advance(&m);
}

static void the_loop_ends_when_the_last_has_left(void **state)
{
	ev_timer other; /* keeps the loop going */
	ev_idle idle;

	(void)state;
	stop_unbounded(&m);
	assert_false(m.bounded);
	ev_init(&other, NULL);
	ev_timer_set(&other, 3600., 0.);
	ev_timer_start(m.loop, &other);
	ev_idle_init(&idle, on_idle);
	ev_idle_start(m.loop, &idle);
	assert_true(ev_run(m.loop, 0) != 0); /* by ev_break(), with a watcher left */
	ev_timer_stop(m.loop, &other);
	assert_int_equal(children_running(m.children), 0);
}

static void ignore(int signal_number)
{
	struct child *child = &m.children[1];
	sigset_t set, before;

	sigemptyset(&set);
	sigaddset(&set, signal_number);
	sigprocmask(SIG_BLOCK, &set, &before);
	fixture_start(child); /* inherits the mask */
	sigprocmask(SIG_SETMASK, &before, NULL);
}

static void who_does_not_leave_is_killed(void **state)
{
	struct child *deaf = &m.children[1];

	(void)state;
	ignore(SIGTERM);
	stop_bounded(&m);
	lose(&m.children[0], SIGTERM);
	stop_advance(&m);
	assert_false(told(PUSHER));
	ev_invoke(m.loop, &m.kill, EV_TIMER);
	assert_true(deaf->killed && deaf->told);
	lose(deaf, SIGKILL);
	assert_int_equal(fixture_log_count("op=stop name=worker/1 "), 1);
	assert_int_equal(fixture_log_count("result=killed limit_ms=10000"), 3);
}

static void a_second_signal_bounds_the_first(void **state)
{
	struct child *deaf = &m.children[1];

	(void)state;
	ignore(SIGQUIT);
	stop_unbounded(&m);
	stop_unbounded(&m);
	assert_false(m.bounded);
	lose(&m.children[0], SIGQUIT);
	stop_bounded(&m);
	lose(deaf, SIGTERM); /* was told again */
	assert_true(m.bounded && ev_is_active(&m.kill));
	assert_int_equal(plans_ended, 1);
	stop_advance(&m);
	lose(&m.children[PUSHER], SIGTERM);
	lose(&m.children[KEEPER], SIGTERM);
}

static void a_failed_start_says_why(void **state)
{
	(void)state;
	stop_failed(&m, "a test");
	stop_failed(&m, "another");
	stop_for_new_segment(&m, "too late");
	assert_true(m.failed && !m.renew && m.bounded && told(0));
	assert_int_equal(m.seg->header->damaged_ms, 0);
	assert_int_equal(fixture_log_count("op=start result=failed why=\"a test\""), 1);
	assert_int_equal(fixture_log_count("another"), 0);
	lose(&m.children[0], SIGTERM);
}

static void a_damaged_segment_is_condemned_and_we_come_again(void **state)
{
	(void)state;
	stop_for_new_segment(&m, "check");
	assert_true(m.renew && !m.failed && m.bounded && told(0));
	assert_true(m.seg->header->damaged_ms != 0);
	assert_int_equal(fixture_log_count("op=new-segment by=check result=all-restart"), 1);
	lose(&m.children[0], SIGTERM);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		ROW(who_serves_clients_leaves_first),
		ROW(sockets_end_when_nobody_accepts),
		ROW(the_loop_ends_when_the_last_has_left),
		ROW(who_does_not_leave_is_killed),
		ROW(a_second_signal_bounds_the_first),
		ROW(a_failed_start_says_why),
		ROW(a_damaged_segment_is_condemned_and_we_come_again),
	};

	return cmocka_run_group_tests_name("stop", tests, NULL, NULL);
}
