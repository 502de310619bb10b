/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/http/answer.h"

#include <stdio.h>
#include <time.h>

#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/base/cursor.h"
#include "shared/metrics/metrics.h"
#include "worker/http/cors.h"
#include "worker/http/protocol.h"
#include "worker/http/request.h"
#include "worker/worker.h"

#define CRLF "\r\n"
#define LAST_CHUNK "0" CRLF CRLF
#define HEAD_BYTES 640U /* of a head at most, without the texts that others give */
#define ALL_METHODS "GET, HEAD, POST, PUT, DELETE, OPTIONS"

static const struct status {
	int code;
	struct str line; /* with the line end */
	const char *reason;
} statuses[] = {
#define ROW(code, reason) \
	{ \
		code, STR("HTTP/1.1 " #code " " reason CRLF), reason \
	}
	ROW(200, "OK"),
	ROW(302, "Found"),
	ROW(400, "Bad Request"),
	ROW(403, "Forbidden"),
	ROW(404, "Not Found"),
	ROW(405, "Method Not Allowed"),
	ROW(408, "Request Timeout"),
	ROW(409, "Conflict"),
	ROW(413, "Payload Too Large"),
	ROW(414, "URI Too Long"),
	ROW(417, "Expectation Failed"),
	ROW(429, "Too Many Requests"),
	ROW(431, "Request Header Fields Too Large"),
	ROW(501, "Not Implemented"),
	ROW(503, "Service Unavailable"),
	ROW(505, "HTTP Version Not Supported"),
	ROW(500, "Internal Server Error"), /* last: stands for what is not listed */
#undef ROW
};

#define STATUSES (sizeof(statuses) / sizeof(statuses[0]))

static const struct str vary_headers =
        STR("Vary: Origin" CRLF "Vary: Access-Control-Request-Method" CRLF
            "Vary: Access-Control-Request-Headers" CRLF);

/* ---- head ------------------------------------------------------------------------------------ */

static const struct status *status_of(int code)
{
	for (size_t i = 0; i < STATUSES - 1; i++) {
		if (statuses[i].code == code)
			return &statuses[i];
	}
	return &statuses[STATUSES - 1];
}

#define DATE_TEXT 37U

/* A pure function of the second, kept because every answer asks for it. */
static struct str date_header(void)
{
	static uint64_t kept_second;
	static char kept[DATE_TEXT + 1];
	uint64_t second = clock_wall_ms() / 1000;

	if (second != kept_second) {
		time_t at = (time_t)second;
		struct tm tm;

		gmtime_r(&at, &tm);
		strftime(kept, sizeof(kept), "Date: %a, %d %b %Y %H:%M:%S GMT" CRLF, &tm);
		kept_second = second;
	}
	return str_make(kept, DATE_TEXT);
}

/* The line before a chunk of that many bytes. */
static void put_chunk_size(struct buf *out, size_t n)
{
	char line[18];
	unsigned at = sizeof(line) - 2;

	memcpy(line + at, CRLF, 2);
	do {
		line[--at] = "0123456789abcdef"[n & 15];
		n >>= 4;
	} while (n != 0);
	buf_put(out, line + at, sizeof(line) - at);
}

/* A protocol may answer with a status that is not in the table. */
static void put_status_line(struct cursor *head, const struct status *status, int code)
{
	if (status->code == code) {
		cursor_put(head, status->line);
		return;
	}
	CURSOR_LIT(head, "HTTP/1.1 ");
	cursor_decimal(head, (uint64_t)code);
	CURSOR_LIT(head, " " CRLF);
}

static void put_origin(struct cursor *head, const struct request *rq)
{
	CURSOR_LIT(head, "Access-Control-Allow-Origin: ");
	cursor_put(head, rq->origin);
	CURSOR_LIT(head, CRLF "Access-Control-Allow-Credentials: true" CRLF);
}

/* What was asked for. */
static void put_grant(struct cursor *head, const struct request *rq)
{
	put_origin(head, rq);
	CURSOR_LIT(head, "Access-Control-Allow-Methods: ");
	cursor_put(head, rq->cors_method);
	if (str_is_set(rq->cors_headers)) {
		CURSOR_LIT(head, CRLF "Access-Control-Allow-Headers: ");
		cursor_put(head, rq->cors_headers);
	}
	CURSOR_LIT(head, CRLF);
	cursor_put(head, rq->worker->protocol->grant_headers);
}

static void put_browser_headers(struct cursor *head, const struct request *rq,
                                const struct answer *answer)
{
	if (answer->kind == ANSWER_BARE)
		return;
	cursor_put(head, vary_headers);
	if (answer->kind == ANSWER_PREFLIGHT) {
		if (answer->granted)
			put_grant(head, rq);
		return;
	}
	if (str_is_set(rq->origin) && cors_shows(rq->worker->proc->config.http_cors, rq->origin))
		put_origin(head, rq);
	cursor_put(head, rq->worker->protocol->headers);
}

static void put_content_headers(struct cursor *head, const struct answer *answer)
{
	if (str_is_set(answer->allow)) {
		CURSOR_LIT(head, "Allow: ");
		cursor_put(head, answer->allow);
		CURSOR_LIT(head, CRLF);
	}
	if (str_is_set(answer->type)) {
		CURSOR_LIT(head, "Content-Type: ");
		cursor_put(head, answer->type);
		cursor_put(head, answer->charset ? STR(";charset=UTF-8" CRLF) : STR(CRLF));
	}
	if (answer->retry_after_s != 0) {
		CURSOR_LIT(head, "Retry-After: ");
		cursor_decimal(head, answer->retry_after_s);
		CURSOR_LIT(head, CRLF);
	}
	if (answer->headers.n > 0)
		cursor_put(head, answer->headers);
	if (answer->chunked) {
		CURSOR_LIT(head, "Transfer-Encoding: chunked" CRLF);
	} else if (answer->status != 204) { /* that has no body and says nothing about it */
		CURSOR_LIT(head, "Content-Length: ");
		cursor_decimal(head, answer->length);
		CURSOR_LIT(head, CRLF);
	}
}

const char *answer_reason(int status)
{
	return status_of(status)->reason;
}

static void count_status(int status)
{
	if (status >= 500)
		metric_add(METRIC_HTTP_5XX, 1);
	else if (status >= 400)
		metric_add(METRIC_HTTP_4XX, 1);
}

static size_t head_bytes(const struct request *rq, const struct answer *answer)
{
	size_t n = HEAD_BYTES + rq->origin.n + rq->cors_method.n + rq->cors_headers.n +
	           answer->type.n + answer->allow.n + answer->headers.n;

	if (answer->kind != ANSWER_BARE)
		n += rq->worker->protocol->headers.n + rq->worker->protocol->grant_headers.n;
	return n;
}

/* Puts everything up to the blank line. Returns false when there is no memory. */
static bool put_head(struct request *rq, struct answer *answer)
{
	const struct status *status = status_of(answer->status);
	struct buf *out = rq->output.bytes;
	struct cursor head;

	ROSTER_ASSERT(!rq->answered);
	rq->answered = true;
	rq->status = answer->status;
	count_status(answer->status);
	if (answer->status >= 400 && !rq->close_after)
		rq->close_after = rq->worker->protocol->ends_connection(answer->status);
	if (rq->http_1_0 || rq->method == METHOD_HEAD)
		answer->chunked = false;
	if (!buf_reserve(out, head_bytes(rq, answer)))
		return false;
	head = cursor_over(out->data + out->len, out->cap - out->len);
	put_status_line(&head, status, answer->status);
	put_browser_headers(&head, rq, answer);
	put_content_headers(&head, answer);
	cursor_put(&head, date_header());
	if (rq->close_after || !rq->keep_alive)
		CURSOR_LIT(&head, "Connection: close" CRLF);
	else if (rq->keep_alive_asked)
		cursor_put(&head, keep_alive_lines(&rq->worker->keep_alive));
	CURSOR_LIT(&head, CRLF);
	out->len += cursor_text(&head).n;
	return true;
}

/* Puts the head, and the line before the chunk that the body is. Returns false when no body is to
 * follow. */
static bool answer_begin_body(struct request *rq, struct answer *answer, size_t length)
{
	answer->length = length;
	if (!put_head(rq, answer) || rq->method == METHOD_HEAD)
		return false;
	if (answer->chunked && length > 0)
		put_chunk_size(rq->output.bytes, length);
	return true;
}

static struct str end_of_body(const struct answer *answer)
{
	if (!answer->chunked)
		return STR("");
	return answer->length > 0 ? STR(CRLF LAST_CHUNK) : STR(LAST_CHUNK);
}

void answer_put(struct request *rq, struct answer *answer, struct str body)
{
	if (!answer_begin_body(rq, answer, body.n))
		return;
	buf_str(rq->output.bytes, body);
	buf_str(rq->output.bytes, end_of_body(answer));
}

/* b stays where it is; what comes behind it goes into the arena. Returns false when there is no
 * memory for that. */
static bool borrow(struct request *rq, struct str b, struct str c, struct str end)
{
	char *room = arena_alloc(&rq->arena, c.n + end.n + 1);
	struct cursor tail;

	if (room == NULL)
		return false;
	tail = cursor_over(room, c.n + end.n);
	cursor_put(&tail, c);
	cursor_put(&tail, end);
	output_borrow(&rq->output, b);
	output_borrow(&rq->output, cursor_text(&tail));
	return true;
}

void answer_parts(struct request *rq, struct answer *answer, struct str a, struct str b,
                  struct str c)
{
	struct buf *out = rq->output.bytes;

	if (!answer_begin_body(rq, answer, a.n + b.n + c.n))
		return;
	buf_str(out, a);
	if (b.n >= ANSWER_LONG && borrow(rq, b, c, end_of_body(answer)))
		return;
	buf_str(out, b);
	buf_str(out, c);
	buf_str(out, end_of_body(answer));
}

void answer_give(struct request *rq, struct answer *answer, struct str a, struct buf *b,
                 struct str c)
{
	if (!answer_begin_body(rq, answer, a.n + b->len + c.n))
		return;
	buf_str(rq->output.bytes, a);
	buf_str(b, c);
	buf_str(b, end_of_body(answer));
	output_own(&rq->output, b);
}

/* ---- answers of the server itself ------------------------------------------------------------ */

void answer_preflight(struct request *rq)
{
	struct answer granted = { .status = 200, .kind = ANSWER_PREFLIGHT, .granted = true };
	struct answer refused = { .status = 403, .kind = ANSWER_PREFLIGHT };

	if (cors_grants(rq->worker->proc->config.http_cors, rq->origin))
		answer_put(rq, &granted, STR(""));
	else
		answer_put(rq, &refused, STR("Invalid CORS request"));
}

/* Returns a header line, or unset when there is no memory. */
static struct str location(struct request *rq, struct str context)
{
	struct str query = str_is_set(rq->query) ? rq->query : STR(""),
	           mark = str_is_set(rq->query) ? STR("?") : STR("");
	size_t n = context.n + query.n + 32;
	char *room = arena_alloc(&rq->arena, n);
	struct cursor line;

	if (room == NULL)
		return (struct str){ NULL, 0 };
	line = cursor_over(room, n);
	CURSOR_LIT(&line, "Location: ");
	cursor_put(&line, context);
	CURSOR_LIT(&line, "/");
	cursor_put(&line, mark);
	cursor_put(&line, query);
	CURSOR_LIT(&line, CRLF);
	return cursor_text(&line);
}

void answer_redirect(struct request *rq, struct str context)
{
	struct answer answer = { .status = 302,
		                 .kind = ANSWER_BARE,
		                 .headers = location(rq, context) };

	if (!str_is_set(answer.headers))
		answer.status = 503;
	answer_put(rq, &answer, STR(""));
}

void answer_page(struct request *rq, int status)
{
	struct answer answer = { .status = status,
		                 .kind = ANSWER_BARE,
		                 .type = STR("text/html;charset=utf-8") };
	char page[256];
	int n = snprintf(
	        page, sizeof(page),
	        "<!doctype html><html lang=\"en\"><head><title>HTTP Status %d</title></head>"
	        "<body><h1>HTTP Status %d: %s</h1></body></html>",
	        status, status, answer_reason(status));

	ROSTER_ASSERT(n > 0 && (size_t)n < sizeof(page));
	if (status == 405)
		answer.allow = STR(ALL_METHODS);
	answer_put(rq, &answer, str_make(page, (size_t)n));
}

void answer_options(struct request *rq, struct str methods)
{
	struct answer answer = { .status = 200, .allow = methods };

	if (str_eq(rq->path, STR("*"))) {
		answer.kind = ANSWER_BARE;
		answer.allow = STR(ALL_METHODS);
	}
	answer_put(rq, &answer, STR(""));
}

void answer_refuse(struct buf *out, int status)
{
	struct request rq = { .output = { .bytes = out }, .close_after = true };

	answer_page(&rq, status);
}
