/* SPDX-License-Identifier: Apache-2.0 */
/* long: requests in slices. Who is served meanwhile, who waits, who is refused, and what becomes of
 * the work of who has left. */
#include "tests/unit/http_fixture.h"

#include <ev.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "shared/base/clock.h"
#include "shared/base/discard.h"
#include "shared/base/fiber.h"
#include "worker/http/connection.h"
#include "worker/http/connection_state.h"
#include "worker/http/long.h"
#include "worker/v1/router.h"
#include "worker/v1/routes.h"

#define CLIENTS 6
#define H "Host: a\r\n"

static struct fixture f;
static struct {
	int fd;
	char got[4u << 20];
	size_t n;
	bool closed;
} clients[CLIENTS];

#define CROWD 400U
static int crowd[CROWD];
static unsigned crowd_count;

static char big[3u << 20];
static unsigned begun, told, ended;
static bool go; /* a work goes on until this is true */

/* ---- handlers -------------------------------------------------------------------------------- */

static void answer_ok(struct request *rq)
{
	reply_ok(rq);
}

/* Uses more than a slice between two pauses, so that each ends one. */
static void spend_a_slice(void)
{
	uint64_t until_us = clock_mono_us() + LONG_SLICE_US + 100;

	while (clock_mono_us() < until_us)
		continue;
}

static void answer_when_told(struct request *rq)
{
	int ret = 0;

	begun++;
	assert_true(fiber_is_inside());
	assert_ptr_not_equal(v1_request(rq)->view, &f.v1.view);
	while (!go && ret == 0) {
		spend_a_slice();
		ret = fiber_pause();
	}
	ended++;
	told += ret == ERR_GONE;
	reply_text(rq, 200, ret == 0 ? STR("done") : STR("nobody"));
}

/* Uses next to nothing, again and again. */
static void answer_rested(struct request *rq)
{
	while (!go && fiber_rest() == 0)
		continue;
	reply_ok(rq);
}

static void answer_long_buf(struct request *rq)
{
	struct buf b;

	buf_init(&b);
	buf_put(&b, big, sizeof(big));
	reply_json_buf(rq, STR("<"), &b, STR(">"));
	assert_null(b.data);
}

/* Holds a megabyte, and counts its slices; the last digit of the query is its number. */
static unsigned slices_of[CLIENTS];

static void answer_holding(struct request *rq)
{
	unsigned number = (unsigned)(rq->query.p[rq->query.n - 1] - '0');
	int ret = 0;

	v1_request(rq)->view->text = malloc(1 << 20);
	v1_request(rq)->view->text_cap = 1 << 20;
	while (!go && ret == 0) {
		slices_of[number]++;
		spend_a_slice();
		ret = fiber_pause();
	}
	reply_text(rq, 200, STR("done"));
}

/* Answers at the end of its slice, and holds so much that giving it back takes more. */
static void answer_fat(struct request *rq)
{
	v1_request(rq)->view->text = malloc(64 << 20);
	v1_request(rq)->view->text_cap = 64 << 20;
	spend_a_slice();
	reply_text(rq, 200, STR("fat"));
}

static void answer_nothing(struct request *rq)
{
	(void)rq;
}

static void answer_body(struct request *rq)
{
	reply_text(rq, 200, fiber_is_inside() ? STR("long") : STR("short"));
}

static const struct route rows[] = {
	{ METHOD_GET, "/v1/ns/ok", answer_ok, ROUTE_NAMING, "" },
	{ METHOD_GET, "/v1/ns/long", answer_when_told, ROUTE_NAMING | ROUTE_LONG, "" },
	{ METHOD_GET, "/v1/ns/rest", answer_rested, ROUTE_NAMING | ROUTE_LONG, "" },
	{ METHOD_GET, "/v1/ns/fat", answer_fat, ROUTE_NAMING | ROUTE_LONG, "" },
	{ METHOD_GET, "/v1/ns/hold", answer_holding, ROUTE_NAMING | ROUTE_LONG, "" },
	{ METHOD_GET, "/v1/ns/buf", answer_long_buf, ROUTE_NAMING | ROUTE_LONG, "" },
	{ METHOD_GET, "/v1/ns/nothing", answer_nothing, ROUTE_NAMING | ROUTE_LONG, "" },
	{ METHOD_PUT, "/v1/ns/body", answer_body, ROUTE_NAMING, "" },
};

/* ---- both ends ------------------------------------------------------------------------------- */

static void open_client(unsigned n, uint8_t source)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
	                 0);
	clients[n].fd = pair[0];
	clients[n].n = 0;
	clients[n].closed = false;
	connection_open(&f.worker, pair[1], NULL);
	f.worker.connections->source[15] = source;
}

static void get(unsigned n, const char *path)
{
	char text[200];
	int len = snprintf(text, sizeof(text), "GET /nacos/v1/ns/%s HTTP/1.1\r\n" H "\r\n", path);

	assert_int_equal(send(clients[n].fd, text, (size_t)len, MSG_NOSIGNAL), len);
}

static const char *take(unsigned n)
{
	ssize_t got;

	while (!clients[n].closed &&
	       (got = recv(clients[n].fd, clients[n].got + clients[n].n,
	                   sizeof(clients[n].got) - 1 - clients[n].n, 0)) >= 0) {
		clients[n].closed = got == 0;
		clients[n].n += (size_t)got;
	}
	clients[n].got[clients[n].n] = '\0';
	return clients[n].got;
}

static void turn_once(void)
{
	ev_run(f.worker.loop, EVRUN_NOWAIT);
}

static void turn_until_told(unsigned n, const char *what)
{
	for (unsigned i = 0; i < 100000 && strstr(take(n), what) == NULL; i++)
		turn_once();
	assert_non_null(strstr(clients[n].got, what));
}

static int set_up(void **state)
{
	struct config *config = &f.proc.config;

	(void)state;
	fixture_init(&f);
	config->http_head_timeout_ms = config->http_body_timeout_ms = 60000;
	config->http_idle_timeout_ms = config->http_write_timeout_ms = 60000;
	config->http_body_bytes = 1 << 20;
	config->http_long_requests = 8;
	config->http_long_wait_ms = 60000;
	memset(big, 'b', sizeof(big));
	f.worker.loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
	assert_non_null(f.worker.loop);
	assert_int_equal(router_new(rows, sizeof(rows) / sizeof(rows[0]), STR("/nacos"),
	                            &f.v1.router),
	                 0);
	assert_int_equal(connection_pool_new(&f.worker), 0);
	begun = told = ended = 0;
	go = false;
	for (unsigned n = 0; n < CLIENTS; n++)
		clients[n].fd = -1;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	connection_pool_free(&f.worker);
	router_free(&f.v1.router);
	ev_loop_destroy(f.worker.loop);
	fixture_free(&f);
	for (unsigned n = 0; n < CLIENTS; n++)
		if (clients[n].fd >= 0)
			close(clients[n].fd);
	while (crowd_count > 0)
		close(crowd[--crowd_count]);
	return 0;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void a_short_one_is_answered_at_once(void **state)
{
	(void)state;
	go = true;
	open_client(0, 1);
	get(0, "long");
	turn_once();
	assert_non_null(strstr(take(0), "done"));
	assert_int_equal(f.worker.parked.count, 0);
	assert_int_equal(f.slot.counters[METRIC_LONG_REQUESTS], 0);
	get(0, "nothing");
	turn_until_told(0, "gave no answer");
}

/* While one is worked on, others are answered in the turn in which they come. */
static void others_are_served_meanwhile(void **state)
{
	(void)state;
	open_client(0, 1);
	open_client(1, 2);
	get(0, "long");
	for (unsigned i = 1; i <= 20; i++) {
		turn_once();
		clients[1].n = 0;
		get(1, "ok");
		turn_once();
		assert_non_null(strstr(take(1), "ok"));
		assert_null(strstr(take(0), "done"));
	}
	assert_int_equal(begun, 1);
	assert_int_equal(f.slot.counters[METRIC_LONG_REQUESTS], 1);
	go = true;
	turn_until_told(0, "done");
	assert_int_equal(f.worker.lane.count, 0);
}

static void pipelined_answers_keep_their_order(void **state)
{
	(void)state;
	open_client(0, 1);
	get(0, "ok");
	get(0, "long");
	get(0, "ok");
	for (unsigned i = 0; i < 10; i++)
		turn_once();
	assert_non_null(strstr(take(0), "\r\n\r\nok"));
	assert_null(strstr(strstr(take(0), "\r\n\r\nok") + 5, "ok"));
	go = true;
	turn_until_told(0, "done");
	turn_until_told(0, "doneHTTP/1.1 200 OK");
	assert_non_null(strstr(strstr(clients[0].got, "done"), "\r\n\r\nok"));
}

/* Two places, so one for each source: the second of the same source waits, another source does
 * not. */
static void a_source_has_half_of_the_places(void **state)
{
	(void)state;
	f.proc.config.http_long_requests = 2;
	for (unsigned n = 0; n < 3; n++)
		open_client(n, n < 2 ? 1 : 2);
	get(0, "long");
	turn_once();
	get(1, "long");
	for (unsigned i = 0; i < 5; i++)
		turn_once();
	assert_int_equal(begun, 1);
	get(2, "long");
	for (unsigned i = 0; i < 5; i++)
		turn_once();
	assert_int_equal(begun, 2);
	assert_int_equal(f.worker.lane.active_count, 2);
	go = true;
	for (unsigned n = 0; n < 3; n++)
		turn_until_told(n, "done");
	assert_int_equal(begun, 3);
	assert_int_equal(f.worker.lane.active_count, 0);
}

static void who_waits_too_long_is_told_the_limit(void **state)
{
	(void)state;
	f.proc.config.http_long_requests = 1;
	f.proc.config.http_long_wait_ms = 20;
	open_client(0, 1);
	open_client(1, 1);
	get(0, "long");
	turn_once();
	get(1, "long");
	turn_until_told(1, "503 Service Unavailable");
	turn_until_told(1, "caused: http.long_wait reached: 20;");
	assert_int_equal(f.slot.counters[METRIC_LONG_REFUSED], 1);
	assert_int_equal(begun, 1);
	go = true;
	turn_until_told(0, "done");
}

/* All of one source. */
static void open_crowd(unsigned from, unsigned to)
{
	static const char text[] = "GET /nacos/v1/ns/rest HTTP/1.1\r\n" H "\r\n";

	for (unsigned i = from; i < to; i++) {
		int pair[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		                            pair),
		                 0);
		connection_open(&f.worker, pair[1], NULL);
		f.worker.connections->source[15] = 1;
		assert_int_equal(send(pair[0], text, sizeof(text) - 1, MSG_NOSIGNAL),
		                 sizeof(text) - 1);
		crowd[crowd_count++] = pair[0];
		turn_once();
	}
}

static uint64_t cpu_of_turns(unsigned n)
{
	clock_t begin = clock();

	for (unsigned i = 0; i < n; i++)
		turn_once();
	return (uint64_t)(clock() - begin);
}

/* A source that has its half of the places, and many that wait behind it: a turn costs what it
 * costs with a few. */
static void a_crowd_that_waits_costs_nothing(void **state)
{
	uint64_t few, many;

	(void)state;
	open_crowd(0, 8);
	few = cpu_of_turns(500);
	open_crowd(8, CROWD);
	many = cpu_of_turns(500);
	assert_int_equal(f.worker.lane.active_count, 4);
	assert_int_equal(f.worker.lane.count, CROWD);
	assert_in_range(many, 0, 8 * few + 1000);
}

static void a_crowd_is_not_refused_in_one_turn(void **state)
{
	(void)state;
	open_crowd(0, CROWD);
	f.proc.config.http_long_wait_ms = 0;
	turn_once();
	assert_in_range(f.slot.counters[METRIC_LONG_REFUSED], 1, CROWD - 5);
	for (unsigned i = 0; i < 100000 && f.slot.counters[METRIC_LONG_REFUSED] < CROWD - 4; i++)
		turn_once();
	assert_int_equal(f.slot.counters[METRIC_LONG_REFUSED], CROWD - 4);
}

static void work_for_nobody_ends(void **state)
{
	(void)state;
	f.proc.config.http_long_requests = 1;
	open_client(0, 1);
	open_client(1, 1);
	get(0, "long");
	turn_once();
	get(1, "long");
	turn_once();
	close(clients[0].fd);
	clients[0].fd = -1;
	for (unsigned i = 0; i < 100000 && told == 0; i++)
		turn_once();
	assert_int_equal(told, 1);
	assert_int_equal(f.worker.connection_count, 1);
	for (unsigned i = 0; i < 5; i++)
		turn_once();
	assert_int_equal(begun, 2);
	go = true;
	turn_until_told(1, "done");
}

/* It has sent more before it went. */
static void who_pipelined_and_left_is_noticed(void **state)
{
	(void)state;
	open_client(0, 1);
	get(0, "long");
	turn_once();
	get(0, "ok");
	close(clients[0].fd);
	clients[0].fd = -1;
	for (unsigned i = 0; i < 1000 && told == 0; i++)
		turn_once();
	assert_int_equal(told, 1);
	assert_int_equal(f.worker.connection_count, 0);
}

/* While it waits behind others that go on. */
static void who_waited_and_left_is_noticed(void **state)
{
	(void)state;
	f.proc.config.http_long_requests = 2;
	for (unsigned n = 0; n < 4; n++) {
		open_client(n, 1);
		get(n, "long");
		turn_once();
	}
	for (unsigned n = 1; n < 4; n++) {
		close(clients[n].fd);
		clients[n].fd = -1;
	}
	for (unsigned i = 0; i < 1000 && f.worker.connection_count > 1; i++)
		turn_once();
	assert_int_equal(f.worker.connection_count, 1);
	assert_int_equal(f.worker.lane.count, 1);
	assert_int_equal(begun, 1);
	go = true;
	turn_until_told(0, "done");
}

/* Suspended and waiting ones; the sanitizers look whether everything was given back. */
static void the_end_of_the_worker_ends_all(void **state)
{
	(void)state;
	f.proc.config.http_long_requests = 4;
	for (unsigned n = 0; n < 4; n++) {
		open_client(n, 1);
		get(n, "long");
	}
	for (unsigned i = 0; i < 6; i++)
		turn_once();
	assert_int_equal(begun, 2);
	long_free(&f.worker);
	assert_int_equal(told, 2);
	assert_int_equal(ended, 2);
	assert_int_equal(f.worker.connection_count, 0);
	assert_int_equal(f.worker.parked.count, 0);
	long_init(&f.worker);
}

/* Before everybody stands still: what is nearly ready becomes ready, the rest is refused. */
static void settling_leaves_nobody_without_an_answer(void **state)
{
	(void)state;
	f.proc.config.http_long_requests = 2;
	for (unsigned n = 0; n < 3; n++) {
		open_client(n, (uint8_t)n);
		get(n, "long");
	}
	for (unsigned i = 0; i < 6; i++)
		turn_once();
	long_settle(&f.worker, 10, true);
	assert_int_equal(f.worker.parked.count, 0);
	for (unsigned n = 0; n < 3; n++)
		turn_until_told(n, "503");
	go = true;
	open_client(3, 9);
	get(3, "long");
	long_settle(&f.worker, 1000, false);
	turn_until_told(3, "done");
}

static void a_long_answer_is_given_away_whole(void **state)
{
	size_t body = 0;

	(void)state;
	open_client(0, 1);
	get(0, "ok");
	get(0, "buf");
	turn_until_told(0, ">\r\n0\r\n\r\n");
	assert_non_null(strstr(clients[0].got, "\r\n300002\r\n<b"));
	for (size_t i = 0; i < clients[0].n; i++)
		body += clients[0].got[i] == 'b' && clients[0].got[i + 1] != 'l';
	assert_in_range(body, sizeof(big), sizeof(big) + 20);
	clients[0].n = 0;
	get(0, "ok");
	turn_until_told(0, "\r\n\r\nok");
	assert_in_range(f.worker.held_bytes, 0, 65536);
}

/* The socket takes not even the head: a large body is not copied behind it, and comes whole all the
 * same. */
static void a_long_answer_waits_for_a_full_socket(void **state)
{
	static char junk[4096];
	struct connection *c;
	size_t filled = 0;

	(void)state;
	open_client(0, 1);
	c = f.worker.connections;
	memset(junk, 'x', sizeof(junk));
	for (ssize_t n;
	     (n = send(c->fd, junk, filled < 100000 ? sizeof(junk) : 1, MSG_NOSIGNAL)) > 0;)
		filled += (size_t)n;
	get(0, "buf");
	get(0, "ok");
	for (unsigned i = 0; i < 1000 && c->sender.body.len == 0; i++)
		turn_once();
	assert_in_range(c->sender.body.len, sizeof(big), sizeof(big) + 20);
	assert_in_range(c->sender.out.len, 1, 2000);
	assert_in_range(f.worker.held_bytes, sizeof(big), UINT32_MAX);
	turn_until_told(0, "\r\n\r\nok");
	assert_non_null(strstr(clients[0].got, "\r\n300002\r\n<bbb"));
	assert_int_equal(strstr(clients[0].got, "HTTP/1.1 200") - clients[0].got, filled);
	assert_non_null(strstr(clients[0].got, "b>\r\n0\r\n\r\nHTTP/1.1 200"));
	assert_in_range(f.worker.held_bytes, 0, 65536);
}

/* However the pieces of an answer fall into the writes of a step, the request behind it is not
 * forgotten. */
static void long_answers_follow_each_other(void **state)
{
	unsigned seen = 0;
	const char *at;

	(void)state;
	open_client(0, 1);
	for (unsigned i = 0; i < 4; i++)
		get(0, "buf");
	for (unsigned i = 0; i < 4; i++) {
		turn_until_told(0, ">\r\n0\r\n\r\n");
		at = strstr(clients[0].got, ">\r\n0\r\n\r\n") + 8;
		clients[0].n -= (size_t)(at - clients[0].got);
		memmove(clients[0].got, at, clients[0].n + 1);
		seen++;
	}
	assert_int_equal(seen, 4);
}

/* All begin, for what they will hold is not known before; then one goes on at a time. */
static void who_holds_too_much_goes_on_alone(void **state)
{
	unsigned held[2];

	(void)state;
	f.proc.config.http_memory_bytes = 4 << 20;
	memset(slices_of, 0, sizeof(slices_of));
	for (unsigned n = 0; n < 2; n++) {
		open_client(n, (uint8_t)n);
		get(n, n == 0 ? "hold?n=0" : "hold?n=1");
		turn_once();
		turn_once();
	}
	memcpy(held, slices_of, sizeof(held));
	for (unsigned i = 0; i < 10; i++)
		turn_once();
	assert_true(slices_of[0] > held[0] + 5);
	assert_int_equal(slices_of[1], held[1]);
	f.proc.config.http_memory_bytes = 0;
	for (unsigned i = 0; i < 10; i++)
		turn_once();
	assert_true(slices_of[1] > held[1]);
	go = true;
	for (unsigned n = 0; n < 2; n++)
		turn_until_told(n, "done");
	assert_int_equal(f.worker.lane.held_bytes, 0);
}

/* A wake-up in which others took so long. True: a long request had a slice. */
static bool had_a_slice(uint64_t others_us)
{
	unsigned before = slices_of[0];

	f.proc.woke_us = clock_mono_us() - others_us;
	turn_once();
	return slices_of[0] > before;
}

/* While others come too, long requests have no slice before those had as much time. */
static void others_have_half_of_the_time(void **state)
{
	bool slice = false;

	(void)state;
	open_client(0, 1);
	get(0, "hold?n=0");
	turn_once();
	assert_in_range(f.worker.lane.owed_us, LONG_SLICE_US, UINT64_MAX);
	f.worker.lane.owed_us = 3600000000;
	assert_false(had_a_slice(1000000));
	assert_false(had_a_slice(1000000));
	assert_in_range(f.worker.lane.owed_us, 1, 3598000000);
	assert_true(had_a_slice(3600000000));
	/* Nobody else wanted anything. */
	for (unsigned i = 0; i < 1000 && !slice; i++) {
		f.worker.lane.owed_us = 3600000000;
		slice = had_a_slice(0);
	}
	assert_true(slice);
	go = true;
	turn_until_told(0, "done");
}

/* In many turns, while others are answered; and when the connection goes, too. */
static void memory_is_given_back_behind_the_answer(void **state)
{
	unsigned turns = 0;

	(void)state;
	open_client(0, 1);
	get(0, "fat");
	turn_until_told(0, "fat");
	assert_true(discard_is_pending());
	get(0, "ok");
	turn_until_told(0, "\r\n\r\nok");
	assert_true(discard_is_pending());
	for (; discard_is_pending(); turns++)
		turn_once();
	assert_in_range(turns, 10, 1000);
	get(0, "fat");
	close(clients[0].fd);
	clients[0].fd = -1;
	for (unsigned i = 0; i < 100000 && (f.worker.connection_count > 0 || discard_is_pending());
	     i++)
		turn_once();
	assert_int_equal(f.worker.connection_count, 0);
	assert_int_equal(f.worker.lane.count, 0);
	assert_false(discard_is_pending());
}

static void a_large_body_makes_a_long_request(void **state)
{
	char head[200];
	int n;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		size_t bytes = LONG_BODY_BYTES + i;

		open_client(i, 1);
		n = snprintf(head, sizeof(head),
		             "PUT /nacos/v1/ns/body HTTP/1.1\r\n" H "Content-Length: %zu\r\n\r\n",
		             bytes);
		assert_int_equal(send(clients[i].fd, head, (size_t)n, MSG_NOSIGNAL), n);
		for (size_t sent = 0; sent < bytes;) {
			ssize_t put = send(clients[i].fd, big, bytes - sent, MSG_NOSIGNAL);

			sent += put > 0 ? (size_t)put : 0;
			turn_once();
		}
		turn_until_told(i, i == 0 ? "short" : "long");
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_short_one_is_answered_at_once),
		TEST(others_are_served_meanwhile),
		TEST(pipelined_answers_keep_their_order),
		TEST(a_source_has_half_of_the_places),
		TEST(who_waits_too_long_is_told_the_limit),
		TEST(work_for_nobody_ends),
		TEST(who_pipelined_and_left_is_noticed),
		TEST(who_waited_and_left_is_noticed),
		TEST(the_end_of_the_worker_ends_all),
		TEST(settling_leaves_nobody_without_an_answer),
		TEST(a_crowd_that_waits_costs_nothing),
		TEST(a_crowd_is_not_refused_in_one_turn),
		TEST(a_long_answer_is_given_away_whole),
		TEST(a_long_answer_waits_for_a_full_socket),
		TEST(a_large_body_makes_a_long_request),
		TEST(who_holds_too_much_goes_on_alone),
		TEST(memory_is_given_back_behind_the_answer),
		TEST(others_have_half_of_the_time),
		TEST(long_answers_follow_each_other),
	};

	return cmocka_run_group_tests_name("long", tests, NULL, NULL);
}
