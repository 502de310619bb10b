/* SPDX-License-Identifier: Apache-2.0 */
/* Who is forked and who is not, and what a child finds when it enters its role. */
#include "master/spawn.h"

#include <sys/resource.h>

#include "tests/unit/master_fixture.h"

static bool blocked[CHILDREN_ALL];
static unsigned forked;

static bool blocks(const struct master *of, const struct child *child)
{
	return blocked[child - of->children];
}

static void count_fork(struct master *of)
{
	(void)of;
	forked++;
}

/* In the child: the master sees it in the segment only. */
static void in_child(struct master *of, const struct child *self)
{
	of->seg->board->spare[0] = self->index + 100U;
}

static void lend(const struct master *of, const struct child *self, struct process *proc)
{
	if (of->seg->board->spare[0] == self->index + 100U) /* in_child() was called before */
		proc->stale = true;
}

static const struct plan rows[] = {
	{ "test", .blocks = blocks, .child_forked = count_fork, .in_child = in_child,
	  .lend = lend },
	{ .name = NULL },
};

static int set_up(void **state)
{
	(void)state;
	memset(blocked, 0, sizeof(blocked));
	forked = 0;
	fixture_init(rows);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fixture_deinit();
	return 0;
}

static void everybody_who_is_wanted_is_forked_once(void **state)
{
	struct slot *slot = &m.seg->slots[m.children[1].slot];

	(void)state;
	slot->generation = 4;
	slot->busy_since_ms = slot->frozen_seen = 99;
	spawn_wanted(&m);
	assert_int_equal(children_running(m.children), 4);
	assert_int_equal(forked, 4);
	assert_true(m.children[0].pid > 0 && m.children[1].pid > 0 && m.children[PUSHER].pid > 0 &&
	            m.children[KEEPER].pid > 0);
	assert_int_equal(slot->pid, m.children[1].pid);
	assert_int_equal(slot->generation, 5);
	assert_int_equal(slot->role, ROLE_WORKER);
	assert_int_equal(slot->index, 1);
	assert_true(slot->busy_since_ms == 0 && slot->frozen_seen == 0);
	assert_true(m.children[1].migrate_fd >= 0 && m.children[PUSHER].migrate_fd < 0);
	spawn_wanted(&m);
	assert_int_equal(forked, 4);
}

static void wanted_are_our_own_up_to_the_number_of_workers(void **state)
{
	(void)state;
	assert_true(spawn_is_wanted(&m, &m.children[1]));
	assert_false(spawn_is_wanted(&m, &m.children[2]));
	assert_true(spawn_is_wanted(&m, &m.children[KEEPER]));
	assert_false(spawn_is_wanted(&m, &m.children[CHILDREN + 1]));
	assert_false(spawn_is_wanted(&m, &m.children[CHILDREN + KEEPER]));
	m.state = MASTER_STOPPING;
	assert_false(spawn_is_wanted(&m, &m.children[1]));
	spawn_wanted(&m);
	assert_int_equal(forked, 0);
}

static void a_plan_may_block_one(void **state)
{
	(void)state;
	blocked[PUSHER] = true;
	spawn_wanted(&m);
	assert_int_equal(m.children[PUSHER].pid, 0);
	assert_int_equal(children_running(m.children), 3);
	blocked[PUSHER] = false;
	spawn_wanted(&m);
	assert_true(m.children[PUSHER].pid > 0);
}

static void a_successor_waits_for_its_time(void **state)
{
	(void)state;
	m.workers = 1;
	blocked[PUSHER] = blocked[KEEPER] = true;
	child_wait(&m.children[0], m.loop, 60000);
	spawn_wanted(&m);
	assert_int_equal(forked, 0);
	child_wait(&m.children[0], m.loop, 0);
	ev_run(m.loop, EVRUN_ONCE); /* the timer forks it */
	assert_int_equal(forked, 1);
	assert_true(m.children[0].pid > 0);
}

static bool is_closed(int fd)
{
	return fcntl(fd, F_GETFD) < 0;
}

/* The exit code says what was wrong. */
static int look_around(struct process *proc)
{
	const struct child *self = &m.children[1];

	if (strcmp(proc->name, "worker/1") != 0 || proc->index != 1 || proc->role != ROLE_WORKER)
		return 10;
	if (proc->slot != &m.seg->slots[self->slot] || proc->slot->pid != (uint32_t)getpid())
		return 11;
	if (proc->seg != m.seg || proc->alive_fd != m.alive_fds[0] || proc->ready_fd != m.ready_fd)
		return 12;
	if (is_closed(proc->notice_fd) || is_closed(proc->migrate_fd) || is_closed(proc->alive_fd))
		return 13;
	if (!is_closed(m.alive_fds[1]) || !is_closed(self->migrate_fd))
		return 14;
	if (m.seg->board->spare[0] != 101)
		return 15;
	if (proc->adopt != NULL || !proc->stale)
		return 16;
	return 0;
}

static void a_child_finds_what_it_needs_and_no_more(void **state)
{
	siginfo_t info;

	(void)state;
	fixture_use_role(look_around);
	blocked[0] = blocked[PUSHER] = blocked[KEEPER] = true;
	spawn_wanted(&m);
	info = fixture_wait_end(&m.children[1]);
	assert_int_equal(info.si_status, 0);
	assert_int_equal(m.children[1].migrate_end, -1);
}

static void without_a_descriptor_it_is_tried_again(void **state)
{
	struct rlimit before, none;

	(void)state;
	m.workers = 1;
	blocked[PUSHER] = blocked[KEEPER] = true;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	spawn_wanted(&m);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(m.children[0].pid, 0);
	assert_int_equal(forked, 0);
	assert_true(ev_is_active(&m.children[0].respawn));
	assert_int_equal(fixture_log_count(
	                         "op=spawn name=worker/0 err=\"Too many open files\" again_ms=100"),
	                 1);
	child_wait(&m.children[0], m.loop, 0);
	ev_run(m.loop, EVRUN_ONCE);
	assert_true(m.children[0].pid > 0);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		ROW(everybody_who_is_wanted_is_forked_once),
		ROW(wanted_are_our_own_up_to_the_number_of_workers),
		ROW(a_plan_may_block_one),
		ROW(a_successor_waits_for_its_time),
		ROW(a_child_finds_what_it_needs_and_no_more),
		ROW(without_a_descriptor_it_is_tried_again),
	};

	return cmocka_run_group_tests_name("spawn", tests, NULL, NULL);
}
