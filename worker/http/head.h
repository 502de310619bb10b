/* SPDX-License-Identifier: Apache-2.0 */
/* head.h - a scanned head becomes a request, with the help of the parser library
 * (parser_library.h).
 *
 * head_scan.h has found lines, known headers and the length of the body; the library judges the
 * method, a target that is no path and whether the connection persists. It is shown only the
 * request line without the path and the lines it acts upon: reading the whole head a second time
 * was half of the instructions of a small request. */
#ifndef WORKER_HTTP_HEAD_H
#define WORKER_HTTP_HEAD_H

#include "worker/http/head_scan.h"
#include "worker/http/request.h"

/* Is called once, before the first head. Lifts the library's own limit on the size of a head,
 * because http.head is checked before. */
void http_head_init(void);
/* Fills the request line and headers of rq with views into head. Returns 0, or the status to refuse
 * with. */
int http_head_parse(const char *head, const struct head_scan *hc, struct request *rq);

#endif
