/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>

#include "tests/unit/shm_common.h"

#define SERVICES 12U

/* Stands for a service: any object with one link. */
struct thing {
	uint64_t number;
	struct queue_link link;
};

struct root {
	struct queue_list list;
	uint32_t things[SERVICES];
	uint64_t step, marked, taken;
};

#define LINK_OFF ((uint32_t)offsetof(struct thing, link))

static int open_things(void **state)
{
	struct root *root;
	struct tx tx;

	if (open_segment(state) != 0 || lock_take(*state, TEST_SHARD, &tx) != 0)
		return -1;
	root = root_of(*state);
	for (uint32_t i = 0; i < SERVICES; i++) {
		root->things[i] = slab_alloc(&tx, SLAB_CLUSTER);
		memset(slab_at(&tx, root->things[i], SLAB_CLUSTER), 0, sizeof(struct thing));
	}
	if (undo_commit(&tx) != 0)
		return -1;
	lock_drop(&tx);
	return 0;
}

static void mark(struct tx *tx, struct root *root, unsigned i, uint32_t change, uint64_t now)
{
	queue_mark(tx, &root->list, root->things[i], SLAB_CLUSTER, LINK_OFF, change, now);
}

static uint32_t take_thing(struct tx *tx, struct root *root, unsigned i, uint64_t *at_r)
{
	return queue_take(tx, &root->list, root->things[i], SLAB_CLUSTER, LINK_OFF, at_r);
}

/* The list forwards and backwards; returns its length. */
static uint64_t walk(struct tx *tx, struct root *root)
{
	uint32_t off, prev = 0;
	uint64_t n = 0;

	for (off = root->list.first; off != 0; n++) {
		const struct thing *thing = slab_at(tx, off, SLAB_CLUSTER);

		assert_non_null(thing);
		assert_int_not_equal(queue_link_pending(&thing->link), 0);
		assert_int_equal(thing->link.prev, prev);
		assert_in_range(n, 0, SERVICES);
		prev = off;
		off = thing->link.next;
	}
	assert_int_equal(root->list.last, prev);
	assert_int_equal(root->list.count, n);
	return n;
}

static void test_first_in_first_out(void **state)
{
	struct root *root = root_of(*state);
	struct tx tx = take(*state);
	uint64_t at;

	for (unsigned i = 0; i < 4; i++) {
		mark(&tx, root, i, CHANGE_CONTENT, 100 + i);
		assert_in_range(tx.entries, 1, 5);
		assert_int_equal(undo_commit(&tx), 0);
	}
	/* Marked again: keeps its place and the time of the first change. */
	mark(&tx, root, 0, CHANGE_HEALTH, 200);
	assert_int_equal(undo_commit(&tx), 0);
	assert_int_equal(walk(&tx, root), 4);
	assert_int_equal(root->list.first, root->things[0]);
	assert_int_equal(take_thing(&tx, root, 0, &at), CHANGE_CONTENT | CHANGE_HEALTH);
	assert_int_equal(at, 100);
	assert_int_equal(take_thing(&tx, root, 0, &at), 0);
	assert_int_equal(take_thing(&tx, root, 2, &at), CHANGE_CONTENT);
	assert_int_equal(at, 102);
	assert_int_equal(walk(&tx, root), 2);
	assert_int_equal(undo_commit(&tx), 0);
	lock_drop(&tx);
}

static void test_rollback_of_mark_and_take(void **state)
{
	struct root *root = root_of(*state);
	struct tx tx = take(*state);
	uint64_t at;

	mark(&tx, root, 5, CHANGE_REMOVED, 1);
	undo_rollback(&tx);
	assert_int_equal(walk(&tx, root), 0);
	mark(&tx, root, 5, CHANGE_REMOVED, 2);
	mark(&tx, root, 6, CHANGE_REMOVED, 3);
	assert_int_equal(undo_commit(&tx), 0);
	take_thing(&tx, root, 5, &at);
	undo_rollback(&tx);
	assert_int_equal(walk(&tx, root), 2);
	assert_int_equal(take_thing(&tx, root, 5, &at), CHANGE_REMOVED);
	assert_int_equal(at, 2);
	lock_drop(&tx);
}

static void test_bad_reference(void **state)
{
	struct root *root = root_of(*state);
	struct tx tx = take(*state);

	queue_mark(&tx, &root->list, 3, SLAB_CLUSTER, LINK_OFF, CHANGE_CONTENT, 1);
	assert_int_equal(undo_commit(&tx), ERR_CORRUPT);
	lock_drop(&tx);
}

static uint64_t rung(int fd)
{
	uint64_t n = 0;

	if (read(fd, &n, sizeof(n)) != (ssize_t)sizeof(n))
		assert_int_equal(errno, EAGAIN);
	return n;
}

static void test_announce_and_wake(void **state)
{
	struct segment *seg = *state;
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	seg->wake_fd[QUEUE_PUSHER] = fd;
	queue_wake(seg, QUEUE_PUSHER);
	assert_int_equal(rung(fd), 0);
	queue_announce(seg, 3, QUEUE_PUSHER);
	queue_announce(seg, 63, QUEUE_PUSHER);
	queue_announce(seg, SHARD_OFFICE, QUEUE_PUSHER);
	queue_wake(seg, QUEUE_PUSHER);
	assert_int_equal(rung(fd), 1);
	/* The bit is still set: whoever set it has rung already. */
	queue_announce(seg, 3, QUEUE_PUSHER);
	queue_wake(seg, QUEUE_PUSHER);
	assert_int_equal(rung(fd), 0);
	assert_int_equal(queue_take_dirty(seg, QUEUE_PUSHER), 1ULL << 3 | 1ULL << 63);
	assert_int_equal(queue_take_dirty(seg, QUEUE_PUSHER), 0);
	assert_int_equal(queue_take_dirty(seg, 1), 0);
	close(fd);
}

/* A writer that dies with the lock in hand: whoever repairs it says "this shard has some". */
static void test_dead_owner_is_announced(void **state)
{
	struct segment *seg = *state;
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), status;
	struct tx tx;
	pid_t pid;

	seg->wake_fd[QUEUE_PUSHER] = fd;
	pid = fork();
	if (pid == 0) {
		if (lock_take(seg, TEST_SHARD, &tx) != 0)
			_exit(1);
		mark(&tx, root_of(seg), 1, CHANGE_CONTENT, 5);
		if (undo_commit(&tx) != 0)
			_exit(1);
		raise(SIGKILL);
	}
	wait_for(pid, &status);
	assert_true(WIFSIGNALED(status));
	tx = take(seg);
	assert_int_equal(walk(&tx, root_of(seg)), 1);
	lock_drop(&tx);
	assert_int_equal(rung(fd), 1);
	assert_int_equal(queue_take_dirty(seg, QUEUE_PUSHER), 1ULL << TEST_SHARD);
	close(fd);
}

/* ---- crash campaign -------------------------------------------------------------------------- */

static void mark_or_take(struct segment *seg)
{
	struct root *root = root_of(seg);
	struct tx tx;
	uint64_t at;
	unsigned i;

	if (lock_take(seg, TEST_SHARD, &tx) != 0)
		return;
	i = (unsigned)(root->step * 5 % SERVICES);
	if (root->step / SERVICES % 2 == 0) {
		mark(&tx, root, i, CHANGE_CONTENT, root->step);
		undo_set64(&tx, &root->marked, root->marked + 1);
	} else if (take_thing(&tx, root, (i + 3) % SERVICES, &at) != 0) {
		undo_set64(&tx, &root->taken, root->taken + 1);
	}
	undo_set64(&tx, &root->step, root->step + 1);
	if (undo_commit(&tx) != 0)
		abort();
	queue_announce(seg, TEST_SHARD, QUEUE_PUSHER);
	lock_drop(&tx);
	queue_wake(seg, QUEUE_PUSHER);
}

static void check_list(struct segment *seg, struct tx *tx)
{
	struct root *root = root_of(seg);

	assert_int_equal(walk(tx, root), root->marked - root->taken);
}

static void test_killed_anywhere(void **state)
{
	const struct campaign campaign = { mark_or_take, check_list };

	for (unsigned i = 0; i < 2; i++) {
		campaign_run(*state, &campaign, 1);
		for (unsigned k = 0; k < 13; k++)
			mark_or_take(*state);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, open_things, close_segment)
		ROW(test_first_in_first_out),      ROW(test_rollback_of_mark_and_take),
		ROW(test_bad_reference),           ROW(test_announce_and_wake),
		ROW(test_dead_owner_is_announced), ROW(test_killed_anywhere),
	};

	return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
