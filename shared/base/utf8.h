/* SPDX-License-Identifier: Apache-2.0 */
/* utf8.h - is a text well-formed UTF-8, and what does Java make of it? */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/arena.h"
#include "shared/base/err.h"
#include "shared/base/str.h"

/* Is the text well-formed? It has no overlong forms, no surrogates, and nothing over U+10FFFF
 * then. */
bool utf8_valid(struct str s);
/* Gives a well-formed text as Java decodes one: U+FFFD for each byte that is not part of a
 * sequence, one for what could have become a sequence and for a surrogate. That is the text itself
 * when there is none, else a copy in the arena. Pauses (fiber.h). ERR_NOMEM, ERR_GONE. */
int utf8_repair(struct arena *arena, struct str s, struct str *out_r) MUST_CHECK;
/* Returns String.hashCode() of a well-formed text: the 31-polynomial over its UTF-16 units. */
uint32_t utf8_java_hash(struct str s);

#endif
