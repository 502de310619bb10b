/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/work.h"

#include "keeper/exodus.h"
#include "keeper/keeper.h"
#include "keeper/slice.h"
#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/registry/switches.h"
#include "shared/shm/health.h"

/* ---- the jobs -------------------------------------------------------------------------------- */

static bool stale_job(struct keeper *k, struct slice *slice)
{
	ROSTER_ASSERT(k->work.stale);
	k->work.stale = cleanup_stale_step(&k->cleanup, slice);
	/* The child is not ready before: if it died on the way, its successor would otherwise not
	 * know that it has to go on. */
	if (!k->work.stale)
		process_ready(k->proc);
	return k->work.stale;
}

static bool expire_job(struct keeper *k, struct slice *slice)
{
	return expiry_step(&k->expiry, slice);
}

static bool drain_job(struct keeper *k, struct slice *slice)
{
	return cleanup_drain_step(&k->cleanup, slice);
}

static bool compact_job(struct keeper *k, struct slice *slice)
{
	return cleanup_compact_step(&k->cleanup, slice);
}

static bool audit_job(struct keeper *k, struct slice *slice)
{
	return audit_step(&k->audit, slice);
}

/* Does one slice. Returns true when there is more to do in this tick. */
typedef bool job_fn(struct keeper *k, struct slice *slice);

enum job { JOB_STALE, JOB_EXPIRE, JOB_DRAIN, JOB_COMPACT, JOB_AUDIT, JOBS };

static job_fn *const jobs[JOBS] = {
	[JOB_STALE] = stale_job,     [JOB_EXPIRE] = expire_job, [JOB_DRAIN] = drain_job,
	[JOB_COMPACT] = compact_job, [JOB_AUDIT] = audit_job,
};

/* ---- their turns ----------------------------------------------------------------------------- */

void work_end_turn(struct keeper *k, const struct slice *slice)
{
	char what[SLICE_WHAT];

	(void)turn_end(&k->turn, clock_mono_us(), slice->kind, slice_what(slice, what));
}

static void on_work(struct ev_loop *loop, ev_idle *idle, int events)
{
	struct keeper *k = idle->data;
	struct work *work = &k->work;
	struct slice slice;

	(void)events;
	ROSTER_ASSERT(work->todo != 0 && work->todo >> JOBS == 0); /* or the search would not end */
	/* The turn goes to the next job behind the last one that has something left. */
	do
		work->last = (work->last + 1) % JOBS;
	while ((work->todo & 1U << work->last) == 0);
	turn_begin(&k->turn, clock_mono_us());
	slice_begin(&slice, "work");
	if (!jobs[work->last](k, &slice))
		work->todo &= ~(1U << work->last);
	work_end_turn(k, &slice);
	if (work->todo == 0)
		ev_idle_stop(loop, idle);
}

/* While old instances are dropped, nothing else is done. */
static void plan_tick(struct keeper *k)
{
	k->work.todo = k->work.stale ? 1U << JOB_STALE : ((1U << JOBS) - 1) & ~(1U << JOB_STALE);
	/* The loop calls an idle watcher when it has no other event, so timers and signals come
	 * first. */
	ev_idle_start(k->loop, &k->work.idle);
}

void work_init(struct keeper *k)
{
	ev_idle_init(&k->work.idle, on_work);
	k->work.idle.data = k;
	k->work.stale = k->proc->stale;
	if (k->work.stale)
		cleanup_begin_stale(&k->cleanup);
}

void work_begin(struct keeper *k)
{
	struct segment *seg = k->proc->seg;
	struct registry_stats stats;

	registry_stats(&k->reg, &stats);
	exodus_tick(seg, &k->proc->config, stats.instances, clock_mono_ms());
	expiry_begin(&k->expiry, health_now(seg), switches_of(seg)->health_check != 0);
	/* A run of the cleanup judges services while the expiry visits them. */
	if (cleanup_begin_run(&k->cleanup, clock_mono_ms()))
		expiry_visit_all(&k->expiry);
	cleanup_begin_drain(&k->cleanup);
	cleanup_begin_compact(&k->cleanup, clock_mono_ms());
	checks_tick(&k->checks);
	audit_tick(&k->audit, clock_mono_ms());
	plan_tick(k);
}
