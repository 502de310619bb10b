/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/shm/lock.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shared/base/assert.h"
#include "shared/base/str.h"
#include "shared/shm/fault.h"
#include "shared/shm/queue.h"
#include "shared/shm/ring.h"
#include "shared/shm/shard.h"
#include "shared/shm/slab.h"

static lock_stuck_fn *stuck_fn;
static void *stuck_arg;
static lock_watch_fn *watch_fn;
static uint32_t self_pid; /* getpid() is a system call; this is not */

void lock_on_stuck(lock_stuck_fn *fn, void *arg)
{
	stuck_fn = fn;
	stuck_arg = arg;
}

void lock_watch_for_test(lock_watch_fn *fn)
{
	watch_fn = fn;
}

static void forked(void)
{
	self_pid = (uint32_t)getpid();
}

static inline uint32_t own_pid(void)
{
	if (self_pid == 0) {
		pthread_atfork(NULL, NULL, forked);
		forked();
	}
	return self_pid;
}

/* ---- making ---------------------------------------------------------------------------------- */

/* Robust: the kernel tells the next taker that the owner died. Error-checking: who takes a lock
 * that he holds gets an error, instead of waiting for himself. */
static int mutex_init(pthread_mutex_t *mutex)
{
	pthread_mutexattr_t attr;
	int rc;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
	rc = pthread_mutex_init(mutex, &attr);
	pthread_mutexattr_destroy(&attr);
	return rc;
}

void lock_init_all(struct segment *seg)
{
	int rc;

	ROSTER_ASSERT(seg->held == NULL);
	own_pid();
	for (uint32_t i = 0; i < SHARDS_ALL; i++) {
		rc = mutex_init(&seg->shards[i].lock);
		ROSTER_ASSERT(rc == 0);
		seg->shards[i].owner = 0;
		FAULT("attach-lock");
	}
}

unsigned lock_recover_all(struct segment *seg)
{
	unsigned played = 0;

	for (uint32_t i = 0; i < SHARDS_ALL; i++) {
		struct tx tx = { .seg = seg, .shard = &seg->shards[i] };

		played += tx.shard->state != 0;
		undo_recover(&tx);
		seg->header->sweeps += slab_sweep(&tx);
		FAULT("attach-played");
	}
	lock_init_all(seg);
	segment_recount(seg);
	return played;
}

/* ---- after a death --------------------------------------------------------------------------- */

/* Says that a dead owner was rolled back: a counter, an event, and a wake-up for each consumer. */
static void tell(struct segment *seg, uint32_t shard)
{
	struct ring_event event = { .stamp = stamp_next(seg),
		                    .instance_id = shard,
		                    .kind = EVENT_ROLLED_BACK,
		                    .cause = CAUSE_DEAD_OWNER,
		                    .node = (uint8_t)seg->header->node };

	__atomic_fetch_add(&seg->header->rollbacks, 1, __ATOMIC_RELAXED);
	FAULT("recover-counted");
	ring_append(seg->events, &event, STR(""));
	/* The dead owner may have committed a change without saying so. */
	for (uint32_t consumer = 0; consumer < QUEUE_CONSUMERS; consumer++) {
		queue_announce(seg, shard, consumer);
		queue_wake(seg, consumer);
	}
}

/* A repairer that dies before pthread_mutex_consistent() has happened leaves the lock as he found
 * it: the next taker does all of this again. One that dies behind it has only not told anybody,
 * which the master makes up for by waking the consumers at each death. One that fails still holds
 * the lock. */
static int recover(struct tx *tx)
{
	struct segment *seg = tx->seg;
	unsigned swept;

	undo_recover(tx);
	if (tx->err != 0)
		return ERR_CORRUPT;
	FAULT("recover-before-sweep");
	swept = slab_sweep(tx);
	__atomic_fetch_add(&seg->header->sweeps, swept, __ATOMIC_RELAXED);
	segment_recount(seg);
	FAULT("recover-before-consistent");
	if (pthread_mutex_consistent(&tx->shard->lock) != 0)
		return ERR_CORRUPT;
	FAULT("recover-consistent");
	tell(seg, tx->shard->index);
	return 0;
}

/* ---- taking and dropping --------------------------------------------------------------------- */

static struct timespec in_ms(uint64_t ms)
{
	struct timespec now;
	uint64_t ns;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ns = (uint64_t)now.tv_nsec + ms * 1000000;
	return (struct timespec){ now.tv_sec + (time_t)(ns / 1000000000), (long)(ns % 1000000000) };
}

/* Waits in steps of the limit, and reports the owner after each step that has passed in vain. */
static int wait_for(struct shard *shard)
{
	int rc = ETIMEDOUT;

	for (uint32_t ms = 0; rc == ETIMEDOUT && ms < LOCK_GIVE_UP_MS; ms += LOCK_LIMIT_MS) {
		struct timespec until = in_ms(LOCK_LIMIT_MS);

		rc = pthread_mutex_clocklock(&shard->lock, CLOCK_MONOTONIC, &until);
		if (rc == ETIMEDOUT && stuck_fn != NULL)
			stuck_fn(shard->index, __atomic_load_n(&shard->owner, __ATOMIC_RELAXED),
			         stuck_arg);
	}
	return rc;
}

int lock_take(struct segment *seg, uint32_t shard, struct tx *tx_r)
{
	struct shard *s = &seg->shards[shard];
	int rc;

	*tx_r = (struct tx){ .seg = seg };
	if (shard >= SHARDS_ALL)
		return ERR_LOCK;
	/* Never two shards at once. The same one again is refused by the mutex itself. */
	ROSTER_ASSERT(seg->held == NULL || seg->held == s);
	/* Most locks are free. Only for one that is not, the clock is read and the wait is
	 * counted. */
	rc = pthread_mutex_trylock(&s->lock);
	if (rc == EBUSY) {
		__atomic_fetch_add(&seg->header->lock_waits, 1, __ATOMIC_RELAXED);
		rc = wait_for(s);
	}
	if (rc != 0 && rc != EOWNERDEAD)
		return rc == ENOTRECOVERABLE ? ERR_CORRUPT : ERR_LOCK;
	FAULT("lock-taken");
	__atomic_store_n(&s->owner, own_pid(), __ATOMIC_RELAXED);
	FAULT("lock-owned");
	tx_r->shard = s;
	if (watch_fn != NULL)
		watch_fn(true);
	if (rc == EOWNERDEAD && (rc = recover(tx_r)) != 0) {
		/* Unlocked without being marked consistent, the lock refuses everybody from now on,
		 * and the master makes a new segment. */
		pthread_mutex_unlock(&s->lock);
		tx_r->shard = NULL;
		return rc;
	}
	seg->held = s;
	return 0;
}

void lock_drop(struct tx *tx)
{
	struct shard *shard = tx->shard;

	if (shard == NULL)
		return;
	/* The transaction belongs to this hold, not to one that is over. */
	ROSTER_ASSERT(shard == tx->seg->held);
	/* Pages count too: one may have been taken by an operation that failed before it logged a
	 * word. */
	if (tx->entries > 0 || tx->frees > 0 || tx->pages > 0)
		undo_rollback(tx);
	tx->shard = NULL;
	tx->seg->held = NULL;
	if (watch_fn != NULL)
		watch_fn(false);
	FAULT("lock-before-drop");
	__atomic_store_n(&shard->owner, 0, __ATOMIC_RELAXED);
	FAULT("lock-disowned");
	pthread_mutex_unlock(&shard->lock);
	FAULT("lock-dropped");
}

/* ---- probe ----------------------------------------------------------------------------------- */

/* The child dies with the lock in its hands. What counts is how this process gets it afterwards:
 * told of the death (EOWNERDEAD), never, or as if nobody had had it. */
static int probe_with(pthread_mutex_t *mutex, lock_probe_fn *before, void *arg)
{
	struct timespec until;
	pid_t child;
	int rc, status;

	if (mutex_init(mutex) != 0 || (child = fork()) < 0)
		return ERR_IO;
	if (child == 0) {
		if (before != NULL && before(arg) < 0)
			_exit(errno != 0 ? errno : EPERM);
		if (pthread_mutex_lock(mutex) == 0)
			raise(SIGKILL);
		_exit(0);
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) != 0) {
		errno = WEXITSTATUS(status);
		return ERR_IO;
	}
	until = in_ms(LOCK_LIMIT_MS);
	rc = pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &until);
	if (rc == EOWNERDEAD)
		pthread_mutex_consistent(mutex);
	if (rc == EOWNERDEAD || rc == 0)
		pthread_mutex_unlock(mutex);
	return rc == EOWNERDEAD ? 0 : ERR_LOCK;
}

int lock_probe(lock_probe_fn *before, void *arg)
{
	void *page =
	        mmap(NULL, SEGMENT_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int rc;

	if (page == MAP_FAILED)
		return ERR_IO;
	rc = probe_with(page, before, arg);
	munmap(page, SEGMENT_PAGE);
	return rc;
}
