/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/process/process.h"
#include "tests/unit/death_fixture.h"

static uint64_t rings(int fd)
{
	uint64_t count = 0;

	return read(fd, &count, sizeof(count)) == (ssize_t)sizeof(count) ? count : 0;
}

static void state_goes_to_the_slot_and_rings(void **state)
{
	struct slot slot = { .state = SLOT_STARTING };
	struct process proc = { .slot = &slot, .ready_fd = eventfd(0, EFD_NONBLOCK) };

	(void)state;
	process_ready(&proc);
	assert_int_equal(slot.state, SLOT_READY);
	assert_int_equal(rings(proc.ready_fd), 1);
	process_stopping(&proc);
	assert_int_equal(slot.state, SLOT_STOPPING);
	assert_int_equal(rings(proc.ready_fd), 1);
	close(proc.ready_fd);
	proc.ready_fd = -1; /* no master: nothing to ring */
	process_ready(&proc);
	assert_int_equal(slot.state, SLOT_READY);
}

static void busy_is_a_time_and_idle_is_zero(void **state)
{
	struct slot slot = { 0 };
	struct process proc = { .slot = &slot, .ready_fd = -1 };

	(void)state;
	process_busy(&proc);
	assert_int_not_equal(slot.busy_since_ms, 0);
	process_idle(&proc);
	assert_int_equal(slot.busy_since_ms, 0);
}

static void turns_add_up(void **state)
{
	struct slot slot = { 0 };
	struct process proc = { .slot = &slot, .ready_fd = -1 };

	(void)state;
	process_idle(&proc); /* nothing was done before the first wait */
	assert_int_equal(slot.turns, 0);
	clock_set_for_test(5000000, 1);
	process_busy(&proc);
	clock_set_for_test(5000300, 1);
	process_idle(&proc);
	process_busy(&proc);
	clock_set_for_test(5000400, 1);
	process_idle(&proc);
	clock_set_for_test(0, 0);
	assert_int_equal(slot.turns, 2);
	assert_int_equal(slot.busy_us, 400);
	assert_int_equal(slot.busy_us_max, 300);
}

static void reload_takes_the_current_half(void **state)
{
	static struct config_shared shared;
	struct process proc = { .config_shared = &shared, .ready_fd = -1 };

	(void)state;
	shared.halves[0].http_headers = 10;
	shared.halves[1].http_headers = 11;
	shared.halves[0].log_level = shared.halves[1].log_level = LOG_LEVEL_INFO;
	process_reload(&proc);
	assert_int_equal(proc.config.http_headers, 10);
	shared.generation = 1;
	process_reload(&proc);
	assert_int_equal(proc.config.http_headers, 11);
	shared.generation = 2;
	process_reload(&proc);
	assert_int_equal(proc.config.http_headers, 10);
}

static void signals_come_one_by_one(void **state)
{
	int fd = process_signal_fd();

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(process_next_signal(fd), 0);
	kill(getpid(), SIGHUP);
	assert_int_equal(process_next_signal(fd), SIGHUP);
	kill(getpid(), SIGTERM);
	assert_int_equal(process_next_signal(fd), SIGTERM);
	kill(getpid(), SIGPIPE); /* ignored: we live */
	assert_int_equal(process_next_signal(fd), 0);
	close(fd);
}

static void last_words_are_in_the_slot(void **state)
{
	struct slot *slot = mmap(NULL, sizeof(*slot), PROT_READ | PROT_WRITE,
	                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	(void)state;
	assert_ptr_not_equal(slot, MAP_FAILED);
	if ((pid = fork()) == 0) {
		struct process proc = { .slot = slot, .ready_fd = -1 };

		signal(SIGABRT, SIG_DFL);
		process_enter(&proc);
		ROSTER_ASSERT(1 + 1 == 2);
		ROSTER_ASSERT(pid == 4711);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_non_null(strstr(slot->last_words, "assert pid == 4711 at "));
	munmap(slot, sizeof(*slot));
}

static void nobody_waits_for_events_under_a_lock(void **state)
{
	static const char shard[1];
	struct board board = { 0 };
	struct slot slot = { 0 };
	struct segment seg = { .board = &board, .held = (const struct shard *)(const void *)shard };
	struct process proc = { .slot = &slot, .seg = &seg, .ready_fd = -1 };
	struct death death;

	(void)state;
	if (death_fork(&death)) {
		process_idle(&proc);
		_exit(0);
	}
	death_was_by_assert(&death, "assert ");
	seg.held = NULL;
	process_idle(&proc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(state_goes_to_the_slot_and_rings),
		cmocka_unit_test(busy_is_a_time_and_idle_is_zero),
		cmocka_unit_test(turns_add_up),
		cmocka_unit_test(reload_takes_the_current_half),
		cmocka_unit_test(signals_come_one_by_one),
		cmocka_unit_test(last_words_are_in_the_slot),
		cmocka_unit_test(nobody_waits_for_events_under_a_lock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
