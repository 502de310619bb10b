/* SPDX-License-Identifier: Apache-2.0 */
/* probe_fixture.h - runs one probe in a loop of its own, and looks at what it says. */
#ifndef TESTS_PROBE_FIXTURE_H
#define TESTS_PROBE_FIXTURE_H

#include "keeper/probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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

static inline struct probe_order order_for(const struct checker *checker, const char *address,
                                           uint16_t port)
{
	struct probe_order order = { .checker = checker, .port = port };

	assert_int_equal(address_parse(str_of(address), order.address), 0);
	return order;
}

static inline struct outcome run(const struct checker *checker, const char *address, uint16_t port)
{
	struct probe_order order = order_for(checker, address, port);
	struct outcome outcome = { .loop = loop };
	struct probe *probe;
	ev_timer late;

	ev_now_update(loop);
	assert_int_equal(probe_start(loop, &order, on_done, &outcome, &probe), 0);
	assert_int_equal(outcome.calls, 0);
	assert_non_null(probe);
	ev_timer_init(&late, on_late, GIVE_UP_S, 0.);
	ev_timer_start(loop, &late);
	ev_run(loop, 0);
	ev_timer_stop(loop, &late);
	assert_int_equal(outcome.calls, 1);
	return outcome;
}

static inline void assert_result(const struct outcome *outcome, enum check_verdict verdict,
                                 enum probe_rt rt)
{
	if (outcome->result.verdict != verdict || outcome->result.rt != rt)
		fail_msg("verdict %d rt %d: %s %d", outcome->result.verdict, outcome->result.rt,
		         outcome->result.why, outcome->result.detail);
}

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
