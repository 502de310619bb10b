/* SPDX-License-Identifier: Apache-2.0 */
#include "master/upgrade/trial.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "master/upgrade/handover.h"
#include "master/master.h"
#include "shared/base/assert.h"
#include "shared/base/log.h"

/* ---- the child, until it execs --------------------------------------------------------------- */

/* Afterwards the same number stands for the same file, but the file cannot be written by it. */
static bool make_read_only(int fd)
{
	char path[40];
	int fresh;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if ((fresh = open(path, O_RDONLY | O_CLOEXEC)) < 0 || dup2(fresh, fd) < 0)
		return false;
	close(fresh);
	return true;
}

static void keep_for_exec(int fd)
{
	if (fd >= 0)
		fcntl(fd, F_SETFD, 0);
}

static bool take_descriptors(const struct handover *h, int binary_fd, int out_fd)
{
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 || dup2(out_fd, STDOUT_FILENO) < 0 ||
	    dup2(out_fd, STDERR_FILENO) < 0)
		return false;
	if (!make_read_only(h->self_fd) || !make_read_only(h->segment_fd))
		return false;
	keep_for_exec(binary_fd); /* a script is read through it */
	keep_for_exec(h->udp_fd);
	for (unsigned i = 0; i < WORKERS_MAX; i++)
		keep_for_exec(h->listen_fds[i]);
	return true;
}

static void reset_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
}

static void run_binary(const struct handover *h, int binary_fd, int out_fd, pid_t master_pid)
        __attribute__((noreturn));
static void run_binary(const struct handover *h, int binary_fd, int out_fd, pid_t master_pid)
{
	static char *argv[HANDOVER_ARGS + 3];
	char first[32];

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != master_pid || !take_descriptors(h, binary_fd, out_fd)) {
		dprintf(out_fd, "descriptors: %s\n", strerror(errno));
		_exit(127);
	}
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	reset_signals();
	snprintf(first, sizeof(first), "%s%d", HANDOVER_TRIAL_OPTION, h->self_fd);
	handover_args(h, first, argv);
	fexecve(binary_fd, argv, environ);
	dprintf(STDOUT_FILENO, "%s cannot be executed: %s\n", h->path, strerror(errno));
	_exit(127);
}

/* ---- the master ------------------------------------------------------------------------------ */

/* What does not fit is read and forgotten, because the trial would wait at a full pipe. */
static void read_out(struct trial *trial)
{
	char more[256];
	ssize_t n;

	ROSTER_ASSERT(trial->said_n < sizeof(trial->said));
	while ((n = read(trial->out_fd, more, sizeof(more))) > 0 || (n < 0 && errno == EINTR)) {
		size_t room = sizeof(trial->said) - 1 - trial->said_n;
		size_t take = n < 0 ? 0 : (size_t)n < room ? (size_t)n : room;

		memcpy(trial->said + trial->said_n, more, take);
		trial->said_n += take;
		trial->said[trial->said_n] = 0;
	}
	if (n == 0) /* the end; what it started may hold the pipe longer than it lives */
		ev_io_stop(trial->master->loop, &trial->out);
}

static void on_out(struct ev_loop *loop, ev_io *io, int revents)
{
	(void)loop;
	(void)revents;
	read_out(io->data);
}

static void on_trial_limit(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct trial *trial = timer->data;

	(void)loop;
	(void)revents;
	ROSTER_ASSERT(trial->pid > 0); /* the group 0 is our own */
	trial->late = true;
	kill(-trial->pid, SIGKILL);
	kill(trial->pid, SIGKILL); /* it may not have had its own group yet */
}

static void watch_trial(struct master *m, struct trial *trial)
{
	ev_io_init(&trial->out, on_out, trial->out_fd, EV_READ);
	ev_timer_init(&trial->limit, on_trial_limit,
	              (double)m->config.upgrade_trial_limit_ms / 1000., 0.);
	trial->out.data = trial->limit.data = trial;
	ev_io_start(m->loop, &trial->out);
	ev_now_update(m->loop);
	ev_timer_start(m->loop, &trial->limit);
}

int trial_start(struct master *m, const struct handover *h, int binary_fd)
{
	struct trial *trial = &m->upgrade.trial;
	pid_t master_pid = getpid(), pid;
	int fds[2];

	ROSTER_ASSERT(trial->pid == 0 && binary_fd >= 0);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return ERR_IO;
	if ((pid = fork()) == 0)
		run_binary(h, binary_fd, fds[1], master_pid);
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		return ERR_IO;
	}
	setpgid(pid, pid);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	*trial = (struct trial){ .master = m, .pid = pid, .out_fd = fds[0] };
	watch_trial(m, trial);
	return 0;
}

static void end_trial(struct master *m, struct trial *trial)
{
	ROSTER_ASSERT(trial->pid > 0);
	kill(-trial->pid, SIGKILL); /* whatever it started holds our sockets */
	trial->pid = 0;
	read_out(trial);
	ev_io_stop(m->loop, &trial->out);
	ev_timer_stop(m->loop, &trial->limit);
	close(trial->out_fd);
}

static enum trial_result judge_trial(const struct trial *trial, const siginfo_t *info, char *why,
                                     size_t why_size)
{
	bool exited = info->si_code == CLD_EXITED;

	if (exited && info->si_status == TRIAL_EXIT_LAYOUT &&
	    strstr(trial->said, TRIAL_PASSED) != NULL)
		return TRIAL_LAYOUT;
	if (exited && info->si_status == 0 && strstr(trial->said, TRIAL_PASSED) != NULL)
		return TRIAL_OK;
	if (trial->late)
		snprintf(why, why_size, "the trial took longer than upgrade.trial_limit");
	else if (exited && info->si_status == 0)
		snprintf(why, why_size,
		         "the trial ended without saying that it passed: is this rosterd?");
	else
		snprintf(why, why_size, "the trial failed, %s=%d: %.*s", exited ? "exit" : "signal",
		         info->si_status, (int)strcspn(trial->said, "\n"), trial->said);
	return TRIAL_FAILED;
}

bool trial_reap(struct master *m, enum trial_result *result_r, char *why, size_t why_size)
{
	struct trial *trial = &m->upgrade.trial;
	siginfo_t info = { 0 };

	if (trial->pid == 0)
		return false;
	if (waitid(P_PID, (id_t)trial->pid, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
		return false;
	end_trial(m, trial);
	*result_r = judge_trial(trial, &info, why, why_size);
	return true;
}

void trial_cancel(struct master *m)
{
	struct trial *trial = &m->upgrade.trial;
	pid_t pid = trial->pid;

	if (pid == 0)
		return;
	kill(pid, SIGKILL);
	end_trial(m, trial);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}
