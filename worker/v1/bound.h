/* SPDX-License-Identifier: Apache-2.0 */
/* bound.h - parameters of the endpoints that the specification marks (S): there a framework binds
 * them, with its rules and its error texts (1.2).
 *
 * Values are not trimmed and not read again with `encoding`. Whoever returns false has answered the
 * request. */
#ifndef WORKER_V1_BOUND_H
#define WORKER_V1_BOUND_H

#include "worker/http/request.h"

/* An absent one is answered 500, an empty one is taken. */
bool bound_text(struct request *rq, const char *name, struct str *value_r);
/* Returns "" when it is absent. */
struct str bound_optional(struct request *rq, const char *name);
/* namespaceId: absent or empty is "public", a blank one is a name. */
struct str bound_namespace(struct request *rq);
/* These read a number that must be there and not be empty; the optional one only differs in the
 * text of the answer when it is absent. Blanks in it do not count. */
bool bound_int(struct request *rq, const char *name, int32_t *value_r);
bool bound_optional_int(struct request *rq, const char *name, int32_t *value_r);
/* An absent one is false. Else it is one of true, on, yes, 1 or false, off, no, 0, in any case and
 * with blanks around; anything else, also an empty one, is answered 500. */
bool bound_bool(struct request *rq, const char *name, bool *value_r);
/* An absent or empty one is 0. */
bool bound_float(struct request *rq, const char *name, float *value_r);

#endif
