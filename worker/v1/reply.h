/* SPDX-License-Identifier: Apache-2.0 */
/* reply.h - the answers of Nacos 1.x (specification 1.1, 1.4): their texts, types and error pages,
 * in the frame of worker/http/answer.h.
 *
 * Each answers the request, once. "Early" answers come from before the end of the filter chain and
 * lack its headers. */
#ifndef WORKER_V1_REPLY_H
#define WORKER_V1_REPLY_H

#include "shared/base/buf.h"
#include "shared/base/err.h"
#include "worker/http/request.h"

/* Answers text/plain;charset=UTF-8, or the type that Accept asks for. */
void reply_text(struct request *rq, int status, struct str text);
void reply_ok(struct request *rq); /* "ok" */
/* application/json, chunked. `a` then `b` then `c` are written one after the other (any may be
 * unset). a and c are copied; b, when it is long, is borrowed: it stays as it is until the handler
 * returns or pauses. */
void reply_json(struct request *rq, struct str a, struct str b, struct str c);
/* The same of a buffer that is given away, however long it is: "out of memory" if it has failed.
 * Leaves *b empty. */
void reply_json_buf(struct request *rq, struct str a, struct buf *b, struct str c);
/* The same with further headers, each with its line end. */
void reply_json_headers(struct request *rq, struct str headers, struct str body);
/* Answers 200 with a type of its own, chunked. */
void reply_as(struct request *rq, struct str type, struct str body);
/* Shape A: "caused: <message>;" with status 400 or 500. */
void reply_caused(struct request *rq, int status, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
/* For "%.*s" of a text of the client in a message: as much of it as a request line may hold, in
 * whole characters. The text is cut before printf sees it, because what the C library leaves out
 * costs it more than what it prints. */
#define REPLY_SHOWN_MAX 65536U
static inline int reply_shown(struct str text)
{
	return (int)str_cut(text, REPLY_SHOWN_MAX).n;
}
/* Two elements: "caused: a;caused: b;". */
void reply_caused2(struct request *rq, int status, struct str a, struct str b);
/* Answers 500 as Spring does when a parameter of an (S) endpoint is missing. */
void reply_missing(struct request *rq, const char *name, const char *type);
/* Shape B: the error page, JSON or HTML by Accept. */
void reply_error_page(struct request *rq, int status, struct str message);
/* An error of the registry that has no text of its own in the handler: 503 full or limit ("caused:
 * limits.instances reached: 1000000;"), 400 names (2.2, 2.3), texts and pages that are too long,
 * 500 else. */
void reply_registry_error(struct request *rq, int err, struct str service, struct str cluster);
/* A limit was reached: 503, or 400 for what is too large by itself, however much room there is. */
void reply_limit(struct request *rq, const char *key, uint64_t limit, bool by_itself);

/* ---- answers that no handler gives ----------------------------------------------------------- */

/* The error page without the headers of the filter chain. */
void reply_early_page(struct request *rq, int status, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
/* Answers with the body, without a content type and without the headers of the filter chain. */
void reply_bare(struct request *rq, int status, struct str body);
/* Answers 429 with Retry-After and "caused: <key> reached: <limit>;". */
void reply_over_limit(struct request *rq, const char *key, uint64_t limit, uint64_t retry_after_s);

#endif
