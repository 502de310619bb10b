/* SPDX-License-Identifier: Apache-2.0 */
/* url.h - percent decoding and key=value lists of queries and forms (specification 1.2).
 *
 * '+' is a space. A '%' without two hexadecimal digits is an error in a query and in a single text;
 * in a form it stands for itself, since the Go client sends forms without escapes, and "100%" is an
 * ordinary text. Pairs lie in the arena; of a single text the view points into the source where
 * nothing had to be decoded. Of equal names the last wins; the caller adds the query after the
 * form, so that the query beats the form (design, answers of our own). Long texts are read with
 * pauses (fiber.h): ERR_GONE. */
#ifndef CODEC_URL_H
#define CODEC_URL_H

#include <stdbool.h>

#include "shared/base/arena.h"
#include "shared/base/err.h"
#include "shared/base/str.h"

struct url_param {
	struct str name, value;
};

/* Reads the pairs of a query, of which at most max are written; more is ERR_LIMIT. Returns the
 * count or ERR_SYNTAX, ERR_NOMEM. */
int url_params(struct arena *arena, struct str text, struct url_param *out,
               unsigned max) MUST_CHECK;
/* Reads the pairs of a form in the same way, but never returns ERR_SYNTAX. */
int url_form(struct arena *arena, struct str text, struct url_param *out, unsigned max) MUST_CHECK;
int url_decode(struct arena *arena, struct str text, bool plus_is_space,
               struct str *out_r) MUST_CHECK;

#endif
