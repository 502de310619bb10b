/* SPDX-License-Identifier: Apache-2.0 */
/* reply.h - answers that no handler gives: of the router and of the connection. The handlers' are in request.h.
 *
 * "Early" answers come from before the end of the filter chain and lack its headers (specification 1.1);
 * "container" pages are HTML and come from before the application. */
#ifndef WORKER_HTTP_REPLY_H
#define WORKER_HTTP_REPLY_H

#include "worker/http/request.h"

/* The error page without the headers of the filter chain. */
void reply_early_page(struct request *rq, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The body without a content type and without the headers of the filter chain. */
void reply_bare(struct request *rq, int status, struct str body);
void reply_container_page(struct request *rq, int status);
/* 302 from the context path, which a page with relative links cannot stand at, to the same with a slash and the query. */
void reply_redirect(struct request *rq, struct str context);
/* 200 to OPTIONS: no body, the methods in Allow; to "OPTIONS *" all of them. */
void reply_options(struct request *rq, struct str methods);
/* 200 with what was asked for, or 403 "Invalid CORS request": cors.h. */
void reply_preflight(struct request *rq);
/* 429 with Retry-After, "caused: <key> reached: <limit>;". */
void reply_over_limit(struct request *rq, const char *key, uint64_t limit, uint64_t retry_after_s);
/* The same for a connection that is not read from, with "Connection: close". */
void reply_refuse_source(struct buf *out, const char *key, uint64_t limit, uint64_t retry_after_s);
/* For a request that never became one: an HTML page with "Connection: close". */
void reply_refuse(struct buf *out, int status);

#endif
