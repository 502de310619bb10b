/* SPDX-License-Identifier: Apache-2.0 */
#include "master/spawn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/master.h"
#include "master/plan.h"
#include "master/title.h"
#include "master/upgrade/fallback.h"
#include "shared/base/assert.h"
#include "shared/base/log.h"
#include "shared/process/sandbox.h"
#include "shared/shm/fault.h"
#include "shared/shm/slot.h"

static void on_respawn(struct ev_loop *loop, ev_timer *timer, int revents)
{
	(void)loop;
	(void)revents;
	spawn_wanted(timer->data);
}

void spawn_init(struct master *m)
{
	for (unsigned i = 0; i < ROLE_ROWS; i++)
		if (role_rows[i].prepare != NULL)
			role_rows[i].prepare();
	children_init(m->children, m->bank, on_respawn, m);
}

bool spawn_is_wanted(const struct master *m, const struct child *child)
{
	if (m->state == MASTER_STOPPING || child->elder)
		return false;
	return child->role->most == 1 || child->index < m->workers;
}

/* A child holds only what it needs. Above all it closes our end of the pipe, which would otherwise
 * stay open when the master dies, and nobody would notice. */
static void close_foreign(struct master *m, const struct child *self)
{
	ev_loop_destroy(m->loop);
	close(m->signal_fd);
	close(m->alive_fds[1]);
	if (m->daemon_fd >= 0)
		close(m->daemon_fd);
	children_close_in_child(m->children, self);
	plan_in_child(m, self);
	if (!self->role->listens)
		sockets_close_listening(&m->sockets);
	if (!self->role->pushes)
		sockets_close_udp(&m->sockets);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
}

static struct process *make_process(struct master *m, const struct child *child)
{
	static struct process proc; /* outlives the loop: asserts and log lines point into it */

	ROSTER_ASSERT((child->migrate_end >= 0) == child->role->listens && child->notice_fd >= 0);
	proc = (struct process){
		.role = child->role->role,
		.index = child->index,
		.bank = m->bank,
		.config = m->config,
		.config_shared = m->config_shared,
		.sources = m->sources,
		.seg = m->seg,
		.slot = &m->seg->slots[child->slot],
		.listen = &m->sockets.listen,
		.udp_fd = m->sockets.udp_fd,
		.udp_port = m->sockets.udp_port,
		.alive_fd = m->alive_fds[0],
		.notice_fd = child->notice_fd,
		.migrate_fd = child->migrate_end,
		.ready_fd = m->ready_fd,
	};
	memcpy(proc.name, child->name, sizeof(proc.name));
	plan_lend(m, child, &proc);
	return &proc;
}

static void enter_role(struct master *m, const struct child *child, pid_t master_pid)
        __attribute__((noreturn));
static void enter_role(struct master *m, const struct child *child, pid_t master_pid)
{
	struct process *proc;

	fallback_forget();
	if (!privileges_bind_child(master_pid))
		_exit(EXIT_FAILURE);
	title_set(child->name);
	close_foreign(m, child);
	proc = make_process(m, child);
	proc->slot->pid = (uint32_t)getpid();
	process_enter(proc);
	FAULT_AT(role_name(child->role->role));
	if (child->generation == 1) /* a successor has to get past the place that kills */
		fault_arm_from_environment(role_name(child->role->role));
	if (child->modules && child->role->load_modules != NULL)
		child->role->load_modules();
	if (m->config.sandbox_seccomp && sandbox_enter(proc->role) < 0) {
		log_error("op=sandbox err=\"%s\"", strerror(errno));
		_exit(EXIT_FAILURE);
	}
	exit(child->role->entrance(proc));
}

/* The slot goes over to the successor: counters stay, the rest begins anew. */
static void prepare_slot(struct master *m, const struct child *child)
{
	struct slot *slot = &m->seg->slots[child->slot];

	slot->pid = 0;
	slot->role = child->role->role;
	slot->index = child->index;
	slot->generation++;
	slot->stopped = 0;
	slot->busy_since_ms = 0;
	slot->busy_us_max = 0;
	slot->stuck_shard = 0;
	slot->stuck_owner = 0;
	slot->connections = 0;
	slot->frozen_seen = 0;
	slot->last_words[0] = 0;
	__atomic_store_n(&slot->state, SLOT_STARTING, __ATOMIC_RELEASE);
}

static bool prepare_fork(struct master *m, struct child *child)
{
	if (!child_open_notice(child))
		return false;
	if (child->role->listens && sockets_listen(&m->sockets, child->index) < 0)
		return false;
	prepare_slot(m, child);
	return !child->role->listens || child_open_migrate(child);
}

static void spawn_failed(struct master *m, struct child *child)
{
	uint32_t delay = child_not_forked(child);

	log_error("op=spawn name=%s err=\"%s\" again_ms=%u", child->name, strerror(errno), delay);
	child_wait(child, m->loop, delay);
}

static void spawn(struct master *m, struct child *child)
{
	pid_t master_pid = getpid();
	pid_t pid;

	ROSTER_ASSERT(m->state != MASTER_STOPPING && !child->elder);
	fallback_hold();
	pid = prepare_fork(m, child) ? child_fork(child) : -1;
	if (pid == 0)
		enter_role(m, child, master_pid);
	child_close_migrate_end(child);
	if (pid < 0) {
		fallback_release();
		spawn_failed(m, child);
		return;
	}
	m->seg->slots[child->slot].pid = (uint32_t)pid;
	plan_child_forked(m);
	fallback_release();
	log_debug("op=spawn name=%s pid=%d generation=%u", child->name, (int)pid,
	          child->generation);
}

void spawn_wanted(struct master *m)
{
	for (unsigned i = 0; i < CHILDREN; i++) {
		struct child *child = &m->children[i];

		if (child->pid == 0 && spawn_is_wanted(m, child) && !plan_blocks(m, child) &&
		    !ev_is_active(&child->respawn))
			spawn(m, child);
	}
}
