/* SPDX-License-Identifier: Apache-2.0 */
/* params.h - parameters of the endpoints that read them by themselves (specification 1.2): form and
 * query, trimmed, and read again with `encoding` when a request has one.
 *
 * router_prepare() has made them. What refuses a value answers 400 and returns false. */
#ifndef WORKER_V1_PARAMS_H
#define WORKER_V1_PARAMS_H

#include "worker/http/request.h"

#define REQUEST_PARAMS_MAX 256

/* Parameter, last of equal names; unset when absent. Well-formed UTF-8, but for what is to be read
 * again (`encoding`). */
struct str request_param(const struct request *rq, struct str name);
/* The same, always well-formed UTF-8: what is stored or shown as it came. */
struct str request_text(struct request *rq, struct str name);
/* Optional (specification 1.2): absent, empty or blank gives fallback; re-read with `encoding`;
 * trimmed. */
struct str request_optional(struct request *rq, const char *name, struct str fallback);
/* Required: absent or empty answers 400 "Param '<name>' is required." and returns false; blank
 * becomes "". */
bool request_required(struct request *rq, const char *name, struct str *value_r);
/* The grouped service name, as request_required() reads a parameter. */
bool request_any_service(struct request *rq, struct str *name_r);
/* The same, and of the right format (2.2). */
bool request_service(struct request *rq, struct str *name_r);
/* namespaceId, default "public". */
struct str request_namespace(struct request *rq);
/* parseInt / parseDouble of specification 1.2: answers 400 `For input string: "x"` and returns
 * false. */
bool request_int(struct request *rq, struct str text, int32_t *value_r);
bool request_double(struct request *rq, struct str text, double *value_r);

#endif
