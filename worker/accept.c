#include "worker/accept.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/metrics/metrics.h"
#include "worker/connection.h"
#include "worker/worker.h"

#define ACCEPT_BURST 64      /* a wake-up; the others wait for what has come before them */
#define REFUSED_AT_ONCE 256U /* over the limit: so many are told, the rest is closed */

struct accept_set {
	ev_io watchers[WORKERS_MAX];
	bool started[WORKERS_MAX];
	bool stopped;
	int spare_fd;
};

static int open_spare(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Out of descriptors: give the spare one up, take the connection, and close it. False: it did not help. */
static bool shed(struct accept_set *set, int listen_fd)
{
	int fd;

	if (set->spare_fd >= 0)
		close(set->spare_fd);
	fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0) {
		close(fd);
		metric_add(METRIC_HTTP_REFUSED, 1);
	}
	set->spare_fd = open_spare();
	return fd >= 0;
}

static void take(struct worker *worker, int fd, const struct sockaddr_storage *peer)
{
	uint32_t limit = worker->proc->config.http_connections;

	if (worker->connection_count < limit || limit == 0) {
		connection_open(worker, fd, peer->ss_family == AF_INET || peer->ss_family == AF_INET6 ? peer : NULL);
		return;
	}
	metric_add(METRIC_HTTP_REFUSED, 1);
	if (worker->connection_count < limit + REFUSED_AT_ONCE)
		connection_refuse(worker, fd);
	else
		close(fd);
}

static void on_connection(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct worker *worker = watcher->data;

	(void)loop;
	(void)events;
	for (int i = 0; i < ACCEPT_BURST && !worker->stopping && !worker->leaving; i++) {
		struct sockaddr_storage peer = { .ss_family = AF_UNSPEC };
		socklen_t n = sizeof(peer);
		int fd = accept4(watcher->fd, (struct sockaddr *)&peer, &n, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			take(worker, fd, &peer);
		} else if (errno == EMFILE || errno == ENFILE) {
			if (!shed(worker->accept, watcher->fd))
				return;
		} else if (errno != EINTR && errno != ECONNABORTED) {
			return;
		}
	}
}

static void start(struct worker *worker, unsigned n)
{
	struct accept_set *set = worker->accept;
	int fd = worker->proc->listen->fds[n], on = 1;

	if (set->started[n] || fd < 0)
		return;
	/* Accepted sockets inherit it: no call for each of them. A local socket has none. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	/* Siblings may be quicker: the queue can be empty after all. */
	(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	ev_io_init(&set->watchers[n], on_connection, fd, EV_READ);
	set->watchers[n].data = worker;
	ev_io_start(worker->loop, &set->watchers[n]);
	set->started[n] = true;
}

static void stop(struct worker *worker, unsigned n)
{
	struct accept_set *set = worker->accept;

	if (!set->started[n])
		return;
	ev_io_stop(worker->loop, &set->watchers[n]);
	set->started[n] = false;
}

static void retire(struct worker *worker, unsigned n)
{
	stop(worker, n);
	if (worker->proc->listen->fds[n] >= 0)
		close(worker->proc->listen->fds[n]);
	worker->proc->listen->fds[n] = -1;
}

void accept_refresh(struct worker *worker)
{
	const struct board *board = worker->proc->seg->board;
	uint64_t orphans = __atomic_load_n(&board->orphans, __ATOMIC_ACQUIRE);
	uint64_t retired = __atomic_load_n(&board->retired, __ATOMIC_ACQUIRE);

	if (worker->accept->stopped)
		return;
	for (unsigned n = 0; n < WORKERS_MAX; n++) {
		if (retired >> n & 1)
			retire(worker, n);
		else if (n == worker->proc->index || (orphans >> n & 1))
			start(worker, n);
		else
			stop(worker, n);
	}
}

int accept_start(struct worker *worker)
{
	struct accept_set *set = calloc(1, sizeof(*set));

	if (set == NULL)
		return ERR_NOMEM;
	if ((set->spare_fd = open_spare()) < 0) {
		free(set);
		return ERR_IO;
	}
	worker->accept = set;
	accept_refresh(worker);
	return 0;
}

void accept_stop(struct worker *worker)
{
	worker->accept->stopped = true;
	for (unsigned n = 0; n < WORKERS_MAX; n++)
		stop(worker, n);
}

void accept_free(struct worker *worker)
{
	if (worker->accept == NULL)
		return;
	accept_stop(worker);
	close(worker->accept->spare_fd);
	free(worker->accept);
	worker->accept = NULL;
}
