/* SPDX-License-Identifier: Apache-2.0 */
/* Connections from one worker to another, cut at every byte. */
#include "tests/unit/http_fixture.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/base/clock.h"
#include "shared/process/sources.h"
#include "worker/http/connection_state.h"
#include "worker/http/memory.h"
#include "worker/http/migrate.h"
#include "worker/v1/router.h"

#define H "Host: a\r\n"
#define BIG (300U * 1024U)
#define GOT_MAX (8U * 1024U * 1024U)

static struct fixture old, new;
static int pair[2]; /* [0]: the new worker's end */
static int client;
static char big[BIG], got[GOT_MAX];
static size_t got_n;
static bool closed;

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
}

static const struct route rows[] = {
	{ METHOD_GET, "/v1/ns/echo", answer_echo, ROUTE_NAMING, "" },
	{ METHOD_PUT, "/v1/ns/echo", answer_echo, ROUTE_NAMING, "" },
	{ METHOD_GET, "/v1/ns/big", answer_big, ROUTE_NAMING, "" },
	{ METHOD_GET, "/v1/ns/later", answer_later, ROUTE_NAMING, "" },
};

#define GET(path) "GET /nacos/v1/ns/" path " HTTP/1.1\r\n" H "\r\n"
#define PUT(headers) \
	"PUT /nacos/v1/ns/echo HTTP/1.1\r\n" H \
	"Content-Type: application/x-www-form-urlencoded\r\n" headers "\r\n\r\n"

/* ---- both workers ---------------------------------------------------------------------------- */

static void worker_begin(struct fixture *f)
{
	struct config *config;

	fixture_init(f);
	config = &f->proc.config;
	config->http_head_timeout_ms = config->http_body_timeout_ms = 60000;
	config->http_idle_timeout_ms = config->http_write_timeout_ms = 60000;
	f->worker.loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
	assert_non_null(f->worker.loop);
	assert_int_equal(router_new(rows, COUNT(rows), STR("/nacos"), &f->v1.router), 0);
	assert_int_equal(connection_pool_new(&f->worker), 0);
}

static void worker_end(struct fixture *f)
{
	connection_pool_free(&f->worker);
	router_free(&f->v1.router);
	ev_loop_destroy(f->worker.loop);
	fixture_free(f);
}

static int set_up(void **state)
{
	(void)state;
	memset(big, 'b', sizeof(big));
	worker_begin(&old);
	worker_begin(&new);
	client = -1;
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
}

static int tear_down(void **state)
{
	(void)state;
	worker_end(&old);
	worker_end(&new);
	close(pair[0]);
	close(pair[1]);
	if (client >= 0)
		close(client);
	return 0;
}

static int open_client(void)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends),
	                 0);
	connection_open(&old.worker, ends[1], NULL);
	return ends[0];
}

static void put(const char *data, size_t n)
{
	assert_int_equal(send(client, data, n, MSG_NOSIGNAL), n);
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

/* A socket pair needs no waiting: when nothing moves, nothing will. */
static void settle(struct fixture *f, bool reads)
{
	size_t before;

	do {
		before = got_n;
		for (int i = 0; i < 3; i++)
			ev_run(f->worker.loop, EVRUN_NOWAIT);
		if (reads)
			take();
	} while (got_n > before);
}

static void *send_all(void *arg)
{
	(void)arg;
	return (void *)(intptr_t)migrate_send(&old.worker, pair[1]);
}

/* The sender blocks while the socket is full: a thread of its own. */
static void hand_over(int expected)
{
	pthread_t sender;
	void *sent;

	assert_int_equal(pthread_create(&sender, NULL, send_all, NULL), 0);
	assert_int_equal(migrate_receive(&new.worker, pair[0]), expected);
	assert_int_equal(pthread_join(sender, &sent), 0);
	assert_int_equal((intptr_t)sent, expected);
	assert_int_equal(old.worker.connection_count, 0);
}

static void restart(void)
{
	tear_down(NULL);
	assert_int_equal(set_up(NULL), 0);
	client = open_client();
	got_n = 0;
	closed = false;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static const struct {
	const char *name, *text;
} requests[] = {
	{ "plain", GET("echo?a=first") GET("echo?a=last") },
	{ "with a length", PUT("Content-Length: 7") "a=first" GET("echo?a=last") },
	{ "chunked",
	  PUT("Transfer-Encoding: chunked") "1\r\na\r\n3;x=y\r\n=fi\r\n03\r\nrst\r\n0\r\n\r\n" GET(
	          "echo?a=last") },
	{ "with trailers",
	  PUT("Transfer-Encoding: chunked") "7\r\na=first\r\n0\r\nA: b\r\nC: d\r\n\r\n" GET(
	          "echo?a=last") },
	{ "behind empty lines", "\r\n\r\n" GET("echo?a=first") "\r\n\r\n" GET("echo?a=last") },
	{ "expecting",
	  PUT("Expect: 100-continue\r\nContent-Length: 7") "a=first" GET("echo?a=last") },
};

static void cut_at_every_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(requests); i++) {
		size_t n = strlen(requests[i].text);

		for (size_t cut = 0; cut <= n; cut++) {
			const char *first, *last;

			restart();
			put(requests[i].text, cut);
			settle(&old, cut % 2 == 0);
			hand_over(1);
			put(requests[i].text + cut, n - cut);
			settle(&new, true);
			first = strstr(got, "\r\n\r\nfirst");
			last = strstr(got, "\r\n\r\nlast");
			if (closed || first == NULL || last == NULL || first > last ||
			    strstr(got, " 400 ") != NULL)
				fail_msg("%s, cut at %zu: %s", requests[i].name, cut, got);
			assert_int_equal(new.worker.connection_count, 1);
		}
	}
}

/* In pieces of a byte before and after: the decoder stands at every place it knows. */
static void bytes_one_by_one(void **state)
{
	const char *text = requests[2].text;
	size_t n = strlen(text);

	(void)state;
	for (size_t cut = 0; cut <= n; cut++) {
		restart();
		for (size_t i = 0; i < n; i++) {
			if (i == cut)
				hand_over(1);
			put(text + i, 1);
			settle(i < cut ? &old : &new, true);
		}
		if (strstr(got, "\r\n\r\nfirst") == NULL)
			fail_msg("cut at %zu: %s", cut, got);
	}
}

/* Those before the request line are counted on. */
static void empty_lines_are_counted_on(void **state)
{
	static const char rest[] = "\r\n\r\n" GET("echo?a=first");

	(void)state;
	restart();
	put("\r\n", 2);
	settle(&old, true);
	hand_over(1);
	put(rest, sizeof(rest) - 1);
	settle(&new, true);
	assert_non_null(strstr(got, " 400 "));
	assert_null(strstr(got, "\r\n\r\nfirst"));
}

static size_t count_of(char c)
{
	size_t n = 0;

	for (size_t i = 0; i < got_n; i++)
		n += got[i] == c;
	return n;
}

static void answers_not_taken_yet(void **state)
{
	(void)state;
	restart();
	put(GET("big") GET("big") GET("echo?a=last"),
	    strlen(GET("big") GET("big") GET("echo?a=last")));
	settle(&old, false);
	hand_over(1);
	settle(&new, true);
	assert_int_equal(count_of('<') + count_of('>'), 4);
	assert_in_range(count_of('b'), 2 * BIG, 2 * BIG + 100);
	assert_non_null(strstr(got, "\r\n\r\nlast"));
	assert_false(closed);
}

static void an_answer_that_ends_the_connection(void **state)
{
	static const char text[] =
	        "GET /nacos/v1/ns/big HTTP/1.1\r\n" H "Connection: close\r\n\r\n";

	(void)state;
	restart();
	put(text, sizeof(text) - 1);
	settle(&old, false);
	hand_over(1);
	settle(&new, true);
	assert_in_range(count_of('b'), BIG, BIG + 100);
	assert_true(closed);
	assert_int_equal(new.worker.connection_count, 0);
}

static void many_go_over_a_parked_one_is_closed(void **state)
{
	int clients[200];

	(void)state;
	restart();
	put(GET("later"), strlen(GET("later")));
	settle(&old, true);
	for (size_t i = 0; i < COUNT(clients); i++)
		clients[i] = open_client();
	hand_over(COUNT(clients));
	take();
	assert_true(closed);
	close(client);
	for (size_t i = 0; i < COUNT(clients); i++) {
		client = clients[i];
		got_n = 0;
		closed = false;
		put(GET("echo?a=here"), strlen(GET("echo?a=here")));
		settle(&new, true);
		assert_non_null(strstr(got, "\r\n\r\nhere"));
		close(client);
	}
	client = -1;
	settle(&new, false);
	assert_int_equal(new.worker.connection_count, 0);
}

/* Of one that http.memory has just cut off nothing is left that could go over. */
static void one_that_is_cut_off_is_closed(void **state)
{
	int other;

	(void)state;
	restart();
	put(PUT("Content-Length: 90000"), strlen(PUT("Content-Length: 90000")));
	put(big, 60000);
	settle(&old, false);
	assert_in_range(old.worker.held_bytes, 60000, 200000);
	other = open_client();
	settle(&old, false);
	old.proc.config.http_memory_bytes = 50000;
	memory_make_room(old.worker.connections); /* the other */
	assert_int_equal(old.worker.held_bytes, 0);
	hand_over(1);
	settle(&new, true);
	assert_true(closed);
	close(other);
}

/* The old worker's configuration has promised a minute; the new one has another. */
static void promised_time_goes_over(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		const uint64_t before[] = { 75000, 75000, 2000 }, after[] = { 2000, 100000, 2000 },
		               expected[] = { 75000, 100000, 2000 };
		const struct connection *c;
		uint64_t begun_ms = clock_mono_ms();

		restart();
		old.proc.config.http_idle_timeout_ms = before[i];
		new.proc.config.http_idle_timeout_ms = after[i];
		put(GET("echo?a=first"), strlen(GET("echo?a=first")));
		settle(&old, true);
		hand_over(1);
		c = new.worker.connections;
		assert_int_equal(c->phase, PHASE_IDLE);
		assert_in_range(c->deadline_ms, begun_ms + expected[i],
		                clock_mono_ms() + expected[i]);
		put(GET("echo?a=last"), strlen(GET("echo?a=last")));
		settle(&new, true);
		assert_int_equal(c->idle_ms, after[i]);
	}
}

/* A client with an address: unlike a socket pair, its connection counts for a source. */
static int open_tcp_client(int listen_fd, const struct sockaddr_in *name)
{
	struct sockaddr_storage peer;
	socklen_t n = sizeof(peer);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), accepted;

	assert_int_equal(connect(fd, (const struct sockaddr *)name, sizeof(*name)), 0);
	accepted = accept4(listen_fd, (struct sockaddr *)&peer, &n, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(accepted >= 0);
	connection_open(&old.worker, accepted, &peer);
	return fd;
}

/* They were admitted once, so they count for their source and none is refused. */
static void sources_are_counted_on(void **state)
{
	struct sockaddr_in name = { .sin_family = AF_INET,
		                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fds[3];
	struct sources *sources;
	socklen_t n = sizeof(name);
	uint64_t hash;

	(void)state;
	assert_int_equal(sources_new(&sources), 0);
	assert_int_equal(bind(listen_fd, (struct sockaddr *)&name, n), 0);
	assert_int_equal(listen(listen_fd, 8), 0);
	assert_int_equal(getsockname(listen_fd, (struct sockaddr *)&name, &n), 0);
	for (size_t i = 0; i < COUNT(fds); i++)
		fds[i] = open_tcp_client(listen_fd, &name);
	new.proc.sources = sources;
	new.proc.config.limit_connections_per_source = 1;
	hand_over(COUNT(fds));
	assert_int_equal(new.worker.connection_count, COUNT(fds));
	hash = sources_hash(sources, new.worker.connections->source);
	assert_int_equal(sources_connections(sources, hash), COUNT(fds));
	connection_close_all(&new.worker);
	assert_int_equal(sources_connections(sources, hash), 0);
	for (size_t i = 0; i < COUNT(fds); i++)
		close(fds[i]);
	close(listen_fd);
	new.proc.sources = NULL;
	sources_free_for_test(&sources);
}

static void broken_streams(void **state)
{
	struct migrate_head head = { .magic = MIGRATE_MAGIC, .in_bytes = 10 };

	(void)state;
	/* Heads cut off, of somebody else, without a descriptor, longer than anything. */
	for (int i = 0; i < 4; i++) {
		restart();
		head.magic = i == 1 ? 7 : MIGRATE_MAGIC;
		head.in_bytes = i == 3 ? UINT64_MAX : 10;
		assert_int_equal(send(pair[1], &head, i == 0 ? 5 : sizeof(head), 0),
		                 i == 0 ? 5 : (ssize_t)sizeof(head));
		shutdown(pair[1], SHUT_WR);
		assert_int_equal(migrate_receive(&new.worker, pair[0]), ERR_IO);
		assert_int_equal(new.worker.connection_count, 0);
	}
	restart();
	close(pair[1]);
	assert_int_equal(migrate_receive(&new.worker, pair[0]), ERR_IO);
	pair[1] = dup(pair[0]);
	restart();
	close(pair[0]);
	assert_int_equal(migrate_send(&old.worker, pair[1]), ERR_IO);
	assert_int_equal(old.worker.connection_count, 0);
	pair[0] = dup(pair[1]);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(cut_at_every_byte),
		TEST(bytes_one_by_one),
		TEST(empty_lines_are_counted_on),
		TEST(answers_not_taken_yet),
		TEST(an_answer_that_ends_the_connection),
		TEST(many_go_over_a_parked_one_is_closed),
		TEST(promised_time_goes_over),
		TEST(one_that_is_cut_off_is_closed),
		TEST(sources_are_counted_on),
		TEST(broken_streams),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
