/* SPDX-License-Identifier: Apache-2.0 */
/* cursor.h - a text that is put together piece by piece, in room that was reckoned before.
 *
 * Whoever has reckoned too little is stopped before a byte stands beyond the room (ROSTER_ASSERT).
 * What grows with its text is a buf (buf.h). */
#ifndef BASE_CURSOR_H
#define BASE_CURSOR_H

#include <stdint.h>
#include <string.h>

#include "shared/base/assert.h"
#include "shared/base/decimal.h"
#include "shared/base/str.h"

struct cursor {
	char *begin, *at;
	const char *end;
};

static inline struct cursor cursor_over(char *room, size_t n)
{
	return (struct cursor){ room, room, room + n };
}

static inline void cursor_put(struct cursor *c, struct str s)
{
	ROSTER_ASSERT(s.n <= (size_t)(c->end - c->at));
	if (s.n > 0)
		memcpy(c->at, s.p, s.n);
	c->at += s.n;
}

#define CURSOR_LIT(c, literal) cursor_put((c), STR(literal))

/* There is room for the largest number, whichever it is. */
static inline void cursor_decimal(struct cursor *c, uint64_t value)
{
	ROSTER_ASSERT(DECIMAL_TEXT <= (size_t)(c->end - c->at));
	c->at = decimal_put(c->at, value);
}

/* What was put so far. */
static inline struct str cursor_text(const struct cursor *c)
{
	return str_make(c->begin, (size_t)(c->at - c->begin));
}

#endif
