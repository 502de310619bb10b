/* SPDX-License-Identifier: Apache-2.0 */
/* charset.h - texts of clients in other charsets than UTF-8: of the parameter `encoding`, of the
 * Content-Type of a form.
 *
 * A list of our own, as long as clients need: the C library finds converters by name, and a client
 * shall not choose the name. No charset with states (ISO-2022, UTF-7) is in it.
 *
 * A converter is a module that the C library maps into the process at the first use, once for all
 * texts: charset_load() does that for all of them, in the master before it forks: children may map
 * no code, and share the memory. What cannot be opened is unknown. Not thread-safe. */
#ifndef CODEC_CHARSET_H
#define CODEC_CHARSET_H

#include <stdbool.h>

#include "shared/base/arena.h"
#include "shared/base/err.h"
#include "shared/base/str.h"

struct charset;

extern const struct charset *const charset_utf8;

void charset_load(void);
/* Finds a charset by any of its names, in any case; NULL: unknown. */
const struct charset *charset_find(struct str name);
/* Are '&', '=', '%' and '+' these bytes and no others? Only then can a form be cut before it is
 * converted. */
bool charset_in_forms(const struct charset *charset);
/* Gives the text in well-formed UTF-8; what cannot be read becomes U+FFFD. It takes at most three
 * bytes for one, and points into the source or the arena. Pauses (fiber.h). ERR_NOMEM, ERR_GONE. */
int charset_decode(struct arena *arena, const struct charset *charset, struct str text,
                   struct str *out_r) MUST_CHECK;

#endif
