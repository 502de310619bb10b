/* SPDX-License-Identifier: Apache-2.0 */
/* media.h - the media types that a client accepts (the value of its Accept header), as the
 * framework of 1.4.8 reads them (specification 1.1): an absent value, an empty one and one that is
 * nothing but star-slash-star accept anything. */
#ifndef WORKER_V1_MEDIA_H
#define WORKER_V1_MEDIA_H

#include <stdbool.h>

#include "shared/base/str.h"

/* Returns the type without wildcards that has the highest quality, the first of equals, or
 * `otherwise` when there is none or anything is accepted. It is a view into accept, fit to be
 * written back. */
struct str media_concrete(struct str accept, struct str otherwise);
/* True for application/json and anything under application that ends in +json. */
bool media_is_json(struct str type);
bool media_accepts_json(struct str accept);
/* True only if the client names it; that it accepts anything is not enough. */
bool media_accepts_html(struct str accept);

#endif
