/* SPDX-License-Identifier: Apache-2.0 */
/* Connections over a socket pair, with a small table of routes and a real loop. */
#include "tests/unit/http_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "shared/base/clock.h"
#include "worker/http/connection_state.h"
#include "worker/v1/router.h"

#define H "Host: a\r\n"
#define BIG (300U * 1024U)
#define HUNG_S 60 /* only ends what hangs */

static struct fixture f;
static int client;
static uint64_t parked_id;
static char big[BIG];
static char got[4 * 1024 * 1024];
static size_t got_n;
static bool closed;

/* ---- routes ---------------------------------------------------------------------------------- */

static void answer_ok(struct request *rq)
{
	reply_ok(rq);
}

#define SLOW_US 1200U

static void answer_slowly(struct request *rq)
{
	uint64_t until_us = clock_mono_us() + SLOW_US;

	while (clock_mono_us() < until_us)
		continue;
	reply_ok(rq);
}

static void answer_echo(struct request *rq)
{
	reply_text(rq, 200, request_optional(rq, "a", STR("none")));
}

static void answer_big(struct request *rq)
{
	reply_json(rq, STR("<"), str_make(big, sizeof(big)), STR(">"));
}

static void answer_later(struct request *rq)
{
	request_park(rq);
	parked_id = rq->id;
}

static void answer_after_all(struct request *rq)
{
	answer_later(rq);
	reply_ok(rq);
}

static void answer_bad(struct request *rq)
{
	reply_caused(rq, 400, "no");
}

static const struct route rows[] = {
	{ METHOD_GET, "/v1/ns/ok", answer_ok, ROUTE_NAMING, "" },
	{ METHOD_GET, "/v1/ns/slow", answer_slowly, ROUTE_NAMING, "" },
	{ METHOD_GET, "/v1/ns/echo", answer_echo, ROUTE_NAMING, "" },
	{ METHOD_PUT, "/v1/ns/echo", answer_echo, ROUTE_NAMING, "" },
	{ METHOD_GET, "/v1/ns/big", answer_big, ROUTE_NAMING, "" },
	{ METHOD_GET, "/v1/ns/later", answer_later, ROUTE_NAMING, "" },
	{ METHOD_GET, "/v1/ns/afterall", answer_after_all, ROUTE_NAMING, "" },
	{ METHOD_GET, "/v1/ns/bad", answer_bad, ROUTE_NAMING, "" },
};

#define GET(path) "GET /nacos/v1/ns/" path " HTTP/1.1\r\n" H "\r\n"

/* ---- both ends ------------------------------------------------------------------------------- */

static void open_client(int type)
{
	int pair[2], small = 4096;

	assert_int_equal(socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	if (type == SOCK_STREAM)
		setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	client = pair[0];
	got_n = 0;
	closed = false;
	connection_open(&f.worker, pair[1], NULL);
}

static int set_up(void **state)
{
	struct config *config = &f.proc.config;

	(void)state;
	fixture_init(&f);
	config->http_head_timeout_ms = config->http_body_timeout_ms = 60000;
	config->http_idle_timeout_ms = config->http_write_timeout_ms = 60000;
	memset(big, 'b', sizeof(big));
	f.worker.loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
	assert_non_null(f.worker.loop);
	assert_int_equal(router_new(rows, COUNT(rows), STR("/nacos"), &f.v1.router), 0);
	assert_int_equal(connection_pool_new(&f.worker), 0);
	client = -1;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	connection_pool_free(&f.worker);
	router_free(&f.v1.router);
	ev_loop_destroy(f.worker.loop);
	fixture_free(&f);
	clock_set_for_test(0, 0);
	if (client >= 0)
		close(client);
	return 0;
}

static void put(const char *data, size_t n)
{
	assert_int_equal(send(client, data, n, MSG_NOSIGNAL), n);
}

static void say(const char *text)
{
	put(text, strlen(text));
}

static void take(void)
{
	ssize_t n;

	while (!closed && (n = recv(client, got + got_n, sizeof(got) - 1 - got_n, 0)) >= 0) {
		closed = n == 0;
		got_n += (size_t)n;
	}
	got[got_n] = '\0';
}

/* Until nothing moves any more: a socket pair needs no waiting. */
static void run(void)
{
	for (int i = 0; i < 6; i++)
		ev_run(f.worker.loop, EVRUN_NOWAIT);
}

static void run_and_take(void)
{
	size_t before;

	do {
		before = got_n;
		run();
		take();
	} while (got_n > before);
}

static void answer_to(const char *text)
{
	got_n = 0;
	say(text);
	run_and_take();
}

/* For timers. */
static bool wait_closed(void)
{
	time_t end = time(NULL) + HUNG_S;

	while (!closed && time(NULL) <= end) {
		ev_run(f.worker.loop, EVRUN_ONCE);
		take();
	}
	return closed;
}

/* What a stopped process does: the loop does not run. */
static void stand_still(int ms)
{
	poll(NULL, 0, ms);
}

static unsigned times(const char *part)
{
	unsigned n = 0;

	for (const char *p = got; (p = strstr(p, part)) != NULL; p++)
		n++;
	return n;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_keep_alive(void **state)
{
	(void)state;
	open_client(SOCK_STREAM);
	for (int i = 0; i < 3; i++) {
		answer_to(GET("ok"));
		assert_int_equal(times("HTTP/1.1 200 OK"), 1);
		assert_string_equal(body_of(got), "ok");
		assert_false(closed);
	}
	assert_int_equal(f.slot.counters[METRIC_HTTP_REQUESTS], 3);
	assert_int_equal(f.slot.counters[METRIC_HTTP_CONNECTIONS], 1);
	assert_int_equal(f.slot.connections, 1);
	close(client);
	client = -1;
	run();
	assert_int_equal(f.worker.connection_count, 0);
	assert_int_equal(f.slot.connections, 0);
}

static void test_close(void **state)
{
	static const char *const last[] = {
		"GET /nacos/v1/ns/ok HTTP/1.1\r\n" H "Connection: close\r\n\r\n",
		"GET /nacos/v1/ns/ok HTTP/1.0\r\n\r\n",
		GET("bad"),
		GET("nosuch"),
	};

	(void)state;
	for (size_t i = 0; i < COUNT(last); i++) {
		open_client(SOCK_STREAM);
		answer_to(last[i]);
		if (times("HTTP/1.1 ") != 1 || times("Connection: close\r\n") != 1 || !closed)
			fail_msg("%s: %s", last[i], got);
		assert_int_equal(f.worker.connection_count, 0);
		close(client);
	}
	open_client(SOCK_STREAM);
	answer_to("GET /nacos/v1/ns/ok HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	assert_int_equal(times("Connection: keep-alive\r\nConnection"), 0);
	assert_int_equal(times("Connection: keep-alive\r\n"), 1);
	assert_int_equal(times("Keep-Alive: timeout=60\r\n"), 1);
	assert_false(closed);
}

static void test_promise(void **state)
{
	static const struct {
		const char *lines;
		bool promised, closes;
	} asked[] = {
		{ "Connection: keep-alive\r\n", true, false },
		{ "connection: Keep-Alive\r\n", true, false },
		{ "Connection: keep-alive, TE\r\nTE: trailers\r\n", true, false },
		{ "Connection: TE ,  KEEP-ALIVE\r\n", true, false },
		{ "Connection: Upgrade, HTTP2-Settings, keep-alive\r\nUpgrade: h2c\r\n", true,
		  false },
		{ "Connection: TE\r\nConnection: keep-alive\r\n", true, false },
		{ "", false, false },
		{ "Connection: TE\r\n", false, false },
		{ "Connection: keep-alives\r\n", false, false },
		{ "Connection: x-keep-alive\r\n", false, false },
		{ "Keep-Alive: timeout=5\r\n", false, false },
		{ "Connection: keep-alive, close\r\n", false, true },
	};
	char request[256];

	(void)state;
	for (size_t i = 0; i < COUNT(asked); i++) {
		open_client(SOCK_STREAM);
		snprintf(request, sizeof(request), "GET /nacos/v1/ns/ok HTTP/1.1\r\n" H "%s\r\n",
		         asked[i].lines);
		answer_to(request);
		if (times("Keep-Alive: timeout=60\r\nConnection: keep-alive\r\n\r\n") !=
		            asked[i].promised ||
		    times("keep-alive") != asked[i].promised ||
		    times("Connection: close\r\n") != asked[i].closes || closed != asked[i].closes)
			fail_msg("%s: %s", request, got);
		close(client);
	}
}

#define ASKING(path) "GET /nacos/v1/ns/" path " HTTP/1.1\r\n" H "Connection: keep-alive\r\n\r\n"

/* The head of a long answer is written before its body; what was promised holds though the
 * configuration changes meanwhile. */
static void test_promise_is_kept(void **state)
{
	const struct connection *c;

	(void)state;
	f.proc.config.http_idle_timeout_ms = 75000;
	open_client(SOCK_STREAM);
	say(ASKING("big"));
	run();
	c = f.worker.connections;
	assert_non_null(c);
	assert_int_equal(c->phase, PHASE_WRITE);
	f.proc.config.http_idle_timeout_ms = 20;
	run_and_take();
	assert_int_equal(times("Keep-Alive: timeout=60\r\n"), 1);
	assert_false(closed);
	assert_int_equal(c->phase, PHASE_IDLE);
	assert_true(c->deadline_ms > clock_mono_ms() + 60000);
	/* The next answer is told, and closed by, the new one. */
	keep_alive_init(&f.worker.keep_alive, 20);
	answer_to(ASKING("ok"));
	assert_int_equal(times("Keep-Alive:"), 0);
	assert_true(wait_closed());
}

/* Packets keep their bounds: what came in one read goes out in one write. */
static void test_pipeline_is_one_write(void **state)
{
	char packet[8192];
	ssize_t n;

	(void)state;
	open_client(SOCK_SEQPACKET);
	say(GET("echo?a=1") GET("echo?a=2") GET("echo?a=3"));
	run();
	n = recv(client, packet, sizeof(packet) - 1, 0);
	assert_true(n > 0);
	packet[n] = '\0';
	memcpy(got, packet, (size_t)n + 1);
	assert_int_equal(times("HTTP/1.1 200 OK"), 3);
	assert_true(has(packet, "\r\n\r\n1HTTP/1.1 200 OK"));
	assert_true(has(packet, "\r\n\r\n2HTTP/1.1 200 OK"));
	assert_string_equal(packet + n - 1, "3");
	assert_int_equal(recv(client, packet, sizeof(packet), 0), -1);
	assert_int_equal(errno, EAGAIN);
}

static void test_nothing_after_close(void **state)
{
	(void)state;
	open_client(SOCK_STREAM);
	answer_to(GET("ok") GET("bad") GET("ok"));
	assert_int_equal(times("HTTP/1.1 200 OK"), 1);
	assert_int_equal(times("HTTP/1.1 400"), 1);
	assert_true(closed);
	/* It lingers until we close, so that the answer is not lost by a reset. */
	assert_int_equal(f.worker.connection_count, 1);
	close(client);
	client = -1;
	run();
	assert_int_equal(f.worker.connection_count, 0);
}

static const struct {
	const char *name, *text, *body;
} bodies[] = {
	{ "none", "PUT /nacos/v1/ns/echo HTTP/1.1\r\n" H "\r\n", "none" },
	{ "zero", "PUT /nacos/v1/ns/echo?a=q HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", "q" },
	{ "length",
	  "PUT /nacos/v1/ns/echo HTTP/1.1\r\n" H
	  "Content-Type: application/x-www-form-urlencoded\r\n"
	  "Content-Length: 9\r\n\r\na=b%20c+d",
	  "b c d" },
	{ "chunked",
	  "PUT /nacos/v1/ns/echo HTTP/1.1\r\n" H
	  "Content-Type: application/x-www-form-urlencoded\r\n"
	  "Transfer-Encoding: chunked\r\n\r\n3\r\na=x\r\n2;e\r\nyz\r\n0\r\nT: 1\r\n\r\n",
	  "xyz" },
	{ "GET with a body",
	  "GET /nacos/v1/ns/echo?a=1 HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello", "1" },
};

static void test_bodies(void **state)
{
	(void)state;
	open_client(SOCK_STREAM);
	for (size_t i = 0; i < COUNT(bodies); i++) {
		answer_to(bodies[i].text);
		if (strcmp(body_of(got), bodies[i].body) != 0)
			fail_msg("%s: %s", bodies[i].name, got);
	}
	/* Byte by byte, and the next request behind it in the same packet. */
	for (size_t i = 0; i < COUNT(bodies); i++) {
		size_t n = strlen(bodies[i].text);
		char last[200];

		got_n = 0;
		for (size_t at = 0; at + 1 < n; at++) {
			put(bodies[i].text + at, 1);
			run();
		}
		snprintf(last, sizeof(last), "%s%s", bodies[i].text + n - 1, GET("ok"));
		say(last);
		run_and_take();
		if (!has(body_of(got), bodies[i].body) || times("HTTP/1.1 200 OK") != 2)
			fail_msg("%s by bytes: %s", bodies[i].name, got);
	}
}

/* In two packets, cut at every place: decoded and raw bytes lie behind each other in the buffer. */
static void test_chunked_cuts(void **state)
{
	const char *text = bodies[3].text;
	size_t n = strlen(text);

	(void)state;
	open_client(SOCK_STREAM);
	for (size_t at = 1; at < n; at++) {
		got_n = 0;
		put(text, at);
		run();
		put(text + at, n - at);
		run_and_take();
		if (strcmp(body_of(got), bodies[3].body) != 0)
			fail_msg("cut at %zu: %s", at, got);
	}
}

static void test_expect(void **state)
{
	(void)state;
	open_client(SOCK_STREAM);
	answer_to("PUT /nacos/v1/ns/echo HTTP/1.1\r\n" H
	          "Content-Type: application/x-www-form-urlencoded\r\n"
	          "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n");
	assert_string_equal(got, "HTTP/1.1 100 Continue\r\n\r\n");
	answer_to("a=z");
	assert_string_equal(body_of(got), "z");
	assert_int_equal(times("100 Continue"), 0);
	answer_to("PUT /nacos/v1/ns/echo HTTP/1.1\r\n" H
	          "Content-Length: 200000\r\nExpect: 100-continue\r\n\r\n");
	assert_int_equal(times("100 Continue"), 0);
	assert_int_equal(times("HTTP/1.1 413 "), 1);
}

#define PUT "PUT /nacos/v1/ns/echo HTTP/1.1\r\n" H

static const struct {
	const char *name, *text;
	int status;
} attacks[] = {
	{ "two lengths", PUT "Content-Length: 3\r\nContent-Length: 4\r\n\r\na=b" GET("ok"), 400 },
	{ "length and chunked",
	  PUT "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" GET("ok"), 400 },
	{ "bare LF", "GET /nacos/v1/ns/ok HTTP/1.1\nHost: a\n\n" GET("ok"), 400 },
	{ "folded", "GET /nacos/v1/ns/ok HTTP/1.1\r\n" H "A: b\r\n c\r\n\r\n" GET("ok"), 400 },
	{ "blank before the colon", PUT "Content-Length : 3\r\n\r\na=b" GET("ok"), 400 },
	{ "xchunked", PUT "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" GET("ok"), 400 },
	{ "chunk size wraps",
	  PUT "Transfer-Encoding: chunked\r\n\r\nfffffffffffffff0\r\na" GET("ok"), 400 },
	{ "chunk too large", PUT "Transfer-Encoding: chunked\r\n\r\nfffffff\r\na" GET("ok"), 413 },
	{ "chunk without its end",
	  PUT "Transfer-Encoding: chunked\r\n\r\n1\r\naXX0\r\n\r\n" GET("ok"), 400 },
	{ "no host", "GET /nacos/v1/ns/ok HTTP/1.1\r\n\r\n" GET("ok"), 400 },
	{ "two hosts", "GET /nacos/v1/ns/ok HTTP/1.1\r\n" H H "\r\n" GET("ok"), 400 },
	{ "0.9", "GET /nacos/v1/ns/ok\r\n" GET("ok"), 400 },
	{ "body too large", PUT "Content-Length: 100001\r\n\r\na" GET("ok"), 413 },
	{ "unknown method", "BREW /nacos/v1/ns/ok HTTP/1.1\r\n" H "\r\n" GET("ok"), 501 },
	{ "not HTTP", "\x16\x03\x01\x02\n" GET("ok"), 400 },
};

static void test_attacks(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(attacks); i++) {
		char status[20];

		snprintf(status, sizeof(status), "HTTP/1.1 %d ", attacks[i].status);
		open_client(SOCK_STREAM);
		answer_to(attacks[i].text);
		if (times("HTTP/1.1 ") != 1 || times(status) != 1 ||
		    times("Connection: close") != 1 || !closed)
			fail_msg("%s: %s", attacks[i].name, got);
		close(client);
	}
	client = -1;
	run();
	assert_int_equal(f.worker.connection_count, 0);
	assert_int_equal(f.slot.counters[METRIC_HTTP_BAD_REQUESTS], COUNT(attacks));
}

static void test_long_heads(void **state)
{
	static char text[10000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	memcpy(text, "GET /", 5);
	open_client(SOCK_STREAM);
	answer_to(text);
	assert_int_equal(times("HTTP/1.1 414 "), 1);
	close(client);
	memcpy(text, "GET / HTTP/1.1\r\nA: ", 19);
	open_client(SOCK_STREAM);
	answer_to(text);
	assert_int_equal(times("HTTP/1.1 431 "), 1);
}

static void test_requests_limit(void **state)
{
	(void)state;
	f.proc.config.http_requests = 2;
	open_client(SOCK_STREAM);
	answer_to(GET("ok"));
	assert_false(closed);
	answer_to(GET("ok"));
	assert_int_equal(times("Connection: close"), 1);
	assert_true(closed);
}

/* Large answers, pipelined, to a client that does not read: no more is made than has to be kept. */
static void test_slow_reader(void **state)
{
	size_t want = 0;

	(void)state;
	open_client(SOCK_STREAM);
	for (int i = 0; i < 8; i++)
		say(GET("big"));
	say(GET("ok"));
	run();
	assert_int_equal(f.slot.counters[METRIC_HTTP_REQUESTS], 1);
	run_and_take();
	assert_int_equal(f.slot.counters[METRIC_HTTP_REQUESTS], 9);
	assert_int_equal(times("HTTP/1.1 200 OK"), 9);
	for (const char *p = got; (p = strstr(p, "\r\n4b002\r\n<")) != NULL; p += BIG) {
		assert_int_equal(memcmp(p + 10, big, BIG), 0);
		assert_int_equal(memcmp(p + 10 + BIG, ">\r\n0\r\n\r\n", 8), 0);
		want++;
	}
	assert_int_equal(want, 8);
	assert_false(closed);
}

/* All connections together: who holds much is cut off above http.memory, who holds little is
 * not. */
static void test_memory(void **state)
{
	int held, small;

	(void)state;
	f.proc.config.http_memory_bytes = 300000;
	open_client(SOCK_STREAM);
	small = client;
	say("PUT /nacos/v1/ns/echo HTTP/1.1\r\n" H "Content-Length: 100\r\n\r\na");
	open_client(SOCK_STREAM);
	held = client;
	say("PUT /nacos/v1/ns/echo HTTP/1.1\r\n" H "Content-Length: 90000\r\n\r\n");
	for (unsigned i = 0; i < 20; i++) {
		run();
		put(big, 4000);
	}
	run();
	assert_int_equal(f.worker.connection_count, 2);
	assert_in_range(f.worker.held_bytes, 80000, 300000);
	f.proc.config.http_memory_bytes = 50000; /* a reload */
	put(big, 1000);
	run_and_take();
	assert_true(has(got, "HTTP/1.1 503 "));
	assert_int_equal(f.slot.counters[METRIC_HTTP_MEMORY_REFUSED], 1);
	assert_in_range(f.worker.held_bytes, 0, 16384);
	close(held);
	/* Nobody takes it, and it does not fit. */
	open_client(SOCK_STREAM);
	say(GET("big"));
	for (unsigned i = 0; i < 10; i++)
		ev_run(f.worker.loop, EVRUN_NOWAIT);
	assert_int_equal(f.slot.counters[METRIC_HTTP_MEMORY_REFUSED], 2);
	close(client);
	for (unsigned i = 0; i < 10; i++)
		ev_run(f.worker.loop, EVRUN_NOWAIT);
	assert_int_equal(f.worker.connection_count, 1);
	client = small;
	put(big, 99);
	got_n = 0;
	closed = false;
	run_and_take();
	assert_true(has(got, "HTTP/1.1 200 "));
}

/* A reader that takes nothing yet: its descriptor. */
static int slow_reader(void)
{
	open_client(SOCK_STREAM);
	say(GET("big"));
	for (unsigned i = 0; i < 10; i++)
		ev_run(f.worker.loop, EVRUN_NOWAIT);
	return client;
}

static bool is_cut(int fd)
{
	struct pollfd at = { .fd = fd, .events = POLLRDHUP };

	return poll(&at, 1, 0) == 1 && (at.revents & (POLLRDHUP | POLLHUP)) != 0;
}

static void take_some(int fd, size_t n)
{
	static char some[BIG];

	while (n > 0) {
		ssize_t done = recv(fd, some, n, 0);

		n -= done > 0 ? (size_t)done : 0;
		ev_run(f.worker.loop, EVRUN_NOWAIT);
	}
}

/* Who has held most for longest without progress goes; who comes now is served whole. */
static void test_memory_cuts_the_hog(void **state)
{
	int readers[3];

	(void)state;
	clock_set_for_test(1000000, 0);
	f.proc.config.http_write_timeout_ms = 600000;
	for (unsigned i = 0; i < 3; i++) {
		readers[i] = slow_reader();
		clock_set_for_test(2000000 + i * 1000000, 0);
	}
	f.proc.config.http_memory_bytes = f.worker.held_bytes + 50000;
	take_some(readers[0], BIG / 4); /* progress */
	take_some(readers[2], 100);     /* none */
	clock_set_for_test(9000000, 0);
	open_client(SOCK_STREAM);
	answer_to(GET("big"));
	assert_int_equal(times("HTTP/1.1 200 OK"), 1);
	assert_in_range(got_n, BIG, BIG + 4096);
	assert_int_equal(f.slot.counters[METRIC_HTTP_MEMORY_REFUSED], 1);
	assert_false(is_cut(readers[0]));
	assert_true(is_cut(readers[1]));
	assert_false(is_cut(readers[2]));
	close(client);
	close(readers[1]);
	readers[1] = slow_reader();
	take_some(readers[2], 3000); /* still none */
	clock_set_for_test(10000000, 0);
	open_client(SOCK_STREAM);
	answer_to(GET("big"));
	assert_int_equal(times("HTTP/1.1 200 OK"), 1);
	assert_in_range(got_n, BIG, BIG + 4096);
	assert_int_equal(f.slot.counters[METRIC_HTTP_MEMORY_REFUSED], 2);
	assert_false(is_cut(readers[0]));
	assert_false(is_cut(readers[1]));
	assert_true(is_cut(readers[2]));
	for (unsigned i = 0; i < 3; i++)
		close(readers[i]);
}

/* One that sends a body by the byte is told; what it had sent does not get into the next request of
 * anybody. */
static void test_memory_cuts_a_sender(void **state)
{
	int sender;

	(void)state;
	clock_set_for_test(1000000, 0);
	f.proc.config.http_write_timeout_ms = 600000;
	open_client(SOCK_STREAM);
	sender = client;
	say("PUT /nacos/v1/ns/echo HTTP/1.1\r\n" H "Content-Length: 99000\r\n\r\n");
	for (unsigned i = 0; i < 20; i++) {
		run();
		put(big, 4000);
	}
	run();
	f.proc.config.http_memory_bytes = 600000;
	clock_set_for_test(60000000, 0);
	put(big, 100);
	run();
	put(big, 100); /* not read yet when it is cut */
	open_client(SOCK_STREAM);
	answer_to(GET("big"));
	assert_int_equal(times("HTTP/1.1 200 OK"), 1);
	assert_in_range(got_n, BIG, BIG + 4096);
	answer_to(GET("echo?a=me"));
	assert_int_equal(times("HTTP/1.1 200 OK"), 1);
	assert_int_equal(f.slot.counters[METRIC_HTTP_MEMORY_REFUSED], 1);
	close(client);
	client = sender;
	got_n = 0;
	closed = false;
	run_and_take();
	assert_true(has(got, "HTTP/1.1 503 "));
	assert_int_equal(times("HTTP/1.1 "), 1);
}

/* A request that waits for its answer means nothing any more once its connection is cut. */
static void test_memory_cuts_a_parked_one(void **state)
{
	uint64_t id;
	int waiting;

	(void)state;
	clock_set_for_test(1000000, 0);
	open_client(SOCK_STREAM);
	say(GET("later"));
	run();
	id = parked_id;
	waiting = client;
	assert_non_null(request_resume(&f.worker, id));
	f.proc.config.http_memory_bytes = 550000;
	clock_set_for_test(60000000, 0);
	open_client(SOCK_STREAM);
	answer_to(GET("big"));
	assert_int_equal(times("HTTP/1.1 200 OK"), 1);
	assert_null(request_resume(&f.worker, id));
	assert_true(is_cut(waiting));
	assert_int_equal(f.worker.connection_count, 1);
	close(waiting);
}

/* However much one has sent ahead, another waits for a few of its answers only. */
static void test_turns(void **state)
{
	char many[200 * sizeof(GET("ok"))];
	size_t n = 0;
	int first;

	(void)state;
	f.proc.config.http_pipeline = 4;
	for (unsigned i = 0; i < 200; i++)
		n += (size_t)snprintf(many + n, sizeof(many) - n, "%s", GET("ok"));
	open_client(SOCK_STREAM);
	first = client;
	put(many, n);
	open_client(SOCK_STREAM);
	say(GET("echo?a=me"));
	ev_run(f.worker.loop, EVRUN_NOWAIT);
	ev_run(f.worker.loop, EVRUN_NOWAIT);
	take();
	assert_true(has(got, "\r\n\r\nme"));
	assert_in_range(f.slot.counters[METRIC_HTTP_REQUESTS], 2, 20);
	close(client);
	client = first;
	answer_to(GET("ok"));
	assert_int_equal(f.slot.counters[METRIC_HTTP_REQUESTS], 202);
	assert_int_equal(times("HTTP/1.1 200 OK"), 201);
}

/* Few answers that take long end a turn, too. */
static void test_turns_end_by_the_clock(void **state)
{
	char many[40 * sizeof(GET("slow"))];
	size_t n = 0;
	int first;

	(void)state;
	f.proc.config.http_pipeline = 1000;
	for (unsigned i = 0; i < 40; i++)
		n += (size_t)snprintf(many + n, sizeof(many) - n, "%s", GET("slow"));
	open_client(SOCK_STREAM);
	first = client;
	put(many, n);
	open_client(SOCK_STREAM);
	say(GET("echo?a=me"));
	ev_run(f.worker.loop, EVRUN_NOWAIT);
	ev_run(f.worker.loop, EVRUN_NOWAIT);
	take();
	assert_true(has(got, "\r\n\r\nme"));
	assert_in_range(f.slot.counters[METRIC_HTTP_REQUESTS], 2, 10);
	close(client);
	client = first;
	answer_to(GET("ok"));
	assert_int_equal(f.slot.counters[METRIC_HTTP_REQUESTS], 42);
}

/* Of two that stood still for as long, the one that holds more. */
static void test_memory_cuts_who_holds_more(void **state)
{
	int large, small;

	(void)state;
	clock_set_for_test(1000000, 0);
	f.proc.config.http_write_timeout_ms = f.proc.config.http_body_timeout_ms = 600000;
	open_client(SOCK_STREAM);
	small = client;
	say("PUT /nacos/v1/ns/echo HTTP/1.1\r\n" H "Content-Length: 99000\r\n\r\n");
	for (unsigned i = 0; i < 10; i++) {
		run();
		put(big, 4000);
	}
	run();
	large = slow_reader();
	f.proc.config.http_memory_bytes = f.worker.held_bytes + 50000;
	clock_set_for_test(9000000, 0);
	open_client(SOCK_STREAM);
	answer_to(GET("big"));
	assert_int_equal(times("HTTP/1.1 200 OK"), 1);
	assert_int_equal(f.slot.counters[METRIC_HTTP_MEMORY_REFUSED], 1);
	assert_true(is_cut(large));
	assert_false(is_cut(small));
	close(large);
	close(small);
}

static void test_write_timeout(void **state)
{
	time_t end = time(NULL) + HUNG_S;

	(void)state;
	f.proc.config.http_write_timeout_ms = 20;
	open_client(SOCK_STREAM);
	say(GET("big"));
	while (f.worker.connection_count > 0 && time(NULL) <= end)
		ev_run(f.worker.loop, EVRUN_ONCE);
	assert_int_equal(f.worker.connection_count, 0);
	assert_int_equal(f.slot.counters[METRIC_HTTP_TIMEOUTS], 1);
}

/* Before a request line, at most two: RFC 9112, 2.2. */
static void test_empty_lines(void **state)
{
	static const struct {
		const char *text;
		unsigned good;
		bool bad;
	} lines[] = {
		{ "\r\n" GET("ok"), 1, false },
		{ "\r\n\r\n" GET("ok"), 1, false },
		{ "\r\n\r\n\r\n" GET("ok"), 0, true },
		{ "\n" GET("ok"), 0, true },
		{ "\r" GET("ok"), 0, true },
		{ "\r\n\n" GET("ok"), 0, true },
		{ " \r\n" GET("ok"), 0, true },
		{ GET("ok") "\r\n" GET("ok") "\r\n\r\n" GET("ok"), 3, false },
		{ GET("ok") "\r\n\r\n\r\n" GET("ok"), 1, true },
		{ PUT "Content-Length: 3\r\n\r\na=b\r\n" GET("ok"), 2, false },
		{ PUT "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n\r\n" GET("ok"), 2, false },
		{ "\r\n\r\n", 0, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(lines); i++) {
		for (int bytes = 0; bytes < 2; bytes++) {
			open_client(SOCK_STREAM);
			got_n = 0;
			for (size_t at = 0, n = strlen(lines[i].text); at < n;
			     at += bytes ? 1 : n) {
				if (send(client, lines[i].text + at, bytes ? 1 : n, MSG_NOSIGNAL) >
				    0)
					run_and_take();
			}
			if (times("HTTP/1.1 200 OK") != lines[i].good ||
			    times("HTTP/1.1 400 ") != lines[i].bad || closed != lines[i].bad)
				fail_msg("%zu: %s", i, got);
			close(client);
			client = -1;
			run();
		}
	}
}

/* They begin nothing: a connection behind one is idle, and is not told that its head took too
 * long. */
static void test_empty_lines_are_idle(void **state)
{
	(void)state;
	f.proc.config.http_idle_timeout_ms = 60;
	f.proc.config.http_head_timeout_ms = 20;
	open_client(SOCK_STREAM);
	answer_to(GET("ok"));
	answer_to("\r\n");
	assert_int_equal(got_n, 0);
	assert_true(wait_closed());
	assert_int_equal(got_n, 0);
	assert_int_equal(f.slot.counters[METRIC_HTTP_TIMEOUTS], 0);
}

/* Each half of one neither: who sends them byte by byte has no more time than who sends nothing. */
static void test_empty_lines_gain_no_time(void **state)
{
	static const char *const halves[] = { "\r", "\n", "\r", "\n" };

	(void)state;
	for (int idle = 0; idle < 2; idle++) {
		uint64_t deadline_ms;

		open_client(SOCK_STREAM);
		answer_to(idle != 0 ? GET("ok") : "");
		deadline_ms = f.worker.connections->deadline_ms;
		assert_true(deadline_ms != 0);
		for (size_t i = 0; i < COUNT(halves); i++) {
			stand_still(2); /* another deadline would be a later one */
			answer_to(halves[i]);
			assert_int_equal(f.worker.connections->deadline_ms, deadline_ms);
		}
		answer_to(GET("ok"));
		assert_int_equal(times("HTTP/1.1 200 "), 1);
		close(client);
	}
}

static void test_read_timeouts(void **state)
{
	(void)state;
	f.proc.config.http_head_timeout_ms = f.proc.config.http_body_timeout_ms = 200;
	open_client(SOCK_STREAM);
	say("GET /nacos");
	assert_true(wait_closed());
	assert_int_equal(times("HTTP/1.1 408 "), 1);
	close(client);
	open_client(SOCK_STREAM);
	say(PUT "Content-Length: 10\r\n\r\nabc");
	assert_true(wait_closed());
	assert_int_equal(times("HTTP/1.1 408 "), 1);
	close(client);
	open_client(SOCK_STREAM);
	assert_true(wait_closed());
	assert_int_equal(got_n, 0);
	assert_int_equal(f.slot.counters[METRIC_HTTP_TIMEOUTS], 3);
}

/* The timer armed for a long time is brought forward when a shorter one begins. */
static void test_idle_timeout(void **state)
{
	(void)state;
	f.proc.config.http_idle_timeout_ms = 200;
	open_client(SOCK_STREAM);
	answer_to(GET("ok"));
	assert_false(closed);
	assert_true(wait_closed());
	assert_int_equal(f.slot.counters[METRIC_HTTP_TIMEOUTS], 0);
}

/* The worker was stopped for longer than the timeout; the request was there in time. */
static void test_stopped_while_a_request_came(void **state)
{
	(void)state;
	f.proc.config.http_idle_timeout_ms = f.proc.config.http_head_timeout_ms = 1000;
	open_client(SOCK_STREAM);
	answer_to(GET("ok"));
	say(GET("ok"));
	stand_still(2500);
	run_and_take();
	assert_false(closed);
	assert_int_equal(times("HTTP/1.1 200 "), 2);
	/* Half a request: it has as long as its phase, from now on. */
	say("GET /nacos");
	stand_still(2500);
	run_and_take();
	assert_false(closed);
	assert_true(wait_closed());
	assert_int_equal(times("HTTP/1.1 408 "), 1);
	/* Nothing came: the end is a little late. */
	close(client);
	open_client(SOCK_STREAM);
	run();
	stand_still(2500);
	assert_true(wait_closed());
	assert_int_equal(got_n, 0);
}

static void resume(void (*with)(struct request *rq))
{
	struct request *rq = request_resume(&f.worker, parked_id);

	assert_non_null(rq);
	with(rq);
	request_complete(rq);
	assert_null(request_resume(&f.worker, parked_id));
	run_and_take();
}

static void test_parked(void **state)
{
	(void)state;
	open_client(SOCK_STREAM);
	answer_to(GET("ok") GET("later?a=kept") GET("echo?a=2"));
	assert_int_equal(times("HTTP/1.1 200 OK"), 1);
	/* Others are served meanwhile, through the same buffers. */
	int first = client;
	open_client(SOCK_STREAM);
	answer_to(GET("echo?a=other"));
	assert_string_equal(body_of(got), "other");
	close(client);
	client = first;
	closed = false;
	got_n = 0;
	resume(answer_echo);
	assert_int_equal(times("HTTP/1.1 200 OK"), 2);
	assert_true(has(got, "\r\n\r\nkeptHTTP/1.1 200 OK"));
	assert_string_equal(got + got_n - 1, "2");
	answer_to(GET("ok"));
	assert_string_equal(body_of(got), "ok");
}

static void test_parked_and_answered(void **state)
{
	(void)state;
	open_client(SOCK_STREAM);
	answer_to(GET("afterall") GET("ok"));
	assert_int_equal(times("HTTP/1.1 200 OK"), 2);
	assert_null(request_resume(&f.worker, parked_id));
	assert_int_equal(f.worker.parked.count, 0);
}

static void test_parked_ends(void **state)
{
	(void)state;
	open_client(SOCK_STREAM);
	answer_to(GET("later") GET("ok"));
	assert_int_equal(got_n, 0);
	resume(answer_bad);
	assert_int_equal(times("HTTP/1.1 400"), 1);
	assert_int_equal(times("HTTP/1.1 200"), 0);
	assert_true(closed);
}

/* The worker stops or leaves while the request waits: its answer does not promise what nobody will
 * keep. */
static void test_parked_over_the_end(void **state)
{
	(void)state;
	for (int leaves = 0; leaves < 2; leaves++) {
		f.worker.stopping = f.worker.leaving = false;
		open_client(SOCK_STREAM);
		answer_to(ASKING("later"));
		f.worker.stopping = !leaves;
		f.worker.leaving = leaves;
		resume(answer_echo);
		assert_int_equal(times("HTTP/1.1 200 OK"), 1);
		assert_int_equal(times("Connection: close\r\n"), 1);
		assert_int_equal(times("eep-"), 0);
		assert_true(closed);
		close(client);
	}
	client = -1;
}

static void test_parked_and_gone(void **state)
{
	uint64_t first;

	(void)state;
	open_client(SOCK_STREAM);
	answer_to(GET("later"));
	first = parked_id;
	close(client);
	open_client(SOCK_STREAM);
	answer_to(GET("later"));
	assert_int_not_equal(first, parked_id);
	assert_non_null(request_resume(&f.worker, first));
	connection_close_all(&f.worker);
	assert_null(request_resume(&f.worker, first));
	assert_null(request_resume(&f.worker, parked_id));
}

static void test_stop(void **state)
{
	int idle, half, waiting;

	(void)state;
	open_client(SOCK_STREAM);
	answer_to(GET("ok"));
	idle = client;
	open_client(SOCK_STREAM);
	answer_to("GET /nacos/v1/ns/ok HTTP/1.1\r\n");
	half = client;
	open_client(SOCK_STREAM);
	say(GET("ok"));
	waiting = client;
	f.worker.stopping = true;
	connection_stop_all(&f.worker);
	client = idle;
	got_n = 0;
	take();
	assert_true(closed);
	client = waiting;
	closed = false;
	run_and_take();
	assert_int_equal(times("Connection: close"), 1);
	assert_int_equal(f.worker.connection_count, 1);
	client = half;
	closed = false;
	answer_to(H "\r\n");
	assert_int_equal(times("Connection: close"), 1);
	assert_true(closed);
	assert_int_equal(f.worker.connection_count, 0);
	close(idle);
	close(waiting);
}

static void test_refuse(void **state)
{
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
	                 0);
	client = pair[0];
	got_n = 0;
	closed = false;
	say(GET("ok"));
	connection_refuse(&f.worker, pair[1]);
	run_and_take();
	assert_int_equal(times("HTTP/1.1 503 "), 1);
	assert_int_equal(times("Connection: close"), 1);
	assert_true(closed);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_keep_alive),
		TEST(test_close),
		TEST(test_empty_lines),
		TEST(test_empty_lines_are_idle),
		TEST(test_empty_lines_gain_no_time),
		TEST(test_promise),
		TEST(test_promise_is_kept),
		TEST(test_pipeline_is_one_write),
		TEST(test_nothing_after_close),
		TEST(test_bodies),
		TEST(test_chunked_cuts),
		TEST(test_expect),
		TEST(test_attacks),
		TEST(test_long_heads),
		TEST(test_requests_limit),
		TEST(test_slow_reader),
		TEST(test_memory),
		TEST(test_memory_cuts_the_hog),
		TEST(test_memory_cuts_a_sender),
		TEST(test_memory_cuts_a_parked_one),
		TEST(test_turns),
		TEST(test_turns_end_by_the_clock),
		TEST(test_memory_cuts_who_holds_more),
		TEST(test_write_timeout),
		TEST(test_read_timeouts),
		TEST(test_idle_timeout),
		TEST(test_stopped_while_a_request_came),
		TEST(test_parked),
		TEST(test_parked_and_answered),
		TEST(test_parked_ends),
		TEST(test_parked_over_the_end),
		TEST(test_parked_and_gone),
		TEST(test_stop),
		TEST(test_refuse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
