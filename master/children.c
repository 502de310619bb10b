/* SPDX-License-Identifier: Apache-2.0 */
#include "master/children.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"

/* Signals go only to pids of the table: any other may belong to a stranger by now. */
static void send_signal(const struct child *child, int signal_number)
{
	if (child->pid > 0 && kill(child->pid, signal_number) < 0)
		log_warning("op=signal name=%s pid=%d signal=%d err=\"%s\"", child->name,
		            (int)child->pid, signal_number, strerror(errno));
}

/* ---- the table ------------------------------------------------------------------------------- */

static void init_child(struct child *child, unsigned place, bool elder, unsigned bank)
{
	const struct role_row *role = role_of_place(place);

	ROSTER_ASSERT(role != NULL); /* every place has a role */
	*child = (struct child){ .role = role,
		                 .place = place,
		                 .slot = role_slot(place, bank),
		                 .index = place - role->first_slot,
		                 .elder = elder,
		                 .notice_fd = -1,
		                 .migrate_fd = -1,
		                 .migrate_end = -1 };
	if (role->most > 1)
		snprintf(child->name, sizeof(child->name), "%s/%u", role_name(role->role),
		         child->index);
	else
		snprintf(child->name, sizeof(child->name), "%s", role_name(role->role));
}

void children_init(struct child *children, unsigned bank, child_due_fn *due, void *data)
{
	ROSTER_ASSERT(bank < SLOT_BANKS && due != NULL);
	for (unsigned i = 0; i < CHILDREN_ALL; i++) {
		bool elder = i >= CHILDREN;

		init_child(&children[i], i % CHILDREN, elder, elder ? !bank : bank);
		ev_timer_init(&children[i].respawn, due, 0., 0.);
		children[i].respawn.data = data;
	}
}

unsigned children_running(const struct child *children)
{
	unsigned count = 0;

	for (unsigned i = 0; i < CHILDREN_ALL; i++)
		count += children[i].pid > 0;
	return count;
}

struct child *children_of_pid(struct child *children, pid_t pid)
{
	for (unsigned i = 0; i < CHILDREN_ALL && pid > 0; i++)
		if (children[i].pid == pid)
			return &children[i];
	return NULL;
}

void children_signal(const struct child *children, int signal_number)
{
	for (unsigned i = 0; i < CHILDREN_ALL; i++)
		send_signal(&children[i], signal_number);
}

void children_wake_workers(const struct child *children)
{
	for (unsigned i = 0; i < CHILDREN_ALL; i++)
		if (children[i].pid > 0 && children[i].role->listens)
			process_wake(children[i].notice_fd);
}

void children_wake_own(const struct child *children)
{
	for (unsigned i = 0; i < CHILDREN; i++)
		if (children[i].pid > 0)
			process_wake(children[i].notice_fd);
}

void children_close_in_child(const struct child *children, const struct child *self)
{
	ROSTER_ASSERT(!self->elder); /* whoever was just forked is one of our own */
	for (unsigned i = 0; i < CHILDREN_ALL; i++)
		if (&children[i] != self && children[i].notice_fd >= 0)
			close(children[i].notice_fd);
	/* Our end of its own pair goes too, because the child has the other. */
	for (unsigned i = 0; i < CHILDREN; i++)
		if (children[i].migrate_fd >= 0)
			close(children[i].migrate_fd);
}

/* ---- from one fork to the next --------------------------------------------------------------- */

bool child_open_notice(struct child *child)
{
	if (child->notice_fd < 0)
		child->notice_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return child->notice_fd >= 0;
}

bool child_open_migrate(struct child *child)
{
	int pair[2];

	ROSTER_ASSERT(child->role->listens && child->pid == 0 && child->migrate_end < 0);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return false;
	if (child->migrate_fd >= 0)
		close(child->migrate_fd);
	child->migrate_fd = pair[0];
	child->migrate_end = pair[1];
	return true;
}

void child_close_migrate_end(struct child *child)
{
	if (child->migrate_end >= 0)
		close(child->migrate_end);
	child->migrate_end = -1;
}

void child_close_notice(struct child *child)
{
	if (child->notice_fd >= 0)
		close(child->notice_fd);
	child->notice_fd = -1;
}

pid_t child_fork(struct child *child)
{
	pid_t pid;

	/* It is not there, nor waits. */
	ROSTER_ASSERT(child->pid == 0 && !ev_is_active(&child->respawn));
	if ((pid = fork()) < 0)
		return pid;
	child->generation++; /* on both sides, because the child asks whether it is the first */
	if (pid == 0)
		return pid;
	child->pid = pid;
	child->ready = child->stopped = child->busy = child->told = child->killed = false;
	child->asserted = false;
	child->forked_ms = clock_mono_ms();
	child->resumed_ms = 0;
	return pid;
}

uint32_t child_not_forked(struct child *child)
{
	ROSTER_ASSERT(child->pid == 0);
	return backoff_next_ms(&child->backoff, false);
}

void child_adopt(struct child *child, const struct child *known)
{
	child->pid = known->pid;
	child->generation = known->generation;
	child->notice_fd = known->notice_fd;
	child->forked_ms = known->forked_ms;
	child->resumed_ms = known->resumed_ms;
	child->ready = known->ready;
	child->stopped = known->stopped;
	child->told = known->told;
	child->killed = known->killed;
}

void child_adopt_migrate(struct child *child, int migrate_fd)
{
	ROSTER_ASSERT(child->role->listens && child->migrate_fd < 0);
	child->migrate_fd = migrate_fd;
}

void child_set_ready(struct child *child)
{
	ROSTER_ASSERT(child->pid > 0);
	child->ready = true;
	backoff_reset(&child->backoff);
}

bool child_set_stopped(struct child *child, bool stopped)
{
	ROSTER_ASSERT(child->pid > 0);
	if (child->stopped == stopped)
		return false;
	child->stopped = stopped;
	if (!stopped)
		child->resumed_ms = clock_mono_ms();
	return true;
}

void child_set_busy(struct child *child, bool busy)
{
	child->busy = busy;
}

void child_set_asserted(struct child *child)
{
	ROSTER_ASSERT(child->pid > 0);
	child->asserted = true;
}

uint32_t child_died(struct child *child, const siginfo_t *info)
{
	bool wants_modules = info->si_code == CLD_EXITED && info->si_status == EXIT_MODULES;
	bool excused = child->ready || child->told || wants_modules;

	/* Who runs has no successor yet. */
	ROSTER_ASSERT(child->pid > 0 && !ev_is_active(&child->respawn));
	child->pid = 0;
	child->ready = child->stopped = child->busy = false;
	child->modules |= wants_modules;
	return backoff_next_ms(&child->backoff, excused);
}

void child_wait(struct child *child, struct ev_loop *loop, uint32_t delay_ms)
{
	ROSTER_ASSERT(child->pid == 0 && !child->elder); /* only our own have successors */
	ev_timer_stop(loop, &child->respawn);
	ev_now_update(loop);
	ev_timer_set(&child->respawn, delay_ms / 1000., 0.);
	ev_timer_start(loop, &child->respawn);
}

void child_cancel_wait(struct child *child, struct ev_loop *loop)
{
	ev_timer_stop(loop, &child->respawn);
}

/* ---- how it is made to leave ----------------------------------------------------------------- */

void child_tell(struct child *child, int signal_number)
{
	if (child->pid == 0)
		return;
	/* child_kill() and child_end() write down that they kill. */
	ROSTER_ASSERT(signal_number != SIGKILL);
	child->told = true;
	send_signal(child, signal_number);
	if (child->stopped)
		send_signal(child, SIGCONT);
}

void child_untell(struct child *child)
{
	child->told = false;
}

void child_kill(struct child *child, const char *why, uint64_t ms)
{
	if (child->pid == 0 || child->killed)
		return;
	child->killed = true;
	log_error("op=kill name=%s pid=%d why=%s ms=%llu", child->name, (int)child->pid, why,
	          (unsigned long long)ms);
	send_signal(child, SIGKILL);
}

void child_end(struct child *child)
{
	if (child->pid == 0)
		return;
	child->told = child->killed = true;
	send_signal(child, SIGKILL);
}
