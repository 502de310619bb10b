/* SPDX-License-Identifier: Apache-2.0 */
/* utf8.h - is a text well-formed UTF-8, and what does Java make of it? */
#ifndef CODEC_UTF8_H
#define CODEC_UTF8_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/arena.h"
#include "shared/base/err.h"
#include "shared/base/str.h"

/* No overlong forms, no surrogates, nothing over U+10FFFF. */
bool utf8_valid(struct str s);
/* A well-formed text, as Java decodes one: U+FFFD for each byte that is not part of a sequence, one for what could have
 * become a sequence and for a surrogate. The text itself when there is none, else a copy in the arena. Pauses (fiber.h).
 * ERR_NOMEM, ERR_GONE. */
int utf8_repair(struct arena *arena, struct str s, struct str *out_r) MUST_CHECK;
/* String.hashCode() of a well-formed text: 31-polynomial over its UTF-16 units. */
uint32_t utf8_java_hash(struct str s);

#endif
