/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes into requests: cut anywhere, kept, dropped, handed to another worker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/config/config.h"
#include "worker/http/input.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define PUT(headers) "PUT / HTTP/1.1\r\nHost: a\r\n" headers "\r\n\r\n"
#define CHUNKED PUT("Transfer-Encoding: chunked")

static int ends[2]; /* [0]: the client */
static struct buf shared;
static struct input in;
static struct config config;

static int set_up(void **state)
{
	(void)state;
	config.http_head_bytes = 8192;
	config.http_line_bytes = 4096;
	config.http_headers = 20;
	config.http_body_bytes = 1000;
	buf_init(&shared);
	input_init(&in, &shared);
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends);
}

static int tear_down(void **state)
{
	(void)state;
	input_free(&in);
	buf_free(&shared);
	close(ends[0]);
	close(ends[1]);
	return 0;
}

static void receive(const char *text, size_t n)
{
	assert_int_equal(send(ends[0], text, n, MSG_NOSIGNAL), n);
	assert_int_equal(input_receive(&in, ends[1]), n);
}

static void receive_text(const char *text)
{
	receive(text, strlen(text));
}

/* The next request is whole, has that body, and is passed. */
static void expect_request(const char *body)
{
	struct input_request next;

	assert_int_equal(input_next(&in, &config, &next), INPUT_REQUEST);
	assert_int_equal(next.body.n, strlen(body));
	assert_memory_equal(next.body.p, body, next.body.n);
	input_pass(&in, &next);
}

static void expect_more(bool expects)
{
	struct input_request next;

	assert_int_equal(input_next(&in, &config, &next), INPUT_MORE);
	assert_int_equal(next.expects, expects);
}

static void pipelined_requests_come_one_by_one(void **state)
{
	(void)state;
	receive_text(GET("/a") PUT("Content-Length: 3") "abc"
	                                                "GET /c");
	expect_request("");
	expect_request("abc");
	assert_true(input_is_left(&in));
	expect_more(false);
	input_keep_rest(&in, false);
	assert_int_equal(shared.len, 0);
	assert_int_equal(in.own.len, 6);
	assert_true(input_has_begun(&in));
	receive_text(" HTTP/1.1\r\nHost: a\r\n\r\n");
	expect_request("");
	assert_false(input_is_left(&in));
	input_keep_rest(&in, false);
	assert_int_equal(in.own.len, 0);
	assert_false(input_has_begun(&in));
}

static void nothing_and_the_end_are_different(void **state)
{
	(void)state;
	assert_int_equal(input_receive(&in, ends[1]), 0);
	expect_more(false);
	shutdown(ends[0], SHUT_WR);
	assert_int_equal(input_receive(&in, ends[1]), -1);
}

static void a_client_that_waits_is_noticed_once(void **state)
{
	(void)state;
	receive_text(PUT("Expect: 100-continue\r\nContent-Length: 2"));
	expect_more(true);
	input_keep_rest(&in, false);
	expect_more(false);
	receive_text("ab");
	expect_request("ab");
}

static void what_is_refused_has_a_status(void **state)
{
	static const struct {
		const char *text;
		int status;
	} rows[] = {
		{ "GET / HTTP/1.1\r\n\r\n", 400 },
		{ "\r\n\r\n\r\nGET", 400 },
		{ PUT("Content-Length: 1001"), 413 },
		{ CHUNKED "3e9\r\n", 413 },
		{ CHUNKED "x\r\n", 400 },
	};
	struct input_request next;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		input_init(&in, &shared);
		receive_text(rows[i].text);
		assert_int_equal(input_next(&in, &config, &next), INPUT_BAD);
		assert_int_equal(next.status, rows[i].status);
		assert_true(input_is_left(&in));
		input_keep_rest(&in, true);
		assert_false(input_is_left(&in));
		assert_int_equal(in.own.len, 0);
	}
}

/* Its texts stay where they are, and what is behind it is read afterwards. */
static void a_parked_request_keeps_its_buffer(void **state)
{
	struct input_request next;

	(void)state;
	receive_text(PUT("Content-Length: 3") "abc" PUT("Content-Length: 3") "def");
	assert_int_equal(input_next(&in, &config, &next), INPUT_REQUEST);
	input_pass(&in, &next);
	input_keep_all(&in);
	assert_null(shared.data);
	assert_memory_equal(next.body.p, "abc", 3);
	assert_true(next.body.p > in.own.data && next.body.p < in.own.data + in.own.len);
	expect_request("def");
	input_keep_rest(&in, false);
	assert_int_equal(in.own.len, 0);
}

/* Cut at each byte: the receiver needs nothing but the bytes. */
static void another_worker_goes_on(void **state)
{
	static const char text[] = CHUNKED "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: 1\r\n\r\n";

	(void)state;
	for (size_t cut = 1; cut < sizeof(text) - 1; cut++) {
		struct buf bytes;

		input_init(&in, &shared);
		buf_init(&bytes);
		receive(text, cut);
		expect_more(false);
		input_keep_rest(&in, false);
		input_as_sent(&in, &bytes);
		input_free(&in);
		input_init(&in, &shared);
		input_adopt(&in, &bytes);
		assert_null(bytes.data);
		expect_more(false);
		input_keep_rest(&in, false);
		receive(text + cut, sizeof(text) - 1 - cut);
		expect_request("abcde");
		input_keep_rest(&in, false);
		assert_int_equal(in.own.len, 0);
		input_free(&in);
	}
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pipelined_requests_come_one_by_one),  TEST(nothing_and_the_end_are_different),
		TEST(a_client_that_waits_is_noticed_once), TEST(what_is_refused_has_a_status),
		TEST(a_parked_request_keeps_its_buffer),   TEST(another_worker_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
