/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/probe.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keeper/probe_kind.h"
#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/net/address.h"

static const struct probe_kind *const kinds[] = {
	[CHECKER_TCP] = &probe_tcp,
	[CHECKER_HTTP] = &probe_http,
	[CHECKER_MYSQL] = &probe_mysql,
};

/* ---- results --------------------------------------------------------------------------------- */

struct probe_result probe_passed(const struct probe *probe)
{
	return (struct probe_result){
		.verdict = CHECK_PASSED,
		.rt = PROBE_RT_MEASURED,
		.rt_ms = (clock_mono_us() - probe->began_us) / 1000,
		.why = "passed",
	};
}

struct probe_result probe_timed_out(void)
{
	return (struct probe_result){ .verdict = CHECK_FAILED,
		                      .rt = PROBE_RT_TWICE,
		                      .why = "timeout" };
}

/* Errors that say something about this system, and nothing about the peer. */
static bool lacks(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM ||
	       error == EADDRNOTAVAIL;
}

struct probe_result probe_failed(const char *why, int error)
{
	struct probe_result result = {
		.verdict = CHECK_FAILED, .rt = PROBE_RT_MAX, .why = why, .detail = error
	};

	/* The system gave up waiting, which counts like the limit of this process. */
	if (error == ETIMEDOUT)
		result.rt = PROBE_RT_TWICE;
	else if (error == ECONNREFUSED)
		result.verdict = CHECK_REFUSED;
	else if (lacks(error))
		result.verdict = CHECK_UNMADE;
	return result;
}

/* ---- connections ----------------------------------------------------------------------------- */

/* Notes a result that is known without waiting. It is told from the loop all the same, since done()
 * is never called from inside probe_start(). */
static int known_at_once(struct probe *probe, int error)
{
	probe->error = error;
	probe->at_once = true;
	return 0;
}

int probe_connect(struct probe *probe, const struct probe_order *order)
{
	struct sockaddr_storage sa;
	int family = AF_INET;
	socklen_t len = address_to_sockaddr(order->address, order->port, family, &sa);

	ROSTER_ASSERT(probe->fd < 0);
	/* The address is not IPv4 in the form of IPv6, so it is IPv6. */
	if (len == 0) {
		family = AF_INET6;
		len = address_to_sockaddr(order->address, order->port, family, &sa);
	}
	if (len == 0)
		return known_at_once(probe, EHOSTUNREACH); /* link-local without a zone */
	probe->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (probe->fd < 0)
		/* Without a lack on this side it is a result: the system may know no IPv6. */
		return lacks(errno) ? ERR_IO : known_at_once(probe, errno);
	if (connect(probe->fd, (const struct sockaddr *)&sa, len) < 0 && errno != EINPROGRESS)
		return known_at_once(probe, errno);
	probe_wait(probe, EV_WRITE);
	return 0;
}

int probe_connect_error(const struct probe *probe)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (probe->error != 0)
		return probe->error;
	return getsockopt(probe->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? errno : error;
}

void probe_wait(struct probe *probe, int events)
{
	ev_io_stop(probe->loop, &probe->io);
	/* libev wants a watcher to be stopped while its events change. */
	ev_io_set(&probe->io, probe->fd, events);
	ev_io_start(probe->loop, &probe->io);
}

void probe_renew(struct probe *probe)
{
	ev_timer_again(probe->loop, &probe->limit);
}

/* ---- life ------------------------------------------------------------------------------------ */

void probe_load_modules(void)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i] != NULL && kinds[i]->load_modules != NULL)
			kinds[i]->load_modules();
}

static void release_probe(struct probe *probe)
{
	ev_io_stop(probe->loop, &probe->io);
	ev_timer_stop(probe->loop, &probe->limit);
	probe->kind->end(probe);
	if (probe->fd >= 0)
		close(probe->fd);
	free(probe);
}

/* The probe is gone before done() is called, which may begin another one. */
static void finish_or_wait(struct probe *probe, int events)
{
	probe_done_fn *done = probe->done;
	void *arg = probe->arg;
	struct probe_result result;

	if (!probe->kind->step(probe, events, &result))
		return;
	ROSTER_ASSERT(result.why != NULL);
	release_probe(probe);
	done(arg, &result);
}

static void step_probe(struct probe *probe, int events)
{
	struct turn *turn = probe->pace == NULL ? NULL : probe->pace->turn;
	char peer[PROBE_PEER]; /* the probe may be gone at the end */

	if (turn == NULL) {
		finish_or_wait(probe, events);
		return;
	}
	memcpy(peer, probe->peer, sizeof(peer));
	turn_begin(turn, clock_mono_us());
	finish_or_wait(probe, events);
	(void)turn_end(turn, clock_mono_us(), "probe", str_of(peer));
}

/* If many probes are ready in one iteration of the loop, some have to wait for the next one: timers
 * are to be looked at before all of them are through. */
static bool has_to_wait(const struct probe *probe)
{
	struct probe_pace *pace = probe->pace;
	uint64_t now_us = clock_mono_us();

	if (pace == NULL)
		return false;
	if (pace->iteration != ev_iteration(probe->loop)) {
		pace->iteration = ev_iteration(probe->loop);
		pace->began_us = now_us;
	}
	return now_us - pace->began_us >= PROBE_TURN_US;
}

static void on_io(struct ev_loop *loop, ev_io *w, int events)
{
	struct probe *probe = w->data;

	/* The event of what is known at once was fed to the loop, which would not tell it again. */
	if (!probe->at_once && has_to_wait(probe))
		return;
	(void)loop;
	step_probe(probe, events & (EV_READ | EV_WRITE));
}

/* Returns which of the events that the probe waits for are there already. */
static int ready_now(const struct probe *probe)
{
	struct pollfd p = { .fd = probe->fd };
	int events = 0;

	if (probe->fd < 0 || !ev_is_active(&probe->io))
		return 0;
	p.events = (short)(((probe->io.events & EV_READ) ? POLLIN : 0) |
	                   ((probe->io.events & EV_WRITE) ? POLLOUT : 0));
	if (poll(&p, 1, 0) <= 0)
		return 0;
	if (p.revents & (POLLIN | POLLERR | POLLHUP))
		events |= EV_READ;
	if (p.revents & (POLLOUT | POLLERR | POLLHUP))
		events |= EV_WRITE;
	return events & probe->io.events;
}

static void on_probe_limit(struct ev_loop *loop, ev_timer *w, int events)
{
	struct probe *probe = w->data;

	(void)loop;
	(void)events;
	/* The loop asks timers first: an answer that is there came in time, and nobody looked at it
	 * yet. */
	step_probe(probe, ready_now(probe) | EV_TIMER);
}

static void watch_probe(struct probe *probe)
{
	ev_init(&probe->io, on_io);
	ev_set_priority(&probe->io, PROBE_PRIORITY);
	ev_init(&probe->limit, on_probe_limit);
	ev_set_priority(&probe->limit, PROBE_PRIORITY);
	/* It repeats so that probe_renew() can begin it anew. */
	probe->limit.repeat = PROBE_LIMIT_MS / 1000.0;
	probe->io.data = probe->limit.data = probe;
	ev_timer_again(probe->loop, &probe->limit);
}

static void name_peer(struct probe *probe, const struct probe_order *order)
{
	char text[ADDRESS_TEXT];

	address_text(order->address, text);
	snprintf(probe->peer, sizeof(probe->peer), "%s:%u", text, order->port);
}

int probe_start(struct ev_loop *loop, const struct probe_order *order, probe_done_fn *done,
                void *arg, struct probe **probe_r)
{
	const struct probe_kind *kind;
	struct probe *probe;
	int ret;

	ROSTER_ASSERT(order->checker->type < sizeof(kinds) / sizeof(kinds[0]));
	kind = kinds[order->checker->type];
	probe = calloc(1, kind->size);
	*probe_r = NULL;
	if (probe == NULL)
		return ERR_NOMEM;
	*probe = (struct probe){
		.kind = kind, .loop = loop, .fd = -1, .done = done, .arg = arg, .pace = order->pace
	};
	probe->began_us = clock_mono_us();
	name_peer(probe, order);
	watch_probe(probe);
	if ((ret = kind->begin(probe, order)) < 0) {
		release_probe(probe);
		return ret;
	}
	/* What is known already is told by an event that the loop finds in its next iteration. */
	if (probe->at_once)
		ev_feed_event(loop, &probe->io, EV_WRITE);
	*probe_r = probe;
	return 0;
}

void probe_stop(struct probe **probe)
{
	if (*probe != NULL)
		release_probe(*probe);
	*probe = NULL;
}
