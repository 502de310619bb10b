/* SPDX-License-Identifier: Apache-2.0 */
/* Probes against sockets of this test: what a peer does, and what is said about it. */
#include "probe_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "shared/base/clock.h"

/* A peer in the same loop: accepts one connection, reads, and answers after the head of a request,
 * or at once. */
struct peer {
	struct ev_loop *loop;
	int listener, fd;
	uint16_t port;
	ev_io io;
	const char *answer;                 /* NULL: silence */
	size_t answer_len, answered, piece; /* piece: bytes a write, 0: all */
	bool at_once, closes, keeps;
	char request[4096];
	size_t request_len;
	unsigned accepted;
	bool saw_end;
};

static void peer_write(struct peer *peer)
{
	size_t left = peer->answer == NULL ? 0 : peer->answer_len - peer->answered;
	size_t n = peer->piece > 0 && peer->piece < left ? peer->piece : left;
	ssize_t done = n > 0 ? send(peer->fd, peer->answer + peer->answered, n, MSG_NOSIGNAL) : 0;

	peer->answered += done > 0 ? (size_t)done : 0;
	if (peer->answered < peer->answer_len && peer->answer != NULL && done >= 0) {
		ev_io_stop(peer->loop, &peer->io);
		ev_io_set(&peer->io, peer->fd, EV_WRITE);
		ev_io_start(peer->loop, &peer->io);
		return;
	}
	ev_io_stop(peer->loop, &peer->io);
	if (peer->closes) {
		close(peer->fd);
		peer->fd = -1;
		return;
	}
	ev_io_set(&peer->io, peer->fd, EV_READ);
	ev_io_start(peer->loop, &peer->io);
}

static void on_peer(struct ev_loop *l, ev_io *w, int events)
{
	struct peer *peer = w->data;
	ssize_t n;

	(void)l;
	if (events & EV_WRITE) {
		peer_write(peer);
		return;
	}
	n = recv(peer->fd, peer->request + peer->request_len,
	         sizeof(peer->request) - 1 - peer->request_len, 0);
	if (n <= 0) {
		peer->saw_end = true;
		ev_io_stop(peer->loop, w);
		return;
	}
	peer->request_len += (size_t)n;
	peer->request[peer->request_len] = '\0';
	if (strstr(peer->request, "\r\n\r\n") != NULL && peer->answered == 0)
		peer_write(peer);
}

static void on_accept(struct ev_loop *l, ev_io *w, int events)
{
	struct peer *peer = w->data;

	(void)events;
	peer->fd = accept4(peer->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(peer->fd >= 0);
	peer->accepted++;
	ev_io_stop(l, w);
	ev_io_init(&peer->io, on_peer, peer->fd, EV_READ);
	if (peer->at_once)
		peer_write(peer);
	else
		ev_io_start(l, &peer->io);
}

static void peer_open(struct peer *peer, int family)
{
	peer->loop = loop;
	peer->fd = -1;
	peer->listener = listener_open(family, &peer->port);
	ev_io_init(&peer->io, on_accept, peer->listener, EV_READ);
	peer->io.data = peer;
	ev_io_start(loop, &peer->io);
}

static void peer_close(struct peer *peer)
{
	ev_io_stop(loop, &peer->io);
	if (peer->fd >= 0)
		close(peer->fd);
	if (peer->listener >= 0)
		close(peer->listener);
}

/* Nobody listens there, and nobody else will as long as the socket is open. */
static uint16_t mute_port(int *fd_r)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(in);

	*fd_r = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(*fd_r, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(getsockname(*fd_r, (struct sockaddr *)&in, &len), 0);
	return ntohs(in.sin_port);
}

/* A listener whose queue is full: the kernel answers no more. */
static int deaf_port(int fds[9])
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(in);

	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fds[0], (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(fds[0], 0), 0);
	assert_int_equal(getsockname(fds[0], (struct sockaddr *)&in, &len), 0);
	for (int i = 1; i < 9; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)!connect(fds[i], (struct sockaddr *)&in, sizeof(in));
	}
	return ntohs(in.sin_port);
}

/* ---- all protocols --------------------------------------------------------------------------- */

static const struct checker checkers[] = {
	{ .type = CHECKER_TCP },
	{ .type = CHECKER_HTTP },
	{ .type = CHECKER_MYSQL, .user = { "probe", 5 } },
};

static void test_nobody_listens(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		int fd;
		uint16_t port = mute_port(&fd);
		struct outcome outcome = run(&checkers[i], "127.0.0.1", port);

		close(fd);
		assert_result(&outcome, CHECK_REFUSED, PROBE_RT_MAX);
		assert_int_equal(outcome.result.detail, ECONNREFUSED);
	}
}

static void test_no_answer_to_the_connection(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		int fds[9];
		uint16_t port = (uint16_t)deaf_port(fds);
		uint64_t begin_ms = clock_mono_ms();
		struct outcome outcome = run(&checkers[i], "127.0.0.1", port);

		assert_result(&outcome, CHECK_FAILED, PROBE_RT_TWICE);
		assert_in_range(clock_mono_ms() - begin_ms, PROBE_LIMIT_MS - 20,
		                (uint64_t)(GIVE_UP_S * 1000));
		for (int n = 0; n < 9; n++)
			close(fds[n]);
	}
}

static void test_silence(void **state)
{
	(void)state;
	for (size_t i = 1; i < 3; i++) {
		struct peer peer = { .answer = NULL };
		struct outcome outcome;

		peer_open(&peer, AF_INET);
		outcome = run(&checkers[i], "127.0.0.1", peer.port);
		assert_result(&outcome, CHECK_FAILED, PROBE_RT_TWICE);
		peer_close(&peer);
	}
}

static void test_cut_off(void **state)
{
	(void)state;
	for (size_t i = 1; i < 3; i++) {
		struct peer peer = { .at_once = true, .closes = true };
		struct outcome outcome;

		peer_open(&peer, AF_INET);
		outcome = run(&checkers[i], "127.0.0.1", peer.port);
		assert_result(&outcome, CHECK_FAILED, PROBE_RT_MAX);
		peer_close(&peer);
	}
}

/* Stopped at any moment: nothing is said, nothing leaks (the sanitizers look). */
static void test_stop(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		for (unsigned steps = 0; steps < 4; steps++) {
			struct peer peer = { .answer = NULL };
			struct outcome outcome = { .loop = loop };
			struct probe_order order;
			struct probe *probe;

			peer_open(&peer, AF_INET);
			order = order_for(&checkers[i], "127.0.0.1", peer.port);
			assert_int_equal(probe_start(loop, &order, on_done, &outcome, &probe), 0);
			for (unsigned n = 0; n < steps && outcome.calls == 0; n++)
				ev_run(loop, EVRUN_ONCE);
			if (outcome.calls == 0)
				probe_stop(&probe);
			ev_run(loop, EVRUN_NOWAIT);
			assert_true(outcome.calls <= 1);
			peer_close(&peer);
		}
	}
	probe_stop(&(struct probe *){ NULL });
}

/* No descriptor left here: no verdict about the peer, whoever opens the socket. */
static void test_lack_of_ours(void **state)
{
	struct peer peer = { .answer = NULL };
	struct outcome outcome = { .loop = loop };
	struct rlimit before, few;
	int fds[64], count = 0, fd;

	(void)state;
	peer_open(&peer, AF_INET);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = (struct rlimit){ 64, before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	while (count < 64 && (fd = fcntl(0, F_DUPFD_CLOEXEC, 0)) >= 0)
		fds[count++] = fd;
	for (size_t i = 0; i < 2; i++) {
		struct probe_order order = order_for(&checkers[i], "127.0.0.1", peer.port);
		struct probe *probe;

		assert_int_equal(probe_start(loop, &order, on_done, &outcome, &probe), ERR_IO);
		assert_null(probe);
	}
	assert_int_equal(outcome.calls, 0);
	outcome = run(&checkers[2], "127.0.0.1", peer.port);
	if (outcome.result.verdict != CHECK_UNMADE)
		fail_msg("%s %d", outcome.result.why, outcome.result.detail);
	while (count > 0)
		close(fds[--count]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	peer_close(&peer);
}

/* The process stood still: what came in time is not called late. */
static void test_stopped_process(void **state)
{
	struct peer peer = { .answer = NULL };
	struct probe_order order;
	struct outcome outcome = { .loop = loop };
	struct probe *probe;
	uint64_t end_ms;

	(void)state;
	peer_open(&peer, AF_INET);
	order = order_for(&checkers[0], "127.0.0.1", peer.port);
	ev_now_update(loop);
	assert_int_equal(probe_start(loop, &order, on_done, &outcome, &probe), 0);
	end_ms = clock_mono_ms() + PROBE_LIMIT_MS + 100;
	while (clock_mono_ms() < end_ms)
		usleep(20000);
	ev_run(loop, EVRUN_ONCE);
	assert_int_equal(outcome.calls, 1);
	assert_result(&outcome, CHECK_PASSED, PROBE_RT_MEASURED);
	peer_close(&peer);
}

/* ---- TCP ------------------------------------------------------------------------------------- */

static void test_tcp(void **state)
{
	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		struct peer peer = { .answer = NULL };
		struct outcome outcome;

		peer_open(&peer, v6 ? AF_INET6 : AF_INET);
		outcome = run(&checkers[0], v6 ? "::1" : "127.0.0.1", peer.port);
		assert_result(&outcome, CHECK_PASSED, PROBE_RT_MEASURED);
		assert_in_range(outcome.result.rt_ms, 0, PROBE_LIMIT_MS);
		ev_run(loop, EVRUN_NOWAIT);
		assert_int_equal(peer.accepted, 1);
		peer_close(&peer);
	}
}

static unsigned slow_calls;

static void on_slow_done(void *arg, const struct probe_result *result)
{
	uint64_t until_us = clock_mono_us() + PROBE_TURN_US;

	(void)arg;
	assert_int_equal(result->verdict, CHECK_PASSED);
	slow_calls++;
	while (clock_mono_us() < until_us)
		;
}

static void on_timer(struct ev_loop *l, ev_timer *w, int events)
{
	(void)l;
	(void)events;
	++*(unsigned *)w->data;
}

/* All are ready at the same time: one has its turn, then the timers of the loop, and so on. */
static void test_many_are_ready(void **state)
{
	struct checker checker = { .type = CHECKER_TCP };
	struct probe_pace pace = { .turn = NULL };
	struct peer peer = { .closes = true };
	struct probe *probes[5];
	unsigned ticks = 0;
	ev_timer timer;

	(void)state;
	slow_calls = 0;
	peer_open(&peer, AF_INET);
	ev_io_stop(loop, &peer.io); /* accepted by the system */
	ev_timer_init(&timer, on_timer, 0., 0.0001);
	timer.data = &ticks;
	ev_timer_start(loop, &timer);
	for (unsigned i = 0; i < 5; i++) {
		struct probe_order order = order_for(&checker, "127.0.0.1", peer.port);

		order.pace = &pace;
		assert_int_equal(probe_start(loop, &order, on_slow_done, NULL, &probes[i]), 0);
	}
	for (unsigned done = 0; slow_calls < 5; done = slow_calls) {
		unsigned before = ticks;

		ev_run(loop, EVRUN_ONCE);
		assert_true(slow_calls <= done + 1);
		assert_true(ticks > before || slow_calls == done);
	}
	ev_timer_stop(loop, &timer);
	peer_close(&peer);
}

static unsigned exact_calls;

/* As if the step took all the time that probes have of an iteration, and no more. */
static void on_exact_done(void *arg, const struct probe_result *result)
{
	(void)arg;
	(void)result;
	exact_calls++;
	clock_set_for_test(clock_mono_us() + PROBE_TURN_US, 1);
}

static void test_time_of_an_iteration(void **state)
{
	struct probe_pace pace = { .turn = NULL };
	struct peer peer = { .closes = true };
	struct probe *probes[3];

	(void)state;
	exact_calls = 0;
	peer_open(&peer, AF_INET);
	ev_io_stop(loop, &peer.io); /* accepted by the system */
	clock_set_for_test(1, 1);
	for (unsigned i = 0; i < 3; i++) {
		struct probe_order order = order_for(&checkers[0], "127.0.0.1", peer.port);

		order.pace = &pace;
		assert_int_equal(probe_start(loop, &order, on_exact_done, NULL, &probes[i]), 0);
	}
	for (unsigned done = 0; exact_calls < 3; done = exact_calls) {
		ev_run(loop, EVRUN_ONCE);
		assert_true(exact_calls <= done + 1);
	}
	clock_set_for_test(0, 0);
	peer_close(&peer);
}

static void test_unreachable(void **state)
{
	struct outcome outcome;

	(void)state;
	outcome = run(&checkers[0], "fe80::1", 80); /* no zone */
	assert_result(&outcome, CHECK_FAILED, PROBE_RT_MAX);
}

/* ---- HTTP ------------------------------------------------------------------------------------ */

static const struct {
	const char *answer;
	enum check_verdict verdict;
	enum probe_rt rt;
} http_rows[] = {
	{ "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", CHECK_PASSED, PROBE_RT_MEASURED },
	{ "HTTP/1.0 200\r\n\r\n", CHECK_PASSED, PROBE_RT_MEASURED },
	{ "HTTP/1.1 200\n\n", CHECK_PASSED, PROBE_RT_MEASURED },
	{ "HTTP/1.1 201 Created\r\n\r\n", CHECK_REFUSED, PROBE_RT_MAX },
	{ "HTTP/1.1 301 Moved\r\nLocation: /\r\n\r\n", CHECK_REFUSED, PROBE_RT_MAX },
	{ "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n", CHECK_FAILED,
	  PROBE_RT_TWICE },
	{ "HTTP/1.1 404 Not Found\r\n\r\n", CHECK_REFUSED, PROBE_RT_MAX },
	{ "HTTP/1.1 500 Error\r\n\r\n", CHECK_REFUSED, PROBE_RT_MAX },
	{ "HTTP/1.1 503 Busy\r\n\r\n", CHECK_FAILED, PROBE_RT_TWICE },
	{ "HTTP/2.0 200 OK\r\n\r\n", CHECK_FAILED, PROBE_RT_MAX },
	{ "HTTP/1.1  200 OK\r\n\r\n", CHECK_FAILED, PROBE_RT_MAX },
	{ "HTTP/1.1 2000 OK\r\n\r\n", CHECK_FAILED, PROBE_RT_MAX },
	{ "HTTP/1.1 20x OK\r\n\r\n", CHECK_FAILED, PROBE_RT_MAX },
	{ "http/1.1 200 OK\r\n\r\n", CHECK_FAILED, PROBE_RT_MAX },
	{ "SSH-2.0-OpenSSH_9.2\r\n", CHECK_FAILED, PROBE_RT_MAX },
	{ "HTTP/1.1 200", CHECK_FAILED, PROBE_RT_MAX }, /* and the end */
};

static void test_http_status(void **state)
{
	static const struct checker checker = { .type = CHECKER_HTTP };

	(void)state;
	for (size_t i = 0; i < sizeof(http_rows) / sizeof(http_rows[0]); i++) {
		for (size_t piece = 0; piece < 2; piece++) {
			struct peer peer = { .answer = http_rows[i].answer,
				             .closes = true,
				             .piece = piece };
			struct outcome outcome;

			peer.answer_len = strlen(peer.answer);
			peer_open(&peer, AF_INET);
			outcome = run(&checker, "127.0.0.1", peer.port);
			if (outcome.result.verdict != http_rows[i].verdict ||
			    outcome.result.rt != http_rows[i].rt)
				fail_msg("%s: %s %d", http_rows[i].answer, outcome.result.why,
				         outcome.result.detail);
			peer_close(&peer);
		}
	}
}

static const struct {
	const char *path, *headers, *expected; /* %u is the port */
} request_rows[] = {
	{ "/up", "",
	  "GET /up HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUser-Agent: VIPServer\r\nConnection: close\r\n\r\n" },
	{ "", "",
	  "GET / HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUser-Agent: VIPServer\r\nConnection: close\r\n\r\n" },
	{ "up?a=b c&d=\xc3\xa4#part", "",
	  "GET /up?a=b%%20c&d=%%C3%%A4 HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUser-Agent: VIPServer\r\nConnection: close\r\n\r\n" },
	{ "/a\r\nX: y", "",
	  "GET /a%%0D%%0AX:%%20y HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUser-Agent: VIPServer\r\nConnection: close\r\n\r\n" },
	{ "http://other/x", "",
	  "GET /http://other/x HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUser-Agent: VIPServer\r\nConnection: close\r\n\r\n" },
	{ "/", "A:1| B : 2 |C:|D|E:1:2|:f|G:g\r\nH:h|I j:k|l\tm:n|a:3",
	  "GET / HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUser-Agent: VIPServer\r\nB: 2\r\na: 3\r\nConnection: close\r\n\r\n" },
	{ "/",
	  "Host:name|User-Agent:me|Connection:keep-alive|Content-Length:5|Transfer-Encoding:chunked|Expect:x",
	  "GET / HTTP/1.1\r\nHost: name\r\nUser-Agent: me\r\nConnection: close\r\n\r\n" },
};

static void test_http_request(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(request_rows) / sizeof(request_rows[0]); i++) {
		struct checker checker = { .type = CHECKER_HTTP,
			                   .path = str_of(request_rows[i].path),
			                   .headers = str_of(request_rows[i].headers) };
		struct peer peer = { .answer = "HTTP/1.1 200 OK\r\n\r\n",
			             .answer_len = 19,
			             .closes = true };
		struct outcome outcome;
		char expected[1024];

		peer_open(&peer, AF_INET);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(expected, sizeof(expected), request_rows[i].expected, peer.port);
#pragma GCC diagnostic pop
		outcome = run(&checker, "127.0.0.1", peer.port);
		assert_result(&outcome, CHECK_PASSED, PROBE_RT_MEASURED);
		assert_string_equal(peer.request, expected);
		peer_close(&peer);
	}
}

/* CPU of beginning a probe with so many headers of the same few bytes; the smallest of some. */
static uint64_t cost_ns(unsigned count)
{
	char headers[4096];
	struct checker checker = { .type = CHECKER_HTTP,
		                   .path = STR("/"),
		                   .headers = { headers, 0 } };
	struct probe_order order;
	struct outcome outcome = { .loop = loop };
	uint64_t best = UINT64_MAX;
	uint16_t port;
	int fd;

	for (unsigned i = 0; i < count; i++)
		checker.headers.n +=
		        (size_t)snprintf(headers + checker.headers.n,
		                         sizeof(headers) - checker.headers.n, "%c%c:b|",
		                         'a' + (int)(i / 26 % 26), 'a' + (int)(i % 26));
	port = mute_port(&fd);
	order = order_for(&checker, "127.0.0.1", port);
	for (unsigned i = 0; i < 30; i++) {
		struct timespec begin, end;
		struct probe *probe;
		uint64_t ns;

		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
		assert_int_equal(probe_start(loop, &order, on_done, &outcome, &probe), 0);
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
		probe_stop(&probe);
		ns = (uint64_t)(end.tv_sec - begin.tv_sec) * 1000000000U + (uint64_t)end.tv_nsec -
		     (uint64_t)begin.tv_nsec;
		best = ns < best ? ns : best;
	}
	close(fd);
	return best;
}

/* A text of 4 KiB may name hundreds of headers: twice as many cost about twice as much, not four
 * times. */
static void test_http_many_headers(void **state)
{
	uint64_t none = cost_ns(0), some = cost_ns(200) - none, many = cost_ns(650) - none;

	(void)state;
	print_message("200 headers: %llu ns, 650: %llu ns\n", (unsigned long long)some,
	              (unsigned long long)many);
	assert_true(many < 6 * some);
}

static void test_http_ipv6_host(void **state)
{
	static const struct checker checker = { .type = CHECKER_HTTP };
	struct peer peer = { .answer = "HTTP/1.1 200 OK\r\n\r\n",
		             .answer_len = 19,
		             .closes = true };
	struct outcome outcome;
	char expected[64];

	(void)state;
	peer_open(&peer, AF_INET6);
	outcome = run(&checker, "::1", peer.port);
	assert_result(&outcome, CHECK_PASSED, PROBE_RT_MEASURED);
	snprintf(expected, sizeof(expected), "Host: [::1]:%u\r\n", peer.port);
	assert_non_null(strstr(peer.request, expected));
	peer_close(&peer);
}

/* The rest of an answer changes nothing: endless, never ending, or slow. */
static void test_http_rest(void **state)
{
	static const struct checker checker = { .type = CHECKER_HTTP };
	static char endless[1 << 20];
	struct peer peer = { .answer = endless, .answer_len = sizeof(endless) };
	struct outcome outcome;

	(void)state;
	memset(endless, 'x', sizeof(endless));
	memcpy(endless, "HTTP/1.1 200 OK\r\n", 17);
	peer_open(&peer, AF_INET);
	outcome = run(&checker, "127.0.0.1", peer.port);
	assert_result(&outcome, CHECK_PASSED, PROBE_RT_MEASURED);
	peer_close(&peer);

	/* The best of three: the limit is not waited for. */
	for (unsigned i = 0; i < 3; i++) {
		peer = (struct peer){ .answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
			              .answer_len = 38 };
		peer_open(&peer, AF_INET);
		outcome = run(&checker, "127.0.0.1", peer.port);
		assert_result(&outcome, CHECK_PASSED, PROBE_RT_MEASURED);
		peer_close(&peer);
		if (outcome.result.rt_ms <= PROBE_LIMIT_MS - 100)
			break;
	}
	assert_in_range(outcome.result.rt_ms, 0, PROBE_LIMIT_MS - 100);
}

/* ---- MySQL ----------------------------------------------------------------------------------- */

static void test_mysql_nonsense(void **state)
{
	static const char *const answers[] = {
		"HTTP/1.1 400 Bad Request\r\n\r\n",
		"\x01\x00\x00\x00\x0a",
		"\xff\xff\xff\x00 a packet of 16 MiB is announced",
		/* Error 1040 of a server: hard. */
		"\x0c\x00\x00\x00\xff\x10\x04No places",
	};
	static const size_t lengths[] = { 28, 5, 36, 16 };

	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct peer peer = { .answer = answers[i],
			             .answer_len = lengths[i],
			             .at_once = true,
			             .closes = true };
		struct outcome outcome;

		peer_open(&peer, AF_INET);
		outcome = run(&checkers[2], "127.0.0.1", peer.port);
		if (i == 3)
			assert_result(&outcome, CHECK_REFUSED, PROBE_RT_MAX);
		else
			assert_int_equal(outcome.result.verdict, CHECK_FAILED);
		peer_close(&peer);
	}
}

/* Our own account's name is nobody's business: no connection is made. */
static void test_mysql_without_a_user(void **state)
{
	static const struct checker nameless = { .type = CHECKER_MYSQL };
	struct peer peer = { .answer = NULL };
	struct outcome outcome;

	(void)state;
	peer_open(&peer, AF_INET);
	outcome = run(&nameless, "127.0.0.1", peer.port);
	assert_result(&outcome, CHECK_REFUSED, PROBE_RT_MAX);
	assert_string_equal(outcome.result.why, "no user");
	ev_run(loop, EVRUN_NOWAIT);
	assert_int_equal(peer.accepted, 0);
	peer_close(&peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nobody_listens, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_answer_to_the_connection, setup, teardown),
		cmocka_unit_test_setup_teardown(test_silence, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cut_off, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lack_of_ours, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stopped_process, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tcp, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_are_ready, setup, teardown),
		cmocka_unit_test_setup_teardown(test_time_of_an_iteration, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unreachable, setup, teardown),
		cmocka_unit_test_setup_teardown(test_http_status, setup, teardown),
		cmocka_unit_test_setup_teardown(test_http_request, setup, teardown),
		cmocka_unit_test_setup_teardown(test_http_many_headers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_http_ipv6_host, setup, teardown),
		cmocka_unit_test_setup_teardown(test_http_rest, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mysql_nonsense, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mysql_without_a_user, setup, teardown),
	};

	probe_load_modules();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
