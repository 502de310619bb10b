/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper: time. It moves the health clock, lets beats expire, checks persistent instances and takes away what is over.
 *
 * One wake-up a second, and those that checks ask for. A tick moves the clock, looks at a few numbers and only notes what is
 * to be done; the work follows in steps of one slice (slice.h), of each kind in turns, and between two steps timers and signals
 * are looked at: so whatever is stored, the next tick is late by one step at most. Ticks, steps and probes are turns
 * (shared/process/turn.h). It holds no state that its successor could not find again; what the brake must not forget is in the
 * segment. */
#include "shared/process/process.h"

#include <ev.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "keeper/audit.h"
#include "keeper/brake.h"
#include "keeper/checks.h"
#include "keeper/cleanup.h"
#include "keeper/exodus.h"
#include "keeper/expiry.h"
#include "keeper/pulse.h"
#include "keeper/slice.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/process/freeze.h"
#include "shared/process/turn.h"
#include "shared/registry/switches.h"
#include "shared/shm/health.h"

struct keeper {
	struct process *proc;
	struct ev_loop *loop;
	struct registry reg;
	struct cleanup cleanup;
	struct expiry expiry;
	struct brake brake;
	struct checks checks;
	struct audit audit;
	bool stale;    /* old ephemeral instances are still being dropped */
	unsigned todo; /* bit a job: has work left in this tick */
	unsigned job;  /* whose step was the last one */
	struct turn turn;
	int signal_fd;
	int exit_code;
	ev_timer tick;
	ev_idle work; /* runs while a tick has work left */
	ev_io signals;
	ev_io alive;
	ev_io notice;
};

/* ---- work ------------------------------------------------------------------ */

static bool stale_step(struct keeper *k, struct slice *slice)
{
	k->stale = cleanup_stale_step(&k->cleanup, slice);
	/* Not before: if this process died on the way, its successor would not know that it has to go on. */
	if (!k->stale)
		process_ready(k->proc);
	return k->stale;
}

static bool expire_step(struct keeper *k, struct slice *slice)
{
	return expiry_step(&k->expiry, slice);
}

static bool drain_step(struct keeper *k, struct slice *slice)
{
	return cleanup_drain_step(&k->cleanup, slice);
}

static bool compact_step(struct keeper *k, struct slice *slice)
{
	return cleanup_compact_step(&k->cleanup, slice);
}

static bool check_step(struct keeper *k, struct slice *slice)
{
	return audit_step(&k->audit, slice);
}

/* One slice; true: it has more to do in this tick. */
typedef bool job_fn(struct keeper *k, struct slice *slice);

enum job { JOB_STALE, JOB_EXPIRE, JOB_DRAIN, JOB_COMPACT, JOB_AUDIT, JOBS };

static job_fn *const jobs[JOBS] = {
	[JOB_STALE] = stale_step,     [JOB_EXPIRE] = expire_step, [JOB_DRAIN] = drain_step,
	[JOB_COMPACT] = compact_step, [JOB_AUDIT] = check_step,
};

/* While old instances are dropped, nothing else is done. */
static void plan(struct keeper *k)
{
	k->todo = k->stale ? 1U << JOB_STALE : ((1U << JOBS) - 1) & ~(1U << JOB_STALE);
	ev_idle_start(k->loop, &k->work);
}

static void end_turn(struct keeper *k, const struct slice *slice)
{
	char what[SLICE_WHAT];

	(void)turn_end(&k->turn, clock_mono_us(), slice->kind, slice_what(slice, what));
}

static void on_work(struct ev_loop *loop, ev_idle *w, int events)
{
	struct keeper *k = w->data;
	struct slice slice;

	(void)events;
	do
		k->job = (k->job + 1) % JOBS;
	while ((k->todo & 1U << k->job) == 0);
	turn_begin(&k->turn, clock_mono_us());
	slice_begin(&slice, "work");
	if (!jobs[k->job](k, &slice))
		k->todo &= ~(1U << k->job);
	end_turn(k, &slice);
	if (k->todo == 0)
		ev_idle_stop(loop, w);
}

static void begin_work(struct keeper *k)
{
	struct segment *seg = k->proc->seg;
	struct registry_stats stats;

	registry_stats(&k->reg, &stats);
	exodus_tick(seg, &k->proc->config, stats.instances, clock_mono_ms());
	expiry_begin(&k->expiry, health_now(seg), switches_of(seg)->health_check != 0);
	if (cleanup_begin_run(&k->cleanup, clock_mono_ms()))
		expiry_visit_all(&k->expiry);
	cleanup_begin_drain(&k->cleanup);
	cleanup_begin_compact(&k->cleanup, clock_mono_ms());
	checks_tick(&k->checks);
	audit_tick(&k->audit, clock_mono_ms());
	plan(k);
}

static void stop(struct keeper *k)
{
	process_stopping(k->proc);
	ev_break(k->loop, EVBREAK_ALL);
}

static void on_tick(struct ev_loop *loop, ev_timer *w, int events)
{
	struct keeper *k = w->data;
	struct slice slice;

	(void)loop;
	(void)events;
	turn_begin(&k->turn, clock_mono_us());
	slice_begin(&slice, "tick");
	pulse_tick(k->proc->seg);
	begin_work(k);
	end_turn(k, &slice);
	if (k->checks.pace.modules_wanted) {
		log_info("op=keeper-modules result=leaves");
		k->exit_code = EXIT_MODULES;
		stop(k);
	}
}

static void on_persistent(void *arg, uint32_t shard, struct keeper_entry service)
{
	checks_learn(arg, shard, service);
}

/* Time up to here counts, time in there does not. */
static void stand_still(struct keeper *k)
{
	struct segment *seg = k->proc->seg;

	if (!freeze_wanted(k->proc))
		return;
	pulse_tick(seg);
	if (freeze_here(k->proc) != FREEZE_OVER)
		_exit(EXIT_SUCCESS);
	health_attach(seg, clock_mono_ms());
	ev_now_update(k->loop);
}

static void on_notice(struct ev_loop *loop, ev_io *w, int events)
{
	uint64_t times;

	(void)loop;
	(void)events;
	if (read(w->fd, &times, sizeof(times)) == sizeof(times))
		stand_still(w->data);
}

/* ---- signals and the master ------------------------------------------------ */

static void reload(struct keeper *k)
{
	process_reload(k->proc);
	cleanup_configure(&k->cleanup, &k->proc->config, clock_mono_ms());
	checks_configure(&k->checks);
	audit_configure(&k->audit, &k->proc->config, clock_mono_ms());
}

static void on_signals(struct ev_loop *loop, ev_io *w, int events)
{
	struct keeper *k = w->data;
	int number;

	(void)loop;
	(void)events;
	while ((number = process_next_signal(w->fd)) != 0) {
		if (number == SIGHUP)
			reload(k);
		else if (number != SIGUSR1)
			stop(k);
		else if (log_reopen() < 0)
			log_warning("op=log-reopen result=failed");
	}
}

/* The master never writes: readable means that it died. */
static void on_alive(struct ev_loop *loop, ev_io *w, int events)
{
	(void)loop;
	(void)events;
	stop(w->data);
}

static void before_wait(struct ev_loop *loop)
{
	process_idle(((struct keeper *)ev_userdata(loop))->proc);
}

static void after_wait(struct ev_loop *loop)
{
	process_busy(((struct keeper *)ev_userdata(loop))->proc);
}

/* ---- life ------------------------------------------------------------------ */

static void start_watchers(struct keeper *k)
{
	ev_timer_init(&k->tick, on_tick, 0.0, HEALTH_TICK_MS / 1000.0);
	ev_idle_init(&k->work, on_work);
	ev_io_init(&k->signals, on_signals, k->signal_fd, EV_READ);
	ev_io_init(&k->alive, on_alive, k->proc->alive_fd, EV_READ);
	ev_io_init(&k->notice, on_notice, k->proc->notice_fd, EV_READ);
	k->tick.data = k->work.data = k->signals.data = k->alive.data = k->notice.data = k;
	ev_timer_start(k->loop, &k->tick);
	ev_io_start(k->loop, &k->signals);
	ev_io_start(k->loop, &k->alive);
	if (k->proc->notice_fd >= 0)
		ev_io_start(k->loop, &k->notice);
	ev_set_userdata(k->loop, k);
	ev_set_loop_release_cb(k->loop, before_wait, after_wait);
}

static int keeper_init(struct keeper *k, struct process *proc)
{
	k->proc = proc;
	k->stale = proc->stale;
	registry_init(&k->reg, proc->seg);
	cleanup_init(&k->cleanup, &k->reg, &proc->config, clock_mono_ms());
	brake_init(&k->brake, proc->seg, &proc->config);
	expiry_init(&k->expiry, &k->reg, &k->cleanup);
	k->expiry.round.census.seed = proc->seg->header->seed;
	k->expiry.brake = &k->brake;
	audit_init(&k->audit, &k->reg, &proc->config, proc->ready_fd, clock_mono_ms());
	k->signal_fd = process_signal_fd();
	if (k->signal_fd < 0)
		return k->signal_fd;
	k->loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
	if (k->loop == NULL)
		return ERR_NOMEM;
	checks_init(&k->checks, &k->reg, &proc->config, k->loop);
	checks_measure(&k->checks, &k->turn);
	k->expiry.persistent = on_persistent;
	k->expiry.persistent_arg = &k->checks;
	start_watchers(k);
	return 0;
}

static void keeper_deinit(struct keeper *k)
{
	expiry_free(&k->expiry);
	audit_free(&k->audit);
	if (k->checks.loop != NULL)
		checks_free(&k->checks);
	if (k->loop != NULL)
		ev_loop_destroy(k->loop);
	fiber_free_spare();
	if (k->signal_fd >= 0)
		close(k->signal_fd);
}

void keeper_load_modules(void)
{
	probe_load_modules();
}

int keeper_main(struct process *proc)
{
	static struct keeper keeper; /* 64 shards: too large for a stack */
	int ret = keeper_init(&keeper, proc);

	if (ret < 0) {
		log_error("op=keeper-init err=\"%s\"", err_str(ret));
		keeper_deinit(&keeper);
		return EXIT_FAILURE;
	}
	if (keeper.stale)
		cleanup_begin_stale(&keeper.cleanup);
	else
		process_ready(proc);
	stand_still(&keeper);
	ev_run(keeper.loop, 0);
	keeper_deinit(&keeper);
	return keeper.exit_code;
}
