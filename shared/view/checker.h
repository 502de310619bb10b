/* SPDX-License-Identifier: Apache-2.0 */
/* checker.h - the health checker of a cluster (specification 6.2): client JSON in, one canonical
 * JSON text out.
 *
 * The text is what is stored, shown and read again: "type" first, then the fields of the type.
 * Unknown fields are ignored, an unknown type becomes NONE. Line breaks and zero bytes in path and
 * headers are refused, because they would end up in the requests of the checks. */
#ifndef VIEW_CHECKER_H
#define VIEW_CHECKER_H

#include <stdint.h>

#include "shared/base/arena.h"
#include "shared/base/err.h"
#include "shared/base/str.h"

enum checker_type { CHECKER_TCP, CHECKER_HTTP, CHECKER_MYSQL, CHECKER_NONE };

struct checker {
	enum checker_type type;
	struct str path, headers;  /* HTTP */
	int32_t expected;          /* HTTP: shown only */
	struct str user, pwd, cmd; /* MYSQL; unset: not given */
};

/* Reads the JSON; an unset or empty text is TCP. ERR_SYNTAX: why is what the parser says;
 * ERR_RANGE: a text has a line break; else the other codes of json_read(). Texts point into the
 * source or the arena. */
int checker_parse(struct arena *arena, struct str text, struct checker *checker_r, char *why,
                  size_t why_size) MUST_CHECK;
/* Writes the canonical text into the arena. It is unset for TCP, which is not stored. */
int checker_text(struct arena *arena, const struct checker *checker, struct str *text_r) MUST_CHECK;

#endif
