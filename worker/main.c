/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - the worker: client connections in, registry calls out.
 *
 * Here are its parts and what each does when the process starts, reloads, stands still, stops or
 * leaves. */
#include "worker/worker.h"

#include <unistd.h>

#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/process/child.h"
#include "worker/http/accept.h"
#include "worker/http/connection.h"
#include "worker/http/migrate.h"
#include "worker/http/protocol.h"
#include "worker/v1/v1.h"

#define SETTLE_MS 200U      /* before everybody stands still: long requests that are nearly ready */
#define STOP_LIMIT_MS 5000U /* SIGTERM: requests in hand get this long; SIGQUIT: no limit */

/* ---- what the loop calls (child.h) ----------------------------------------------------------- */

/* Is called before anything is accepted: takes over the connections of the workers before us. They
 * may have been more or fewer than we are, so each of us takes those of every n-th one. */
static void worker_begin(void *role)
{
	struct worker *worker = role;
	const struct adopt_set *adopt = worker->proc->adopt;

	for (unsigned n = worker->proc->index; adopt != NULL && n < WORKERS_MAX;
	     n += adopt->workers) {
		int count;

		if (adopt->fds[n] < 0)
			continue;
		if ((count = migrate_receive(worker, adopt->fds[n])) >= 0)
			log_info("op=migrate result=taken from=worker/%u connections=%d", n, count);
	}
	for (unsigned n = 0; adopt != NULL && n < WORKERS_MAX; n++)
		if (adopt->fds[n] >= 0)
			close(adopt->fds[n]);
}

static void worker_reload(void *role)
{
	struct worker *worker = role;

	naming_reload(&worker->naming);
	keep_alive_init(&worker->keep_alive, worker->proc->config.http_idle_timeout_ms);
	worker->protocol->reload(worker);
}

static void worker_notice(void *role)
{
	accept_refresh(role);
}

/* A worker stands still between two requests. Connections stay open; what clients send meanwhile
 * waits in the kernel. */
static void worker_freeze_begin(void *role)
{
	long_settle(role, SETTLE_MS, false);
}

static void worker_freeze_over(void *role, uint64_t stood_ms)
{
	connection_postpone_all(role, stood_ms);
}

/* A successor over another segment takes the connections; the segment that we map is not served any
 * more. */
static void worker_freeze_give(void *role)
{
	struct worker *worker = role;
	int count;

	long_settle(worker, 0, true);
	if ((count = migrate_send(worker, worker->proc->migrate_fd)) < 0)
		log_error("op=migrate result=failed");
	else
		log_info("op=migrate result=given connections=%d", count);
}

static void worker_stop(void *role)
{
	struct worker *worker = role;

	worker->stopping = true;
	accept_stop(worker);
	connection_stop_all(worker);
}

/* A successor or siblings accept already. A connection that is closed while it is idle may meet a
 * request on its way, and its client was promised that it stays; so each client is told
 * "Connection: close" with its next answer, or its connection reaches its idle timeout. After an
 * upgrade the master ends the wait. */
static void worker_leave(void *role)
{
	struct worker *worker = role;

	worker->leaving = true;
	log_info("op=leave connections=%u", worker->connection_count);
	accept_stop(worker);
	if (worker->connection_count == 0)
		ev_break(worker->loop, EVBREAK_ALL);
}

static unsigned worker_unfinished(const void *role)
{
	return ((const struct worker *)role)->connection_count;
}

/* ---- life ------------------------------------------------------------------------------------ */

static int worker_init(void *role, struct ev_loop *loop)
{
	struct worker *worker = role;
	int ret;

	ROSTER_ASSERT(worker->proc->index < WORKERS_MAX);
	worker->loop = loop;
	worker->started_ms = clock_wall_ms();
	registry_init(&worker->registry, worker->proc->seg);
	worker->switches = switches_of(worker->proc->seg);
	naming_init(&worker->naming, &worker->registry, &worker->proc->config);
	keep_alive_init(&worker->keep_alive, worker->proc->config.http_idle_timeout_ms);
	if ((ret = worker->protocol->new (worker)) < 0)
		return ret;
	if ((ret = connection_pool_new(worker)) < 0)
		return ret;
	return accept_start(worker);
}

static void worker_deinit(void *role)
{
	struct worker *worker = role;

	accept_free(worker);
	connection_pool_free(worker);
	worker->protocol->free(worker);
}

static const struct child_hooks worker_hooks = {
	.init = worker_init,
	.deinit = worker_deinit,
	.begin = worker_begin,
	.reload = worker_reload,
	.notice = worker_notice,
	.freeze_begin = worker_freeze_begin,
	.freeze_over = worker_freeze_over,
	.freeze_give = worker_freeze_give,
	.stop = worker_stop,
	.leave = worker_leave,
	.unfinished = worker_unfinished,
	.stop_limit_ms = STOP_LIMIT_MS,
};

int worker_main(struct process *proc)
{
	struct worker worker = { .proc = proc, .protocol = &v1_protocol };

	return child_run(proc, &worker_hooks, &worker);
}
