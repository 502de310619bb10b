/* SPDX-License-Identifier: Apache-2.0 */
/* Each body is fed whole and byte by byte. */
#include "tests/unit/http_fixture.h"

#include "worker/http/chunked.h"

#define MAX_BODY 64

struct row {
	const char *name, *raw;
	int status; /* 0: good, -1: more needed */
	const char *body;
	size_t left; /* bytes behind the end */
};

#define LONG "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X62 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static const struct row rows[] = {
	{ "empty", "0\r\n\r\n", 0, "", 0 },
	{ "one", "3\r\nabc\r\n0\r\n\r\n", 0, "abc", 0 },
	{ "two", "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\nGET", 0, "abcde", 3 },
	{ "hex of both cases", "a\r\n0123456789\r\nB\r\n0123456789a\r\n000\r\n\r\n", 0,
	  "01234567890123456789a", 0 },
	{ "longest extension", "3;" LONG LONG LONG X62 "\r\nabc\r\n0\r\n\r\n", 0, "abc", 0 },
	{ "extension one longer", "3;" LONG LONG LONG X62 "x\r\nabc\r\n0\r\n\r\n", 400, NULL, 0 },
	{ "extension", "3;a=b\r\nabc\r\n0;c\r\n\r\n", 0, "abc", 0 },
	{ "trailer", "1\r\na\r\n0\r\nX: y\r\nZ: w\r\n\r\n", 0, "a", 0 },
	{ "not whole", "3\r\nab", -1, NULL, 0 },
	{ "no end", "3\r\nabc\r\n", -1, NULL, 0 },

	{ "no size", "\r\nabc\r\n0\r\n\r\n", 400, NULL, 0 },
	{ "no digit", "x\r\nabc", 400, NULL, 0 },
	{ "sign", "+3\r\nabc\r\n", 400, NULL, 0 },
	{ "minus", "-3\r\nabc\r\n", 400, NULL, 0 },
	{ "0x", "0x3\r\nabc\r\n", 400, NULL, 0 },
	{ "blank before", " 3\r\nabc\r\n", 400, NULL, 0 },
	{ "blank behind", "3 \r\nabc\r\n", 400, NULL, 0 },
	{ "bare LF after the size", "3\nabc\r\n", 400, NULL, 0 },
	{ "CR and no LF after the size", "3\rXabc\r\n0\r\n\r\n", 400, NULL, 0 },
	{ "data too long", "3\r\nabcd\r\n0\r\n\r\n", 400, NULL, 0 },
	{ "bare LF after the data", "3\r\nabc\n0\r\n\r\n", 400, NULL, 0 },
	{ "other bytes after the data", "3\r\nabcZZ0\r\n\r\n", 400, NULL, 0 },
	{ "size wraps 64 bits", "10000000000000003\r\nabc\r\n", 400, NULL, 0 },
	{ "size of 64 bits", "ffffffffffffffff\r\nabc\r\n", 400, NULL, 0 },
	{ "size of 9 digits", "100000003\r\nabc\r\n", 400, NULL, 0 },
	{ "control byte in the extension", "3;\x01\r\nabc\r\n", 400, NULL, 0 },
	{ "long extension", "3;" LONG LONG LONG LONG LONG "\r\nabc\r\n", 400, NULL, 0 },
	{ "trailer without a colon", "0\r\nGET / HTTP/1.1\r\n\r\n", 400, NULL, 0 },
	{ "folded trailer", "0\r\nA: b\r\n c: d\r\n\r\n", 400, NULL, 0 },
	{ "blank before the colon of a trailer", "0\r\nA : b\r\n\r\n", 400, NULL, 0 },
	{ "bare LF in the trailer", "0\r\nA: b\n\r\n", 400, NULL, 0 },
	{ "one chunk over the limit", "41\r\n", 413, NULL, 0 },
	{ "sum over the limit", "40\r\n" LONG "\r\n1\r\n", 413, NULL, 0 },
};

static int run(const char *raw, size_t step, char *data, struct chunked *ch)
{
	size_t n = strlen(raw);

	strcpy(data, "HEAD");
	strcat(data, raw);
	chunked_begin(ch, 4);
	for (size_t have = 4 + step;; have += step) {
		enum chunked_verdict verdict =
		        chunked_feed(ch, data, have < n + 4 ? have : n + 4, MAX_BODY);

		if (verdict == CHUNKED_BAD)
			return ch->status;
		if (verdict == CHUNKED_DONE)
			return 0;
		if (have >= n + 4)
			return -1;
	}
}

static void check(const struct row *row, size_t step)
{
	struct chunked ch;
	char data[1024];
	int status = run(row->raw, step, data, &ch);

	if (status != row->status)
		fail_msg("%s by %zu: want %d, got %d", row->name, step, row->status, status);
	if (status != 0)
		return;
	if (ch.out - ch.start != strlen(row->body) ||
	    memcmp(data + 4, row->body, ch.out - ch.start) != 0)
		fail_msg("%s by %zu: body %.*s", row->name, step, (int)(ch.out - ch.start),
		         data + 4);
	assert_int_equal(strlen(row->raw) + 4 - ch.in, row->left);
}

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		check(&rows[i], 1);
		check(&rows[i], 3);
		check(&rows[i], 1000);
	}
}

static void test_trailers_end(void **state)
{
	struct chunked ch;
	char raw[512] = "0\r\n", data[1024];

	(void)state;
	for (unsigned i = 0; i < CHUNKED_TRAILERS_MAX; i++)
		strcat(raw, "A: b\r\n");
	assert_int_equal(run(raw, 1000, data, &ch), -1);
	strcat(raw, "A: b\r\n");
	assert_int_equal(run(raw, 1000, data, &ch), 400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_trailers_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
