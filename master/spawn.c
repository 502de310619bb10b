/* SPDX-License-Identifier: Apache-2.0 */
#include "master/spawn.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "master/upgrade/arrival.h"
#include "master/upgrade/fallback.h"
#include "master/master.h"
#include "master/title.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/process/sandbox.h"
#include "shared/shm/fault.h"
#include "shared/shm/slot.h"

static void on_respawn(struct ev_loop *loop, ev_timer *timer, int revents)
{
	(void)loop;
	(void)timer;
	(void)revents;
	spawn_wanted(((struct child *)timer->data)->master);
}

void spawn_init(struct master *m)
{
	for (unsigned i = 0; i < ROLE_ROWS; i++)
		if (role_rows[i].prepare != NULL)
			role_rows[i].prepare();
	for (unsigned i = 0; i < CHILDREN_ALL; i++) {
		struct child *child = &m->children[i];
		unsigned place = i % CHILDREN;
		const struct role_row *role = role_of_place(place);

		*child = (struct child){ .master = m,
			                 .role = role,
			                 .place = place,
			                 .elder = i >= CHILDREN,
			                 .notice_fd = -1,
			                 .handover_fd = -1,
			                 .handover_end = -1 };
		child->slot = role_slot(place, child->elder ? !m->bank : m->bank);
		child->index = place - role->first_slot;
		if (role->most > 1)
			snprintf(child->name, sizeof(child->name), "%s/%u", role->name, child->index);
		else
			snprintf(child->name, sizeof(child->name), "%s", role->name);
		ev_timer_init(&child->respawn, on_respawn, 0., 0.);
		child->respawn.data = child;
	}
}

bool spawn_is_wanted(const struct child *child)
{
	if (child->master->state == MASTER_STOPPING || child->elder)
		return false;
	return child->role->most == 1 || child->index < child->master->workers;
}

/* Our ends of all pairs, its own one's too: it has the other end. */
static void close_handovers(struct master *m, const struct child *self)
{
	for (unsigned i = 0; i < CHILDREN; i++)
		if (m->children[i].handover_fd >= 0)
			close(m->children[i].handover_fd);
	if (!self->role->listens || m->convert.adopt.workers == 0)
		convert_close_adopt(&m->convert);
}

/* What the child does not need, it does not hold: above all our end of the pipe. */
static void close_foreign(struct master *m, const struct child *self)
{
	ev_loop_destroy(m->loop);
	close(m->signal_fd);
	close(m->alive_fds[1]);
	if (m->daemon_fd >= 0)
		close(m->daemon_fd);
	if (m->upgrade.page_fd >= 0)
		close(m->upgrade.page_fd);
	for (unsigned i = 0; i < CHILDREN_ALL; i++)
		if (&m->children[i] != self && m->children[i].notice_fd >= 0)
			close(m->children[i].notice_fd);
	close_handovers(m, self);
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
		.handover_fd = child->handover_end,
		.adopt = child->generation == 1 && m->convert.adopt.workers > 0 ? &m->convert.adopt : NULL,
		.ready_fd = m->ready_fd,
		.stale = child->role->role == ROLE_KEEPER && m->stale,
	};
	memcpy(proc.name, child->name, sizeof(proc.name));
	return &proc;
}

static void enter_role(struct master *m, const struct child *child, pid_t master_pid) __attribute__((noreturn));
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
	FAULT_AT(child->role->name);
	if (child->generation == 1) /* a successor has to get past the place */
		fault_arm_from_environment(child->role->name);
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

/* A successor must not read what was meant for the one before. */
static bool prepare_handover(struct child *child)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return false;
	if (child->handover_fd >= 0)
		close(child->handover_fd);
	child->handover_fd = pair[0];
	child->handover_end = pair[1];
	return true;
}

static bool prepare(struct master *m, struct child *child)
{
	if (child->notice_fd < 0)
		child->notice_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (child->notice_fd < 0)
		return false;
	if (child->role->listens && sockets_listen(&m->sockets, child->index) < 0)
		return false;
	prepare_slot(m, child);
	return !child->role->listens || prepare_handover(child);
}

static void spawn_failed(struct child *child)
{
	uint32_t delay = backoff_next_ms(&child->backoff, false);

	log_error("op=spawn name=%s err=\"%s\" again_ms=%u", child->name, strerror(errno), delay);
	spawn_after(child, delay);
}

static void spawn(struct master *m, struct child *child)
{
	pid_t master_pid = getpid();
	pid_t pid;

	fallback_hold(true);
	pid = prepare(m, child) ? (child->generation++, fork()) : -1;
	if (pid == 0)
		enter_role(m, child, master_pid);
	if (child->handover_end >= 0)
		close(child->handover_end);
	child->handover_end = -1;
	if (pid < 0) {
		fallback_hold(false);
		spawn_failed(child);
		return;
	}
	child->pid = pid;
	child->ready = child->stopped = child->busy = child->told = child->killed = false;
	child->forked_ms = clock_mono_ms();
	child->resumed_ms = 0;
	m->seg->slots[child->slot].pid = (uint32_t)pid;
	arrival_record(m);
	fallback_hold(false);
	log_debug("op=spawn name=%s pid=%d generation=%u", child->name, (int)pid, child->generation);
}

void spawn_wanted(struct master *m)
{
	if (m->freeze.active && !m->freeze.born) /* its end comes here again */
		return;
	for (unsigned i = 0; i < CHILDREN; i++) {
		struct child *child = &m->children[i];

		if (child->pid == 0 && spawn_is_wanted(child) && !arrival_blocks(child) && !ev_is_active(&child->respawn))
			spawn(m, child);
	}
}

void spawn_after(struct child *child, uint32_t delay_ms)
{
	struct master *m = child->master;

	ev_timer_stop(m->loop, &child->respawn);
	ev_now_update(m->loop);
	ev_timer_set(&child->respawn, delay_ms / 1000., 0.);
	ev_timer_start(m->loop, &child->respawn);
}

void spawn_signal(struct child *child, int signal_number)
{
	if (child->pid > 0 && kill(child->pid, signal_number) < 0)
		log_warning("op=signal name=%s pid=%d signal=%d err=\"%s\"", child->name, (int)child->pid, signal_number,
		            strerror(errno));
}

void spawn_signal_all(struct master *m, int signal_number)
{
	for (unsigned i = 0; i < CHILDREN_ALL; i++)
		spawn_signal(&m->children[i], signal_number);
}

unsigned spawn_count_running(const struct master *m)
{
	unsigned count = 0;

	for (unsigned i = 0; i < CHILDREN_ALL; i++)
		count += m->children[i].pid > 0;
	return count;
}
