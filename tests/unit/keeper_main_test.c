/* SPDX-License-Identifier: Apache-2.0 */
/* keeper_main() as a child, the way the master starts it. */
#include "shared/process/process.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/base/clock.h"
#include "shared/metrics/metrics.h"
#include "shared/registry/registry.h"
#include "shared/shm/health.h"

#define WAIT_MS 60000 /* only ends what hangs */

static struct process proc;
static int master_end;
static pid_t child;

static int setup(void **state)
{
	int ends[2];

	(void)state;
	memset(&proc, 0, sizeof(proc));
	config_defaults(&proc.config);
	if (segment_open_anonymous(16 << 20, &proc.seg) < 0 || registry_format(proc.seg) < 0 ||
	    pipe(ends) < 0)
		return -1;
	health_attach(proc.seg, clock_mono_ms());
	proc.role = ROLE_KEEPER;
	proc.slot = &proc.seg->slots[0];
	proc.slot->role = ROLE_KEEPER;
	proc.seg->slots[1].role = ROLE_WORKER;
	proc.seg->slots[1].state = SLOT_READY;
	proc.alive_fd = ends[0];
	proc.notice_fd = -1;
	proc.ready_fd = eventfd(0, EFD_CLOEXEC);
	snprintf(proc.name, sizeof(proc.name), "keeper/0");
	master_end = ends[1];
	return proc.ready_fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	close(proc.ready_fd);
	close(proc.alive_fd);
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
		_exit(keeper_main(&proc));
	}
}

/* The slot's state once the child announced a change. */
static uint32_t next_state(void)
{
	struct pollfd ready = { .fd = proc.ready_fd, .events = POLLIN };
	uint64_t count;

	assert_int_equal(poll(&ready, 1, WAIT_MS), 1);
	assert_int_equal(read(proc.ready_fd, &count, sizeof(count)), sizeof(count));
	return __atomic_load_n(&proc.slot->state, __ATOMIC_ACQUIRE);
}

static void wait_for_metric(enum metric id, uint64_t at_least)
{
	uint64_t end_ms = clock_mono_ms() + WAIT_MS;

	while (metric_sum(proc.seg, id) < at_least) {
		assert_true(clock_mono_ms() < end_ms);
		poll(NULL, 0, 10);
	}
}

static int end_of_child(void)
{
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void add(const char *ip)
{
	const struct origin client = { .writer = WRITER_CLIENT, .cause = CAUSE_CLIENT };
	const struct service_key key = { .ns = STR("public"), .name = STR("DEFAULT_GROUP@@a") };
	struct instance_spec spec = { .weight = 1, .enabled = true, .healthy = true };
	struct registry reg;

	registry_init(&reg, proc.seg);
	spec.key = (struct instance_key){
		.cluster = STR("DEFAULT"), .ip = str_of(ip), .port = 80, .ephemeral = true
	};
	spec.metadata.overrides =
	        (struct overrides){ .has = true, .timeout_ms = 500, .delete_ms = 1500 };
	assert_int_equal(registry_register(&reg, client, &key, &spec), 0);
}

static void test_expires_and_stops(void **state)
{
	(void)state;
	start();
	assert_int_equal(next_state(), SLOT_READY);
	add("10.0.0.1");
	wait_for_metric(METRIC_EXPIRY_REMOVALS, 1);
	assert_int_equal(metric_sum(proc.seg, METRIC_EXPIRY_FLIPS), 1);
	kill(child, SIGHUP);
	kill(child, SIGTERM);
	assert_int_equal(end_of_child(), 0);
	assert_int_equal(proc.slot->state, SLOT_STOPPING);
}

static void test_ends_with_the_master(void **state)
{
	(void)state;
	start();
	assert_int_equal(next_state(), SLOT_READY);
	close(master_end);
	master_end = -1;
	assert_int_equal(end_of_child(), 0);
}

static void test_stale_start_drops_first(void **state)
{
	(void)state;
	add("10.0.0.1");
	proc.stale = true;
	proc.seg->header->attach_count++;
	start();
	assert_int_equal(next_state(), SLOT_READY);
	assert_int_equal(metric_sum(proc.seg, METRIC_STALE_DROPPED), 1);
	kill(child, SIGQUIT);
	assert_int_equal(end_of_child(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_expires_and_stops, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ends_with_the_master, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stale_start_drops_first, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
