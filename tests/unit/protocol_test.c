/* SPDX-License-Identifier: Apache-2.0 */
/* Another protocol over the same HTTP: it is asked in order, and nothing of Nacos is needed. */
#include "tests/unit/http_fixture.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/base/fiber.h"
#include "worker/http/answer.h"
#include "worker/http/connection.h"
#include "worker/http/long.h"
#include "worker/http/protocol.h"

#define H " HTTP/1.1\r\nHost: a\r\n"

static struct fixture f;
static int client;
static char got[65536], calls[200], big[LONG_BODY_BYTES + 1];
static size_t got_n;
static bool is_answered, was_long;

/* ---- the protocol: a path is answered with itself -------------------------------------------- */

static void note(const char *call)
{
	strncat(calls, call, sizeof(calls) - strlen(calls) - 1);
}

static void shout_begin(struct request *rq)
{
	assert_int_not_equal(rq->began_us, 0);
	note("begin ");
}

static void shout_dispatch(struct request *rq)
{
	struct answer answer = { .status = 200, .kind = ANSWER_BARE, .type = STR("text/shout") };

	note("dispatch ");
	was_long = fiber_is_inside();
	if (is_answered)
		answer_put(rq, &answer, rq->path);
}

static void shout_handled(struct request *rq)
{
	(void)rq;
	note("handled ");
}

static void shout_answered(struct request *rq, uint64_t now_us)
{
	assert_true(now_us >= rq->began_us);
	note("answered ");
}

static void shout_fail(struct request *rq, int status, struct str why)
{
	struct answer answer = { .status = status, .kind = ANSWER_BARE };

	note("fail ");
	answer_put(rq, &answer, why);
}

static void shout_over_limit(struct request *rq, const char *key, uint64_t limit,
                             uint64_t retry_after_s)
{
	struct answer answer = { .status = 429,
		                 .kind = ANSWER_BARE,
		                 .retry_after_s = retry_after_s };

	(void)limit;
	note("over_limit ");
	answer_put(rq, &answer, str_of(key));
}

static struct str shout_name(const struct request *rq)
{
	return rq->path;
}

static const struct protocol shout = {
	.begin = shout_begin,
	.dispatch = shout_dispatch,
	.handled = shout_handled,
	.answered = shout_answered,
	.fail = shout_fail,
	.over_limit = shout_over_limit,
	.name = shout_name,
};

/* ---- both ends ------------------------------------------------------------------------------- */

static int set_up(void **state)
{
	struct config *config = &f.proc.config;
	int pair[2];

	(void)state;
	fixture_init(&f);
	f.worker.protocol = &shout;
	f.worker.v1 = NULL;
	config->http_head_timeout_ms = config->http_body_timeout_ms = 60000;
	config->http_idle_timeout_ms = config->http_write_timeout_ms = 60000;
	config->http_long_requests = 8;
	config->http_long_wait_ms = 60000;
	f.worker.loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
	assert_non_null(f.worker.loop);
	assert_int_equal(connection_pool_new(&f.worker), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
	                 0);
	client = pair[0];
	connection_open(&f.worker, pair[1], NULL);
	calls[0] = '\0';
	got_n = 0;
	is_answered = true;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	connection_pool_free(&f.worker);
	ev_loop_destroy(f.worker.loop);
	fixture_free(&f);
	close(client);
	return 0;
}

static void say(const char *text, size_t n)
{
	for (size_t sent = 0; sent < n;) {
		ssize_t done = send(client, text + sent, n - sent, MSG_NOSIGNAL);

		sent += done > 0 ? (size_t)done : 0;
		ev_run(f.worker.loop, EVRUN_NOWAIT);
	}
}

static void take(void)
{
	ssize_t n;

	for (int i = 0; i < 6; i++)
		ev_run(f.worker.loop, EVRUN_NOWAIT);
	while ((n = recv(client, got + got_n, sizeof(got) - 1 - got_n, 0)) > 0)
		got_n += (size_t)n;
	got[got_n] = '\0';
}

static void ask(const char *text)
{
	say(text, strlen(text));
	take();
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void it_is_asked_in_order(void **state)
{
	(void)state;
	ask("GET /hey" H "\r\n");
	assert_string_equal(calls, "begin dispatch handled answered ");
	assert_true(
	        has(got, "HTTP/1.1 200 OK\r\nContent-Type: text/shout\r\nContent-Length: 4\r\n"));
	assert_string_equal(body_of(got), "/hey");
	assert_false(was_long);
}

static void what_http_refuses_it_does_not_see(void **state)
{
	(void)state;
	ask("GET /hey HTTP/1.1\r\n\r\n");
	assert_string_equal(calls, "");
	assert_true(has(got, "HTTP/1.1 400 "));
}

static void a_large_body_is_long_work(void **state)
{
	char head[100];
	int n = snprintf(head, sizeof(head), "PUT /big" H "Content-Length: %zu\r\n\r\n",
	                 sizeof(big));

	(void)state;
	say(head, (size_t)n);
	say(big, sizeof(big));
	take();
	assert_string_equal(calls, "begin dispatch handled answered ");
	assert_string_equal(body_of(got), "/big");
	assert_true(was_long);
}

/* Long work that ends without an answer is answered by HTTP, in the words of the protocol. */
static void no_answer_is_a_failure(void **state)
{
	char head[100];
	int n = snprintf(head, sizeof(head), "PUT /big" H "Content-Length: %zu\r\n\r\n",
	                 sizeof(big));

	(void)state;
	is_answered = false;
	say(head, (size_t)n);
	say(big, sizeof(big));
	take();
	assert_string_equal(calls, "begin dispatch fail handled answered ");
	assert_true(has(got, "HTTP/1.1 500 "));
	assert_string_equal(body_of(got), "the handler gave no answer");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_is_asked_in_order),
		TEST(what_http_refuses_it_does_not_see),
		TEST(a_large_body_is_long_work),
		TEST(no_answer_is_a_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
