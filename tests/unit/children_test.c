/* SPDX-License-Identifier: Apache-2.0 */
/* The table of children: what it says after each thing that can happen to a process. */
#include "master/children.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/base/log.h"
#include "tests/unit/account_fixture.h"
#include "tests/unit/death_fixture.h"

#define KEEPER (WORKERS_MAX + 1)

static struct child children[CHILDREN_ALL];
static struct ev_loop *loop;
static unsigned due_calls;
static void *due_data;

static void on_due(struct ev_loop *of, ev_timer *timer, int revents)
{
	(void)of;
	(void)revents;
	due_calls++;
	due_data = timer->data;
}

static int set_up(void **state)
{
	(void)state;
	alarm(120); /* only ends what hangs */
	due_calls = 0;
	children_init(children, 0, on_due, &due_calls);
	loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
	return loop == NULL;
}

static int tear_down(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CHILDREN_ALL; i++) {
		if (children[i].pid > 0) {
			kill(children[i].pid, SIGKILL);
			waitpid(children[i].pid, NULL, 0);
		}
		child_close_notice(&children[i]);
		child_close_migrate_end(&children[i]);
		if (children[i].migrate_fd >= 0)
			close(children[i].migrate_fd);
	}
	ev_loop_destroy(loop);
	alarm(0);
	return 0;
}

/* A process that waits for a signal. */
static void start(struct child *child)
{
	pid_t pid = child_fork(child);

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
}

static siginfo_t wait_for(const struct child *child, int what)
{
	siginfo_t info = { 0 };

	while (waitid(P_PID, (id_t)child->pid, &info, what) < 0)
		assert_int_equal(errno, EINTR);
	return info;
}

static uint32_t end_by(struct child *child, int signal_number)
{
	siginfo_t info;

	kill(child->pid, signal_number);
	info = wait_for(child, WEXITED);
	assert_int_equal(info.si_status, signal_number);
	return child_died(child, &info);
}

/* ---- the table ------------------------------------------------------------------------------- */

static void each_place_has_its_name_and_slot(void **state)
{
	static struct child other[CHILDREN_ALL];

	(void)state;
	assert_string_equal(children[3].name, "worker/3");
	assert_string_equal(children[KEEPER].name, "keeper");
	assert_int_equal(children[3].slot, slot_of_worker(0, 3));
	assert_int_equal(children[CHILDREN + 3].slot, slot_of_worker(1, 3));
	assert_int_equal(children[CHILDREN + KEEPER].slot, children[KEEPER].slot);
	assert_false(children[CHILDREN - 1].elder);
	assert_true(children[CHILDREN].elder);
	children_init(other, 1, on_due, NULL);
	assert_int_equal(other[3].slot, slot_of_worker(1, 3));
	assert_int_equal(other[CHILDREN + 3].slot, slot_of_worker(0, 3));
	assert_int_equal(other[CHILDREN + 3].index, 3);
}

static void pids_are_found_and_counted(void **state)
{
	(void)state;
	assert_int_equal(children_running(children), 0);
	assert_null(children_of_pid(children, 0));
	start(&children[1]);
	start(&children[CHILDREN + 1]);
	assert_int_equal(children_running(children), 2);
	assert_ptr_equal(children_of_pid(children, children[CHILDREN + 1].pid),
	                 &children[CHILDREN + 1]);
	assert_null(children_of_pid(children, getpid()));
	assert_null(children_of_pid(children, 0));
}

static bool was_woken(const struct child *child)
{
	uint64_t count = 0;

	return read(child->notice_fd, &count, sizeof(count)) == sizeof(count);
}

static void notices_go_to_whom_they_concern(void **state)
{
	const unsigned places[] = { 0, KEEPER, CHILDREN, CHILDREN + KEEPER, 1 /* does not run */ };
	const bool workers[] = { true, false, true, false, false },
	           own[] = { true, true, false, false, false };

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		assert_true(child_open_notice(&children[places[i]]));
		if (places[i] != 1)
			start(&children[places[i]]);
	}
	children_wake_workers(children);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(was_woken(&children[places[i]]), workers[i]);
	children_wake_own(children);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(was_woken(&children[places[i]]), own[i]);
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void a_child_keeps_only_its_own_descriptors(void **state)
{
	struct child *self = &children[0], *other = &children[1];
	siginfo_t info;
	pid_t pid;

	(void)state;
	assert_true(child_open_notice(self) && child_open_migrate(self));
	assert_true(child_open_notice(other) && child_open_migrate(other));
	if ((pid = child_fork(self)) == 0) {
		children_close_in_child(children, self);
		_exit(is_open(self->notice_fd) && is_open(self->migrate_end) &&
		      !is_open(self->migrate_fd) && !is_open(other->notice_fd) &&
		      !is_open(other->migrate_fd));
	}
	assert_true(pid > 0);
	info = wait_for(self, WEXITED);
	assert_int_equal(info.si_status, 1);
	child_died(self, &info);
}

/* ---- from one fork to the next --------------------------------------------------------------- */

static void a_fork_begins_anew(void **state)
{
	struct child *child = &children[2];

	(void)state;
	start(child);
	child_set_ready(child);
	child_set_busy(child, true);
	assert_true(child_set_stopped(child, true));
	assert_false(child_set_stopped(child, true));
	assert_true(child_set_stopped(child, false));
	assert_true(child->resumed_ms >= child->forked_ms && child->forked_ms > 0);
	child_tell(child, SIGCONT);
	child_end(child);
	assert_int_equal(end_by(child, SIGKILL), 0);
	assert_true(child->told && child->killed && !child->ready && !child->busy &&
	            child->pid == 0);
	start(child);
	assert_int_equal(child->generation, 2);
	assert_true(!child->told && !child->killed && child->resumed_ms == 0);
}

static void only_an_end_without_a_reason_is_punished(void **state)
{
	struct child *child = &children[KEEPER];
	siginfo_t modules = { .si_code = CLD_EXITED, .si_status = EXIT_MODULES };

	(void)state;
	start(child);
	assert_int_equal(end_by(child, SIGKILL), BACKOFF_FIRST_MS);
	start(child);
	assert_int_equal(end_by(child, SIGKILL), 2 * BACKOFF_FIRST_MS);
	assert_int_equal(child_not_forked(child), 4 * BACKOFF_FIRST_MS);
	start(child);
	child_set_ready(child);
	assert_int_equal(end_by(child, SIGKILL), 0);
	start(child);
	assert_int_equal(end_by(child, SIGKILL), BACKOFF_FIRST_MS);
	start(child);
	child_tell(child, SIGTERM);
	assert_int_equal(end_by(child, SIGTERM), 0);
	start(child);
	child_end(child);
	assert_int_equal(end_by(child, SIGKILL), 0);
	assert_false(child->modules);
	start(child);
	kill(child->pid, SIGKILL);
	(void)wait_for(child, WEXITED);
	assert_int_equal(child_died(child, &modules), 0);
	assert_true(child->modules);
	start(child);
	assert_int_equal(end_by(child, SIGKILL), BACKOFF_FIRST_MS);
	assert_true(child->modules);
}

static void a_pair_is_new_for_each_fork(void **state)
{
	struct child *child = &children[0];
	char byte = 'x';

	(void)state;
	assert_true(child_open_migrate(child));
	assert_int_equal(write(child->migrate_fd, &byte, 1), 1);
	child_close_migrate_end(child);
	assert_int_equal(child->migrate_end, -1);
	assert_true(child_open_migrate(child));
	assert_int_equal(fcntl(child->migrate_end, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(read(child->migrate_end, &byte, 1), -1);
	assert_int_equal(errno, EAGAIN);
}

/* The first that is there is the one that asks the predecessors for their connections. The limit
 * does not bind root. */
static int fork_at_the_limit(void *arg)
{
	struct child *child = &children[0];
	struct rlimit before, none;
	pid_t pid;

	(void)arg;
	account_become();
	CHILD_MUST(getrlimit(RLIMIT_NPROC, &before) == 0);
	none = before;
	none.rlim_cur = 0;
	CHILD_MUST(setrlimit(RLIMIT_NPROC, &none) == 0);
	CHILD_MUST(child_fork(child) < 0 && errno == EAGAIN);
	CHILD_MUST(child->pid == 0 && child->generation == 0);
	CHILD_MUST(setrlimit(RLIMIT_NPROC, &before) == 0);
	pid = child_fork(child);
	CHILD_MUST(child->generation == 1); /* on both sides */
	if (pid == 0)
		_exit(EXIT_SUCCESS);
	CHILD_MUST(pid > 0);
	return wait_for_end(pid);
}

static void a_fork_that_failed_does_not_count(void **state)
{
	(void)state;
	assert_int_equal(child_run(fork_at_the_limit, NULL), 0);
}

static void what_another_image_knew_is_taken_over(void **state)
{
	const struct child known = { .pid = -41,
		                     .generation = 7,
		                     .notice_fd = -1,
		                     .forked_ms = 5,
		                     .resumed_ms = 6,
		                     .told = true };
	struct child *child = &children[CHILDREN + 1];

	(void)state;
	child_adopt(child, &known);
	assert_true(child->pid == -41 && child->generation == 7 && child->forked_ms == 5 &&
	            child->resumed_ms == 6);
	assert_true(child->told && !child->ready && !child->stopped && !child->killed);
	assert_string_equal(child->name, "worker/1"); /* the place is its own */
	assert_true(child->elder);
}

static void a_successor_waits(void **state)
{
	struct child *child = &children[0];

	(void)state;
	child_wait(child, loop, 60000);
	assert_true(ev_is_active(&child->respawn));
	child_cancel_wait(child, loop);
	assert_false(ev_is_active(&child->respawn));
	child_wait(child, loop, 60000);
	child_wait(child, loop, 0); /* the last one counts */
	ev_run(loop, EVRUN_ONCE);
	assert_int_equal(due_calls, 1);
	assert_ptr_equal(due_data, &due_calls);
	assert_false(ev_is_active(&child->respawn));
}

/* ---- how it is made to leave ----------------------------------------------------------------- */

static void who_stands_still_hears_it_too(void **state)
{
	struct child *child = &children[0];
	siginfo_t info;

	(void)state;
	start(child);
	kill(child->pid, SIGSTOP);
	wait_for(child, WSTOPPED);
	child_set_stopped(child, true);
	child_tell(child, SIGTERM);
	assert_true(child->told);
	info = wait_for(child, WEXITED);
	assert_int_equal(info.si_status, SIGTERM);
	child_died(child, &info);
	child_untell(child);
	assert_false(child->told);
}

static unsigned lines_with(const char *path, const char *word)
{
	char line[512];
	unsigned count = 0;
	FILE *log = fopen(path, "re");

	assert_non_null(log);
	while (fgets(line, sizeof(line), log) != NULL)
		count += strstr(line, word) != NULL;
	fclose(log);
	return count;
}

static void a_kill_is_logged_once(void **state)
{
	char path[] = "/tmp/roster-children-XXXXXX";
	int fd = mkstemp(path);
	struct child *child = &children[1];
	siginfo_t info;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(log_open(path, LOG_LEVEL_INFO), 0);
	child_kill(child, "busy", 5); /* does not run */
	assert_false(child->killed);
	start(child);
	child_kill(child, "busy", 5);
	child_kill(child, "not-ready", 6);
	info = wait_for(child, WEXITED);
	assert_int_equal(info.si_status, SIGKILL);
	child_died(child, &info);
	assert_true(child->killed && !child->told);
	assert_int_equal(lines_with(path, "op=kill name=worker/1"), 1);
	assert_int_equal(lines_with(path, "why=busy ms=5"), 1);
	assert_int_equal(log_open("", LOG_LEVEL_INFO), 0);
	close(fd);
	unlink(path);
}

static volatile sig_atomic_t heard;

static void on_signal(int number)
{
	(void)number;
	heard = 1;
}

/* kill(0) would be the whole process group. */
static void nobody_else_is_signalled(void **state)
{
	struct child *child = &children[0];

	(void)state;
	signal(SIGUSR2, on_signal);
	child_tell(child, SIGUSR2);
	child_end(child);
	children_signal(children, SIGUSR2);
	assert_false(heard);
	assert_false(child->told || child->killed);
	signal(SIGUSR2, SIG_DFL);
}

/* ---- what cannot be -------------------------------------------------------------------------- */

static void fork_what_runs(void)
{
	children[0].pid = getpid();
	(void)child_fork(&children[0]);
}

static void fork_who_waits(void)
{
	child_wait(&children[0], loop, 1000);
	(void)child_fork(&children[0]);
}

static void bury_nobody(void)
{
	const siginfo_t info = { .si_code = CLD_EXITED };

	(void)child_died(&children[0], &info);
}

static void replace_an_elder(void)
{
	child_wait(&children[CHILDREN], loop, 0);
}

static void tell_to_die(void)
{
	children[0].pid = getpid();
	child_tell(&children[0], SIGKILL);
}

static void pair_for_the_keeper(void)
{
	(void)child_open_migrate(&children[KEEPER]);
}

/* The master ends rather than with a process that it does not know, or a pid that is nobody's. */
static void a_table_that_is_wrong_ends_the_master(void **state)
{
	void (*const acts[])(void) = { fork_what_runs,   fork_who_waits, bury_nobody,
		                       replace_an_elder, tell_to_die,    pair_for_the_keeper };

	(void)state;
	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
		struct death death;

		if (death_fork(&death)) {
			acts[i]();
			_exit(0);
		}
		death_was_by_assert(&death, "assert ");
	}
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		ROW(each_place_has_its_name_and_slot),
		ROW(pids_are_found_and_counted),
		ROW(notices_go_to_whom_they_concern),
		ROW(a_child_keeps_only_its_own_descriptors),
		ROW(a_fork_begins_anew),
		ROW(only_an_end_without_a_reason_is_punished),
		ROW(a_pair_is_new_for_each_fork),
		ROW(a_fork_that_failed_does_not_count),
		ROW(what_another_image_knew_is_taken_over),
		ROW(a_successor_waits),
		ROW(who_stands_still_hears_it_too),
		ROW(a_kill_is_logged_once),
		ROW(nobody_else_is_signalled),
		ROW(a_table_that_is_wrong_ends_the_master),
	};

	return cmocka_run_group_tests_name("children", tests, NULL, NULL);
}
