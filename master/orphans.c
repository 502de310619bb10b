/* SPDX-License-Identifier: Apache-2.0 */
#include "master/orphans.h"

#include "master/master.h"
#include "shared/base/log.h"
#include "shared/shm/slot.h"

static bool serves(const struct child *child)
{
	return child->pid > 0 && child->ready && !child->stopped && !child->busy && !child->told;
}

void orphans_update(struct master *m)
{
	uint64_t orphans = 0;

	for (unsigned i = 0; i < WORKERS_MAX && m->state != MASTER_STOPPING; i++)
		if ((m->sockets.listening >> i & 1) && !serves(&m->children[i]) &&
		    !serves(&m->children[CHILDREN + i]))
			orphans |= 1ULL << i;
	if (orphans == __atomic_load_n(&m->seg->board->orphans, __ATOMIC_RELAXED))
		return;
	__atomic_store_n(&m->seg->board->orphans, orphans, __ATOMIC_RELEASE);
	log_debug("op=orphans sockets=%llx", (unsigned long long)orphans);
	children_wake_workers(m->children);
}
