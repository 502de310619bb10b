/* SPDX-License-Identifier: Apache-2.0 */
/* The states of a connection: which one each transition leads to, and that any other use of it ends
 * the process. */
#include "tests/unit/http_fixture.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker/http/connection_state.h"

static struct fixture f;
static struct buf in, out;
static struct connection c;
static struct request parked;

/* ---- what is done to a connection ------------------------------------------------------------ */

static void begin(void)
{
	(void)connection_state_begin(&c);
}

static void park(void)
{
	connection_state_park(&c, &parked);
}

static void answer_and_stay(void)
{
	connection_state_answered(&c, true);
}

static void answer_and_end(void)
{
	connection_state_answered(&c, false);
}

static void refuse(void)
{
	connection_state_refused(&c);
}

static void give_up(void)
{
	(void)connection_state_unpark(&c);
	connection_state_refused(&c);
}

static void linger(void)
{
	c.linger = true;
	connection_state_lingers(&c);
}

#define STATES 4
#define DIES (-1)

/* From each state: where it leads to. */
static const struct {
	const char *name;
	void (*act)(void);
	int to[STATES];
} rows[] = {
	/* from OPEN, PARKED, ENDING, LINGER */
	{ "begin", begin, { CONNECTION_OPEN, DIES, DIES, DIES } },
	{ "park", park, { CONNECTION_PARKED, DIES, DIES, DIES } },
	{ "answer and stay", answer_and_stay, { CONNECTION_OPEN, CONNECTION_OPEN, DIES, DIES } },
	{ "answer and end", answer_and_end, { CONNECTION_ENDING, CONNECTION_ENDING, DIES, DIES } },
	{ "refuse", refuse, { CONNECTION_ENDING, DIES, DIES, DIES } },
	{ "give up", give_up, { CONNECTION_ENDING, CONNECTION_ENDING, DIES, DIES } },
	{ "linger", linger, { DIES, DIES, CONNECTION_LINGER, DIES } },
};

static void come_to(enum connection_state state)
{
	c = (struct connection){ .worker = &f.worker, .state = state };
	input_init(&c.input, &in);
	sender_init(&c.sender, &out);
	parked = (struct request){ .connection = &c };
	c.request = state == CONNECTION_PARKED ? &parked : NULL;
}

/* The state it is in afterwards, or DIES. */
static int state_after(void (*act)(void))
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		signal(SIGABRT, SIG_DFL);
		act();
		_exit((int)c.state);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT ? DIES : WEXITSTATUS(status);
}

static void each_transition_has_its_states(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		for (int from = 0; from < STATES; from++) {
			int to;

			come_to((enum connection_state)from);
			to = state_after(rows[i].act);
			if (to != rows[i].to[from])
				fail_msg("%s from %d: %d", rows[i].name, from, to);
		}
	}
}

/* A connection that ends lingers only if bytes are left, so that nobody's answer is lost by a
 * reset. */
static void it_lingers_for_what_is_unread(void **state)
{
	(void)state;
	come_to(CONNECTION_OPEN);
	connection_state_unread(&c);
	assert_false(c.linger);
	connection_state_answered(&c, false);
	connection_state_unread(&c);
	assert_true(c.linger);
	come_to(CONNECTION_OPEN);
	connection_state_refused(&c);
	assert_true(c.linger);
}

/* What was promised to an idle client holds at the next worker too. */
static void the_longer_promise_goes_over(void **state)
{
	static const uint64_t told[] = { 0, 1000, 90000 }, expected[] = { 75000, 75000, 90000 };

	(void)state;
	f.proc.config.http_idle_timeout_ms = 75000;
	for (size_t i = 0; i < COUNT(told); i++) {
		struct connection_rest rest = {
			.served = 7, .idle_ms = told[i], .ending = i == 1, .linger = i == 1
		};

		come_to(CONNECTION_OPEN);
		connection_state_adopt(&c, &rest);
		assert_int_equal(c.idle_ms, expected[i]);
		assert_int_equal(c.served, 7);
		assert_int_equal(c.state, i == 1 ? CONNECTION_ENDING : CONNECTION_OPEN);
		assert_int_equal(c.linger, i == 1);
	}
}

static int set_up(void **state)
{
	(void)state;
	fixture_init(&f);
	return 0;
}

#define TEST(fn) cmocka_unit_test_setup(fn, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_transition_has_its_states),
		TEST(it_lingers_for_what_is_unread),
		TEST(the_longer_promise_goes_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
