/* SPDX-License-Identifier: Apache-2.0 */
#include "master/upgrade/arrival.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "master/master.h"
#include "master/notify.h"
#include "master/orphans.h"
#include "master/plan.h"
#include "master/storage.h"
#include "master/upgrade/fallback.h"
#include "master/upgrade/handover.h"
#include "master/upgrade/upgrade.h"
#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/shm/fault.h"
#include "shared/shm/slot.h"

#define STOP_WAIT_S 6.0 /* a worker that was told to stop ends its requests within 5 s */

/* ---- taking over ----------------------------------------------------------------------------- */

/* The new image asks the old workers for their connections if it has another segment; the one that
 * was called back keeps the descriptors for the next time. */
static void adopt_conversion(struct master *m, const struct handover *h)
{
	if (!m->upgrade.back) {
		m->convert.snapshot_fd = h->snapshot_fd;
		memcpy(m->convert.adopt.fds, h->migrate_fds, sizeof(m->convert.adopt.fds));
	} else if (h->snapshot_fd >= 0) {
		close(h->snapshot_fd);
	}
}

int arrival_begin(struct master *m, char *why, unsigned why_size)
{
	struct upgrade *u = &m->upgrade;
	struct handover *h;
	int ret;

	ROSTER_ASSERT(u->page == NULL && u->step == UPGRADE_NONE);
	if ((ret = handover_map(m->options->handover_fd, true, getpid(), &u->page, why, why_size)) <
	    0)
		return ret;
	h = u->page;
	u->page_fd = m->options->handover_fd;
	u->begun_ms = h->begun_ms;
	u->back = h->back != 0;
	u->converted = h->snapshot_fd >= 0;
	handover_pass(h, false);
	adopt_conversion(m, h);
	if (h->next_fd >= 0)
		close(h->next_fd);
	h->next_fd = -1;
	m->bank = u->back ? h->bank : !h->bank;
	m->started_ms = h->started_ms;
	snprintf(m->path, sizeof(m->path), "%s", h->path);
	FAULT_AT("upgrade-begin");
	return 0;
}

int arrival_read_config(struct master *m)
{
	void *page = mmap(NULL, sizeof(struct config_shared), PROT_READ | PROT_WRITE, MAP_SHARED,
	                  m->upgrade.page->config_fd, 0);

	if (page == MAP_FAILED)
		return ERR_IO;
	m->config_fd = m->upgrade.page->config_fd;
	m->config_shared = page;
	m->config = m->config_shared->halves[m->config_shared->generation & 1];
	m->workers = m->upgrade.page->workers;
	return 0;
}

static void adopt_activation(struct activation *a, const struct handover *h)
{
	*a = (struct activation){ .stream_count = h->activated_count < WORKERS_MAX
		                                          ? h->activated_count
		                                          : WORKERS_MAX,
		                  .datagram_fd = h->activated_datagram_fd };
	for (unsigned i = 0; i < a->stream_count; i++)
		a->stream_fds[i] = h->activated_fds[i];
}

static int adopt_sockets(struct sockets *s, const struct handover *h)
{
	sockets_init(s);
	for (unsigned i = 0; i < WORKERS_MAX; i++)
		s->listen.fds[i] = h->listen_fds[i];
	s->listening = h->listening;
	s->activated = h->activated;
	s->shared = h->shared;
	s->backlog = h->backlog;
	s->udp_fd = h->udp_fd;
	return sockets_adopted(s);
}

static int adopt_segment(struct master *m, char *why, size_t why_size)
{
	const struct handover *h = m->upgrade.page;
	int ret;

	if (m->convert.snapshot_fd >= 0)
		return storage_open_converted(m, why, why_size);
	if ((ret = segment_adopt(h->segment_fd, h->segment_path, &m->seg, why,
	                         (unsigned)why_size)) < 0)
		return ret;
	m->origin = SEGMENT_ATTACHED;
	for (unsigned i = 0; i < 2; i++)
		m->seg->wake_fd[i] = h->wake_fds[i];
	return 0;
}

int arrival_adopt(struct master *m)
{
	const struct handover *h = m->upgrade.page;
	char why[256] = "";

	adopt_activation(&m->activation, h);
	if (adopt_segment(m, why, sizeof(why)) < 0 || adopt_sockets(&m->sockets, h) < 0) {
		log_error("op=upgrade step=adopt why=\"%s\"",
		          why[0] != 0 ? why : "a socket did not come along");
		fallback_because(why[0] != 0 ? why : "a socket did not come along");
		return ERR_IO;
	}
	m->stale = h->stale != 0;
	m->ready_fd = h->ready_fd;
	for (unsigned i = 0; i < 2; i++)
		m->alive_fds[i] = h->alive_fds[i];
	__atomic_store_n(&m->seg->board->workers, m->workers, __ATOMIC_RELEASE);
	FAULT_AT("upgrade-adopt");
	return 0;
}

void arrival_record(struct master *m)
{
	if (m->upgrade.step != UPGRADE_ARRIVING || m->upgrade.page == NULL)
		return;
	fallback_hold();
	handover_record(m->upgrade.page, m);
	fallback_release();
}

/* ---- the others leave ------------------------------------------------------------------------ */

static void on_drain(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct master *m = timer->data;
	bool last = m->upgrade.drain_round++ > 0;

	(void)loop;
	(void)revents;
	ROSTER_ASSERT(m->upgrade.step == UPGRADE_LEAVING);
	for (unsigned i = CHILDREN; i < CHILDREN_ALL; i++) {
		struct child *child = &m->children[i];

		if (child->pid == 0)
			continue;
		log_info("op=upgrade step=drain name=%s pid=%d result=%s", child->name,
		         (int)child->pid, last ? "killed" : "stopped");
		if (last)
			child_end(child);
		else
			child_tell(child, SIGTERM);
	}
}

static void dismiss_others(struct master *m)
{
	struct upgrade *u = &m->upgrade;

	ROSTER_ASSERT(u->step == (u->back ? UPGRADE_NONE : UPGRADE_ARRIVING) && u->page == NULL);
	u->step = UPGRADE_LEAVING;
	u->drain_round = 0;
	for (unsigned i = CHILDREN; i < CHILDREN_ALL; i++) {
		/* Those of a failed image over another segment stand still and have no
		 * connections. */
		bool drains = m->children[i].role->listens && !(u->back && u->converted);

		child_tell(&m->children[i], drains ? SIGUSR2 : SIGTERM);
	}
	ev_timer_init(&u->drain, on_drain, (double)m->config.upgrade_drain_ms / 1000., STOP_WAIT_S);
	u->drain.data = m;
	ev_now_update(m->loop);
	ev_timer_start(m->loop, &u->drain);
	orphans_update(m);
	arrival_advance(m);
}

static void finish_upgrade(struct master *m)
{
	struct upgrade *u = &m->upgrade;

	ROSTER_ASSERT(u->step == UPGRADE_LEAVING && u->page == NULL);
	ev_timer_stop(m->loop, &u->drain);
	for (unsigned i = CHILDREN; i < CHILDREN_ALL; i++)
		child_close_notice(&m->children[i]);
	log_info("op=upgrade result=%s ms=%llu", u->back ? "went-back-done" : "done",
	         (unsigned long long)(clock_mono_ms() - u->begun_ms));
	u->step = UPGRADE_NONE;
	u->back = false;
}

/* ---- proving --------------------------------------------------------------------------------- */

static void on_proven(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct master *m = timer->data;

	(void)loop;
	(void)revents;
	FAULT_AT("upgrade-prove");
	m->upgrade.proven = true;
	plan_advance(m);
}

/* Over another segment there is no time to prove anything, since everybody stands still until the
 * commit. */
bool arrival_is_proven(const struct master *m)
{
	if (m->convert.snapshot_fd >= 0)
		return true;
	return m->upgrade.step != UPGRADE_ARRIVING || m->upgrade.proven;
}

static void begin_proving(struct master *m)
{
	struct upgrade *u = &m->upgrade;

	ROSTER_ASSERT(u->step == UPGRADE_NONE && !u->back);
	u->step = UPGRADE_ARRIVING;
	ev_timer_init(&u->prove, on_proven, ARRIVAL_PROVE_MS / 1000., 0.);
	u->prove.data = m;
	ev_timer_start(m->loop, &u->prove);
}

/* Our own children have stood still since before the exec. */
static void thaw(struct master *m)
{
	if (segment_sweep_beside(m->seg))
		log_info("op=convert what=leftover path=\"%s.new\" result=removed", m->seg->path);
	m->freeze.active = true;
	m->freeze.born = true; /* no limit runs */
	m->freeze.begun_ms = clock_mono_ms();
	freeze_end(m);
}

static void come_back(struct master *m)
{
	char quoted[2 * sizeof(m->upgrade.page->why)];
	struct board *board = m->seg->board;

	log_quote(str_make(m->upgrade.page->why,
	                   strnlen(m->upgrade.page->why, sizeof(m->upgrade.page->why))),
	          quoted, sizeof(quoted));
	log_error("op=upgrade result=went-back path=\"%s\" why=%s", m->path, quoted);
	__atomic_store_n(&board->upgrades_back, board->upgrades_back + 1, __ATOMIC_RELAXED);
	m->state = MASTER_SERVING;
	for (unsigned i = 0; i < WORKERS_MAX; i++)
		child_adopt_migrate(&m->children[i], m->upgrade.page->migrate_fds[i]);
	if (m->upgrade.converted)
		thaw(m);
	close(m->upgrade.page->binary_fd);
	upgrade_release(m);
	dismiss_others(m);
	notify_reloaded("Upgrade failed, the old binary serves on");
}

void arrival_adopt_children(struct master *m)
{
	handover_take_children(m->upgrade.page, m, m->upgrade.back ? HANDOVER_OLD : HANDOVER_NEW);
	if (m->upgrade.back)
		come_back(m);
	else
		begin_proving(m);
}

void arrival_confirm(struct master *m)
{
	struct board *board = m->seg->board;
	struct handover *h = m->upgrade.page;

	if (m->upgrade.step != UPGRADE_ARRIVING)
		return;
	ROSTER_ASSERT(h != NULL); /* it is kept until here, for the way back */
	fallback_disarm();
	log_info("op=upgrade step=proven ms=%llu",
	         (unsigned long long)(clock_mono_ms() - m->upgrade.begun_ms));
	__atomic_store_n(&board->upgrades_done, board->upgrades_done + 1, __ATOMIC_RELAXED);
	close(h->binary_fd);
	close(h->config_fd);
	if (h->segment_fd != m->seg->fd)
		close(h->segment_fd);
	convert_close_adopt(&m->convert);
	upgrade_release(m);
	dismiss_others(m);
}

/* ---- one change after the other -------------------------------------------------------------- */

bool arrival_blocks(const struct master *m, const struct child *child)
{
	ROSTER_ASSERT(!child->elder); /* nobody forks an elder */
	return child->role->most == 1 && m->children[CHILDREN + child->place].pid > 0;
}

static bool workers_ready(const struct master *m)
{
	for (unsigned i = 0; i < m->workers; i++)
		if (!m->children[i].ready)
			return false;
	return true;
}

/* Once our workers serve, the other image's processes that are alone in their role make room. */
static void dismiss_single_roles(struct master *m)
{
	if (!workers_ready(m))
		return;
	for (unsigned i = CHILDREN; i < CHILDREN_ALL; i++)
		if (!m->children[i].role->listens && !m->children[i].told)
			child_tell(&m->children[i], SIGTERM);
	arrival_record(m);
}

void arrival_advance(struct master *m)
{
	unsigned others = 0;

	if (m->state == MASTER_STOPPING)
		return;
	if (m->upgrade.step == UPGRADE_ARRIVING)
		dismiss_single_roles(m);
	if (m->upgrade.step != UPGRADE_LEAVING)
		return;
	for (unsigned i = CHILDREN; i < CHILDREN_ALL; i++)
		others += m->children[i].pid > 0;
	if (others == 0)
		finish_upgrade(m);
}

void arrival_child_died(struct master *m, const struct child *child, const siginfo_t *info)
{
	bool exited = info->si_code == CLD_EXITED;
	char why[128];

	if (!child->elder && m->state != MASTER_STOPPING &&
	    !(exited && info->si_status == EXIT_MODULES)) {
		snprintf(why, sizeof(why), "its %s ended, %s=%d", child->name,
		         exited ? "exit" : "signal", info->si_status);
		arrival_failed(m, why);
	}
	arrival_record(m);
}

void arrival_failed(struct master *m, const char *why)
{
	if (m->upgrade.step != UPGRADE_ARRIVING)
		return;
	arrival_record(m);
	fallback_now(why);
}
