/* SPDX-License-Identifier: Apache-2.0 */
/* probe_fixture.h - one probe in a loop of its own, what it says, and a socket that it may find. */
#ifndef TESTS_PROBE_FIXTURE_H
#define TESTS_PROBE_FIXTURE_H

#include "keeper/probe.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "shared/net/address.h"
#include "tests/unit/spot.h"

#define GIVE_UP_S 60.0

struct outcome {
	struct ev_loop *loop;
	struct probe_result result;
	unsigned calls;
};

static struct ev_loop *loop;

static inline void on_done(void *arg, const struct probe_result *result)
{
	struct outcome *outcome = arg;

	outcome->calls++;
	outcome->result = *result;
	assert_non_null(result->why);
	ev_break(outcome->loop, EVBREAK_ALL);
}

static inline void on_late(struct ev_loop *l, ev_timer *w, int events)
{
	(void)w;
	(void)events;
	ev_break(l, EVBREAK_ALL);
}

/* Listens on a free port of the loopback address, of IPv4 or IPv6. */
static inline int listener_open_at(struct spot spot, int family, uint16_t *port_r)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	const struct sockaddr *sa =
	        family == AF_INET6 ? (const struct sockaddr *)&in6 : (const struct sockaddr *)&in;
	struct sockaddr_storage bound;
	socklen_t len = family == AF_INET6 ? sizeof(in6) : sizeof(in), bound_len = sizeof(bound);
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	uint8_t address[16];

	assert_true_at(spot, fd >= 0);
	assert_int_equal_at(spot, bind(fd, sa, len), 0);
	assert_int_equal_at(spot, listen(fd, 8), 0);
	assert_int_equal_at(spot, getsockname(fd, (struct sockaddr *)&bound, &bound_len), 0);
	address_of_sockaddr(&bound, address, port_r);
	return fd;
}
#define listener_open(...) listener_open_at(SPOT, __VA_ARGS__)

static inline struct probe_order order_for_at(struct spot spot, const struct checker *checker,
                                              const char *address, uint16_t port)
{
	struct probe_order order = { .checker = checker, .port = port };

	assert_int_equal_at(spot, address_parse(str_of(address), order.address), 0);
	return order;
}
#define order_for(...) order_for_at(SPOT, __VA_ARGS__)

static inline struct outcome run_at(struct spot spot, const struct checker *checker,
                                    const char *address, uint16_t port)
{
	struct probe_order order = order_for_at(spot, checker, address, port);
	struct outcome outcome = { .loop = loop };
	struct probe *probe;
	ev_timer late;

	ev_now_update(loop);
	assert_int_equal_at(spot, probe_start(loop, &order, on_done, &outcome, &probe), 0);
	assert_int_equal_at(spot, outcome.calls, 0);
	assert_true_at(spot, probe != NULL);
	ev_timer_init(&late, on_late, GIVE_UP_S, 0.);
	ev_timer_start(loop, &late);
	ev_run(loop, 0);
	ev_timer_stop(loop, &late);
	assert_int_equal_at(spot, outcome.calls, 1);
	return outcome;
}
#define run(...) run_at(SPOT, __VA_ARGS__)

static inline void assert_result_at(struct spot spot, const struct outcome *outcome,
                                    enum check_verdict verdict, enum probe_rt rt)
{
	if (outcome->result.verdict != verdict || outcome->result.rt != rt)
		fail_at(spot, "verdict %d rt %d: %s %d", outcome->result.verdict,
		        outcome->result.rt, outcome->result.why, outcome->result.detail);
}
#define assert_result(...) assert_result_at(SPOT, __VA_ARGS__)

static inline int setup(void **state)
{
	(void)state;
	loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
	return loop == NULL ? -1 : 0;
}

static inline int teardown(void **state)
{
	(void)state;
	ev_loop_destroy(loop);
	return 0;
}

#endif
