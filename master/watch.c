/* SPDX-License-Identifier: Apache-2.0 */
#include "master/watch.h"

#include "master/busy.h"
#include "master/master.h"
#include "master/plan.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/shm/shard.h"
#include "shared/shm/slot.h"

#define WATCH_LATE_MS 2500U /* the timer itself came that late: the machine or we stood still */

/* A child can be stopped just after it took the lock, or just before it gives it back, when the
 * shard names nobody. Then any that is stopped may be the owner. */
static void kill_stopped(struct master *m)
{
	for (unsigned i = 0; i < CHILDREN_ALL; i++)
		if (m->children[i].stopped)
			child_kill(&m->children[i], "lock-held", 0);
}

/* The report is a hint, because the segment may say anything by now: it counts only if the shard
 * still names the same owner. */
static void check_stuck(struct master *m, const struct child *waiter)
{
	struct slot *slot = &m->seg->slots[waiter->slot];
	uint32_t shard = __atomic_exchange_n(&slot->stuck_shard, 0, __ATOMIC_ACQUIRE);
	uint32_t owner = __atomic_load_n(&slot->stuck_owner, __ATOMIC_RELAXED);
	struct child *child;

	if (shard == 0 || shard > SHARDS_ALL ||
	    __atomic_load_n(&m->seg->shards[shard - 1].owner, __ATOMIC_RELAXED) != owner)
		return;
	if (owner == 0) {
		kill_stopped(m);
		return;
	}
	if ((child = children_of_pid(m->children, (pid_t)owner)) == NULL) {
		log_error("op=lock-stuck shard=%u waiter=%s owner=%u result=not-a-child", shard - 1,
		          waiter->name, owner);
		return;
	}
	log_warning("op=lock-stuck shard=%u waiter=%s owner=%s", shard - 1, waiter->name,
	            child->name);
	child_kill(child, "lock-held", 0);
}

static void check_state(struct master *m, struct child *child)
{
	uint32_t state = __atomic_load_n(&m->seg->slots[child->slot].state, __ATOMIC_ACQUIRE);

	if (state != SLOT_READY || child->ready)
		return;
	child_set_ready(child);
	plan_child_ready(m, child);
	if (m->state == MASTER_SERVING)
		log_info("op=child-ready name=%s pid=%d start_ms=%llu", child->name,
		         (int)child->pid, (unsigned long long)(clock_mono_ms() - child->forked_ms));
}

void watch_ring(struct master *m)
{
	for (unsigned i = 0; i < CHILDREN_ALL; i++) {
		if (m->children[i].pid == 0)
			continue;
		check_state(m, &m->children[i]);
		check_stuck(m, &m->children[i]);
	}
	plan_advance(m);
}

static void check_turn(struct master *m, struct child *child, uint64_t now)
{
	uint64_t since =
	        __atomic_load_n(&m->seg->slots[child->slot].busy_since_ms, __ATOMIC_RELAXED);
	uint64_t turn = busy_ms(since, child->resumed_ms, m->resumed_ms, now);
	bool busy = turn > WATCH_BUSY_MS;

	if (busy && !child->busy)
		log_warning("op=child-busy name=%s pid=%d ms=%llu", child->name, (int)child->pid,
		            (unsigned long long)turn);
	child_set_busy(child, busy);
	if (turn > child->role->busy_kill_ms)
		child_kill(child, "busy", turn);
}

static void check_child(struct master *m, struct child *child, uint64_t now)
{
	uint64_t age;

	if (child->pid == 0 || child->stopped)
		return;
	check_turn(m, child, now);
	age = busy_ms(child->forked_ms, child->resumed_ms, m->resumed_ms, now);
	if (!child->ready && !child->told && age > WATCH_START_MS)
		child_kill(child, "not-ready", age);
}

static void on_watch(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct master *m = timer->data;
	uint64_t now = clock_mono_ms();

	(void)loop;
	(void)revents;
	if (now - m->watch_ms > WATCH_LATE_MS)
		m->resumed_ms = now;
	m->watch_ms = now;
	for (unsigned i = 0; i < CHILDREN_ALL; i++)
		check_child(m, &m->children[i], now);
	watch_ring(m);
}

void watch_start(struct master *m)
{
	m->watch_ms = clock_mono_ms();
	ev_timer_init(&m->watch, on_watch, WATCH_PERIOD_MS / 1000., WATCH_PERIOD_MS / 1000.);
	m->watch.data = m;
	ev_timer_start(m->loop, &m->watch);
}
