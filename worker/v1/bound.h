/* SPDX-License-Identifier: Apache-2.0 */
/* bound.h - parameters of the endpoints that the specification marks (S): bound by a framework there, with its
 * rules and its error texts (1.2).
 *
 * Values are not trimmed and not read again with `encoding`. False: answered. */
#ifndef WORKER_V1_BOUND_H
#define WORKER_V1_BOUND_H

#include "worker/http/request.h"

/* Absent: 500. Empty is taken. */
bool bound_text(struct request *rq, const char *name, struct str *value_r);
/* Absent gives "". */
struct str bound_optional(struct request *rq, const char *name);
/* namespaceId: absent or empty is "public", a blank one is a name. */
struct str bound_namespace(struct request *rq);
/* A number that must be there, and not be empty: the optional one only differs in the text when it is absent. Blanks in it do
 * not count. */
bool bound_int(struct request *rq, const char *name, int32_t *value_r);
bool bound_optional_int(struct request *rq, const char *name, int32_t *value_r);
/* Absent is false; true on yes 1, false off no 0 in any case, blanks around do not count; else, also when empty, 500. */
bool bound_bool(struct request *rq, const char *name, bool *value_r);
/* Absent or empty is 0. */
bool bound_float(struct request *rq, const char *name, float *value_r);

#endif
