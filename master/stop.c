/* SPDX-License-Identifier: Apache-2.0 */
#include "master/stop.h"

#include <signal.h>

#include "master/master.h"
#include "master/notify.h"
#include "master/plan.h"
#include "shared/base/assert.h"
#include "shared/base/log.h"
#include "shared/shm/segment.h"
#include "shared/shm/slot.h"

static void on_stop_limit(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct master *m = timer->data;

	(void)loop;
	(void)revents;
	ROSTER_ASSERT(m->state == MASTER_STOPPING && m->bounded);
	for (unsigned i = 0; i < CHILDREN_ALL; i++) {
		struct child *child = &m->children[i];

		if (child->pid == 0)
			continue;
		log_warning("op=stop name=%s pid=%d result=killed limit_ms=%u", child->name,
		            (int)child->pid, STOP_LIMIT_MS);
		child_end(child);
	}
}

static void bound_stop(struct master *m)
{
	ROSTER_ASSERT(m->state == MASTER_STOPPING && !ev_is_active(&m->kill));
	m->bounded = true;
	ev_timer_init(&m->kill, on_stop_limit, STOP_LIMIT_MS / 1000., 1.);
	m->kill.data = m;
	ev_now_update(m->loop);
	ev_timer_start(m->loop, &m->kill);
}

static void tell_all_told(struct master *m)
{
	for (unsigned i = 0; i < CHILDREN_ALL; i++)
		if (m->children[i].told)
			child_tell(&m->children[i], m->stop_signal);
}

static void begin_stop(struct master *m, int signal_number, bool bounded)
{
	if (m->state == MASTER_STOPPING) {
		if (bounded && !m->bounded) {
			m->stop_signal = signal_number;
			tell_all_told(m);
			bound_stop(m);
		}
		return;
	}
	plan_stop(m);
	ROSTER_ASSERT(m->state != MASTER_STOPPING); /* no plan begins a stop in its hook `stop` */
	log_info("op=stop signal=%d bounded=%d children=%u", signal_number, bounded,
	         children_running(m->children));
	notify_stopping();
	m->state = MASTER_STOPPING;
	m->stop_signal = signal_number;
	for (unsigned i = 0; i < CHILDREN_ALL; i++) {
		child_cancel_wait(&m->children[i], m->loop);
		child_untell(&m->children[i]); /* who leaves already was told to take its time */
	}
	if (bounded)
		bound_stop(m);
	stop_advance(m);
}

void stop_bounded(struct master *m)
{
	begin_stop(m, SIGTERM, true);
}

void stop_unbounded(struct master *m)
{
	begin_stop(m, SIGQUIT, false);
}

void stop_failed(struct master *m, const char *why)
{
	if (m->state == MASTER_STOPPING)
		return;
	log_error("op=start result=failed why=\"%s\"", why);
	m->failed = true;
	begin_stop(m, SIGTERM, true);
}

void stop_for_new_segment(struct master *m, const char *who)
{
	if (m->state == MASTER_STOPPING)
		return;
	log_error("op=new-segment by=%s result=all-restart", who);
	/* The next image reads that word and sets the file aside. */
	segment_condemn(m->seg);
	m->renew = true;
	begin_stop(m, SIGTERM, true);
}

/* The lowest order of those that still run. */
static unsigned current_order(const struct master *m)
{
	unsigned order = ~0U;

	for (unsigned i = 0; i < CHILDREN_ALL; i++)
		if (m->children[i].pid > 0 && m->children[i].role->stop_order < order)
			order = m->children[i].role->stop_order;
	return order;
}

/* Returns true when nobody accepts any more. Then callers shall be refused, not kept waiting. */
static bool listeners_done(const struct master *m)
{
	for (unsigned i = 0; i < CHILDREN_ALL; i++)
		if (m->children[i].pid > 0 && m->children[i].role->listens &&
		    __atomic_load_n(&m->seg->slots[m->children[i].slot].state, __ATOMIC_ACQUIRE) !=
		            SLOT_STOPPING)
			return false;
	return true;
}

void stop_advance(struct master *m)
{
	unsigned order;

	if (m->state != MASTER_STOPPING)
		return;
	order = current_order(m);
	for (unsigned i = 0; i < CHILDREN_ALL; i++) {
		struct child *child = &m->children[i];

		if (child->pid > 0 && child->role->stop_order <= order && !child->told)
			child_tell(child, m->stop_signal);
	}
	if (listeners_done(m))
		for (unsigned i = 0; i < WORKERS_MAX; i++)
			sockets_silence(&m->sockets, i);
	if (children_running(m->children) == 0)
		ev_break(m->loop, EVBREAK_ALL);
}
