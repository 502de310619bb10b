/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/v1/reply.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/base/cursor.h"
#include "shared/base/fiber.h"
#include "shared/codec/json_read.h"
#include "shared/codec/json_write.h"
#include "shared/metrics/metrics.h"
#include "worker/http/answer.h"
#include "worker/v1/media.h"
#include "worker/v1/routes.h"
#include "worker/v1/v1.h"

/* Chooses the type of a text answer: what the client likes best, or text/plain. */
static void negotiate_text(const struct request *rq, struct answer *answer)
{
	answer->type = media_concrete(rq->accept, STR("text/plain"));
	answer->charset = !media_is_json(answer->type);
}

/* ---- answers of handlers --------------------------------------------------------------------- */

void reply_text(struct request *rq, int status, struct str text)
{
	struct answer answer = { .status = status };

	negotiate_text(rq, &answer);
	answer_put(rq, &answer, text);
}

void reply_ok(struct request *rq)
{
	reply_text(rq, 200, STR("ok"));
}

/* Returns false when the request was answered. */
static bool accepts_json(struct request *rq)
{
	if (media_accepts_json(rq->accept))
		return true;
	reply_caused(rq, 500, "Could not find acceptable representation");
	return false;
}

static struct answer json_answer(struct str headers)
{
	return (struct answer){
		.status = 200, .type = STR("application/json"), .chunked = true, .headers = headers
	};
}

static void put_json(struct request *rq, struct str headers, struct str a, struct str b,
                     struct str c)
{
	struct answer answer = json_answer(headers);

	if (accepts_json(rq))
		answer_parts(rq, &answer, a, b, c);
}

void reply_json(struct request *rq, struct str a, struct str b, struct str c)
{
	put_json(rq, (struct str){ NULL, 0 }, a, b, c);
}

static void give_json(struct request *rq, struct str a, struct buf *b, struct str c)
{
	struct answer answer = json_answer((struct str){ NULL, 0 });

	if (accepts_json(rq))
		answer_give(rq, &answer, a, b, c);
}

void reply_json_buf(struct request *rq, struct str a, struct buf *b, struct str c)
{
	if (buf_failed(b))
		reply_caused(rq, 503, "out of memory");
	else if (b->len < ANSWER_LONG)
		put_json(rq, (struct str){ NULL, 0 }, a, buf_view(b), c);
	else if (fiber_pause() == 0) /* sending takes a turn of its own */
		give_json(rq, a, b, c);
	buf_free(b);
}

void reply_json_headers(struct request *rq, struct str headers, struct str body)
{
	put_json(rq, headers, body, (struct str){ NULL, 0 }, (struct str){ NULL, 0 });
}

/* Formats into the request's arena. Returns unset when memory is refused. */
__attribute__((format(printf, 2, 0))) static struct str
format_text(struct request *rq, const char *format, va_list args)
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

#define CAUSE "caused: "
#define CAUSE_END ";"

static size_t cause_bytes(struct str message)
{
	return message.n > 0 ? sizeof(CAUSE) - 1 + message.n + sizeof(CAUSE_END) - 1 : 0;
}

static void put_cause(struct cursor *c, struct str message)
{
	if (message.n > 0) {
		CURSOR_LIT(c, CAUSE);
		cursor_put(c, message);
		CURSOR_LIT(c, CAUSE_END);
	}
}

void reply_caused2(struct request *rq, int status, struct str a, struct str b)
{
	size_t n = cause_bytes(a) + cause_bytes(b);
	char *text = arena_alloc(&rq->arena, n);
	struct cursor c;

	ROSTER_ASSERT(status >= 400); /* else nothing was caused */
	if (text == NULL) {
		reply_text(rq, 503, STR(CAUSE "out of memory" CAUSE_END));
		return;
	}
	c = cursor_over(text, n);
	put_cause(&c, a);
	put_cause(&c, b);
	reply_text(rq, status, cursor_text(&c));
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
	reply_caused(rq, 500,
	             "Required request parameter '%s' for method parameter type %s is not present",
	             name, type);
}

void reply_as(struct request *rq, struct str type, struct str body)
{
	struct answer answer = {
		.status = 200, .kind = ANSWER_WHOLE, .type = type, .chunked = true
	};

	answer_put(rq, &answer, body);
}

void reply_limit(struct request *rq, const char *key, uint64_t limit, bool by_itself)
{
	metric_add(METRIC_LIMIT_REFUSED, 1);
	/* What is too long or too big is the client's fault; a full node is not. */
	reply_caused(rq, by_itself ? 400 : 503, "%s reached: %" PRIu64, key, limit);
}

void reply_registry_error(struct request *rq, int err, struct str service, struct str cluster)
{
	const struct route *route = v1_request(rq)->route;
	const struct refusal *refused = &rq->worker->registry.refused;

	ROSTER_ASSERT(err < 0);
	switch (err) {
	case ERR_SERVICE_NAME:
		reply_caused(
		        rq, 400,
		        "dom name can only have these characters: 0-9a-zA-Z-._:, current: %.*s",
		        reply_shown(service), service.n > 0 ? service.p : "");
		break;
	case ERR_CLUSTER_NAME:
		reply_caused(
		        rq, 400,
		        "cluster name can only have these characters: 0-9a-zA-Z-, current: %.*s",
		        reply_shown(cluster), cluster.n > 0 ? cluster.p : "");
		break;
	case ERR_LIMIT:
		reply_limit(rq, registry_limit_key(refused->which), refused->limit,
		            refused->by_itself);
		break;
	case ERR_ANSWER:
		reply_limit(rq, "http.memory", rq->worker->proc->config.http_memory_bytes, false);
		break;
	case ERR_TOO_BIG:
		reply_caused(rq, 400, "a text is longer than %u bytes", JSON_TEXT_MAX);
		break;
	case ERR_OWNER:
		ROSTER_ASSERT(route != NULL && (route->flags & ROUTE_WRITES) != 0);
		metric_add(METRIC_OWNER_REFUSED, 1);
		reply_caused(rq, 403, "instances.owner: %s was registered from another address",
		             (route->flags & ROUTE_SERVICES) != 0 ? "an instance of the service"
		                                                  : "the instance");
		break;
	case ERR_FULL:
		metric_add(METRIC_FULL_REFUSED, 1);
		reply_caused(rq, 503, "segment.limit reached: %" PRIu64,
		             rq->worker->registry.seg->bytes);
		break;
	default:
		reply_caused(rq, 500, "%s", err_str(err));
		break;
	}
}

void reply_over_limit(struct request *rq, const char *key, uint64_t limit, uint64_t retry_after_s)
{
	struct answer answer = { .status = 429, .retry_after_s = retry_after_s };
	char text[160];
	int n = snprintf(text, sizeof(text), "caused: %s reached: %" PRIu64 ";", key, limit);

	ROSTER_ASSERT(n > 0 && (size_t)n < sizeof(text));
	negotiate_text(rq, &answer);
	answer_put(rq, &answer, str_make(text, (size_t)n));
}

/* ---- error pages ----------------------------------------------------------------------------- */

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
	buf_printf(b, "<html><body><h1>Whitelabel Error Page</h1><p>status %d: %s</p><p>", status,
	           answer_reason(status));
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
	buf_printf(b, "{\"timestamp\":\"%s.%03u+00:00\"", time_text, (unsigned)(now_ms % 1000));
	JSON_PUT_I64(b, "status", status);
	JSON_PUT_STRING(b, "error", str_of(answer_reason(status)));
	JSON_PUT_STRING(b, "message", message);
	JSON_PUT_STRING(b, "path", rq->path);
	buf_char(b, '}');
}

static void error_page(struct request *rq, int status, struct str message, enum answer_kind kind)
{
	struct answer answer = {
		.status = status, .kind = kind, .type = STR("application/json"), .chunked = true
	};
	struct buf body;

	ROSTER_ASSERT(status >= 400);
	buf_init(&body);
	if (media_accepts_html(rq->accept)) {
		answer.type = STR("text/html");
		answer.charset = true;
		answer.chunked = false;
		html_page(&body, status, message);
	} else {
		json_page(&body, rq, status, message);
	}
	if (buf_failed(&body))
		rq->output.bytes->failed = true;
	answer_put(rq, &answer, buf_view(&body));
	buf_free(&body);
}

void reply_error_page(struct request *rq, int status, struct str message)
{
	error_page(rq, status, message, ANSWER_WHOLE);
}

void reply_bare(struct request *rq, int status, struct str body)
{
	struct answer answer = { .status = status, .kind = ANSWER_BARE };

	answer_put(rq, &answer, body);
}

void reply_early_page(struct request *rq, int status, const char *format, ...)
{
	struct str message;
	va_list args;

	va_start(args, format);
	message = format_text(rq, format, args);
	va_end(args);
	error_page(rq, status, message, ANSWER_BARE);
}
