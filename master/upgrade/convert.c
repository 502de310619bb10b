/* SPDX-License-Identifier: Apache-2.0 */
#include "master/upgrade/convert.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "master/master.h"
#include "master/privileges.h"
#include "master/title.h"
#include "master/upgrade/fallback.h"
#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/registry/registry.h"
#include "shared/registry/snapshot.h"

void convert_init(struct convert *c)
{
	*c = (struct convert){ .state = CONVERT_NONE, .snapshot_fd = -1 };
	for (unsigned i = 0; i < WORKERS_MAX; i++)
		c->adopt.fds[i] = -1;
}

static uint64_t limit_ms(uint64_t instances)
{
	return 3000 + instances / 500;
}

/* ---- old image ------------------------------------------------------------------------------- */

static void conclude_convert(struct master *m, int err)
{
	convert_fn *done = m->convert.done;

	if (err != 0)
		convert_cancel(m);
	if (done != NULL)
		done(m, err);
}

static void on_convert_limit(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct master *m = timer->data;

	(void)loop;
	(void)revents;
	ROSTER_ASSERT(m->convert.state == CONVERT_FREEZING || m->convert.state == CONVERT_SAVING);
	log_error("op=convert result=cancelled why=late ms=%llu",
	          (unsigned long long)(clock_mono_ms() - m->convert.begun_ms));
	conclude_convert(m, ERR_BUSY);
}

int convert_begin(struct master *m, convert_fn *done)
{
	struct convert *c = &m->convert;
	struct registry_stats stats;
	struct registry reg;

	if (c->state != CONVERT_NONE || m->state != MASTER_SERVING || m->freeze.active)
		return ERR_BUSY;
	ROSTER_ASSERT(c->helper == 0 && c->snapshot_fd < 0);
	if ((c->snapshot_fd = memfd_create("roster-snapshot", MFD_CLOEXEC | MFD_ALLOW_SEALING)) < 0)
		return ERR_IO;
	c->state = CONVERT_FREEZING;
	c->done = done;
	c->begun_ms = clock_mono_ms();
	registry_init(&reg, m->seg);
	registry_stats(&reg, &stats); /* takes no lock */
	ev_timer_init(&c->limit, on_convert_limit, (double)limit_ms(stats.instances) / 1000., 0.);
	c->limit.data = m;
	ev_now_update(m->loop);
	ev_timer_start(m->loop, &c->limit);
	freeze_begin(m);
	return 0;
}

static void save_snapshot(const struct master *m, pid_t master_pid) __attribute__((noreturn));
static void save_snapshot(const struct master *m, pid_t master_pid)
{
	struct snapshot_report report;
	struct registry reg;
	int ret;

	if (!privileges_bind_child(master_pid))
		_exit(EXIT_FAILURE);
	title_set("snapshot");
	log_set_process("snapshot");
	registry_init(&reg, m->seg);
	if ((ret = snapshot_save(&reg, m->convert.snapshot_fd, &report)) < 0) {
		log_error("op=snapshot err=\"%s\" why=\"%s\"", err_str(ret), report.why);
		_exit(EXIT_FAILURE);
	}
	log_info("op=snapshot services=%llu instances=%llu subscribers=%llu bytes=%llu ms=%llu",
	         (unsigned long long)report.services, (unsigned long long)report.instances,
	         (unsigned long long)report.subscribers, (unsigned long long)report.bytes,
	         (unsigned long long)(clock_mono_ms() - m->convert.begun_ms));
	_exit(EXIT_SUCCESS);
}

static void start_helper(struct master *m)
{
	pid_t master_pid = getpid();
	pid_t pid;

	/* A snapshot is of what stands still. */
	ROSTER_ASSERT(m->convert.helper == 0 && m->freeze.active);
	if ((pid = fork()) == 0)
		save_snapshot(m, master_pid);
	if (pid < 0) {
		log_error("op=convert what=fork err=\"%s\"", strerror(errno));
		conclude_convert(m, ERR_IO);
		return;
	}
	m->convert.helper = pid;
	m->convert.state = CONVERT_SAVING;
}

static void helper_ended(struct master *m, const siginfo_t *info)
{
	const int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	struct convert *c = &m->convert;

	ROSTER_ASSERT(c->state == CONVERT_SAVING && c->snapshot_fd >= 0);
	c->helper = 0;
	if (info->si_code != CLD_EXITED || info->si_status != EXIT_SUCCESS ||
	    fcntl(c->snapshot_fd, F_ADD_SEALS, seals) < 0 ||
	    lseek(c->snapshot_fd, 0, SEEK_SET) < 0) {
		log_error("op=convert result=cancelled why=snapshot code=%d status=%d",
		          info->si_code, info->si_status);
		conclude_convert(m, ERR_IO);
		return;
	}
	c->state = CONVERT_SAVED;
	ev_timer_stop(m->loop, &c->limit);
	conclude_convert(m, 0);
}

void convert_advance(struct master *m)
{
	struct convert *c = &m->convert;
	siginfo_t info = { 0 };

	if (c->state == CONVERT_FREEZING && freeze_done(m))
		start_helper(m);
	if (c->helper > 0 && waitid(P_PID, (id_t)c->helper, &info, WEXITED | WNOHANG) == 0 &&
	    info.si_pid != 0)
		helper_ended(m, &info);
}

/* Kills it and waits for it, which does not hold up the master: it is dead in a moment. */
static void end_helper(struct convert *c)
{
	siginfo_t info;

	if (c->helper <= 0)
		return;
	kill(c->helper, SIGKILL);
	while (waitid(P_PID, (id_t)c->helper, &info, WEXITED) < 0 && errno == EINTR)
		;
	c->helper = 0;
}

void convert_cancel(struct master *m)
{
	struct convert *c = &m->convert;

	if (c->state == CONVERT_NONE)
		return;
	ROSTER_ASSERT(c->snapshot_fd >= 0);
	end_helper(c);
	ev_timer_stop(m->loop, &c->limit);
	close(c->snapshot_fd);
	c->snapshot_fd = -1;
	c->state = CONVERT_NONE;
	freeze_end(m);
}

/* ---- new image ------------------------------------------------------------------------------- */

static int load_snapshot(struct segment *seg, int snapshot_fd, struct segment_report *report_r)
{
	struct snapshot_report report = { .why = "" };
	uint64_t begun_ms = clock_mono_ms();
	struct registry reg;
	int ret = registry_format(seg);

	registry_init(&reg, seg);
	if (ret == 0)
		ret = lseek(snapshot_fd, 0, SEEK_SET) < 0
		              ? ERR_IO
		              : snapshot_load(&reg, snapshot_fd, &report);
	if (ret < 0) {
		snprintf(report_r->why, sizeof(report_r->why), "%s",
		         report.why[0] != 0 ? report.why : err_str(ret));
		return ret;
	}
	log_info(
	        "op=convert result=loaded services=%llu instances=%llu subscribers=%llu bytes=%llu ms=%llu",
	        (unsigned long long)report.services, (unsigned long long)report.instances,
	        (unsigned long long)report.subscribers, (unsigned long long)report.bytes,
	        (unsigned long long)(clock_mono_ms() - begun_ms));
	if (report.lacks[0] != 0)
		log_info("op=convert layout=%u lacks=\"%s\"", report.layout, report.lacks);
	return 0;
}

int convert_open(const struct segment_config *config, int snapshot_fd, struct segment **segment_r,
                 struct segment_report *report_r)
{
	struct segment_config beside = *config;
	int ret;

	beside.held = beside.later = true;
	if ((ret = segment_open(&beside, segment_r, report_r)) < 0)
		return ret;
	if ((ret = load_snapshot(*segment_r, snapshot_fd, report_r)) < 0)
		segment_discard(*segment_r);
	return ret;
}

int convert_commit(struct master *m)
{
	struct convert *c = &m->convert;
	int ret;

	if (c->snapshot_fd < 0)
		return 0;
	/* The old image has cancelled, the new one never began one. */
	ROSTER_ASSERT(c->state == CONVERT_NONE);
	fallback_rename_begin();
	ret = segment_commit(m->seg);
	fallback_rename_end(ret == 0); /* before anybody goes on in the new one */
	if (ret < 0) {
		log_error("op=convert what=rename path=\"%s\" err=\"%s\"", m->seg->path,
		          strerror(errno));
		return ERR_IO;
	}
	close(c->snapshot_fd);
	c->snapshot_fd = -1;
	convert_close_adopt(c);
	log_info("op=convert result=committed path=\"%s\"", m->seg->path);
	freeze_end(m);
	return 0;
}

void convert_close_adopt(struct convert *c)
{
	for (unsigned i = 0; i < WORKERS_MAX; i++) {
		if (c->adopt.fds[i] >= 0)
			close(c->adopt.fds[i]);
		c->adopt.fds[i] = -1;
	}
	c->adopt.workers = 0;
}

/* ---- both ------------------------------------------------------------------------------------ */

void convert_in_child(struct master *m, const struct child *self)
{
	if (!self->role->listens || m->convert.adopt.workers == 0)
		convert_close_adopt(&m->convert);
}

void convert_lend(const struct master *m, const struct child *self, struct process *proc)
{
	if (self->generation == 1 && m->convert.adopt.workers > 0)
		proc->adopt = &m->convert.adopt;
}

void convert_stop(struct master *m)
{
	convert_cancel(m);
	if (convert_commit(m) < 0)
		m->failed = true;
}
