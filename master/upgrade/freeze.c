/* SPDX-License-Identifier: Apache-2.0 */
#include "master/upgrade/freeze.h"

#include "master/master.h"
#include "master/spawn.h"
#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/shm/slot.h"

static bool stands_still(const struct master *m, const struct child *child)
{
	return child->pid == 0 || __atomic_load_n(&m->seg->slots[child->slot].frozen_seen,
	                                          __ATOMIC_ACQUIRE) == m->freeze.generation;
}

bool freeze_done(const struct master *m)
{
	if (!m->freeze.active)
		return false;
	for (unsigned i = 0; i < CHILDREN; i++)
		if (!stands_still(m, &m->children[i]))
			return false;
	return true;
}

bool freeze_blocks(const struct master *m, const struct child *child)
{
	(void)child;
	return m->freeze.active && !m->freeze.born; /* freeze_end() forks them */
}

static void on_freeze_limit(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct master *m = timer->data;

	(void)loop;
	(void)revents;
	/* The limit is of what freeze_begin() began. */
	ROSTER_ASSERT(m->freeze.active && !m->freeze.born);
	for (unsigned i = 0; i < CHILDREN; i++) {
		struct child *child = &m->children[i];

		if (!stands_still(m, child))
			child_kill(child, "not-frozen", clock_mono_ms() - m->freeze.begun_ms);
	}
}

static void write_word(struct master *m, uint64_t generation)
{
	__atomic_store_n(&m->seg->board->frozen, generation, __ATOMIC_RELEASE);
	children_wake_own(m->children);
}

void freeze_begin(struct master *m)
{
	if (m->freeze.active)
		return;
	m->freeze.active = true;
	m->freeze.begun_ms = clock_mono_ms();
	m->freeze.generation++;
	ev_timer_init(&m->freeze.limit, on_freeze_limit, FREEZE_LIMIT_MS / 1000., 0.);
	m->freeze.limit.data = m;
	ev_now_update(m->loop);
	ev_timer_start(m->loop, &m->freeze.limit);
	log_info("op=freeze generation=%llu children=%u", (unsigned long long)m->freeze.generation,
	         children_running(m->children));
	write_word(m, m->freeze.generation);
}

void freeze_born(struct master *m)
{
	ROSTER_ASSERT(!m->freeze.active);
	m->freeze.active = m->freeze.born = true;
	m->freeze.begun_ms = clock_mono_ms();
	m->freeze.generation++;
	__atomic_store_n(&m->seg->board->frozen, m->freeze.generation, __ATOMIC_RELEASE);
}

void freeze_end(struct master *m)
{
	if (!m->freeze.active)
		return;
	if (!m->freeze.born)
		ev_timer_stop(m->loop, &m->freeze.limit);
	m->freeze.active = m->freeze.born = false;
	write_word(m, 0);
	log_info("op=freeze-end ms=%llu",
	         (unsigned long long)(clock_mono_ms() - m->freeze.begun_ms));
	spawn_wanted(m);
}
