/* SPDX-License-Identifier: Apache-2.0 */
#include "master/reap.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "master/master.h"
#include "master/plan.h"
#include "master/spawn.h"
#include "master/upgrade/fallback.h"
#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/process/sources.h"
#include "shared/shm/fault.h"
#include "shared/shm/queue.h"
#include "shared/shm/slot.h"

#define EXIT_NOBODY_KNOWS (-1)

/* Copies at most what the slot holds, because a broken child may have left it without an end, and
 * clears it. */
static const char *last_words(struct master *m, const struct child *child, char *out, size_t size)
{
	struct slot *slot = &m->seg->slots[child->slot];
	size_t n = strnlen(slot->last_words, SLOT_LAST_WORDS);

	log_quote(str_make(slot->last_words, n), out, size);
	slot->last_words[0] = 0;
	return out;
}

static bool ended_by_assert(const struct master *m, const struct child *child,
                            const siginfo_t *info)
{
	const char *words = m->seg->slots[child->slot].last_words;

	return info->si_code != CLD_EXITED && info->si_status == SIGABRT &&
	       strncmp(words, ASSERT_WORDS, strlen(ASSERT_WORDS)) == 0;
}

static void log_death(struct master *m, const struct child *child, const siginfo_t *info)
{
	char words[2 * SLOT_LAST_WORDS];
	bool exited = info->si_code == CLD_EXITED;
	bool expected = (child->told && ((exited && info->si_status == 0) || child->killed)) ||
	                (exited && info->si_status == EXIT_MODULES);
	void (*say)(const char *format, ...) = expected ? log_info : log_warning;

	say("op=child-exit name=%s pid=%d %s=%d ready=%d lived_ms=%llu last_words=%s", child->name,
	    (int)child->pid, exited ? "exit" : "signal", info->si_status, child->ready,
	    (unsigned long long)(clock_mono_ms() - child->forked_ms),
	    last_words(m, child, words, sizeof(words)));
}

static void replace_child(struct master *m, struct child *child, uint32_t delay_ms)
{
	if (!spawn_is_wanted(m, child))
		return;
	if (delay_ms > 0)
		log_warning("op=respawn name=%s delay_ms=%u", child->name, delay_ms);
	child_wait(child, m->loop, delay_ms);
}

static void reap_one(struct master *m, struct child *child, const siginfo_t *info)
{
	uint32_t delay_ms;

	if (ended_by_assert(m, child, info))
		child_set_asserted(child);
	log_death(m, child, info); /* clears the last words */
	m->seg->slots[child->slot].pid = 0;
	__atomic_store_n(&m->seg->slots[child->slot].state, SLOT_FREE, __ATOMIC_RELEASE);
	delay_ms = child_died(child, info);
	if (child->role->listens && !child->elder)
		sources_clear(m->sources, child->index);
	plan_child_died(m, child, info);
	if (child->elder)
		spawn_wanted(m); /* it may have been in the way of its successor */
	else
		replace_child(m, child, delay_ms);
}

static void note_stopped(struct master *m, struct child *child, bool stopped)
{
	if (!child_set_stopped(child, stopped))
		return;
	__atomic_store_n(&m->seg->slots[child->slot].stopped, (uint32_t)stopped, __ATOMIC_RELEASE);
	log_warning("op=child-%s name=%s pid=%d", stopped ? "stopped" : "continued", child->name,
	            (int)child->pid);
}

/* Returns false when there is nothing new of the child. */
static bool take_status(const struct child *child, siginfo_t *info)
{
	*info = (siginfo_t){ .si_pid = 0 };
	if (waitid(P_PID, (id_t)child->pid, info, WEXITED | WSTOPPED | WCONTINUED | WNOHANG) == 0)
		return info->si_pid != 0;
	if (errno != ECHILD)
		return false;
	*info = (siginfo_t){ .si_code = CLD_EXITED, .si_status = EXIT_NOBODY_KNOWS };
	return true;
}

/* A status is there once, so the alarm waits until the page says what it was
 * (arrival_child_died()). Returns false when there is nothing new. */
static bool reap_status(struct master *m, struct child *child)
{
	siginfo_t info;
	bool taken;

	fallback_hold();
	if ((taken = take_status(child, &info))) {
		FAULT_AT("upgrade-reap");
		if (info.si_code == CLD_STOPPED || info.si_code == CLD_TRAPPED)
			note_stopped(m, child, true);
		else if (info.si_code == CLD_CONTINUED)
			note_stopped(m, child, false);
		else
			reap_one(m, child, &info);
	}
	fallback_release();
	return taken;
}

static void reap_child(struct master *m, struct child *child)
{
	while (child->pid > 0 && reap_status(m, child))
		;
}

void reap_children(struct master *m)
{
	for (unsigned i = 0; i < CHILDREN_ALL; i++)
		reap_child(m, &m->children[i]);
	/* A writer may have died between its commit and the wake-up, and its change would wait. */
	for (unsigned i = 0; i < QUEUE_CONSUMERS; i++)
		process_wake(m->seg->wake_fd[i]);
	plan_advance(m);
}
