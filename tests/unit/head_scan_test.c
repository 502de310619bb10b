/* SPDX-License-Identifier: Apache-2.0 */
/* Every head here is fed whole and byte by byte: the verdict must be the same. */
#include "tests/unit/http_fixture.h"

#include <stdio.h>

#include "worker/http/head_scan.h"
#include "worker/http/head.h"

#define H "Host: a\r\n"
#define GET "GET /nacos HTTP/1.1\r\n"
#define END "\r\n"

static const struct head_limits limits = { .head_bytes = 400, .line_bytes = 120, .headers = 6 };

struct row {
	const char *name, *head;
	int status; /* 0: good */
};

#define X40 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static const struct row rows[] = {
	{ "plain", GET H END, 0 },
	{ "no host in 1.0", "GET /nacos HTTP/1.0\r\n" END, 0 },
	{ "one host in 1.0", "GET /nacos HTTP/1.0\r\n" H END, 0 },
	{ "empty host", GET "Host:\r\n" END, 0 },
	{ "tab in a value", GET H "A: b\tc\r\n" END, 0 },
	{ "high bytes in a value", GET H "A: \xe4\xb8\xad\r\n" END, 0 },
	{ "raw JSON in the target", "GET /nacos?a={\"x\":[1]}|^`<>\\ HTTP/1.1\r\n" H END, 0 },
	{ "raw UTF-8 in the target", "GET /nacos?a=\xe4\xb8\xad HTTP/1.1\r\n" H END, 0 },
	{ "absolute target", "GET http://a:80/nacos HTTP/1.1\r\n" H END, 0 },
	{ "length", "PUT / HTTP/1.1\r\n" H "Content-Length: 12\r\n" END, 0 },
	{ "chunked", "PUT / HTTP/1.1\r\n" H "Transfer-Encoding: CHUNKED\r\n" END, 0 },
	{ "upgrade is ignored", GET H "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n" END,
	  0 },

	{ "two lengths that differ",
	  "PUT / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 2\r\n" END, 400 },
	{ "two lengths in one", "PUT / HTTP/1.1\r\n" H "Content-Length: 1, 1\r\n" END, 400 },
	{ "length and chunked",
	  "PUT / HTTP/1.1\r\n" H "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n" END, 400 },
	{ "chunked and length",
	  "PUT / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n" END, 400 },
	{ "xchunked", "PUT / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n" END, 400 },
	{ "chunked, identity",
	  "PUT / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, identity\r\n" END, 400 },
	{ "two codings",
	  "PUT / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" END,
	  400 },
	{ "vertical tab before chunked",
	  "PUT / HTTP/1.1\r\n" H "Transfer-Encoding: \vchunked\r\n" END, 400 },
	{ "chunked in 1.0", "PUT / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n" END, 400 },
	{ "begins like a coding", "PUT / HTTP/1.1\r\n" H "Transfer-Encoding.: chunked\r\n" END,
	  400 },
	{ "signed length", "PUT / HTTP/1.1\r\n" H "Content-Length: +1\r\n" END, 400 },
	{ "negative length", "PUT / HTTP/1.1\r\n" H "Content-Length: -1\r\n" END, 400 },
	{ "hex length", "PUT / HTTP/1.1\r\n" H "Content-Length: 0x1\r\n" END, 400 },
	{ "empty length", "PUT / HTTP/1.1\r\n" H "Content-Length:\r\n" END, 400 },
	{ "length past 64 bits",
	  "PUT / HTTP/1.1\r\n" H "Content-Length: 99999999999999999999\r\n" END, 413 },
	{ "bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400 },
	{ "bare LF after a header", GET "Host: a\n\r\n", 400 },
	{ "bare LF at the end", GET H "\n", 400 },
	{ "bare CR in a value", GET H "A: b\rc\r\n" END, 400 },
	{ "CR CR LF", GET H "A: b\r\r\n" END, 400 },
	{ "folded line", GET H "A: b\r\n c\r\n" END, 400 },
	{ "folded by a tab", GET H "A: b\r\n\tc\r\n" END, 400 },
	{ "first header folded", GET " A: b\r\n" H END, 400 },
	{ "blank before the colon", GET H "Content-Length : 1\r\n" END, 400 },
	{ "no colon", GET H "Abc\r\n" END, 400 },
	{ "empty name", GET H ": b\r\n" END, 400 },
	{ "comma in a name", GET H "A,b: c\r\n" END, 400 },
	{ "no host", GET END, 400 },
	{ "two hosts", GET H H END, 400 },
	{ "two hosts in 1.0", "GET / HTTP/1.0\r\n" H H END, 400 },
	{ "third empty line first", "\r\n" GET H END, 400 }, /* the two before it are taken away */
	{ "0.9", "GET /nacos\r\n", 400 },
	{ "2.0", "GET / HTTP/2.0\r\n" H END, 505 },
	{ "1.2", "GET / HTTP/1.2\r\n" H END, 505 },
	{ "two-digit version", "GET / HTTP/1.11\r\n" H END, 400 },
	{ "lower-case protocol", "GET / http/1.1\r\n" H END, 400 },
	{ "two blanks", "GET  / HTTP/1.1\r\n" H END, 400 },
	{ "blank in the target", "GET /a b HTTP/1.1\r\n" H END, 400 },
	{ "blank after the version", "GET / HTTP/1.1 \r\n" H END, 400 },
	{ "tab for a blank", "GET\t/ HTTP/1.1\r\n" H END, 400 },
	{ "fragment", "GET /a#b HTTP/1.1\r\n" H END, 400 },
	{ "DEL in the target", "GET /a\x7f HTTP/1.1\r\n" H END, 400 },
	{ "method with a colon", "G:T / HTTP/1.1\r\n" H END, 400 },
	{ "unknown expectation", GET H "Expect: x\r\n" END, 417 },
	{ "long request line", "GET /" X40 X40 X40 " HTTP/1.1\r\n" H END, 414 },
	{ "long header line", GET H "A: " X40 X40 X40 "\r\n" END, 431 },
	{ "many headers", GET H "A: 1\r\nA: 2\r\nA: 3\r\nA: 4\r\nA: 5\r\nA: 6\r\n" END, 431 },
	{ "long head",
	  GET H "A: " X40 X40 "\r\nA: " X40 X40 "\r\nA: " X40 X40 "\r\nA: " X40 X40 "\r\nB: " X40
	        "\r\n" END,
	  431 },
};

static const struct head_limits wide = { 4096, 4096, 100 };

static int feed_whole(const char *head, size_t n, struct head_scan *hc)
{
	head_scan_reset(hc);
	switch (head_scan_feed(hc, head, n, &limits)) {
	case HEAD_DONE:
		return 0;
	case HEAD_BAD:
		return hc->status;
	default:
		return -1;
	}
}

static int feed_bytes(const char *head, size_t n)
{
	struct head_scan hc;

	head_scan_reset(&hc);
	for (size_t i = 1; i <= n; i++) {
		enum head_verdict verdict = head_scan_feed(&hc, head, i, &limits);

		if (verdict == HEAD_BAD)
			return hc.status;
		if (verdict == HEAD_DONE)
			return i == n && hc.length == n ? 0 : -2;
	}
	return -1;
}

static void test_rows(void **state)
{
	struct head_scan hc;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		size_t n = strlen(rows[i].head);
		int whole = feed_whole(rows[i].head, n, &hc), bytes = feed_bytes(rows[i].head, n);

		if (whole != rows[i].status || bytes != rows[i].status)
			fail_msg("%s: want %d, got %d whole and %d by bytes", rows[i].name,
			         rows[i].status, whole, bytes);
	}
}

/* A zero byte cannot stand in the table. */
static void test_zero_bytes(void **state)
{
	static const char value[] = GET H "A: b\0c\r\n" END,
	                  target[] = "GET /a\0b HTTP/1.1\r\n" H END;
	struct head_scan hc;

	(void)state;
	assert_int_equal(feed_whole(value, sizeof(value) - 1, &hc), 400);
	assert_int_equal(feed_whole(target, sizeof(target) - 1, &hc), 400);
}

/* Every control byte at every place of a value longer than a word. */
static void test_control_bytes(void **state)
{
	struct head_scan hc;
	char head[80];

	(void)state;
	for (int c = 0; c < 256; c++) {
		for (size_t at = 0; at < 17; at++) {
			int n = sprintf(head, GET H "A:aaaaaaaaaaaaaaaaa\r\n" END);
			bool good = (c >= ' ' && c != 0x7f) || c == '\t';
			int got;

			head[strlen(GET H) + 2 + at] = (char)c;
			got = feed_whole(head, (size_t)n, &hc);
			if ((got == 0) != good)
				fail_msg("byte %d at %zu: %d", c, at, got);
		}
	}
}

static void test_values(void **state)
{
	static const char head[] =
	        "PUT /nacos/v1/ns/instance?a=b HTTP/1.1\r\nhOST:  h:1 \r\nUser-Agent: u\r\nuser-agent: second\r\n"
	        "Client-Version: c\r\nCONTENT-LENGTH: 017\r\nOrigin: o\r\n\r\n";
	struct head_scan hc;
	struct request rq = { 0 };

	(void)state;
	http_head_init();
	head_scan_reset(&hc);
	assert_int_equal(head_scan_feed(&hc, head, sizeof(head) - 1, &wide), HEAD_DONE);
	assert_int_equal(hc.content_length, 17);
	assert_true(str_eq(head_scan_value(&hc, head, HEAD_HOST), STR("h:1")));
	assert_true(str_eq(head_scan_value(&hc, head, HEAD_USER_AGENT), STR("u")));
	assert_false(str_is_set(head_scan_value(&hc, head, HEAD_ACCEPT)));
	assert_int_equal(http_head_parse(head, &hc, &rq), 0);
	assert_int_equal(rq.method, METHOD_PUT);
	assert_true(rq.keep_alive);
	assert_true(str_eq(rq.path, STR("/nacos/v1/ns/instance")));
	assert_true(str_eq(rq.query, STR("a=b")));
	assert_true(str_eq(rq.client_version, STR("c")));
	assert_true(str_eq(rq.origin, STR("o")));
}

struct parse_row {
	const char *head;
	int status;
	enum method method;
	bool keep_alive;
	const char *path;
};

#define C "Connection: a\r\n"

static const struct parse_row parse_rows[] = {
	{ GET H END, 0, METHOD_GET, true, "/nacos" },
	{ GET H "Connection: close\r\n" END, 0, METHOD_GET, false, "/nacos" },
	{ "GET /nacos HTTP/1.0\r\n" END, 0, METHOD_GET, false, "/nacos" },
	{ "GET /nacos HTTP/1.0\r\nConnection: keep-alive\r\n" END, 0, METHOD_GET, true, "/nacos" },
	{ "PATCH /p HTTP/1.1\r\n" H END, 0, METHOD_PATCH, true, "/p" },
	{ "HEAD /p? HTTP/1.1\r\n" H END, 0, METHOD_HEAD, true, "/p" },
	{ "OPTIONS * HTTP/1.1\r\n" H END, 0, METHOD_OPTIONS, true, "*" },
	{ "TRACE /p HTTP/1.1\r\n" H END, 0, METHOD_TRACE, true, "/p" },
	{ "PROPFIND /p HTTP/1.1\r\n" H END, 0, METHOD_OTHER, true, "/p" },
	{ "GET http://h:8848/p?q HTTP/1.1\r\n" H END, 0, METHOD_GET, true, "/p" },
	{ "GET http://h HTTP/1.1\r\n" H END, 0, METHOD_GET, true, "/" },
	{ "GET http://h?a=/b HTTP/1.1\r\n" H END, 0, METHOD_GET, true, "/" },
	{ "GET http://h/p?a=/b HTTP/1.1\r\n" H END, 0, METHOD_GET, true, "/p" },
	{ GET H "Connection: Upgrade\r\nUpgrade: h2c\r\n" END, 0, METHOD_GET, true, "/nacos" },
	{ GET H "cONNECTION: a, Close\r\n" END, 0, METHOD_GET, false, "/nacos" },
	{ GET H "Proxy-Connection: close\r\n" END, 0, METHOD_GET, false, "/nacos" },
	{ GET "Connection: a\r\n" H "Connection: close\r\n" END, 0, METHOD_GET, false, "/nacos" },
	{ GET H C C "A: b\r\n" C C C "Connection: close\r\n" C END, 0, METHOD_GET, false,
	  "/nacos" },
	{ GET H C C C C C C C C "Connection: close\r\n" END, 0, METHOD_GET, false, "/nacos" },
	{ GET H "Connectiom: close\r\nCommection: close\r\n" END, 0, METHOD_GET, true, "/nacos" },
	{ "POST /p HTTP/1.1\r\n" H "Content-Length: 5\r\n" END, 0, METHOD_POST, true, "/p" },
	{ "POST /p HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n" END, 0, METHOD_POST, true,
	  "/p" },
	{ "GET /\xe4\xb8\xad HTTP/1.1\r\n" H END, 0, METHOD_GET, true, "/\xe4\xb8\xad" },
	{ "GET /p?a=\xe4\xb8\xad HTTP/1.1\r\n" H END, 0, METHOD_GET, true, "/p" },
	{ "GET /\xe4 HTTP/1.1\r\n" H C C C C C C "Connection: close\r\n" END, 0, METHOD_GET, false,
	  "/\xe4" },
	{ "FOO / HTTP/1.1\r\n" H END, 501, METHOD_GET, false, NULL },
	{ "SOURCE / HTTP/1.1\r\n" H END, 0, METHOD_OTHER, true, "/" },
	{ "QUERY / HTTP/1.1\r\n" H END, 501, METHOD_GET, false, NULL },
	{ "DESCRIBE / HTTP/1.1\r\n" H END, 501, METHOD_GET, false, NULL },
	{ "PRI * HTTP/1.1\r\n" H END, 501, METHOD_GET, false, NULL },
	{ "CONNECT h:80 HTTP/1.1\r\n" H END, 0, METHOD_OTHER, true, "h:80" },
	{ "GET nacos HTTP/1.1\r\n" H END, 400, METHOD_GET, false, NULL },
};

static void test_parse(void **state)
{
	(void)state;
	http_head_init();
	for (size_t i = 0; i < COUNT(parse_rows); i++) {
		const struct parse_row *row = &parse_rows[i];
		struct head_scan hc;
		struct request rq = { 0 };

		head_scan_reset(&hc);
		assert_int_equal(head_scan_feed(&hc, row->head, strlen(row->head), &wide),
		                 HEAD_DONE);
		if (http_head_parse(row->head, &hc, &rq) != row->status)
			fail_msg("status of %s", row->head);
		if (row->status == 0 &&
		    (rq.method != row->method || rq.keep_alive != row->keep_alive ||
		     !str_eq(rq.path, str_of(row->path))))
			fail_msg("%s: method %d keep_alive %d path %.*s", row->head, rq.method,
			         rq.keep_alive, (int)rq.path.n, rq.path.p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),          cmocka_unit_test(test_zero_bytes),
		cmocka_unit_test(test_control_bytes), cmocka_unit_test(test_values),
		cmocka_unit_test(test_parse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
