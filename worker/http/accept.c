/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/http/accept.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/base/assert.h"
#include "shared/base/buf.h"
#include "shared/base/clock.h"
#include "shared/metrics/metrics.h"
#include "worker/http/connection.h"
#include "worker/http/answer.h"
#include "worker/worker.h"

#define ACCEPT_BURST 64      /* a wake-up; the others wait for what has come before them */
#define ACCEPT_US 2000U      /* the same, when their first requests take long */
#define REFUSED_AT_ONCE 256U /* over the limit: so many are told, the rest is closed */
#define PAUSE_SECONDS 0.1

struct accept_set {
	ev_io watchers[WORKERS_MAX];
	bool started[WORKERS_MAX];
	bool stopped;
	bool paused; /* for want of descriptors or memory; the timer runs */
	ev_timer pause;
	int spare_fd;
};

static void stop(struct worker *worker, unsigned n)
{
	struct accept_set *set = worker->accept;

	if (!set->started[n])
		return;
	ev_io_stop(worker->loop, &set->watchers[n]);
	set->started[n] = false;
}

static int open_spare(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Answers 503 at once, without a connection of ours: there is a descriptor only for this moment.
 * What the client has sent is read, so that closing does not take the answer away from it. */
static void refuse_now(int fd)
{
	char request[4096];
	struct buf answer;

	buf_init(&answer);
	answer_refuse(&answer, 503);
	if (send(fd, answer.data, answer.len, MSG_NOSIGNAL | MSG_DONTWAIT) > 0 &&
	    shutdown(fd, SHUT_WR) == 0)
		(void)!recv(fd, request, sizeof(request), MSG_DONTWAIT);
	buf_free(&answer);
	close(fd);
	metric_add(METRIC_HTTP_REFUSED, 1);
}

/* Descriptors have run out, which the kernel says before it looks into the queue: gives the spare
 * one up, takes the connection and refuses it. Returns 0, or the errno of this second try. */
static int shed(struct accept_set *set, int listen_fd)
{
	int fd, err = 0;

	if (set->spare_fd >= 0)
		close(set->spare_fd);
	if ((fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
		refuse_now(fd);
	else
		err = errno;
	set->spare_fd = open_spare();
	return err;
}

static void on_pause_over(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct worker *worker = timer->data;

	(void)loop;
	(void)events;
	worker->accept->paused = false;
	accept_refresh(worker);
}

/* Nothing can be accepted now. The queue stays readable, so a watcher that stays on would fire
 * again and again; the timer looks at the queue a little later instead. */
static void pause_accepting(struct worker *worker)
{
	struct accept_set *set = worker->accept;

	ROSTER_ASSERT(!set->paused && !set->stopped);
	metric_add(METRIC_HTTP_ACCEPT_PAUSES, 1);
	for (unsigned n = 0; n < WORKERS_MAX; n++)
		stop(worker, n);
	set->paused = true;
	ev_timer_set(&set->pause, PAUSE_SECONDS, 0.0);
	ev_timer_start(worker->loop, &set->pause);
}

static void take(struct worker *worker, int fd, const struct sockaddr_storage *peer)
{
	uint32_t limit = worker->proc->config.http_connections;

	process_follow(worker->proc);
	if (worker->connection_count < limit || limit == 0) {
		connection_open(worker, fd,
		                peer->ss_family == AF_INET || peer->ss_family == AF_INET6 ? peer
		                                                                          : NULL);
		return;
	}
	metric_add(METRIC_HTTP_REFUSED, 1);
	if (worker->connection_count < limit + REFUSED_AT_ONCE)
		connection_refuse(worker, fd);
	else
		close(fd);
}

static bool is_short(int err)
{
	return err == EMFILE || err == ENFILE || err == ENOBUFS || err == ENOMEM;
}

/* Returns 0, or the errno that says why nothing more can be taken now. */
static int accept_one(struct worker *worker, int listen_fd)
{
	struct sockaddr_storage peer = { .ss_family = AF_UNSPEC };
	socklen_t n = sizeof(peer);
	int fd = accept4(listen_fd, (struct sockaddr *)&peer, &n, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0) {
		take(worker, fd, &peer);
		return 0;
	}
	if (errno == EINTR || errno == ECONNABORTED)
		return 0;
	return errno == EMFILE || errno == ENFILE ? shed(worker->accept, listen_fd) : errno;
}

static void on_listen_ready(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct worker *worker = watcher->data;
	uint64_t began_us;
	int err = 0;

	(void)loop;
	(void)events;
	began_us = clock_mono_us();
	for (int i = 0; i < ACCEPT_BURST && err == 0 && !worker->stopping && !worker->leaving &&
	                clock_mono_us() - began_us < ACCEPT_US;
	     i++)
		err = accept_one(worker, watcher->fd);
	if (is_short(err))
		pause_accepting(worker);
}

static void start(struct worker *worker, unsigned n)
{
	struct accept_set *set = worker->accept;
	int fd = worker->proc->listen->fds[n], on = 1;

	if (set->started[n] || fd < 0)
		return;
	ROSTER_ASSERT(!set->stopped && !set->paused);
	/* Accepted sockets inherit the option, which saves a call for each. A local socket has
	 * none. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	/* Siblings may be quicker, so the queue can be empty by the time we accept. */
	(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	ev_io_init(&set->watchers[n], on_listen_ready, fd, EV_READ);
	set->watchers[n].data = worker;
	ev_io_start(worker->loop, &set->watchers[n]);
	set->started[n] = true;
}

void accept_refresh(struct worker *worker)
{
	const struct board *board = worker->proc->seg->board;
	uint64_t orphans = __atomic_load_n(&board->orphans, __ATOMIC_ACQUIRE);

	if (worker->accept->stopped || worker->accept->paused)
		return;
	for (unsigned n = 0; n < WORKERS_MAX; n++) {
		if (n == worker->proc->index || (orphans >> n & 1))
			start(worker, n);
		else
			stop(worker, n);
	}
}

int accept_start(struct worker *worker)
{
	struct accept_set *set = calloc(1, sizeof(*set));

	ROSTER_ASSERT(worker->accept == NULL);
	if (set == NULL)
		return ERR_NOMEM;
	if ((set->spare_fd = open_spare()) < 0) {
		free(set);
		return ERR_IO;
	}
	ev_timer_init(&set->pause, on_pause_over, 0.0, 0.0);
	set->pause.data = worker;
	worker->accept = set;
	accept_refresh(worker);
	return 0;
}

void accept_stop(struct worker *worker)
{
	worker->accept->stopped = true;
	ev_timer_stop(worker->loop, &worker->accept->pause);
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
