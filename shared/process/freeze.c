/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/process/freeze.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "shared/base/assert.h"
#include "shared/process/process.h"

#define LOOK_MS 50 /* for signals: they are blocked and stay pending for the loop */

static uint64_t generation(const struct process *proc)
{
	return __atomic_load_n(&proc->seg->board->frozen, __ATOMIC_ACQUIRE);
}

bool freeze_wanted(const struct process *proc)
{
	return generation(proc) != 0;
}

static void acknowledge(struct process *proc, uint64_t seen)
{
	ROSTER_ASSERT(seen != 0);
	if (proc->slot->frozen_seen == seen)
		return;
	__atomic_store_n(&proc->slot->frozen_seen, seen, __ATOMIC_RELEASE);
	process_wake(proc->ready_fd);
}

static bool told_to_stop(void)
{
	sigset_t pending;

	return sigpending(&pending) == 0 &&
	       (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1 ||
	        sigismember(&pending, SIGQUIT) == 1);
}

/* Looks once at what may end the wait. FREEZE_OVER means that nothing has yet. */
static enum freeze_end look_once(struct process *proc)
{
	struct pollfd fds[] = {
		{ .fd = proc->alive_fd, .events = POLLIN },
		{ .fd = proc->notice_fd, .events = POLLIN },
		{ .fd = proc->migrate_fd, .events = POLLIN },
	};
	uint64_t times;

	if (poll(fds, sizeof(fds) / sizeof(fds[0]), LOOK_MS) <= 0)
		return told_to_stop() ? FREEZE_LEAVE : FREEZE_OVER;
	if (fds[0].revents != 0) /* nobody ever writes there */
		return FREEZE_LEAVE;
	/* Only the counter is read here; what the notice is about is on the board. */
	if (fds[1].revents & POLLIN)
		(void)!read(proc->notice_fd, &times, sizeof(times));
	if (fds[2].revents & POLLIN)
		return FREEZE_GIVE;
	return told_to_stop() ? FREEZE_LEAVE : FREEZE_OVER;
}

enum freeze_end freeze_here(struct process *proc)
{
	enum freeze_end end = FREEZE_OVER;
	uint64_t now = generation(proc);

	ROSTER_ASSERT(proc->seg->held == NULL); /* who waits for a lock would not stand still */
	if (now == 0)
		return FREEZE_OVER;
	process_idle(proc);
	for (; now != 0 && end == FREEZE_OVER; now = generation(proc)) {
		acknowledge(proc, now);
		end = look_once(proc);
	}
	if (end == FREEZE_OVER) {
		__atomic_store_n(&proc->slot->frozen_seen, 0, __ATOMIC_RELEASE);
		process_busy(proc);
	}
	return end;
}
