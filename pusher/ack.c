/* SPDX-License-Identifier: Apache-2.0 */
#include "pusher/ack.h"

#include "shared/base/assert.h"

/* A cursor with a sticky error, which is looked at once, at the end. */
struct cursor {
	const char *p, *end;
	bool bad;
};

static void skip_blanks(struct cursor *c)
{
	while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\n' || *c->p == '\r'))
		c->p++;
}

static bool at(struct cursor *c, char what)
{
	skip_blanks(c);
	return c->p < c->end && *c->p == what;
}

static bool take_char(struct cursor *c, char what)
{
	if (!at(c, what))
		return false;
	c->p++;
	return true;
}

static void expect(struct cursor *c, char what)
{
	if (!take_char(c, what))
		c->bad = true;
}

/* Returns the raw text between the quotes. Escapes are not resolved: nobody escapes a number. */
static struct str take_string(struct cursor *c)
{
	struct str s = { NULL, 0 };

	expect(c, '"');
	s.p = c->p;
	/* A backslash takes the character behind it along, so an escaped quote does not end the
	 * text. */
	while (c->p < c->end && *c->p != '"')
		c->p += *c->p == '\\' && c->p + 1 < c->end ? 2 : 1;
	ROSTER_ASSERT(c->p <= c->end);
	s.n = (size_t)(c->p - s.p);
	expect(c, '"');
	return s;
}

/* Takes a number, true, false or null, or whatever else stands there without quotes. */
static struct str take_word(struct cursor *c)
{
	struct str s = { c->p, 0 };

	while (c->p < c->end && *c->p != ',' && *c->p != '}' && *c->p != ']' &&
	       (unsigned char)*c->p > ' ')
		c->p++;
	s.n = (size_t)(c->p - s.p);
	c->bad |= s.n == 0;
	return s;
}

/* Goes behind an object or an array that is of no interest. Brackets of both kinds are counted
 * together: whether they pair does not matter. */
static void skip_nested(struct cursor *c)
{
	unsigned depth = 0;

	while (!c->bad && c->p < c->end) {
		if (*c->p == '"') {
			(void)take_string(c);
			continue;
		}
		if (*c->p == '{' || *c->p == '[')
			depth++;
		if ((*c->p == '}' || *c->p == ']') && --depth == 0) {
			c->p++;
			return;
		}
		c->p++;
	}
	c->bad = true;
}

static struct str take_value(struct cursor *c)
{
	if (at(c, '"'))
		return take_string(c);
	if (at(c, '{') || at(c, '[')) {
		skip_nested(c);
		return str_make(NULL, 0);
	}
	return take_word(c);
}

/* A number that does not fit 64 bits is none: 19 digits always fit. */
static int parse_key(struct str s, uint64_t *key_r)
{
	uint64_t key = 0;
	size_t i;

	s = str_trim(s);
	if (s.n == 0 || s.n > 19)
		return ERR_SYNTAX;
	for (i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return ERR_SYNTAX;
		key = key * 10 + (uint64_t)(s.p[i] - '0');
	}
	*key_r = key;
	return 0;
}

int ack_parse(struct str text, uint64_t *key_r)
{
	struct cursor c = { text.p, text.p + text.n, false };
	struct str name, value, found = { NULL, 0 };

	expect(&c, '{');
	if (!take_char(&c, '}')) {
		do {
			skip_blanks(&c);
			name = take_string(&c);
			expect(&c, ':');
			value = take_value(&c);
			/* Of several the last one counts. One that is an object has no text, and
			 * then there is none. */
			if (str_eq(name, STR("lastRefTime")))
				found = value;
		} while (!c.bad && take_char(&c, ','));
		/* What follows the object is not looked at. */
		expect(&c, '}');
	}
	if (c.bad || !str_is_set(found))
		return ERR_SYNTAX;
	return parse_key(found, key_r);
}
