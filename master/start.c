/* SPDX-License-Identifier: Apache-2.0 */
#include "master/start.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "master/daemon.h"
#include "master/files.h"
#include "master/master.h"
#include "master/notify.h"
#include "master/spawn.h"
#include "master/stop.h"
#include "master/upgrade/arrival.h"
#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"

static bool all_ready(const struct master *m)
{
	for (unsigned i = 0; i < CHILDREN; i++)
		if (spawn_is_wanted(m, &m->children[i]) && !m->children[i].ready)
			return false;
	return true;
}

void start_advance(struct master *m)
{
	if (m->state != MASTER_STARTING || !all_ready(m) || !arrival_is_proven(m))
		return;
	if (convert_commit(m) < 0) {
		arrival_failed(m, "the converted segment cannot be put in its place");
		stop_failed(m, "the converted segment cannot be put in its place");
		return;
	}
	ROSTER_ASSERT(m->state == MASTER_STARTING); /* a commit only lets the children go on */
	m->state = MASTER_SERVING;
	if (files_write(m->config.runtime_dir, m->sockets.listen.port) < 0)
		log_error("op=start what=runtime-dir path=\"%s\" err=\"%s\"", m->config.runtime_dir,
		          strerror(errno));
	log_info("op=ready port=%u push_port=%u pid=%d workers=%u start_ms=%llu",
	         m->sockets.listen.port, m->sockets.udp_port, (int)getpid(), m->workers,
	         (unsigned long long)(clock_mono_ms() - m->started_ms));
	notify_ready(m->workers, m->sockets.listen.port);
	daemon_ready(&m->daemon_fd, log_is_stderr(m->config.log_file));
	arrival_confirm(m);
}

void start_child_died(struct master *m, const struct child *child, const siginfo_t *info)
{
	(void)info;
	if (m->state == MASTER_STARTING && spawn_is_wanted(m, child) &&
	    child->backoff.failures >= START_TRIES)
		stop_failed(m, "a child dies before it is ready");
}
