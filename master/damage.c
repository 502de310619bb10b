/* SPDX-License-Identifier: Apache-2.0 */
#include "master/damage.h"

#include "master/master.h"
#include "master/stop.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/shm/segment.h"

/* What an assert has to say is about this program, and not about the segment. */
static bool is_crash(const struct child *child, const siginfo_t *info)
{
	if (info->si_code == CLD_EXITED || child->asserted)
		return false;
	switch (info->si_status) {
	case SIGSEGV:
	case SIGBUS:
	case SIGABRT:
	case SIGFPE:
	case SIGILL:
	case SIGSYS:
	case SIGTRAP:
		return true;
	default:
		return false;
	}
}

void damage_child_died(struct master *m, const struct child *child, const siginfo_t *info)
{
	bool crash = is_crash(child, info);

	if (child->told || m->state == MASTER_STOPPING)
		return;
	if (crash || child->asserted || child->killed)
		segment_distrust(m->seg);
	if (!crash || m->origin != SEGMENT_ATTACHED ||
	    clock_mono_ms() - m->started_ms > DAMAGE_WINDOW_MS)
		return;
	m->crashes++;
	log_warning("op=crash-after-attach name=%s crashes=%u of=%u", child->name, m->crashes,
	            DAMAGE_CRASHES);
	if (m->crashes >= DAMAGE_CRASHES)
		stop_for_new_segment(m, "crashes");
}

void damage_advance(struct master *m)
{
	uint64_t age_ms = clock_mono_ms() - m->started_ms;

	if (m->state == MASTER_STOPPING ||
	    __atomic_load_n(&m->seg->header->damaged_ms, __ATOMIC_ACQUIRE) == 0)
		return;
	if (m->origin == SEGMENT_ATTACHED || age_ms >= DAMAGE_GAP_MS) {
		stop_for_new_segment(m, "check");
		return;
	}
	if (!m->condemned)
		log_error("op=new-segment by=check result=waits age_ms=%llu gap_ms=%u",
		          (unsigned long long)age_ms, DAMAGE_GAP_MS);
	m->condemned = true;
}
