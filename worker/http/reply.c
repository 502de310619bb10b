/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/http/reply.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "shared/base/clock.h"
#include "shared/base/fiber.h"
#include "shared/codec/json_read.h"
#include "shared/codec/json_write.h"
#include "shared/metrics/metrics.h"
#include "shared/process/process.h"
#include "worker/http/media.h"
#include "worker/v1/routes.h"
#include "worker/http/cors.h"
#include "worker/worker.h"

/* From here on a text is not copied behind its head but written from where it lies. */
#define BORROWED (16U * 1024U)

#define CRLF "\r\n"
#define LAST_CHUNK "0" CRLF CRLF
#define ALL_METHODS "GET, HEAD, POST, PUT, DELETE, OPTIONS"

static const struct status {
	int code;
	struct str line; /* with the line end */
	const char *reason;
	bool drops; /* the connection ends after it, specification 1.1 */
} statuses[] = {
#define ROW(code, reason, drops) \
	{ \
		code, STR("HTTP/1.1 " #code " " reason CRLF), reason, drops \
	}
	ROW(200, "OK", false),
	ROW(302, "Found", false),
	ROW(400, "Bad Request", true),
	ROW(403, "Forbidden", false),
	ROW(404, "Not Found", false),
	ROW(405, "Method Not Allowed", false),
	ROW(408, "Request Timeout", true),
	ROW(409, "Conflict", false),
	ROW(413, "Payload Too Large", true),
	ROW(414, "URI Too Long", true),
	ROW(417, "Expectation Failed", true),
	ROW(429, "Too Many Requests", false),
	ROW(431, "Request Header Fields Too Large", true),
	ROW(501, "Not Implemented", true),
	ROW(503, "Service Unavailable", true),
	ROW(505, "HTTP Version Not Supported", true),
	ROW(500, "Internal Server Error", true), /* last: stands for what is not listed */
#undef ROW
};

#define STATUSES (sizeof(statuses) / sizeof(statuses[0]))

static const struct str chain_headers =
        STR("Vary: Origin" CRLF "Vary: Access-Control-Request-Method" CRLF "Vary: Access-Control-Request-Headers" CRLF);
static const struct str security_header = STR("Content-Security-Policy: script-src 'self'" CRLF);

enum reply_kind {
	REPLY_CHAIN, /* passed the whole filter chain */
	REPLY_EARLY, /* did not */
	REPLY_CORS,  /* ended in the filter for foreign origins */
};

struct reply {
	int status;
	enum reply_kind kind;
	struct str type; /* unset: no content type */
	bool charset;
	bool chunked; /* else length is written */
	bool granted; /* a preflight */
	size_t length;
	struct str allow;       /* unset: not said */
	uint64_t retry_after_s; /* 0: not said */
	struct str headers;     /* further ones, each with its line end */
};

/* ---- head ---------------------------------------------------------------------- */

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

static char *add(char *at, struct str s)
{
	memcpy(at, s.p, s.n);
	return at + s.n;
}

#define ADD(at, literal) add((at), STR(literal))

static char *add_u64(char *at, uint64_t value)
{
	char digits[20];
	unsigned n = sizeof(digits);

	do {
		digits[--n] = (char)('0' + value % 10);
		value /= 10;
	} while (value != 0);
	return add(at, str_make(digits + n, sizeof(digits) - n));
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

/* A status that limitedUrlMap names need not be in the table. */
static char *add_status_line(char *at, const struct status *status, int code)
{
	if (status->code == code)
		return add(at, status->line);
	at = ADD(at, "HTTP/1.1 ");
	at = add_u64(at, (uint64_t)code);
	return ADD(at, " " CRLF);
}

static char *add_origin(char *at, const struct request *rq)
{
	at = ADD(at, "Access-Control-Allow-Origin: ");
	at = add(at, rq->origin);
	return ADD(at, CRLF "Access-Control-Allow-Credentials: true" CRLF);
}

/* What was asked for, for five hours as 1.4.8 would. */
static char *add_grant(char *at, const struct request *rq)
{
	at = add_origin(at, rq);
	at = ADD(at, "Access-Control-Allow-Methods: ");
	at = add(at, rq->cors_method);
	if (str_is_set(rq->cors_headers)) {
		at = ADD(at, CRLF "Access-Control-Allow-Headers: ");
		at = add(at, rq->cors_headers);
	}
	return ADD(at, CRLF "Access-Control-Max-Age: 18000" CRLF);
}

static char *add_filter_headers(char *at, const struct request *rq, const struct reply *reply)
{
	if (reply->kind == REPLY_EARLY)
		return at;
	at = add(at, chain_headers);
	if (reply->kind == REPLY_CORS)
		return reply->granted ? add_grant(at, rq) : at;
	if (str_is_set(rq->origin) && cors_shows(rq->worker->proc->config.http_cors, rq->origin))
		at = add_origin(at, rq);
	return add(at, security_header);
}

static char *add_content_headers(char *at, const struct reply *reply)
{
	if (str_is_set(reply->allow)) {
		at = ADD(at, "Allow: ");
		at = add(at, reply->allow);
		at = ADD(at, CRLF);
	}
	if (str_is_set(reply->type)) {
		at = ADD(at, "Content-Type: ");
		at = add(at, reply->type);
		at = reply->charset ? ADD(at, ";charset=UTF-8" CRLF) : ADD(at, CRLF);
	}
	if (reply->retry_after_s != 0) {
		at = ADD(at, "Retry-After: ");
		at = add_u64(at, reply->retry_after_s);
		at = ADD(at, CRLF);
	}
	if (reply->headers.n > 0)
		at = add(at, reply->headers);
	if (reply->chunked)
		return ADD(at, "Transfer-Encoding: chunked" CRLF);
	if (reply->status == 204) /* has no body and says nothing about its length */
		return at;
	at = ADD(at, "Content-Length: ");
	at = add_u64(at, reply->length);
	return ADD(at, CRLF);
}

static void count_status(int status)
{
	if (status >= 500)
		metric_add(METRIC_HTTP_5XX, 1);
	else if (status >= 400)
		metric_add(METRIC_HTTP_4XX, 1);
}

/* Everything up to the blank line. False: no memory; the connection notices by the buffer. */
static bool put_head(struct request *rq, struct reply *reply)
{
	const struct status *status = status_of(reply->status);
	struct buf *out = rq->output.bytes;
	char *at;

	ROSTER_ASSERT(!rq->answered);
	rq->answered = true;
	rq->status = reply->status;
	count_status(reply->status);
	if (status->drops && status->code == reply->status)
		rq->close_after = true;
	if (rq->http_1_0 || rq->method == METHOD_HEAD)
		reply->chunked = false;
	if (!buf_reserve(out, 640 + rq->origin.n + rq->cors_method.n + rq->cors_headers.n + reply->type.n + reply->allow.n +
	                              reply->headers.n))
		return false;
	at = add_status_line(out->data + out->len, status, reply->status);
	at = add_filter_headers(at, rq, reply);
	at = add_content_headers(at, reply);
	at = add(at, date_header());
	if (rq->close_after || !rq->keep_alive)
		at = ADD(at, "Connection: close" CRLF);
	else if (rq->keep_alive_asked)
		at = add(at, keep_alive_lines(&rq->worker->keep_alive));
	at = ADD(at, CRLF);
	out->len = (size_t)(at - out->data);
	return true;
}

/* Head and a body known as a whole. */
static void put_reply(struct request *rq, struct reply *reply, struct str body)
{
	reply->length = body.n;
	if (!put_head(rq, reply) || rq->method == METHOD_HEAD)
		return;
	if (!reply->chunked) {
		buf_str(rq->output.bytes, body);
		return;
	}
	if (body.n > 0) {
		put_chunk_size(rq->output.bytes, body.n);
		buf_str(rq->output.bytes, body);
		BUF_LIT(rq->output.bytes, CRLF);
	}
	BUF_LIT(rq->output.bytes, "0" CRLF CRLF);
}

/* The type of a text answer: what the client likes best, or text/plain. */
static void negotiate_text(const struct request *rq, struct reply *reply)
{
	reply->type = media_concrete(rq->accept, STR("text/plain"));
	reply->charset = !media_is_json(reply->type);
}

/* ---- answers of handlers ------------------------------------------------------------ */

void reply_text(struct request *rq, int status, struct str text)
{
	struct reply reply = { .status = status };

	negotiate_text(rq, &reply);
	put_reply(rq, &reply, text);
}

void reply_ok(struct request *rq)
{
	reply_text(rq, 200, STR("ok"));
}

/* Everything before the body. False: there is none to follow. */
static bool begin_json(struct request *rq, struct reply *reply)
{
	if (!media_accepts_json(rq->accept)) {
		reply_caused(rq, 500, "Could not find acceptable representation");
		return false;
	}
	if (!put_head(rq, reply) || rq->method == METHOD_HEAD)
		return false;
	if (reply->chunked && reply->length > 0)
		put_chunk_size(rq->output.bytes, reply->length);
	return true;
}

/* b stays where it is; what comes behind it goes into the arena. False: no memory for that. */
static bool borrow(struct request *rq, struct str b, struct str c, bool chunked)
{
	struct str end = chunked ? STR(CRLF LAST_CHUNK) : STR("");
	char *tail = arena_alloc(&rq->arena, c.n + end.n + 1);

	if (tail == NULL)
		return false;
	add(add(tail, c), end);
	output_borrow(&rq->output, b);
	output_borrow(&rq->output, str_make(tail, c.n + end.n));
	return true;
}

static void put_json(struct request *rq, struct str headers, struct str a, struct str b, struct str c)
{
	size_t total = a.n + b.n + c.n;
	struct reply reply = {
		.status = 200, .type = STR("application/json"), .chunked = true, .length = total, .headers = headers
	};

	if (!begin_json(rq, &reply))
		return;
	buf_str(rq->output.bytes, a);
	if (b.n < BORROWED || !borrow(rq, b, c, reply.chunked)) {
		buf_str(rq->output.bytes, b);
		buf_str(rq->output.bytes, c);
		if (reply.chunked)
			buf_str(rq->output.bytes, total > 0 ? STR(CRLF LAST_CHUNK) : STR(LAST_CHUNK));
	}
}

void reply_json(struct request *rq, struct str a, struct str b, struct str c)
{
	put_json(rq, (struct str){ NULL, 0 }, a, b, c);
}

/* b goes to the connection as it is: c and the end of the chunk are put behind it there. */
static void give_json(struct request *rq, struct str a, struct buf *b, struct str c)
{
	struct reply reply = { .status = 200, .type = STR("application/json"), .chunked = true, .length = a.n + b->len + c.n };

	if (!begin_json(rq, &reply))
		return;
	buf_str(rq->output.bytes, a);
	buf_str(b, c);
	if (reply.chunked)
		BUF_LIT(b, CRLF "0" CRLF CRLF);
	output_own(&rq->output, b);
}

void reply_json_buf(struct request *rq, struct str a, struct buf *b, struct str c)
{
	if (buf_failed(b))
		reply_caused(rq, 503, "out of memory");
	else if (b->len < BORROWED)
		put_json(rq, (struct str){ NULL, 0 }, a, buf_view(b), c);
	else if (fiber_pause() == 0) /* sending takes a turn of its own */
		give_json(rq, a, b, c);
	buf_free(b);
}

void reply_json_headers(struct request *rq, struct str headers, struct str body)
{
	put_json(rq, headers, body, (struct str){ NULL, 0 }, (struct str){ NULL, 0 });
}

/* Formatted into the request's arena; unset on refusal. */
__attribute__((format(printf, 2, 0))) static struct str format_text(struct request *rq, const char *format, va_list args)
{
	va_list again;
	char *text;
	int n;

	va_copy(again, args);
	n = vsnprintf(NULL, 0, format, args);
	text = n < 0 ? NULL : arena_alloc(&rq->arena, (size_t)n + 1);
	if (text != NULL)
		vsnprintf(text, (size_t)n + 1, format, again);
	va_end(again);
	return text == NULL ? (struct str){ NULL, 0 } : str_make(text, (size_t)n);
}

static void put_cause(char **at, struct str message)
{
	if (message.n > 0) {
		*at = ADD(*at, "caused: ");
		*at = add(*at, message);
		*at = ADD(*at, ";");
	}
}

void reply_caused2(struct request *rq, int status, struct str a, struct str b)
{
	char *text = arena_alloc(&rq->arena, a.n + b.n + 20), *at = text;

	if (text == NULL) {
		reply_text(rq, 503, STR("caused: out of memory;"));
		return;
	}
	put_cause(&at, a);
	put_cause(&at, b);
	reply_text(rq, status, str_make(text, (size_t)(at - text)));
}

void reply_caused(struct request *rq, int status, const char *format, ...)
{
	struct str message;
	va_list args;

	va_start(args, format);
	message = format_text(rq, format, args);
	va_end(args);
	reply_caused2(rq, status, message, STR(""));
}

void reply_missing(struct request *rq, const char *name, const char *type)
{
	reply_caused(rq, 500, "Required request parameter '%s' for method parameter type %s is not present", name, type);
}

void reply_as(struct request *rq, struct str type, struct str body)
{
	struct reply reply = { .status = 200, .kind = REPLY_CHAIN, .type = type, .chunked = true };

	put_reply(rq, &reply, body);
}

void reply_empty(struct request *rq, int status)
{
	struct reply reply = { .status = status, .kind = rq->route != NULL ? REPLY_CHAIN : REPLY_EARLY };

	put_reply(rq, &reply, STR(""));
}

/* Too long or too big is the client's fault; a full node is not. */
static int limit_status(const char *key)
{
	static const char *const keys[] = { "limits.name", "limits.metadata", "limits.page" };

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (strcmp(key, keys[i]) == 0)
			return 400;
	}
	return 503;
}

int reply_note_limit(struct request *rq, const char *key, uint64_t limit)
{
	rq->worker->registry.refused = (struct refusal){ key, limit };
	return ERR_LIMIT;
}

static void reply_limit(struct request *rq)
{
	const struct refusal *refused = &rq->worker->registry.refused;
	const char *key = refused->key != NULL ? refused->key : "limits";

	metric_add(METRIC_LIMIT_REFUSED, 1);
	reply_caused(rq, limit_status(key), "%s reached: %" PRIu64, key, refused->limit);
}

void reply_registry_error(struct request *rq, int err, struct str service, struct str cluster)
{
	switch (err) {
	case ERR_SERVICE_NAME:
		reply_caused(rq, 400, "dom name can only have these characters: 0-9a-zA-Z-._:, current: %.*s",
		             reply_shown(service), service.n > 0 ? service.p : "");
		break;
	case ERR_CLUSTER_NAME:
		reply_caused(rq, 400, "cluster name can only have these characters: 0-9a-zA-Z-, current: %.*s",
		             reply_shown(cluster), cluster.n > 0 ? cluster.p : "");
		break;
	case ERR_LIMIT:
		reply_limit(rq);
		break;
	case ERR_TOO_BIG:
		reply_caused(rq, 400, "a text is longer than %u bytes", JSON_TEXT_MAX);
		break;
	case ERR_OWNER:
		metric_add(METRIC_OWNER_REFUSED, 1);
		reply_caused(rq, 403, "instances.owner: %s was registered from another address",
		             (rq->route->flags & ROUTE_SERVICES) != 0 ? "an instance of the service" : "the instance");
		break;
	case ERR_FULL:
		metric_add(METRIC_FULL_REFUSED, 1);
		reply_caused(rq, 503, "segment.limit reached: %" PRIu64, rq->worker->registry.seg->bytes);
		break;
	default:
		reply_caused(rq, 500, "%s", err_str(err));
		break;
	}
}

void reply_over_limit(struct request *rq, const char *key, uint64_t limit, uint64_t retry_after_s)
{
	struct reply reply = { .status = 429, .retry_after_s = retry_after_s };
	char text[160];
	int n = snprintf(text, sizeof(text), "caused: %s reached: %" PRIu64 ";", key, limit);

	negotiate_text(rq, &reply);
	put_reply(rq, &reply, str_make(text, (size_t)n));
}

/* ---- error pages -------------------------------------------------------------------- */

static void html_escape(struct buf *b, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		switch (s.p[i]) {
		case '<':
			BUF_LIT(b, "&lt;");
			break;
		case '>':
			BUF_LIT(b, "&gt;");
			break;
		case '&':
			BUF_LIT(b, "&amp;");
			break;
		case '"':
			BUF_LIT(b, "&quot;");
			break;
		default:
			buf_char(b, s.p[i]);
		}
	}
}

static void html_page(struct buf *b, int status, struct str message)
{
	buf_printf(b, "<html><body><h1>Whitelabel Error Page</h1><p>status %d: %s</p><p>", status, status_of(status)->reason);
	html_escape(b, message);
	BUF_LIT(b, "</p></body></html>");
}

static void json_page(struct buf *b, const struct request *rq, int status, struct str message)
{
	uint64_t now_ms = clock_wall_ms();
	time_t second = (time_t)(now_ms / 1000);
	char time_text[24];
	struct tm tm;

	gmtime_r(&second, &tm);
	strftime(time_text, sizeof(time_text), "%Y-%m-%dT%H:%M:%S", &tm);
	buf_printf(b, "{\"timestamp\":\"%s.%03u+00:00\",\"status\":%d,\"error\":\"%s\",\"message\":", time_text,
	           (unsigned)(now_ms % 1000), status, status_of(status)->reason);
	json_string(b, message);
	BUF_LIT(b, ",\"path\":");
	json_string(b, rq->path);
	buf_char(b, '}');
}

static void error_page(struct request *rq, int status, struct str message, enum reply_kind kind)
{
	struct reply reply = { .status = status, .kind = kind, .type = STR("application/json"), .chunked = true };
	struct buf body;

	buf_init(&body);
	if (media_accepts_html(rq->accept)) {
		reply.type = STR("text/html");
		reply.charset = true;
		reply.chunked = false;
		html_page(&body, status, message);
	} else {
		json_page(&body, rq, status, message);
	}
	if (buf_failed(&body))
		rq->output.bytes->failed = true;
	put_reply(rq, &reply, buf_view(&body));
	buf_free(&body);
}

void reply_error_page(struct request *rq, int status, struct str message)
{
	error_page(rq, status, message, REPLY_CHAIN);
}

void reply_bare(struct request *rq, int status, struct str body)
{
	struct reply reply = { .status = status, .kind = REPLY_EARLY };

	put_reply(rq, &reply, body);
}

void reply_early_page(struct request *rq, int status, const char *format, ...)
{
	struct str message;
	va_list args;

	va_start(args, format);
	message = format_text(rq, format, args);
	va_end(args);
	error_page(rq, status, message, REPLY_EARLY);
}

void reply_preflight(struct request *rq)
{
	struct reply granted = { .status = 200, .kind = REPLY_CORS, .granted = true };
	struct reply refused = { .status = 403, .kind = REPLY_CORS };

	if (cors_grants(rq->worker->proc->config.http_cors, rq->origin))
		put_reply(rq, &granted, STR(""));
	else
		put_reply(rq, &refused, STR("Invalid CORS request"));
}

/* In the arena like format_text(). */
__attribute__((format(printf, 2, 3))) static struct str text_of(struct request *rq, const char *format, ...)
{
	struct str text;
	va_list args;

	va_start(args, format);
	text = format_text(rq, format, args);
	va_end(args);
	return text;
}

void reply_redirect(struct request *rq, struct str context)
{
	struct str query = str_is_set(rq->query) ? rq->query : STR("");
	struct reply reply = { .status = 302, .kind = REPLY_EARLY };

	reply.headers = text_of(rq, "Location: %.*s/%s%.*s" CRLF, (int)context.n, context.p, str_is_set(rq->query) ? "?" : "",
	                        (int)query.n, query.p);
	if (reply.headers.n == 0)
		reply.status = 503;
	put_reply(rq, &reply, STR(""));
}

void reply_container_page(struct request *rq, int status)
{
	struct reply reply = { .status = status, .kind = REPLY_EARLY, .type = STR("text/html;charset=utf-8") };
	char page[256];
	int n = snprintf(page, sizeof(page),
	                 "<!doctype html><html lang=\"en\"><head><title>HTTP Status %d</title></head>"
	                 "<body><h1>HTTP Status %d: %s</h1></body></html>",
	                 status, status, status_of(status)->reason);

	if (status == 405)
		reply.allow = STR(ALL_METHODS);
	put_reply(rq, &reply, str_make(page, (size_t)n));
}

void reply_options(struct request *rq, struct str methods)
{
	struct reply reply = { .status = 200, .kind = REPLY_CHAIN, .allow = methods };

	if (str_eq(rq->path, STR("*"))) {
		reply.kind = REPLY_EARLY;
		reply.allow = STR(ALL_METHODS);
	}
	put_reply(rq, &reply, STR(""));
}

void reply_refuse(struct buf *out, int status)
{
	struct request rq = { .output = { .bytes = out }, .close_after = true };

	reply_container_page(&rq, status);
}

void reply_refuse_source(struct buf *out, const char *key, uint64_t limit, uint64_t retry_after_s)
{
	struct request rq = { .output = { .bytes = out }, .close_after = true };

	reply_over_limit(&rq, key, limit, retry_after_s);
}
