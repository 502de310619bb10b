/* SPDX-License-Identifier: Apache-2.0 */
#include "master/storage.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "master/failure.h"
#include "master/master.h"
#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/process/sandbox.h"
#include "shared/registry/registry.h"
#include "shared/registry/registry_audit.h"
#include "shared/shm/health.h"
#include "shared/shm/queue.h"
#include "shared/shm/slot.h"

#define LOCK_WAIT_MS 10000U /* children of a predecessor may still be dying */

static const char *const origin_names[] = { "new", "attached", "set-aside" };

struct segment_config storage_config(const struct config *config, bool forget)
{
	return (struct segment_config){
		.dir = config->segment_dir,
		.runtime_dir = config->runtime_dir,
		.name = "segment",
		.limit_bytes = config->segment_limit,
		.max_age_ms = config->segment_max_age_ms,
		.lock_wait_ms = LOCK_WAIT_MS,
		.forget = forget,
		.damaged = registry_damaged,
	};
}

/* Nobody of an earlier life runs any more, because we hold the flock. Counters begin at zero, as
 * readers of metrics expect of a start. */
static void clear_slots(struct master *m)
{
	ROSTER_ASSERT(children_running(m->children) == 0);
	for (unsigned i = 0; i < SLOT_BANKS * WORKERS_MAX; i++)
		if (m->seg->slots[slot_of_worker(i / WORKERS_MAX, i % WORKERS_MAX)].generation !=
		    0) /* others' pages are not touched */
			memset(&m->seg->routes[i * SLOT_ROUTES], 0,
			       SLOT_ROUTES * sizeof(struct slot_route));
	memset(m->seg->slots, 0, SLOTS_MAX * sizeof(struct slot));
	*m->seg->board = (struct board){ .workers = m->workers,
		                         .master_pid = (uint64_t)getpid(),
		                         .started_ms = m->started_ms };
}

static void log_segment(const struct segment *seg, const struct segment_report *report)
{
	/* A text beside the origin means that an operator should look at it. */
	void (*say)(const char *format, ...) = report->why[0] != 0 ? log_warning : log_info;

	say("op=segment-open origin=%s path=\"%s\" bytes=%llu rolled_back=%u stale=%d why=\"%s\"",
	    origin_names[report->origin], seg->path, (unsigned long long)seg->bytes,
	    report->rolled_back, report->stale, report->why);
}

static int use_segment(struct master *m, const struct segment_report *report)
{
	int ret;

	m->origin = report->origin;
	m->stale = report->stale;
	log_segment(m->seg, report);
	if (report->leftover)
		log_info("op=segment-open what=leftover path=\"%s.new\" result=removed",
		         m->seg->path);
	if (m->convert.snapshot_fd < 0 && report->origin != SEGMENT_ATTACHED &&
	    (ret = registry_format(m->seg)) < 0)
		return failure_log("registry-format", err_str(ret));
	health_attach(m->seg, clock_mono_ms());
	clear_slots(m);
	if (m->convert.snapshot_fd >= 0)
		freeze_born(m); /* until all are ready: convert_commit() */
	for (unsigned i = 0; i < QUEUE_CONSUMERS; i++)
		m->seg->wake_fd[i] = -1;
	m->seg->wake_fd[QUEUE_PUSHER] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return m->seg->wake_fd[QUEUE_PUSHER] < 0 ? failure_log("eventfd", strerror(errno)) : 0;
}

static int enter_sandbox(void *role)
{
	return sandbox_enter(*(const enum role *)role);
}

/* Tries each role as it will run, because a filter that breaks the hand-over of locks must be found
 * before clients depend on it. */
static int probe_kernel(struct master *m)
{
	lock_probe_fn *before = m->config.sandbox_seccomp ? enter_sandbox : NULL;
	char why[200];

	for (unsigned i = 0; i < ROLE_ROWS; i++) {
		enum role role = role_rows[i].role;
		int ret = segment_probe_robust(before, &role);

		if (ret == ERR_LOCK)
			return failure_log(
			        "robust-locks",
			        "the kernel does not hand over the lock of a dead process (is set_robust_list filtered?)");
		if (ret < 0) {
			snprintf(
			        why, sizeof(why),
			        "the kernel takes no filter for the %s: %s; sandbox.seccomp: false starts without",
			        role_name(role_rows[i].role), strerror(errno));
			return failure_log("sandbox.seccomp", why);
		}
	}
	return 0;
}

int storage_open(struct master *m)
{
	struct segment_config config = storage_config(&m->config, m->options->forget);
	struct segment_report report = { .origin = SEGMENT_NEW };
	int ret;

	if ((ret = probe_kernel(m)) < 0)
		return ret;
	if (privileges_lower(&m->privileges) < 0)
		return failure_log("privileges", strerror(errno));
	config.later = true;
	ret = segment_open(&config, &m->seg, &report);
	if (privileges_raise(&m->privileges) < 0)
		return failure_log("privileges", strerror(errno));
	if (ret < 0)
		return failure_log("segment", report.why[0] != 0 ? report.why : err_str(ret));
	return use_segment(m, &report);
}

int storage_open_converted(struct master *m, char *why, size_t why_size)
{
	struct segment_config config = storage_config(&m->config, false);
	struct segment_report report = { .origin = SEGMENT_NEW };
	int ret = convert_open(&config, m->convert.snapshot_fd, &m->seg, &report);

	if (ret < 0) {
		snprintf(why, why_size, "%s", report.why[0] != 0 ? report.why : err_str(ret));
		return ret;
	}
	m->convert.adopt.workers = m->workers;
	return use_segment(m, &report);
}

int storage_commit(struct master *m)
{
	bool fresh = m->seg->pending;

	ROSTER_ASSERT(children_running(m->children) == 0);
	if (segment_commit(m->seg) < 0)
		return failure_log("segment-commit", strerror(errno));
	if (fresh)
		log_info("op=segment-commit path=\"%s\"", m->seg->path);
	return 0;
}

void storage_lend(const struct master *m, const struct child *self, struct process *proc)
{
	proc->stale = self->role->role == ROLE_KEEPER && m->stale;
}

void storage_child_ready(struct master *m, const struct child *child)
{
	if (child->role->role == ROLE_KEEPER)
		m->stale = false;
}
