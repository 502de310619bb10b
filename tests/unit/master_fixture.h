/* SPDX-License-Identifier: Apache-2.0 */
/* master_fixture.h - a master with a segment and a loop, but without sockets, and children of its
 * own that do as they are told: for the tests of master/. Nothing sleeps: a death is waited for by
 * waitid(), a ring by poll(). */
#ifndef UNIT_MASTER_FIXTURE_H
#define UNIT_MASTER_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "master/master.h"
#include "master/plan.h"
#include "master/spawn.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/process/sources.h"
#include "shared/shm/queue.h"
#include "shared/shm/slot.h"
#include "tests/unit/spot.h"

#define PUSHER WORKERS_MAX
#define KEEPER (WORKERS_MAX + 1)
#define HUNG_S 120U /* only ends what hangs */

static struct master m;
static struct options fixture_options;
static char fixture_folder[64];

/* Ready, and then there until a signal ends it. */
static inline int fixture_serve(struct process *proc)
{
	process_ready(proc);
	while (pause() < 0) /* always, after a handler */
		;
	return 0;
}

/* Such rows for all children; the numbers are those of the real ones. */
static inline void fixture_use_role(int (*entrance)(struct process *proc))
{
	static struct role_row rows[CHILDREN];

	for (unsigned i = 0; i < CHILDREN_ALL; i++) {
		rows[i % CHILDREN] = *role_of_place(i % CHILDREN);
		rows[i % CHILDREN].entrance = entrance;
		m.children[i].role = &rows[i % CHILDREN];
	}
}

/* A shell without job control, or nohup, has us ignore some: children shall end by each of them. */
static inline void fixture_use_default_signals(void)
{
	const int signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2 };

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], SIG_DFL);
}

static inline void fixture_init(const struct plan *plans)
{
	char path[80];

	alarm(HUNG_S);
	fixture_use_default_signals();
	snprintf(fixture_folder, sizeof(fixture_folder), "/tmp/roster-master-XXXXXX");
	assert_non_null(mkdtemp(fixture_folder));
	snprintf(path, sizeof(path), "%s/log", fixture_folder);
	assert_int_equal(log_open(path, LOG_LEVEL_DEBUG), 0);
	fixture_options = (struct options){ .handover_fd = -1 };
	m = (struct master){ .plans = plans,
		             .options = &fixture_options,
		             .state = MASTER_SERVING,
		             .workers = 2,
		             .daemon_fd = -1,
		             .signal_fd = -1,
		             .config_fd = -1,
		             .upgrade = { .page_fd = -1, .next_fd = -1 },
		             .activation = { .datagram_fd = -1 } };
	config_defaults(&m.config);
	m.config.sandbox_seccomp = false;
	convert_init(&m.convert);
	sockets_init(&m.sockets);
	m.sockets.listening = 3; /* so nobody has to listen */
	assert_int_equal(segment_open_anonymous(64 << 20, &m.seg), 0);
	assert_int_equal(sources_new(&m.sources), 0);
	for (unsigned i = 0; i < QUEUE_CONSUMERS; i++)
		m.seg->wake_fd[i] = -1;
	m.loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
	m.ready_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	assert_true(m.loop != NULL && m.ready_fd >= 0 && pipe2(m.alive_fds, O_CLOEXEC) == 0);
	m.started_ms = clock_mono_ms();
	spawn_init(&m);
	fixture_use_role(fixture_serve);
}

static inline void fixture_deinit(void)
{
	char path[80];

	for (unsigned i = 0; i < CHILDREN_ALL; i++) {
		struct child *child = &m.children[i];

		if (child->pid > 0) {
			kill(child->pid, SIGKILL);
			waitpid(child->pid, NULL, 0);
		}
		child_close_notice(child);
		if (child->migrate_fd >= 0)
			close(child->migrate_fd);
	}
	ev_loop_destroy(m.loop);
	close(m.ready_fd);
	close(m.alive_fds[0]);
	close(m.alive_fds[1]);
	sources_free_for_test(&m.sources);
	segment_close_for_test(&m.seg);
	assert_int_equal(log_open("", LOG_LEVEL_INFO), 0);
	snprintf(path, sizeof(path), "%s/log", fixture_folder);
	unlink(path);
	rmdir(fixture_folder);
	alarm(0);
}

/* A child without the way through spawn(): it is there, and ends by any signal. */
static inline void fixture_start_at(struct spot spot, struct child *child)
{
	pid_t pid = child_fork(child);

	assert_true_at(spot, pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
}
#define fixture_start(...) fixture_start_at(SPOT, __VA_ARGS__)

static inline void fixture_signal_at(struct spot spot, const struct child *child, int signal_number)
{
	assert_true_at(spot, child->pid > 0);
	assert_int_equal_at(spot, kill(child->pid, signal_number), 0);
}
#define fixture_signal(...) fixture_signal_at(SPOT, __VA_ARGS__)

/* Until the child has ended; it can still be reaped. */
static inline siginfo_t fixture_wait_end_at(struct spot spot, const struct child *child)
{
	siginfo_t info = { 0 };

	assert_true_at(spot, child->pid > 0);
	while (waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOWAIT) < 0)
		assert_int_equal_at(spot, errno, EINTR);
	return info;
}
#define fixture_wait_end(...) fixture_wait_end_at(SPOT, __VA_ARGS__)

/* Until SIGSTOP or SIGCONT has reached it; what: WSTOPPED or WCONTINUED. */
static inline void fixture_wait_change_at(struct spot spot, const struct child *child, int what)
{
	siginfo_t info;

	while (waitid(P_PID, (id_t)child->pid, &info, what | WNOWAIT) < 0)
		assert_int_equal_at(spot, errno, EINTR);
}
#define fixture_wait_change(...) fixture_wait_change_at(SPOT, __VA_ARGS__)

static inline void fixture_wait_ring_at(struct spot spot)
{
	struct pollfd ring = { .fd = m.ready_fd, .events = POLLIN };
	uint64_t count;

	while (poll(&ring, 1, -1) < 0)
		assert_int_equal_at(spot, errno, EINTR);
	assert_int_equal_at(spot, read(m.ready_fd, &count, sizeof(count)), sizeof(count));
}
#define fixture_wait_ring() fixture_wait_ring_at(SPOT)

static inline unsigned fixture_log_count_at(struct spot spot, const char *word)
{
	char path[80], line[2048];
	unsigned count = 0;
	FILE *log;

	snprintf(path, sizeof(path), "%s/log", fixture_folder);
	log = fopen(path, "re");
	assert_true_at(spot, log != NULL);
	while (fgets(line, sizeof(line), log) != NULL)
		count += strstr(line, word) != NULL;
	fclose(log);
	return count;
}
#define fixture_log_count(...) fixture_log_count_at(SPOT, __VA_ARGS__)

/* Was this child given a notice since the last look? */
static inline bool fixture_was_woken(const struct child *child)
{
	uint64_t count;

	return read(child->notice_fd, &count, sizeof(count)) == (ssize_t)sizeof(count);
}

#endif
