/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - the keeper, who has the time: it moves the health clock, lets beats expire, checks
 * persistent instances and takes away what is over.
 *
 * It wakes up once a second, and when checks ask for it. A tick moves the clock and looks at a few
 * numbers; the work that follows from them is done in slices (work.h). Ticks, steps and probes are
 * turns (shared/process/turn.h). */
#include "keeper/keeper.h"

#include <stdlib.h>
#include <unistd.h>

#include "keeper/pulse.h"
#include "keeper/slice.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/process/child.h"
#include "shared/shm/health.h"

static void on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct keeper *k = timer->data;
	struct slice slice;

	(void)events;
	turn_begin(&k->turn, clock_mono_us());
	slice_begin(&slice, "tick");
	pulse_tick(k->proc->seg);
	work_begin(k);
	work_end_turn(k, &slice);
	/* A check by MySQL needs modules that no child may load: the master starts another keeper
	 * that brings them along. */
	if (k->checks.pace.modules_wanted) {
		log_info("op=keeper-modules result=leaves");
		k->exit_code = EXIT_MODULES;
		process_stopping(k->proc);
		ev_break(loop, EVBREAK_ALL);
	}
}

static void on_persistent(void *arg, uint32_t shard, struct keeper_entry service)
{
	checks_learn(arg, shard, service);
}

/* ---- what the loop calls (child.h) ----------------------------------------------------------- */

static void keeper_reload(void *role)
{
	struct keeper *k = role;

	cleanup_configure(&k->cleanup, &k->proc->config, clock_mono_ms());
	checks_configure(&k->checks);
	audit_configure(&k->audit, &k->proc->config, clock_mono_ms());
}

/* The time up to here counts for the health clock; that in which everybody stands still does
 * not. */
static void keeper_freeze_begin(void *role)
{
	pulse_tick(((struct keeper *)role)->proc->seg);
}

static void keeper_freeze_over(void *role, uint64_t stood_ms)
{
	(void)stood_ms;
	health_attach(((struct keeper *)role)->proc->seg, clock_mono_ms());
}

static void keeper_stop(void *role)
{
	ev_break(((struct keeper *)role)->loop, EVBREAK_ALL);
}

/* ---- life ------------------------------------------------------------------------------------ */

static int keeper_init(void *role, struct ev_loop *loop)
{
	struct keeper *k = role;
	struct process *proc = k->proc;

	k->loop = loop;
	registry_init(&k->reg, proc->seg);
	cleanup_init(&k->cleanup, &k->reg, &proc->config, clock_mono_ms());
	brake_init(&k->brake, proc->seg, &proc->config);
	expiry_init(&k->expiry, &k->reg, &k->cleanup);
	k->expiry.round.census.seed = proc->seg->header->seed;
	k->expiry.brake = &k->brake;
	audit_init(&k->audit, &k->reg, &proc->config, proc->ready_fd, clock_mono_ms());
	checks_init(&k->checks, &k->reg, &proc->config, loop);
	checks_measure(&k->checks, &k->turn);
	k->expiry.persistent = on_persistent;
	k->expiry.persistent_arg = &k->checks;
	work_init(k);
	ev_timer_init(&k->tick, on_tick, 0.0, HEALTH_TICK_MS / 1000.0);
	k->tick.data = k;
	ev_timer_start(loop, &k->tick);
	return 0;
}

static void keeper_deinit(void *role)
{
	struct keeper *k = role;

	expiry_free(&k->expiry);
	audit_free(&k->audit);
	checks_free(&k->checks);
	fiber_free_spare();
}

static bool keeper_is_ready(const void *role)
{
	return !((const struct keeper *)role)->work.stale;
}

static const struct child_hooks keeper_hooks = {
	.init = keeper_init,
	.deinit = keeper_deinit,
	.ready = keeper_is_ready,
	.reload = keeper_reload,
	.freeze_begin = keeper_freeze_begin,
	.freeze_over = keeper_freeze_over,
	.stop = keeper_stop,
};

void keeper_load_modules(void)
{
	probe_load_modules();
}

int keeper_main(struct process *proc)
{
	static struct keeper keeper; /* with its tables of 64 shards too large for a stack */
	int code;

	keeper.proc = proc;
	code = child_run(proc, &keeper_hooks, &keeper);
	return code != EXIT_SUCCESS ? code : keeper.exit_code;
}
