/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/process/process.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/metrics/metrics.h"
#include "shared/shm/lock.h"

#define LARGE_BYTES (256 * 1024)

static const int child_signals[] = { SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2 };

static const char *const role_names[] = {
	[ROLE_MASTER] = "master",
	[ROLE_WORKER] = "worker",
	[ROLE_PUSHER] = "pusher",
	[ROLE_KEEPER] = "keeper",
};
_Static_assert(sizeof(role_names) / sizeof(role_names[0]) == ROLES, "a role without a name");

const char *role_name(enum role role)
{
	ROSTER_ASSERT(role < ROLES);
	return role_names[role];
}

void process_wake(int fd)
{
	const uint64_t one = 1;

	/* A full counter gives EAGAIN: the reader is woken anyway. */
	while (fd >= 0 && write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

int process_signal_fd(void)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(child_signals) / sizeof(child_signals[0]); i++)
		sigaddset(&set, child_signals[i]);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return ERR_IO;
	int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return fd < 0 ? ERR_IO : fd;
}

int process_next_signal(int fd)
{
	struct signalfd_siginfo info;
	ssize_t n;

	do
		n = read(fd, &info, sizeof(info));
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(info) ? (int)info.ssi_signo : 0;
}

/* A waiter's limit passed. The owner is stored first, because the master reads the shard, and then
 * the owner. */
static void report_stuck(uint32_t shard, uint32_t owner_pid, void *arg)
{
	struct process *proc = arg;

	ROSTER_ASSERT(shard < SHARDS_ALL);
	__atomic_store_n(&proc->slot->stuck_owner, owner_pid, __ATOMIC_RELAXED);
	__atomic_store_n(&proc->slot->stuck_shard, shard + 1, __ATOMIC_RELEASE);
	process_wake(proc->ready_fd);
}

/* Large buffers of a moment of overload go back to the system when they are freed: left to itself,
 * the allocator keeps more and more of them for the next time. */
static void give_memory_back(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
	(void)mallopt(M_TRIM_THRESHOLD, 4 * LARGE_BYTES);
}

void process_enter(struct process *proc)
{
	ROSTER_ASSERT(proc->slot != NULL);
	give_memory_back();
	assert_leave_words(proc->slot->last_words, SLOT_LAST_WORDS);
	log_set_process(proc->name);
	metrics_use(proc->slot);
	lock_on_stuck(report_stuck, proc);
}

static void set_state(struct process *proc, enum slot_state state)
{
	__atomic_store_n(&proc->slot->state, (uint32_t)state, __ATOMIC_RELEASE);
	process_wake(proc->ready_fd);
}

void process_ready(struct process *proc)
{
	set_state(proc, SLOT_READY);
}

void process_stopping(struct process *proc)
{
	set_state(proc, SLOT_STOPPING);
}

/* The half being read is written again only after the generation moved on, so an
 * unchanged generation proves an untorn copy. */
static void read_shared(const struct config_shared *shared, struct config *config_r)
{
	uint64_t before;

	do {
		before = __atomic_load_n(&shared->generation, __ATOMIC_ACQUIRE);
		memcpy(config_r, &shared->halves[before & 1], sizeof(*config_r));
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while (__atomic_load_n(&shared->generation, __ATOMIC_RELAXED) != before);
}

void process_reload(struct process *proc)
{
	struct config fresh;
	int ret;

	if (proc->config_shared == NULL)
		return;
	read_shared(proc->config_shared, &fresh);
	if (strcmp(fresh.log_file, proc->config.log_file) != 0 &&
	    (ret = log_open(fresh.log_file, fresh.log_level)) < 0)
		log_warning("op=reload key=log.file err=\"%s\"", log_open_error(ret));
	log_set_level(fresh.log_level);
	proc->config = fresh;
}

/* The word counts until the configuration is read again, and then its own level does. */
static void follow_log_level(struct process *proc, uint64_t word)
{
	proc->log_level_seen = word;
	if (word != 0 &&
	    word >> 8 == __atomic_load_n(&proc->seg->board->config_generation, __ATOMIC_ACQUIRE))
		log_set_level((enum log_level)((word & 0xff) - 1));
}

void process_ask_log_level(struct process *proc, enum log_level level)
{
	struct board *board = proc->seg->board;
	uint64_t generation = __atomic_load_n(&board->config_generation, __ATOMIC_ACQUIRE);

	/* A name of the table, whatever the client wrote. */
	ROSTER_ASSERT((unsigned)level <= LOG_LEVEL_DEBUG);
	__atomic_store_n(&board->log_level, generation << 8 | ((uint64_t)level + 1),
	                 __ATOMIC_RELEASE);
}

void process_follow(struct process *proc)
{
	uint64_t level = proc->seg == NULL
	                         ? 0
	                         : __atomic_load_n(&proc->seg->board->log_level, __ATOMIC_ACQUIRE);

	if (level != proc->log_level_seen)
		follow_log_level(proc, level);
}

void process_busy(struct process *proc)
{
	process_follow(proc);
	proc->woke_us = clock_mono_us();
	__atomic_store_n(&proc->slot->busy_since_ms, proc->woke_us / 1000, __ATOMIC_RELAXED);
}

void process_idle(struct process *proc)
{
	struct slot *slot = proc->slot;
	uint64_t lost;

	/* Nobody waits for events under a lock. */
	ROSTER_ASSERT(proc->seg == NULL || proc->seg->held == NULL);
	__atomic_store_n(&slot->busy_since_ms, 0, __ATOMIC_RELAXED);
	if (proc->woke_us == 0) /* before the first wait */
		return;
	uint64_t turn_us = clock_mono_us() - proc->woke_us;
	__atomic_store_n(&slot->turns, slot->turns + 1, __ATOMIC_RELAXED);
	__atomic_store_n(&slot->busy_us, slot->busy_us + turn_us, __ATOMIC_RELAXED);
	if (turn_us > slot->busy_us_max)
		__atomic_store_n(&slot->busy_us_max, turn_us, __ATOMIC_RELAXED);
	proc->woke_us = 0;
	if ((lost = log_take_lost()) != 0)
		metric_add(METRIC_LOG_LOST, lost);
}
