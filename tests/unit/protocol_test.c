/* SPDX-License-Identifier: Apache-2.0 */
/* Another protocol over the same HTTP: it is asked in order, and nothing of Nacos is needed. */
#include "tests/unit/http_fixture.h"
#include "tests/unit/death_fixture.h"

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
static bool is_answered, was_long, is_out_of_memory;
static struct answer answer_of_all;         /* what a path is answered with */
static unsigned rests_before, rests_behind; /* of one that parks its request */
static bool is_parked;
static uint64_t parked_id;

/* ---- the protocol: a path is answered with itself -------------------------------------------- */

struct shout_request {
	uint64_t number; /* of requests, from 1 */
	bool works;
};

static uint64_t requests;

static struct shout_request *own(const struct request *rq)
{
	return rq->own;
}

static void note(const char *call)
{
	strncat(calls, call, sizeof(calls) - strlen(calls) - 1);
}

static int shout_new(struct worker *worker)
{
	worker->protocol_state = &requests;
	requests = 0;
	return 0;
}

static void shout_reload(struct worker *worker)
{
	(void)worker;
}

static void shout_free(struct worker *worker)
{
	worker->protocol_state = NULL;
}

static void shout_begin(struct request *rq)
{
	assert_int_not_equal(rq->began_us, 0);
	*own(rq) = (struct shout_request){ .number = ++requests };
	note("begin ");
}

static void rest(unsigned times)
{
	for (unsigned i = 0; i < times; i++)
		(void)!fiber_rest();
}

static void park(struct request *rq)
{
	rest(rests_before);
	request_park(rq);
	parked_id = rq->id;
	rest(rests_behind);
}

static void shout_dispatch(struct request *rq)
{
	struct answer answer = answer_of_all;

	note("dispatch ");
	was_long = fiber_is_inside();
	assert_int_equal(own(rq)->works, was_long);
	if (is_parked)
		park(rq);
	else if (is_answered)
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
	assert_int_equal(own(rq)->number, requests);
	assert_false(own(rq)->works);
	note("answered ");
}

static bool shout_work_begin(struct request *rq)
{
	note("work_begin ");
	own(rq)->works = !is_out_of_memory;
	return !is_out_of_memory;
}

static uint64_t shout_work_bytes(const struct request *rq)
{
	assert_true(own(rq)->works);
	return own(rq)->number;
}

static void shout_work_end(struct request *rq)
{
	assert_true(own(rq)->works);
	own(rq)->works = false;
	note("work_end ");
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

static bool shout_ends_connection(int status)
{
	return status == 409;
}

static struct str shout_name(const struct request *rq)
{
	return rq->path;
}

static const struct protocol shout = {
	.new = shout_new,
	.reload = shout_reload,
	.free = shout_free,
	.request_bytes = sizeof(struct shout_request),
	.begin = shout_begin,
	.dispatch = shout_dispatch,
	.handled = shout_handled,
	.answered = shout_answered,
	.name = shout_name,
	.work_begin = shout_work_begin,
	.work_bytes = shout_work_bytes,
	.work_end = shout_work_end,
	.fail = shout_fail,
	.over_limit = shout_over_limit,
	.ends_connection = shout_ends_connection,
	.headers = STR("Shout: loud\r\n"),
	.grant_headers = STR(""),
};

/* ---- both ends ------------------------------------------------------------------------------- */

static int set_up(void **state)
{
	struct config *config = &f.proc.config;
	int pair[2];

	(void)state;
	fixture_init(&f);
	f.worker.protocol = &shout;
	assert_int_equal(f.worker.protocol->new (&f.worker), 0);
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
	is_parked = is_out_of_memory = false;
	rests_before = rests_behind = 0;
	answer_of_all =
	        (struct answer){ .status = 200, .kind = ANSWER_BARE, .type = STR("text/shout") };
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	connection_pool_free(&f.worker);
	f.worker.protocol->free(&f.worker);
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

static void ask_with_a_large_body(void)
{
	char head[100];
	int n = snprintf(head, sizeof(head), "PUT /big" H "Content-Length: %zu\r\n\r\n",
	                 sizeof(big));

	say(head, (size_t)n);
	say(big, sizeof(big));
	take();
}

static void a_large_body_is_long_work(void **state)
{
	(void)state;
	ask_with_a_large_body();
	assert_string_equal(calls, "begin work_begin dispatch work_end handled answered ");
	assert_string_equal(body_of(got), "/big");
	assert_true(was_long);
	assert_int_equal(f.worker.lane.held_bytes, 0);
}

static void long_work_without_memory_is_a_failure(void **state)
{
	(void)state;
	is_out_of_memory = true;
	ask_with_a_large_body();
	assert_string_equal(calls, "begin work_begin fail handled answered ");
	assert_true(has(got, "HTTP/1.1 503 "));
	is_out_of_memory = false;
	got_n = 0;
	ask_with_a_large_body();
	assert_string_equal(body_of(got), "/big");
}

/* It says what else stands in a head, and after which answers a connection ends. */
static void heads_are_its_own(void **state)
{
	(void)state;
	ask("GET /hey" H "\r\n");
	assert_false(has(got, "Shout:"));
	answer_of_all.kind = ANSWER_WHOLE;
	answer_of_all.status = 500;
	got_n = 0;
	ask("GET /hey" H "\r\n");
	assert_true(has(got, "HTTP/1.1 500 "));
	assert_true(has(got, "\r\nShout: loud\r\n"));
	assert_false(has(got, "Content-Security-Policy"));
	assert_false(has(got, "Connection: close"));
	answer_of_all.status = 409;
	got_n = 0;
	ask("GET /hey" H "\r\n");
	assert_true(has(got, "HTTP/1.1 409 "));
	assert_true(has(got, "Connection: close"));
}

/* Long work that ends without an answer is answered by HTTP, in the words of the protocol. */
static void no_answer_is_a_failure(void **state)
{
	(void)state;
	is_answered = false;
	ask_with_a_large_body();
	assert_string_equal(calls, "begin work_begin dispatch fail work_end handled answered ");
	assert_true(has(got, "HTTP/1.1 500 "));
	assert_string_equal(body_of(got), "the handler gave no answer");
}

/* Parks a request whose body is so large that it is long work. */
static void park_long_work(unsigned rests)
{
	is_parked = true;
	rests_before = rests;
	ask_with_a_large_body();
	assert_true(was_long);
	assert_string_equal(calls, rests == 0 ? "begin work_begin dispatch work_end handled "
	                                      : "begin work_begin dispatch handled work_end ");
	assert_int_equal(got_n, 0);
	assert_int_equal(f.worker.lane.count, 0);
	assert_int_equal(f.worker.parked.count, 1);
}

static void answer_parked(void)
{
	struct answer answer = { .status = 200, .kind = ANSWER_BARE };
	struct request *rq = request_resume(&f.worker, parked_id);

	assert_non_null(rq);
	answer_put(rq, &answer, STR("later"));
	request_complete(rq);
	take();
}

/* The work is over, in its first slice or a later one; the request waits for its answer, and the
 * connection goes on behind it. */
static void long_work_can_be_answered_later(void **state)
{
	(void)state;
	for (unsigned rests = 0; rests < 3; rests++) {
		park_long_work(rests);
		calls[0] = '\0';
		answer_parked();
		assert_string_equal(calls, "answered ");
		assert_string_equal(body_of(got), "later");
		is_parked = false;
		got_n = 0;
		ask("GET /hey" H "\r\n");
		assert_string_equal(body_of(got), "/hey");
		got_n = 0;
		calls[0] = '\0';
	}
}

static void who_leaves_before_the_later_answer_gets_none(void **state)
{
	(void)state;
	park_long_work(1);
	connection_close_all(&f.worker);
	assert_int_equal(f.worker.parked.count, 0);
	assert_null(request_resume(&f.worker, parked_id));
}

/* The client goes while the work is on its way to park. */
static void who_leaves_during_the_work_gets_none(void **state)
{
	(void)state;
	is_parked = true;
	rests_before = 1000;
	ask_with_a_large_body();
	assert_int_equal(f.worker.lane.count, 1);
	parked_id = 0;
	connection_close_all(&f.worker);
	for (unsigned i = 0; i < 2000 && f.worker.lane.count > 0; i++)
		ev_run(f.worker.loop, EVRUN_NOWAIT);
	assert_int_equal(f.worker.lane.count, 0);
	assert_int_not_equal(parked_id, 0);
	assert_true(has(calls, "work_end "));
	assert_null(request_resume(&f.worker, parked_id));
}

/* The answer could come while the handler is still at work. */
static void a_pause_behind_parking_ends_the_process(void **state)
{
	struct death death;

	(void)state;
	if (death_fork(&death)) {
		is_parked = true;
		rests_behind = 1;
		ask_with_a_large_body();
		_exit(0);
	}
	death_was_by_assert(&death, "assert over ");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_is_asked_in_order),
		TEST(what_http_refuses_it_does_not_see),
		TEST(a_large_body_is_long_work),
		TEST(long_work_without_memory_is_a_failure),
		TEST(heads_are_its_own),
		TEST(no_answer_is_a_failure),
		TEST(long_work_can_be_answered_later),
		TEST(who_leaves_before_the_later_answer_gets_none),
		TEST(who_leaves_during_the_work_gets_none),
		TEST(a_pause_behind_parking_ends_the_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
