/* SPDX-License-Identifier: Apache-2.0 */
/* shm_common.h - what the tests of shared/shm share: an anonymous segment, a model that one
 * transaction changes as a whole, and ways to kill a process inside it.
 *
 * With --enable-faults a child is killed at each numbered point of the operation, and the
 * repair after it at its points as well; without, a number of children is killed at random
 * times. */
#ifndef TESTS_SHM_COMMON_H
#define TESTS_SHM_COMMON_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/shm/blob.h"
#include "shared/shm/fault.h"
#include "shared/shm/lock.h"
#include "shared/shm/queue.h"
#include "shared/shm/segment.h"
#include "shared/shm/shard.h"
#include "shared/shm/slab.h"
#include "shared/shm/table.h"
#include "shared/shm/undo.h"
#include "tests/unit/random.h"
#include "tests/unit/spot.h"

#define TEST_SHARD 3U
#define RANDOM_KILLS 60U

static inline int open_segment(void **state)
{
	struct segment *seg;

	if (segment_open_anonymous(32U << 20, &seg) != 0)
		return -1;
	*state = seg;
	return 0;
}

static inline int close_segment(void **state)
{
	segment_close_for_test((struct segment **)state);
	return 0;
}

static inline struct tx take_at(struct spot spot, struct segment *seg)
{
	struct tx tx;

	assert_int_equal_at(spot, lock_take(seg, TEST_SHARD, &tx), 0);
	return tx;
}
#define take(...) take_at(SPOT, __VA_ARGS__)

static inline void say_out(const char *text, void *arg)
{
	(void)arg;
	fprintf(stderr, "%s\n", text);
}

static inline void *root_of(struct segment *seg)
{
	return seg->shards[TEST_SHARD].root;
}

static inline pid_t wait_for(pid_t pid, int *status)
{
	pid_t got;

	do
		got = waitpid(pid, status, 0);
	while (got < 0);
	return got;
}

/* One operation of a crash campaign: run() begins with lock_take(), ends with lock_drop() and
 * may fail silently; check() runs in the survivor with the lock taken. */
struct campaign {
	void (*run)(struct segment *seg);
	void (*check)(struct segment *seg, struct tx *tx);
};

static inline void campaign_check(struct spot spot, struct segment *seg,
                                  const struct campaign *campaign)
{
	struct tx tx = take_at(spot, seg);

	assert_int_equal_at(spot, seg->shards[TEST_SHARD].state, 0);
	campaign->check(seg, &tx);
	assert_int_equal_at(spot, slab_audit(&tx, say_out, NULL), 0);
	assert_int_equal_at(spot, seg->header->corrupt, 0);
	lock_drop(&tx);
}

#ifdef ROSTER_FAULTS

/* True when the child was killed at its point, false when it finished before. */
static inline bool run_killed(struct spot spot, struct segment *seg,
                              void (*run)(struct segment *seg), uint64_t at)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		fault_arm(at);
		run(seg);
		_exit(0);
	}
	assert_true_at(spot, pid > 0);
	wait_for(pid, &status);
	if (WIFSIGNALED(status)) {
		assert_int_equal_at(spot, WTERMSIG(status), SIGKILL);
		return true;
	}
	assert_int_equal_at(spot, WEXITSTATUS(status), 0);
	return false;
}

static inline void only_repair(struct segment *seg)
{
	struct tx tx;

	if (lock_take(seg, TEST_SHARD, &tx) == 0)
		lock_drop(&tx);
}

/* Kills the operation at every point, and the repairs in between at every step-th one. */
static inline unsigned campaign_run_at(struct spot spot, struct segment *seg,
                                       const struct campaign *campaign, unsigned step)
{
	unsigned kills = 0;

	for (uint64_t at = 1; run_killed(spot, seg, campaign->run, at); at++) {
		kills++;
		for (uint64_t again = 1 + at % step; run_killed(spot, seg, only_repair, again);
		     again += step)
			kills++;
		campaign_check(spot, seg, campaign);
	}
	campaign_check(spot, seg, campaign);
	print_message("%u kills\n", kills);
	return kills;
}

#else

/* Begins when the child has run the operation once, however long it waited for a core. */
static inline pid_t start_runner(struct spot spot, struct segment *seg,
                                 const struct campaign *campaign, volatile uint64_t *runs)
{
	pid_t pid;

	*runs = 0;
	pid = fork();
	if (pid == 0) {
		for (;; ++*runs)
			campaign->run(seg);
	}
	assert_true_at(spot, pid > 0);
	while (*runs == 0)
		nanosleep(&(struct timespec){ 0, 20000 }, NULL);
	return pid;
}

static inline unsigned campaign_run_at(struct spot spot, struct segment *seg,
                                       const struct campaign *campaign, unsigned step)
{
	uint64_t *runs = mmap(NULL, sizeof(*runs), PROT_READ | PROT_WRITE,
	                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned kills;

	(void)step;
	assert_true_at(spot, runs != MAP_FAILED);
	for (kills = 0; kills < RANDOM_KILLS; kills++) {
		struct timespec nap = { 0, (long)random_below(4000000) };
		pid_t pid = start_runner(spot, seg, campaign, runs);
		int status;

		nanosleep(&nap, NULL);
		kill(pid, SIGKILL);
		wait_for(pid, &status);
		assert_true_at(spot, WIFSIGNALED(status));
		campaign_check(spot, seg, campaign);
	}
	munmap(runs, sizeof(*runs));
	print_message("%u kills\n", kills);
	return kills;
}

#endif
#define campaign_run(...) campaign_run_at(SPOT, __VA_ARGS__)

#endif
