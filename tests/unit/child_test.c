/* SPDX-License-Identifier: Apache-2.0 */
/* child: a tiny role in a process of its own, and this test in the place of the master.
 *
 * Each hook writes its name into a trace that both processes see, and rings; who waits for a step
 * waits for that ring. */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <ev.h>

#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/process/child.h"
#include "shared/process/process.h"

#define WAIT_MS 60000    /* only ends what hangs */
#define LIMIT_MS 20U     /* of a role that does not come to its end */
#define WORK_S 0.1       /* what a role still has to do when told to stop: more than that limit */
#define FREEZE_NUMBER 7U /* any but 0 */

/* How the tiny role behaves. */
struct habits {
	bool init_fails;
	bool ready_later; /* with its first reload */
	bool stuck;       /* is never done once it was told to stop */
	bool works;       /* is done WORK_S after it was told to stop */
};

struct tiny {
	struct process *proc;
	struct ev_loop *loop;
	struct habits habits;
	bool ready;
	ev_timer work;
};

/* What both processes see. */
struct seen {
	char trace[256];
	uint32_t headers;  /* proc->config.http_headers in the last reload */
	bool busy;         /* then, too */
	uint64_t stood_ms; /* of the last freeze */
	struct config_shared config;
};

static struct seen *seen;
static struct process proc;
static struct child_hooks hooks;
static struct tiny tiny;
static char folder[] = "/tmp/child_test.XXXXXX", log_path[64], old_log_path[64];
static int master_end, migrate_end, ring;
static pid_t child;

/* ---- the tiny role --------------------------------------------------------------------------- */

static void note(const char *step)
{
	size_t n = strlen(seen->trace);

	snprintf(seen->trace + n, sizeof(seen->trace) - n, "%s", step);
	process_wake(ring);
}

static void tiny_is_done(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)timer;
	(void)events;
	note("done ");
	ev_break(loop, EVBREAK_ALL);
}

static int tiny_init(void *role, struct ev_loop *loop)
{
	struct tiny *t = role;

	t->loop = loop;
	t->ready = !t->habits.ready_later;
	ev_timer_init(&t->work, tiny_is_done, WORK_S, 0.0);
	note("init ");
	return t->habits.init_fails ? ERR_NOMEM : 0;
}

static void tiny_deinit(void *role)
{
	(void)role;
	note("deinit ");
}

static bool tiny_is_ready(const void *role)
{
	return ((const struct tiny *)role)->ready;
}

static void tiny_begin(void *role)
{
	(void)role;
	note("begin ");
}

static void tiny_reload(void *role)
{
	struct tiny *t = role;

	seen->headers = t->proc->config.http_headers;
	seen->busy = t->proc->slot->busy_since_ms != 0;
	note("reload ");
	if (!t->ready)
		process_ready(t->proc);
	t->ready = true;
}

static void tiny_notice(void *role)
{
	(void)role;
	note("notice ");
}

static void tiny_freeze_begin(void *role)
{
	(void)role;
	note("freeze ");
}

static void tiny_freeze_over(void *role, uint64_t stood_ms)
{
	(void)role;
	seen->stood_ms = stood_ms;
	note("over ");
}

static void tiny_freeze_give(void *role)
{
	(void)role;
	note("give ");
}

static void tiny_stop(void *role)
{
	struct tiny *t = role;

	note("stop ");
	if (t->habits.works)
		ev_timer_start(t->loop, &t->work);
	else if (!t->habits.stuck)
		ev_break(t->loop, EVBREAK_ALL);
}

static void tiny_leave(void *role)
{
	(void)role;
	note("leave ");
}

static unsigned tiny_unfinished(const void *role)
{
	(void)role;
	return 3;
}

static const struct child_hooks tiny_hooks = {
	.init = tiny_init,
	.deinit = tiny_deinit,
	.ready = tiny_is_ready,
	.begin = tiny_begin,
	.reload = tiny_reload,
	.notice = tiny_notice,
	.freeze_begin = tiny_freeze_begin,
	.freeze_over = tiny_freeze_over,
	.freeze_give = tiny_freeze_give,
	.stop = tiny_stop,
	.leave = tiny_leave,
	.unfinished = tiny_unfinished,
	.stop_limit_ms = WAIT_MS,
};

/* ---- the master's side ----------------------------------------------------------------------- */

static int setup(void **state)
{
	int ends[2], pair[2];

	(void)state;
	memset(seen, 0, sizeof(*seen));
	memset(&proc, 0, sizeof(proc));
	memset(&tiny, 0, sizeof(tiny));
	hooks = tiny_hooks;
	config_defaults(&proc.config);
	snprintf(proc.config.log_file, sizeof(proc.config.log_file), "%s", log_path);
	seen->config.halves[0] = proc.config;
	unlink(log_path);
	unlink(old_log_path);
	if (segment_open_anonymous(1 << 20, &proc.seg) < 0 || pipe(ends) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 || log_open(log_path, LOG_LEVEL_INFO) < 0)
		return -1;
	proc.config_shared = &seen->config;
	proc.role = ROLE_WORKER;
	proc.slot = &proc.seg->slots[0];
	proc.slot->state = SLOT_STARTING;
	proc.alive_fd = ends[0];
	master_end = ends[1];
	proc.migrate_fd = pair[0];
	migrate_end = pair[1];
	proc.notice_fd = eventfd(0, EFD_NONBLOCK);
	proc.ready_fd = ring = eventfd(0, EFD_NONBLOCK);
	snprintf(proc.name, sizeof(proc.name), "tiny");
	tiny.proc = &proc;
	return proc.notice_fd < 0 || ring < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	if (child > 0) { /* its test failed */
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		child = 0;
	}
	close(proc.alive_fd);
	close(proc.migrate_fd);
	close(proc.notice_fd);
	close(ring);
	close(migrate_end);
	if (master_end >= 0)
		close(master_end);
	segment_close_for_test(&proc.seg);
	return 0;
}

static void start(void)
{
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		close(master_end);
		process_enter(&proc);
		_exit(child_run(&proc, &hooks, &tiny));
	}
}

/* Until the child did or said something more. */
static void wait_for_ring(void)
{
	struct pollfd rung = { .fd = ring, .events = POLLIN };
	uint64_t times;

	assert_int_equal(poll(&rung, 1, WAIT_MS), 1);
	assert_int_equal(read(ring, &times, sizeof(times)), sizeof(times));
}

static void wait_for_trace(const char *trace)
{
	while (strcmp(seen->trace, trace) != 0)
		wait_for_ring();
}

static uint32_t slot_state(void)
{
	return __atomic_load_n(&proc.slot->state, __ATOMIC_ACQUIRE);
}

/* The state of the slot is stored before it is rung. */
static void wait_for_state(enum slot_state state)
{
	while (slot_state() != (uint32_t)state)
		wait_for_ring();
}

static void wait_for_frozen(void)
{
	while (__atomic_load_n(&proc.slot->frozen_seen, __ATOMIC_ACQUIRE) != FREEZE_NUMBER)
		wait_for_ring();
}

static void freeze(void)
{
	__atomic_store_n(&proc.seg->board->frozen, FREEZE_NUMBER, __ATOMIC_RELEASE);
	process_wake(proc.notice_fd);
}

/* Without a ring, which could come late and be one more notice: the child looks now and then. */
static void thaw(void)
{
	__atomic_store_n(&proc.seg->board->frozen, 0, __ATOMIC_RELEASE);
}

static void tell(int signal_number)
{
	assert_int_equal(kill(child, signal_number), 0);
}

static void assert_ends_with(int code)
{
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	child = 0;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), code);
}

static bool logged(const char *path, const char *text)
{
	char line[512];
	bool found = false;
	FILE *file = fopen(path, "r");

	while (file != NULL && !found && fgets(line, sizeof(line), file) != NULL)
		found = strstr(line, text) != NULL;
	if (file != NULL)
		fclose(file);
	return found;
}

#define STARTED "init notice begin "

/* ---- a life ---------------------------------------------------------------------------------- */

static void it_is_ready_and_stops(void **state)
{
	(void)state;
	start();
	wait_for_trace(STARTED);
	assert_int_equal(slot_state(), SLOT_READY);
	tell(SIGTERM);
	assert_ends_with(EXIT_SUCCESS);
	assert_string_equal(seen->trace, STARTED "stop deinit ");
	assert_int_equal(slot_state(), SLOT_STOPPING);
	assert_false(logged(log_path, "op=stop"));
}

static void hooks_may_be_missing(void **state)
{
	(void)state;
	hooks = (struct child_hooks){ .init = tiny_init, .deinit = tiny_deinit, .stop = tiny_stop };
	start();
	wait_for_state(SLOT_READY);
	tell(SIGHUP);
	freeze();
	wait_for_frozen();
	thaw();
	tell(SIGUSR2);
	assert_ends_with(EXIT_SUCCESS);
	assert_string_equal(seen->trace, "init stop deinit ");
}

static void it_is_ready_when_it_says_so(void **state)
{
	(void)state;
	tiny.habits.ready_later = true;
	start();
	wait_for_trace(STARTED);
	assert_int_equal(slot_state(), SLOT_STARTING);
	tell(SIGHUP);
	wait_for_state(SLOT_READY);
	tell(SIGINT);
	assert_ends_with(EXIT_SUCCESS);
}

static void a_failed_init_is_logged(void **state)
{
	(void)state;
	tiny.habits.init_fails = true;
	start();
	assert_ends_with(EXIT_FAILURE);
	assert_string_equal(seen->trace, "init deinit ");
	assert_int_equal(slot_state(), SLOT_STARTING);
	assert_true(logged(log_path, "op=init err="));
}

static void it_ends_with_the_master(void **state)
{
	(void)state;
	start();
	wait_for_trace(STARTED);
	close(master_end);
	master_end = -1;
	assert_ends_with(EXIT_SUCCESS);
	assert_string_equal(seen->trace, STARTED "deinit ");
}

/* ---- signals --------------------------------------------------------------------------------- */

static void the_configuration_is_there_before_the_reload(void **state)
{
	(void)state;
	start();
	wait_for_trace(STARTED);
	seen->config.halves[0].http_headers = 4711;
	tell(SIGHUP);
	wait_for_trace(STARTED "reload ");
	assert_int_equal(seen->headers, 4711);
	tell(SIGTERM);
	assert_ends_with(EXIT_SUCCESS);
}

static void callbacks_are_busy_and_waits_are_idle(void **state)
{
	(void)state;
	start();
	wait_for_trace(STARTED);
	tell(SIGHUP);
	wait_for_trace(STARTED "reload ");
	assert_true(seen->busy);
	/* Seen after the next wait, at which the turn of the reload has ended. */
	process_wake(proc.notice_fd);
	wait_for_trace(STARTED "reload notice ");
	assert_true(proc.slot->turns > 0);
	tell(SIGTERM);
	assert_ends_with(EXIT_SUCCESS);
}

/* SIGUSR2 is read after SIGUSR1, whose number is lower: when it left, it has opened the log
 * again. */
static void the_log_is_opened_again(void **state)
{
	(void)state;
	start();
	wait_for_trace(STARTED);
	assert_int_equal(rename(log_path, old_log_path), 0);
	tell(SIGUSR1);
	tell(SIGUSR2);
	wait_for_trace(STARTED "leave ");
	assert_int_equal(access(log_path, F_OK), 0);
	tell(SIGTERM);
	assert_ends_with(EXIT_SUCCESS);
}

static void a_log_that_cannot_be_opened_is_said_in_the_old_one(void **state)
{
	(void)state;
	start();
	wait_for_trace(STARTED);
	assert_int_equal(rename(log_path, old_log_path), 0);
	assert_int_equal(symlink(old_log_path, log_path), 0);
	tell(SIGUSR1);
	tell(SIGUSR2);
	wait_for_trace(STARTED "leave ");
	assert_true(logged(old_log_path, "op=log-reopen err="));
	tell(SIGTERM);
	assert_ends_with(EXIT_SUCCESS);
}

static void it_leaves_once_and_stops_once(void **state)
{
	(void)state;
	tiny.habits.stuck = true;
	start();
	wait_for_trace(STARTED);
	tell(SIGUSR2);
	wait_for_trace(STARTED "leave ");
	assert_int_equal(slot_state(), SLOT_STOPPING);
	tell(SIGUSR2);
	tell(SIGTERM);
	wait_for_trace(STARTED "leave stop ");
	tell(SIGTERM);
	tell(SIGUSR2);
	tell(SIGHUP); /* read first, but in one go with the others */
	wait_for_trace(STARTED "leave stop reload ");
	close(master_end);
	master_end = -1;
	assert_ends_with(EXIT_SUCCESS);
	assert_string_equal(seen->trace, STARTED "leave stop reload deinit ");
}

static void a_stuck_stop_is_bounded(void **state)
{
	(void)state;
	tiny.habits.stuck = true;
	hooks.stop_limit_ms = LIMIT_MS;
	start();
	wait_for_trace(STARTED);
	tell(SIGTERM);
	assert_ends_with(EXIT_SUCCESS);
	assert_string_equal(seen->trace, STARTED "stop deinit ");
	assert_true(logged(log_path, "op=stop result=bounded unfinished=3"));
}

/* Else the limit would come before the end of the work. */
static void a_quit_takes_as_long_as_it_takes(void **state)
{
	(void)state;
	tiny.habits.works = true;
	hooks.stop_limit_ms = LIMIT_MS;
	start();
	wait_for_trace(STARTED);
	tell(SIGQUIT);
	assert_ends_with(EXIT_SUCCESS);
	assert_string_equal(seen->trace, STARTED "stop done deinit ");
	assert_false(logged(log_path, "op=stop"));
}

static void a_quit_may_have_a_limit(void **state)
{
	(void)state;
	tiny.habits.works = true;
	hooks.quit_limit_ms = LIMIT_MS;
	start();
	wait_for_trace(STARTED);
	tell(SIGQUIT);
	assert_ends_with(EXIT_SUCCESS);
	assert_string_equal(seen->trace, STARTED "stop deinit ");
}

static void a_quit_is_bounded_by_a_later_stop(void **state)
{
	(void)state;
	tiny.habits.stuck = true;
	hooks.stop_limit_ms = LIMIT_MS;
	start();
	wait_for_trace(STARTED);
	tell(SIGQUIT);
	wait_for_trace(STARTED "stop ");
	tell(SIGTERM);
	assert_ends_with(EXIT_SUCCESS);
	assert_string_equal(seen->trace, STARTED "stop deinit ");
}

/* ---- standing still -------------------------------------------------------------------------- */

static void a_notice_is_passed_on(void **state)
{
	(void)state;
	start();
	wait_for_trace(STARTED);
	process_wake(proc.notice_fd);
	wait_for_trace(STARTED "notice ");
	tell(SIGTERM);
	assert_ends_with(EXIT_SUCCESS);
}

/* The signal that came meanwhile is answered afterwards. */
static void it_stands_still_and_goes_on(void **state)
{
	uint64_t began_ms = clock_mono_ms();

	(void)state;
	start();
	wait_for_trace(STARTED);
	freeze();
	wait_for_frozen();
	assert_int_equal(proc.slot->busy_since_ms, 0);
	tell(SIGHUP);
	assert_string_equal(seen->trace, STARTED "freeze ");
	thaw();
	wait_for_trace(STARTED "freeze over notice reload ");
	assert_true(seen->stood_ms <= clock_mono_ms() - began_ms);
	assert_int_equal(proc.slot->frozen_seen, 0);
	tell(SIGTERM);
	assert_ends_with(EXIT_SUCCESS);
}

static void it_stands_still_before_it_begins(void **state)
{
	(void)state;
	freeze();
	start();
	wait_for_frozen();
	assert_int_equal(slot_state(), SLOT_READY);
	assert_string_equal(seen->trace, "init freeze ");
	thaw();
	wait_for_trace("init freeze over notice begin ");
	tell(SIGTERM);
	assert_ends_with(EXIT_SUCCESS);
}

static void it_leaves_at_once_while_it_stands_still(void **state)
{
	(void)state;
	start();
	wait_for_trace(STARTED);
	freeze();
	wait_for_frozen();
	tell(SIGTERM);
	assert_ends_with(EXIT_SUCCESS);
	assert_string_equal(seen->trace, STARTED "freeze ");
}

static void it_gives_to_a_successor_and_leaves(void **state)
{
	(void)state;
	start();
	wait_for_trace(STARTED);
	freeze();
	wait_for_frozen();
	assert_int_equal(write(migrate_end, "x", 1), 1);
	assert_ends_with(EXIT_SUCCESS);
	assert_string_equal(seen->trace, STARTED "freeze give ");
}

static int group_setup(void **state)
{
	(void)state;
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (seen == MAP_FAILED || mkdtemp(folder) == NULL)
		return -1;
	snprintf(log_path, sizeof(log_path), "%s/log", folder);
	snprintf(old_log_path, sizeof(old_log_path), "%s/log.1", folder);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	unlink(log_path);
	unlink(old_log_path);
	munmap(seen, sizeof(*seen));
	return rmdir(folder);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(it_is_ready_and_stops),
		CASE(hooks_may_be_missing),
		CASE(it_is_ready_when_it_says_so),
		CASE(a_failed_init_is_logged),
		CASE(it_ends_with_the_master),
		CASE(the_configuration_is_there_before_the_reload),
		CASE(callbacks_are_busy_and_waits_are_idle),
		CASE(the_log_is_opened_again),
		CASE(a_log_that_cannot_be_opened_is_said_in_the_old_one),
		CASE(it_leaves_once_and_stops_once),
		CASE(a_stuck_stop_is_bounded),
		CASE(a_quit_takes_as_long_as_it_takes),
		CASE(a_quit_may_have_a_limit),
		CASE(a_quit_is_bounded_by_a_later_stop),
		CASE(a_notice_is_passed_on),
		CASE(it_stands_still_and_goes_on),
		CASE(it_stands_still_before_it_begins),
		CASE(it_leaves_at_once_while_it_stands_still),
		CASE(it_gives_to_a_successor_and_leaves),
	};

	return cmocka_run_group_tests_name("child", tests, group_setup, group_teardown);
}
