/* SPDX-License-Identifier: Apache-2.0 */
/* form.h - the form in the body of a request (specification 1.2): is there one, and in which
 * charset?
 *
 * The charset is the last `charset` parameter of the Content-Type, in any case, bare or in quotes;
 * UTF-8 without one. It is applied to each value after percent decoding. UTF-16, in which a form
 * cannot be cut, and charsets that are not known are refused: a text that was stored wrongly does
 * not become right again. */
#ifndef WORKER_V1_FORM_H
#define WORKER_V1_FORM_H

#include <stdbool.h>

#include "shared/codec/charset.h"
#include "worker/http/request.h"

/* Returns unset when there is no form. */
struct str form_text(const struct request *rq);
/* Returns false when the request was answered with 400. */
bool form_charset(struct request *rq, const struct charset **charset_r);

#endif
