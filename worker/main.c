/* SPDX-License-Identifier: Apache-2.0 */
/* The worker: client connections in, registry calls out. */
#include "worker/worker.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/process/freeze.h"
#include "worker/http/accept.h"
#include "worker/http/connection.h"
#include "worker/http/migrate.h"
#include "worker/v1/list_cache.h"
#include "worker/v1/router.h"

#define SETTLE_MS 200U             /* before everybody stands still: long requests that are nearly ready */
#define STOP_SECONDS 5.0           /* SIGTERM: requests in hand get this long */
#define SOURCE_BYTES (64ULL << 20) /* limits.subscriber_bytes_per_source in a large segment */

struct watchers {
	struct worker *worker;
	ev_io signals, alive, notice;
	ev_prepare prepare;
	ev_check check;
	ev_timer stop;
};

/* A successor over another segment takes the connections; what we map is not served any more. */
static void give(struct worker *worker)
{
	int count = migrate_send(worker, worker->proc->handover_fd);

	if (count < 0)
		log_error("op=migrate result=failed");
	else
		log_info("op=migrate result=given connections=%d", count);
}

/* Before anything else is accepted: from the workers before us, each n-th of ours. */
static void take_over(struct worker *worker)
{
	const struct adopt_set *adopt = worker->proc->adopt;

	for (unsigned n = worker->proc->index; adopt != NULL && n < WORKERS_MAX; n += adopt->workers) {
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

/* Between two requests. Connections stay open; what clients send meanwhile waits in the kernel. */
static void stand_still(struct worker *worker)
{
	uint64_t since_ms;

	if (freeze_wanted(worker->proc))
		long_settle(worker, SETTLE_MS, false);
	since_ms = clock_mono_ms();
	switch (freeze_here(worker->proc)) {
	case FREEZE_GIVE:
		long_settle(worker, 0, true);
		give(worker); /* fall through */
	case FREEZE_LEAVE:
		_exit(EXIT_SUCCESS);
	case FREEZE_OVER:
		break;
	}
	connection_postpone_all(worker, clock_mono_ms() - since_ms);
	ev_now_update(worker->loop);
	accept_refresh(worker); /* notices that came meanwhile were read in there */
}

/* ---- what the loop calls ------------------------------------------------------------ */

static void on_prepare(struct ev_loop *loop, ev_prepare *watcher, int events)
{
	(void)loop;
	(void)events;
	process_idle(((struct watchers *)watcher->data)->worker->proc);
}

static void on_check(struct ev_loop *loop, ev_check *watcher, int events)
{
	(void)loop;
	(void)events;
	process_busy(((struct watchers *)watcher->data)->worker->proc);
}

/* The master is gone: nobody would restart us, and the next one opens new sockets. */
static void on_alive(struct ev_loop *loop, ev_io *watcher, int events)
{
	char byte;

	(void)events;
	if (read(watcher->fd, &byte, 1) == 0)
		ev_break(loop, EVBREAK_ALL);
}

static void on_notice(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct worker *worker = ((struct watchers *)watcher->data)->worker;
	uint64_t times;

	(void)loop;
	(void)events;
	if (read(watcher->fd, &times, sizeof(times)) != sizeof(times))
		return;
	stand_still(worker);
}

static void on_stop_late(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct worker *worker = ((struct watchers *)timer->data)->worker;

	(void)events;
	log_warning("op=stop result=bounded connections=%u", worker->connection_count);
	ev_break(loop, EVBREAK_ALL);
}

static void stop(struct watchers *watchers, bool bounded)
{
	struct worker *worker = watchers->worker;

	if (bounded && !ev_is_active(&watchers->stop))
		ev_timer_start(worker->loop, &watchers->stop);
	if (worker->stopping)
		return;
	worker->stopping = true;
	process_stopping(worker->proc);
	accept_stop(worker);
	connection_stop_all(worker);
}

/* A successor or siblings accept already. A connection that is closed while it is idle may meet a request on its way, and its
 * client was promised that it stays; so each is told "Connection: close" with its next answer, or reaches its idle timeout. After
 * an upgrade the master ends the wait. */
static void leave(struct worker *worker)
{
	if (worker->stopping || worker->leaving)
		return;
	worker->leaving = true;
	log_info("op=leave connections=%u", worker->connection_count);
	process_stopping(worker->proc);
	accept_stop(worker);
	if (worker->connection_count == 0)
		ev_break(worker->loop, EVBREAK_ALL);
}

/* Limits that go by the size of the segment unless they are set. */
static void share_segment(struct registry_limits *limits, const struct segment *seg)
{
	uint64_t bytes = (uint64_t)seg->pages * SEGMENT_PAGE;

	if (limits->subscriber_bytes == 0)
		limits->subscriber_bytes = bytes / 2;
	if (limits->subscriber_bytes_per_source == 0)
		limits->subscriber_bytes_per_source = bytes / 4 < SOURCE_BYTES ? bytes / 4 : SOURCE_BYTES;
}

static void configure(struct worker *worker)
{
	const struct config *config = &worker->proc->config;

	worker->registry.limits = (struct registry_limits){
		.instances = config->limit_instances,
		.instances_per_service = config->limit_instances_per_service,
		.services = config->limit_services,
		.subscribers = config->limit_subscribers,
		.subscribers_per_service = config->limit_subscribers_per_service,
		.subscribers_per_source = config->limit_subscribers_per_source,
		.metadata_bytes = config->limit_metadata_bytes,
		.name_bytes = config->limit_name_bytes,
		.clusters_per_service = config->limit_clusters_per_service,
		.namespaces = config->limit_namespaces,
		.service_bytes = config->limit_service_bytes,
		.subscriber_bytes = config->limit_subscriber_bytes,
		.subscriber_bytes_per_source = config->limit_subscriber_bytes_per_source,
	};
	share_segment(&worker->registry.limits, worker->registry.seg);
	destination_init(&worker->destinations, config->push_trusted, config->push_trusted_count);
	keep_alive_init(&worker->keep_alive, config->http_idle_timeout_ms);
}

static void reload(struct worker *worker)
{
	process_reload(worker->proc);
	configure(worker);
	list_cache_resize(worker->list_cache, worker->proc->config.http_cache_bytes);
}

static void on_signal(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct watchers *watchers = watcher->data;
	int number;

	(void)loop;
	(void)events;
	while ((number = process_next_signal(watcher->fd)) != 0) {
		switch (number) {
		case SIGTERM:
		case SIGINT:
			stop(watchers, true);
			break;
		case SIGQUIT:
			stop(watchers, false);
			break;
		case SIGHUP:
			reload(watchers->worker);
			break;
		case SIGUSR2:
			leave(watchers->worker);
			break;
		case SIGUSR1:
			if (log_reopen() < 0)
				log_error("op=log-reopen result=failed");
			break;
		default:
			break;
		}
	}
}

/* ---- life ------------------------------------------------------------------------------ */

static void watch_fd(struct watchers *watchers, ev_io *watcher, void (*fn)(struct ev_loop *, ev_io *, int), int fd)
{
	ev_io_init(watcher, fn, fd, EV_READ);
	watcher->data = watchers;
	if (fd >= 0)
		ev_io_start(watchers->worker->loop, watcher);
}

static void watch(struct watchers *watchers, int signal_fd)
{
	struct worker *worker = watchers->worker;

	watch_fd(watchers, &watchers->signals, on_signal, signal_fd);
	watch_fd(watchers, &watchers->alive, on_alive, worker->proc->alive_fd);
	watch_fd(watchers, &watchers->notice, on_notice, worker->proc->notice_fd);
	ev_timer_init(&watchers->stop, on_stop_late, STOP_SECONDS, 0.0);
	ev_prepare_init(&watchers->prepare, on_prepare);
	ev_check_init(&watchers->check, on_check);
	/* Busy from before the first event until after the last. */
	ev_set_priority(&watchers->prepare, EV_MINPRI);
	ev_set_priority(&watchers->check, EV_MAXPRI);
	watchers->stop.data = watchers->prepare.data = watchers->check.data = watchers;
	ev_prepare_start(worker->loop, &watchers->prepare);
	ev_check_start(worker->loop, &watchers->check);
}

static int worker_init(struct worker *worker)
{
	int ret;

	worker->started_ms = clock_wall_ms();
	registry_init(&worker->registry, worker->proc->seg);
	worker->switches = switches_of(worker->proc->seg);
	service_view_init(&worker->view);
	buf_init(&worker->hosts);
	configure(worker);
	if ((worker->loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV)) == NULL)
		return ERR_IO;
	if ((ret = list_cache_new(worker->proc->config.http_cache_bytes, &worker->list_cache)) < 0)
		return ret;
	if ((ret = router_new(routes, route_count, str_of(worker->proc->config.context_path), &worker->router)) < 0)
		return ret;
	if ((ret = connection_pool_new(worker)) < 0)
		return ret;
	return accept_start(worker);
}

static void worker_deinit(struct worker *worker)
{
	accept_free(worker);
	connection_pool_free(worker);
	router_free(&worker->router);
	list_cache_free(&worker->list_cache);
	service_view_free(&worker->view);
	buf_free(&worker->hosts);
	if (worker->loop != NULL)
		ev_loop_destroy(worker->loop);
}

int worker_main(struct process *proc)
{
	struct worker worker = { .proc = proc };
	struct watchers watchers = { .worker = &worker };
	int signal_fd, ret;

	if ((signal_fd = process_signal_fd()) < 0) {
		log_error("op=worker-init err=%s", err_str(signal_fd));
		return EXIT_FAILURE;
	}
	if ((ret = worker_init(&worker)) < 0) {
		log_error("op=worker-init err=%s", err_str(ret));
		worker_deinit(&worker);
		return EXIT_FAILURE;
	}
	watch(&watchers, signal_fd);
	process_ready(proc); /* the master: siblings need not accept for us any more */
	stand_still(&worker);
	take_over(&worker);
	ev_run(worker.loop, 0);
	worker_deinit(&worker);
	close(signal_fd);
	return EXIT_SUCCESS;
}
