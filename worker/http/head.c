/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/http/head.h"

#include <string.h>

#include "shared/base/assert.h"
#include "worker/http/parser_library.h"

/* Methods that both libraries know and nobody here does are METHOD_OTHER. llhttp also knows methods
 * of other protocols; those are beyond the end of this table. */
static const enum method methods[] = {
	[HTTP_DELETE] = METHOD_DELETE,
	[HTTP_GET] = METHOD_GET,
	[HTTP_HEAD] = METHOD_HEAD,
	[HTTP_POST] = METHOD_POST,
	[HTTP_PUT] = METHOD_PUT,
	[HTTP_CONNECT] = METHOD_OTHER,
	[HTTP_OPTIONS] = METHOD_OPTIONS,
	[HTTP_TRACE] = METHOD_TRACE,
	[HTTP_COPY... HTTP_UNSUBSCRIBE] = METHOD_OTHER,
	[HTTP_PATCH] = METHOD_PATCH,
	[HTTP_PURGE... HTTP_SOURCE] = METHOD_OTHER,
};

void http_head_init(void)
{
	parser_library_init();
}

/* "http://host/path" means "/path": old proxies write it so. */
static struct str without_authority(struct str target)
{
	const char *slash, *mark, *end = target.p + target.n;

	if (target.n > 7 && strncasecmp(target.p, "http://", 7) == 0) {
		mark = memchr(target.p + 7, '?',
		              target.n - 7); /* a slash behind it is not the path's */
		slash = memchr(target.p + 7, '/',
		               (size_t)((mark != NULL ? mark : end) - target.p - 7));
		return slash == NULL ? STR("/") : str_make(slash, (size_t)(end - slash));
	}
	return target;
}

static void set_target(struct request *rq, struct str target)
{
	const char *mark = target.n > 0 ? memchr(target.p, '?', target.n) : NULL;

	rq->target = target;
	rq->path = mark == NULL ? target : str_make(target.p, (size_t)(mark - target.p));
	rq->query = mark == NULL ? (struct str){ NULL, 0 }
	                         : str_make(mark + 1, (size_t)(target.p + target.n - mark - 1));
}

static int on_headers(parser_state *parser)
{
	struct request *rq = parser->data;

	rq->keep_alive = parser_keep_alive(parser);
	rq->keep_alive_asked = (parser->flags & F_CONNECTION_KEEP_ALIVE) != 0;
	return 0;
}

static const parser_callbacks callbacks = { .on_headers_complete = on_headers };

static void show(parser_state *parser, const char *data, size_t n)
{
	parser_feed(parser, &callbacks, data, n);
}

/* The library is not shown the path: it would only look for bytes that the strict scan refuses,
 * and llhttp also for those over 0x7f, which clients do send. */
static void show_request_line(parser_state *parser, const char *head, const struct head_scan *hc,
                              size_t line)
{
	const char *target = head + hc->target.at, *rest = target + hc->target.n;

	show(parser, head, (size_t)((*target == '/' ? target + 1 : rest) - head));
	show(parser, rest, line - (size_t)(rest - head));
}

/* Once the library has refused something it takes no more, so what follows need not be left out. */
static void show_lines(parser_state *parser, const char *head, const struct head_scan *hc)
{
	size_t line = hc->target.at + hc->target.n + STR(" HTTP/1.1\r\n").n;

	show_request_line(parser, head, hc, line);
	if (hc->framings > HEAD_FRAMING_MAX) {
		show(parser, head + line, hc->length - line);
		return;
	}
	for (uint32_t i = 0; i < hc->framings; i++)
		show(parser, head + hc->framing[i].at, hc->framing[i].n);
	show(parser, head + hc->length - 2, 2);
}

int http_head_parse(const char *head, const struct head_scan *hc, struct request *rq)
{
	parser_state parser;
	unsigned error;

	ROSTER_ASSERT(hc->length > hc->target.at + hc->target.n);
	parser_init(&parser, &callbacks);
	parser.data = rq;
	show_lines(&parser, head, hc);
	error = parser_error(&parser);
	if (error == HPE_INVALID_METHOD || parser.method >= sizeof(methods) / sizeof(methods[0]))
		return 501;
	if (error != HPE_OK)
		return 400;
	rq->method = methods[parser.method];
	rq->method_text = str_make(head, hc->method.n);
	rq->http_1_0 = hc->minor == 0;
	set_target(rq, without_authority(str_make(head + hc->target.at, hc->target.n)));
	rq->host = head_scan_value(hc, head, HEAD_HOST);
	rq->user_agent = head_scan_value(hc, head, HEAD_USER_AGENT);
	rq->client_version = head_scan_value(hc, head, HEAD_CLIENT_VERSION);
	rq->accept = head_scan_value(hc, head, HEAD_ACCEPT);
	rq->content_type = head_scan_value(hc, head, HEAD_CONTENT_TYPE);
	rq->origin = head_scan_value(hc, head, HEAD_ORIGIN);
	rq->cors_method = head_scan_value(hc, head, HEAD_CORS_METHOD);
	rq->cors_headers = head_scan_value(hc, head, HEAD_CORS_HEADERS);
	return 0;
}
