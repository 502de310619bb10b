/* SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>

#include "shared/base/clock.h"
#include "shared/shm/ring.h"
#include "tests/unit/shm_common.h"

static bool never_consistent;

/* Stands in front of the library's. */
int pthread_mutex_consistent(pthread_mutex_t *mutex)
{
	int (*real)(pthread_mutex_t *) =
	        (int (*)(pthread_mutex_t *))dlsym(RTLD_NEXT, "pthread_mutex_consistent");

	return never_consistent ? EINVAL : real(mutex);
}

/* A child that takes the lock, calls fn and then lets itself be killed or stopped. */
static pid_t owner(struct segment *seg, void (*fn)(struct tx *tx), int signal_number)
{
	pid_t pid = fork();

	if (pid == 0) {
		struct tx tx;

		if (lock_take(seg, TEST_SHARD, &tx) != 0)
			_exit(1);
		fn(&tx);
		raise(signal_number);
		lock_drop(&tx);
		_exit(0);
	}
	assert_true(pid > 0);
	return pid;
}

static void kill_owner(struct segment *seg, void (*fn)(struct tx *tx))
{
	int status;

	wait_for(owner(seg, fn, SIGKILL), &status);
	assert_true(WIFSIGNALED(status));
}

static void half_done(struct tx *tx)
{
	uint64_t *root = root_of(tx->seg);

	undo_set64(tx, root, 99);
	undo_set64(tx, root + 1, slab_alloc(tx, SLAB_BLOB4K));
}

static void impossible(struct tx *tx)
{
	tx->shard->state = UINT64_MAX;
}

static void test_owner_is_shown(void **state)
{
	struct segment *seg = *state;
	struct tx tx = take(seg);

	assert_int_equal(seg->shards[TEST_SHARD].owner, getpid());
	lock_drop(&tx);
	assert_int_equal(seg->shards[TEST_SHARD].owner, 0);
	lock_drop(&tx);
}

static void test_not_twice(void **state)
{
	struct segment *seg = *state;
	struct tx tx = take(seg), again;

	assert_int_equal(lock_take(seg, TEST_SHARD, &again), ERR_LOCK);
	lock_drop(&tx);
	assert_int_equal(lock_take(seg, SHARDS_ALL, &tx), ERR_LOCK);
}

static void test_dead_owner_is_rolled_back(void **state)
{
	struct segment *seg = *state;
	const uint64_t *root = root_of(seg);
	uint64_t free_before = seg->header->free_hint, cursor = 0, missed = 0;
	struct ring_event event;
	struct tx tx;

	kill_owner(seg, half_done);
	assert_int_equal(root[0], 99);
	tx = take(seg);
	assert_int_equal(root[0], 0);
	assert_int_equal(root[1], 0);
	assert_int_equal(slab_audit(&tx, say_out, NULL), 0);
	lock_drop(&tx);
	assert_int_equal(seg->header->rollbacks, 1);
	assert_int_equal(seg->header->sweeps, 1);
	assert_int_equal(seg->header->free_hint, free_before);
	assert_true(ring_next(seg->events, &cursor, &event, NULL, NULL, &missed));
	assert_int_equal(event.kind, EVENT_ROLLED_BACK);
	assert_int_equal(event.cause, CAUSE_DEAD_OWNER);
	assert_int_equal(event.instance_id, TEST_SHARD);
	assert_false(ring_next(seg->events, &cursor, &event, NULL, NULL, &missed));
}

/* A log that cannot be played is never declared consistent: the shard stays refused. */
static void test_refused_repair(void **state)
{
	struct segment *seg = *state;
	struct tx tx;

	kill_owner(seg, impossible);
	assert_int_equal(lock_take(seg, TEST_SHARD, &tx), ERR_CORRUPT);
	assert_int_equal(lock_take(seg, TEST_SHARD, &tx), ERR_CORRUPT);
	assert_int_equal(lock_take(seg, TEST_SHARD + 1, &tx), 0);
	lock_drop(&tx);
	lock_drop(&tx);
}

/* Who has repaired and cannot say so does not keep the lock either. */
static void test_refused_mark(void **state)
{
	struct segment *seg = *state;
	struct tx tx;

	kill_owner(seg, half_done);
	never_consistent = true;
	assert_int_equal(lock_take(seg, TEST_SHARD, &tx), ERR_CORRUPT);
	never_consistent = false;
	assert_null(tx.shard);
	assert_int_equal(*(uint64_t *)root_of(seg), 0);
	/* It would be ERR_LOCK if this process held it still. */
	assert_int_equal(lock_take(seg, TEST_SHARD, &tx), ERR_CORRUPT);
	assert_int_equal(lock_take(seg, TEST_SHARD + 1, &tx), 0);
	lock_drop(&tx);
}

static void test_recover_all(void **state)
{
	struct segment *seg = *state;
	const uint64_t *root = root_of(seg);
	struct tx tx;

	kill_owner(seg, half_done);
	assert_int_equal(lock_recover_all(seg), 1);
	assert_int_equal(lock_recover_all(seg), 0);
	assert_int_equal(root[0], 0);
	tx = take(seg);
	assert_int_equal(slab_audit(&tx, say_out, NULL), 0);
	lock_drop(&tx);
	assert_int_equal(seg->header->rollbacks, 0);
}

static int refuse(void *arg)
{
	(void)arg;
	errno = ENOSYS;
	return ERR_IO;
}

static void test_probe(void **state)
{
	(void)state;
	assert_int_equal(lock_probe(NULL, NULL), 0);
	assert_int_equal(segment_probe_robust(NULL, NULL), 0);
	assert_int_equal(segment_probe_robust(refuse, NULL), ERR_IO);
	assert_int_equal(errno, ENOSYS);
}

struct stuck {
	pid_t pid;
	unsigned calls;
	uint32_t shard, owner;
};

static void kill_it(uint32_t shard, uint32_t owner_pid, void *arg)
{
	struct stuck *stuck = arg;

	stuck->calls++;
	stuck->shard = shard;
	stuck->owner = owner_pid;
	kill(stuck->pid, SIGKILL);
}

/* A stopped owner is reported after the limit; once it is killed the waiter goes on. */
static void test_stopped_owner(void **state)
{
	struct segment *seg = *state;
	struct stuck stuck = { 0 };
	uint64_t begin;
	struct tx tx;
	int status;

	stuck.pid = owner(seg, half_done, SIGSTOP);
	while (waitpid(stuck.pid, &status, WUNTRACED) != stuck.pid)
		;
	assert_true(WIFSTOPPED(status));
	lock_on_stuck(kill_it, &stuck);
	begin = clock_mono_ms();
	tx = take(seg);
	lock_on_stuck(NULL, NULL);
	assert_in_range(clock_mono_ms() - begin, LOCK_LIMIT_MS - 100, LOCK_GIVE_UP_MS - 1);
	assert_int_equal(stuck.calls, 1);
	assert_int_equal(stuck.shard, TEST_SHARD);
	assert_int_equal(stuck.owner, stuck.pid);
	assert_int_equal(*(uint64_t *)root_of(seg), 0);
	lock_drop(&tx);
	wait_for(stuck.pid, &status);
}

/* ---- several writers, killed at random ------------------------------------------------------- */

#define WRITERS 3U

static void bump(struct segment *seg)
{
	uint64_t *root = root_of(seg);
	struct tx tx;

	if (lock_take(seg, TEST_SHARD, &tx) != 0)
		_exit(1);
	for (unsigned i = 0; i < 4; i++)
		undo_set64(&tx, &root[i * 9], root[i * 9] + 1);
	if (root[100] != 0)
		blob_free(&tx, (uint32_t)root[100]);
	undo_set64(&tx, &root[100], blob_new(&tx, str_make((const char *)&root[0], 8)));
	if (undo_commit(&tx) != 0)
		_exit(2);
	lock_drop(&tx);
}

static pid_t start_writer(struct segment *seg)
{
	pid_t pid = fork();

	if (pid == 0) {
		for (;;)
			bump(seg);
	}
	assert_true(pid > 0);
	return pid;
}

static void test_writers_under_fire(void **state)
{
	struct segment *seg = *state;
	const uint64_t *root = root_of(seg);
	pid_t pids[WRITERS];
	struct tx tx;
	int status;

	for (unsigned i = 0; i < WRITERS; i++)
		pids[i] = start_writer(seg);
	for (uint64_t kills = 0; kills < 200 || *(volatile const uint64_t *)root == 0; kills++) {
		unsigned victim = (unsigned)(kills % WRITERS);

		nanosleep(&(struct timespec){ 0, (long)(kills * 7919 % 3000000) + 50000 }, NULL);
		kill(pids[victim], SIGKILL);
		wait_for(pids[victim], &status);
		assert_true(WIFSIGNALED(status));
		tx = take(seg);
		for (unsigned i = 1; i < 4; i++)
			assert_int_equal(root[i * 9], root[0]);
		assert_int_equal(slab_audit(&tx, say_out, NULL), 0);
		lock_drop(&tx);
		pids[victim] = start_writer(seg);
	}
	for (unsigned i = 0; i < WRITERS; i++) {
		kill(pids[i], SIGKILL);
		wait_for(pids[i], &status);
	}
	tx = take(seg);
	assert_true(root[0] > 0);
	assert_int_equal(tx.shard->slabs[SLAB_BLOB32].objects, 1);
	assert_int_equal(slab_audit(&tx, say_out, NULL), 0);
	assert_int_equal(seg->header->corrupt, 0);
	lock_drop(&tx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, open_segment, close_segment)
		ROW(test_owner_is_shown),
		ROW(test_not_twice),
		ROW(test_dead_owner_is_rolled_back),
		ROW(test_refused_repair),
		ROW(test_refused_mark),
		ROW(test_recover_all),
		ROW(test_probe),
		ROW(test_stopped_owner),
		ROW(test_writers_under_fire),
	};

	return cmocka_run_group_tests_name("lock", tests, NULL, NULL);
}
