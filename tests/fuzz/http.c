/* SPDX-License-Identifier: Apache-2.0 */
/* Head scan, head parser and chunked decoder: whole and in pieces, and against the parser
 * library. */
#include "shared/base/buf.h"
#include "tests/fuzz/fuzz.h"
#include "worker/http/chunked.h"
#include "worker/http/head.h"
#include "worker/http/parser_library.h"

#define BODY_MAX 4096U

static const struct head_limits limits = { .head_bytes = 8192, .line_bytes = 4096, .headers = 40 };

/* Byte by byte; long inputs in longer pieces, so that none takes long. */
static size_t step_of(size_t size)
{
	return size / 1000 + 1;
}

/* ---- head ------------------------------------------------------------------------------------ */

/* What was accepted ends every line with CR LF and has neither alone, and no zero byte. */
static void check_lines(const char *head, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		FUZZ_CHECK(head[i] != '\0');
		FUZZ_CHECK(head[i] != '\n' || (i > 0 && head[i - 1] == '\r'));
		FUZZ_CHECK(head[i] != '\r' || (i + 1 < n && head[i + 1] == '\n'));
	}
	FUZZ_CHECK(n > 4 && memcmp(head + n - 4, "\r\n\r\n", 4) == 0);
}

/* Known before the line ends: a line with another fault too may be refused for either. */
static bool too_long(int status)
{
	return status == 414 || status == 431;
}

static void check_pieces(const char *data, size_t size, const struct head_scan *whole,
                         enum head_verdict verdict)
{
	enum head_verdict split = HEAD_MORE;
	size_t front = 0; /* empty lines taken away */
	struct head_scan hc;

	head_scan_reset(&hc);
	for (size_t n = 0; split == HEAD_MORE && n < size;) {
		n += step_of(size);
		n = n < size ? n : size;
		front += head_scan_skip(&hc, data + front, n - front);
		if (n > front)
			split = head_scan_feed(&hc, data + front, n - front, &limits);
	}
	FUZZ_CHECK(split == verdict);
	FUZZ_CHECK(hc.status == whole->status || too_long(hc.status) || too_long(whole->status));
	if (verdict == HEAD_DONE)
		FUZZ_CHECK(memcmp(&hc, whole, sizeof(hc)) == 0);
}

static bool inside(struct str s, const char *data, size_t n)
{
	return !str_is_set(s) || (s.p >= data && s.p + s.n <= data + n);
}

/* The path never comes out of what stands behind the first question mark. */
static void check_path(const char *target, size_t n, struct str path)
{
	const char *mark = memchr(target, '?', n);

	FUZZ_CHECK(mark == NULL || path.p < mark || path.p >= target + n);
}

static int on_head(parser_state *parser)
{
	bool *keep_alive = parser->data;

	*keep_alive = parser_keep_alive(parser);
	return 0;
}

/* The library is shown some of the lines and must judge as if it had seen all. */
static void check_judgement(const char *data, const struct head_scan *hc, const struct request *rq,
                            int status)
{
	static const parser_callbacks callbacks = { .on_headers_complete = on_head };
	bool keep_alive = false;
	parser_state parser;

	parser_init(&parser, &callbacks);
	parser.data = &keep_alive;
	parser_feed(&parser, &callbacks, data, hc->length);
	FUZZ_CHECK((parser_error(&parser) == HPE_OK && parser.method <= HTTP_SOURCE) ==
	           (status == 0));
	FUZZ_CHECK(status != 0 || rq->keep_alive == keep_alive);
}

/* ref: the same bytes for the library. */
static bool check_request(const char *data, const char *ref, const struct head_scan *hc)
{
	struct request rq = { 0 };
	int status = http_head_parse(data, hc, &rq);

	check_judgement(ref, hc, &rq, status);
	if (status != 0) {
		FUZZ_CHECK(status == 400 || status == 501);
		return false;
	}
	FUZZ_CHECK(rq.target.n > 0 && rq.target.n <= limits.line_bytes);
	FUZZ_CHECK(rq.path.n > 0 && memchr(rq.path.p, '?', rq.path.n) == NULL);
	check_path(data + hc->target.at, hc->target.n, rq.path);
	FUZZ_CHECK(!str_is_set(rq.query) || rq.query.n + rq.path.n + 1 == rq.target.n);
	FUZZ_CHECK(inside(rq.host, data, hc->length) && inside(rq.user_agent, data, hc->length));
	FUZZ_CHECK(inside(rq.query, data, hc->length) && inside(rq.method_text, data, hc->length));
	return true;
}

/* ---- body ------------------------------------------------------------------------------------ */

/* What the parser library makes of the same bytes. */
struct reference {
	struct buf body;
	bool chunked, whole;
	uint64_t length;
	size_t end;
};

static int on_headers(parser_state *parser)
{
	struct reference *ref = parser->data;

	ref->chunked = (parser->flags & F_CHUNKED) != 0;
	ref->length = parser->content_length;
	return 0;
}

static int on_body(parser_state *parser, const char *at, size_t n)
{
	struct reference *ref = parser->data;

	buf_put(&ref->body, at, n);
	return 0;
}

static int on_end(parser_state *parser)
{
	struct reference *ref = parser->data;

	ref->whole = true;
	return parser_pause(parser);
}

static void read_reference(const char *data, size_t size, struct reference *ref)
{
	static const parser_callbacks callbacks = {
		.on_headers_complete = on_headers,
		.on_body = on_body,
		.on_message_complete = on_end,
	};
	parser_state parser;

	memset(ref, 0, sizeof(*ref));
	buf_init(&ref->body);
	parser_init(&parser, &callbacks);
	parser.data = ref;
	ref->end = parser_feed(&parser, &callbacks, data, size);
}

/* As the connection does it: what is not whole closes up to what is decoded. Returns the bytes of
 * the request. */
static enum chunked_verdict feed_pieces(struct chunked *ch, char *data, size_t start, size_t size,
                                        size_t *used_r)
{
	enum chunked_verdict verdict = CHUNKED_MORE;
	size_t have = start, gaps = 0;

	chunked_begin(ch, start);
	while (verdict == CHUNKED_MORE && have + gaps < size) {
		have += step_of(size);
		if (have + gaps > size)
			have = size - gaps;
		verdict = chunked_feed(ch, data, have, BODY_MAX);
		if (verdict == CHUNKED_MORE) {
			size_t gap = ch->in - ch->out;

			memmove(data + ch->out, data + ch->in, size - gaps - ch->in);
			gaps += gap;
			have -= gap;
			ch->in = ch->out;
		}
	}
	*used_r = ch->in + gaps;
	return verdict;
}

static void check_chunked(const struct head_scan *hc, const uint8_t *input, size_t size,
                          const struct reference *ref)
{
	struct chunked whole, split = { 0 };
	enum chunked_verdict verdict;
	char *one = malloc(size), *two = malloc(size);
	size_t used = 0;

	FUZZ_CHECK(one != NULL && two != NULL);
	memcpy(one, input, size);
	memcpy(two, input, size);
	chunked_begin(&whole, hc->length);
	verdict = chunked_feed(&whole, one, size, BODY_MAX);
	FUZZ_CHECK(whole.start == hc->length && whole.out >= whole.start && whole.out <= whole.in &&
	           whole.in <= size);
	FUZZ_CHECK(whole.out - whole.start <= BODY_MAX);
	FUZZ_CHECK(memcmp(one, input, hc->length) == 0);
	if (size > hc->length) {
		FUZZ_CHECK(feed_pieces(&split, two, hc->length, size, &used) == verdict);
		FUZZ_CHECK(verdict != CHUNKED_BAD || split.status == whole.status);
	}
	if (verdict == CHUNKED_DONE) {
		struct str body = str_make(one + whole.start, whole.out - whole.start);

		FUZZ_CHECK(used == whole.in && split.out == whole.out &&
		           memcmp(two, one, whole.out) == 0);
		/* The library reads a Content-Length in the trailer, and llhttp extensions of
		 * chunks; here nobody does. */
		FUZZ_CHECK(ref->whole || whole.trailers > 0 ||
		           memchr(input + hc->length, ';', size - hc->length) != NULL);
		FUZZ_CHECK(!ref->whole ||
		           (ref->end == whole.in && str_eq(buf_view(&ref->body), body)));
	}
	free(one);
	free(two);
}

static void check_body(const struct head_scan *hc, const uint8_t *input, const char *same,
                       size_t size)
{
	struct reference ref;

	read_reference(same, size, &ref);
	FUZZ_CHECK(ref.chunked == hc->chunked && !(hc->chunked && hc->has_length));
	if (hc->has_length)
		FUZZ_CHECK(ref.length == hc->content_length);
	if (hc->chunked)
		check_chunked(hc, input, size, &ref);
	else if (hc->content_length <= size - hc->length)
		FUZZ_CHECK(ref.whole && ref.end == hc->length + hc->content_length);
	buf_free(&ref.body);
}

/* A copy of the input in which a path has no byte over 0x7f: here they are let through, llhttp
 * refuses them. */
static char *for_library(const uint8_t *input, size_t size, const struct head_scan *hc)
{
	char *copy = malloc(size), *target = copy + hc->target.at;

	FUZZ_CHECK(copy != NULL);
	memcpy(copy, input, size);
	for (uint32_t i = 0; *target == '/' && i < hc->target.n; i++)
		target[i] = (char)(target[i] & 0x80 ? 'x' : target[i]);
	return copy;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	const char *data = (const char *)input;
	enum head_verdict verdict;
	struct head_scan hc;
	size_t front;
	char *same;

	http_head_init();
	head_scan_reset(&hc);
	front = head_scan_skip(&hc, data, size);
	FUZZ_CHECK(front == 2U * hc.empty && hc.empty <= HEAD_EMPTY_MAX && front <= size);
	if (front == size)
		return 0;
	verdict = head_scan_feed(&hc, data + front, size - front, &limits);
	check_pieces(data, size, &hc, verdict);
	data += front;
	input += front;
	size -= front;
	if (verdict == HEAD_BAD)
		FUZZ_CHECK(hc.status >= 400 && hc.status < 600);
	if (verdict != HEAD_DONE)
		return 0;
	FUZZ_CHECK(hc.length <= size && hc.length <= limits.head_bytes &&
	           hc.headers <= limits.headers);
	check_lines(data, hc.length);
	same = for_library(input, size, &hc);
	if (check_request(data, same, &hc))
		check_body(&hc, input, same, size);
	free(same);
	return 0;
}
