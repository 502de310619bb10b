/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/codec/url.h"

#include "shared/base/assert.h"
#include "shared/base/fiber.h"

#define PIECE 65536U /* bytes read between two pauses */

/* One more than the value of the digit; 0 for a byte that is no hexadecimal digit. */
static const unsigned char hex_digits[256] = {
	['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,
	['6'] = 7,  ['7'] = 8,  ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12,
	['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16, ['A'] = 11, ['B'] = 12,
	['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

/* Returns the byte escaped at p, which is a '%'; -1 when the escape is broken. */
static int escaped_byte(const char *p, const char *end)
{
	unsigned high, low;

	if (end - p < 3)
		return -1;
	high = hex_digits[(unsigned char)p[1]];
	low = hex_digits[(unsigned char)p[2]];
	return high == 0 || low == 0 ? -1 : (int)((high - 1) << 4 | (low - 1));
}

static bool needs_decoding(struct str text, bool plus_is_space)
{
	if (text.n == 0)
		return false;
	return memchr(text.p, '%', text.n) != NULL ||
	       (plus_is_space && memchr(text.p, '+', text.n) != NULL);
}

int url_decode(struct arena *arena, struct str text, bool plus_is_space, struct str *out_r)
{
	const char *p = text.p, *end = text.p + text.n, *paused = p;
	char *out, *to;

	if (!needs_decoding(text, plus_is_space)) {
		*out_r = text;
		return 0;
	}
	if ((out = to = arena_alloc(arena, text.n)) == NULL)
		return ERR_NOMEM;
	while (p < end) {
		if ((size_t)(p - paused) >= PIECE) {
			if (fiber_pause() < 0)
				return ERR_GONE;
			paused = p;
		}
		if (*p == '%') {
			int byte = escaped_byte(p, end);

			if (byte < 0)
				return ERR_SYNTAX;
			*to++ = (char)byte;
			p += 3;
		} else {
			*to++ = *p == '+' && plus_is_space ? ' ' : *p;
			p++;
		}
	}
	ROSTER_ASSERT((size_t)(to - out) <= text.n);
	*out_r = str_make(out, (size_t)(to - out));
	return 0;
}

/* The bytes that mean something in a list of pairs. */
enum { MARK_EQUALS = 1, MARK_AMPERSAND = 2, MARK_ESCAPE = 4 };

static const unsigned char marks[256] = {
	['='] = MARK_EQUALS,
	['&'] = MARK_AMPERSAND,
	['%'] = MARK_ESCAPE,
	['+'] = MARK_ESCAPE,
};

struct pair_reader {
	const char *p, *end;
	const char *piece; /* where to pause */
	char *out; /* where the next decoded byte goes: there are no more of them than of source */
	bool broken, gone;
};

/* Lets others run; the next piece begins at p. */
static const char *pause_at(struct pair_reader *r, const char *p)
{
	r->gone |= fiber_pause() < 0;
	return r->piece = (size_t)(r->end - p) > PIECE ? p + PIECE : r->end;
}

/* Decodes up to the first byte with one of the marks; each byte is looked at once. */
static struct str read_until(struct pair_reader *r, unsigned stop)
{
	const char *p = r->p, *end = r->end, *piece = r->piece;
	char *begin = r->out, *out = begin;
	unsigned mark = 0;

	while (p < end) {
		while (p < piece && (mark = marks[(unsigned char)*p]) == 0)
			*out++ = *p++;
		if (p == end || (p < piece && (mark & stop) != 0))
			break;
		if (p >= piece) {
			piece = pause_at(r, p);
		} else if (*p == '%') {
			int byte = escaped_byte(p, end);

			r->broken |= byte < 0;
			*out++ = (char)(byte < 0 ? '%' : byte);
			p += byte < 0 ? 1 : 3;
		} else {
			*out++ = *p == '+' ? ' ' : *p;
			p++;
		}
	}
	r->p = p;
	r->out = out;
	return str_make(begin, (size_t)(out - begin));
}

/* Passes over a pair without a name, unread: nobody can ask for it. */
static bool skip_nameless(struct pair_reader *r)
{
	const char *separator = r->p;

	if (*r->p != '=' && *r->p != '&')
		return false;
	if (*r->p == '=')
		separator = memchr(r->p, '&', (size_t)(r->end - r->p));
	r->p = separator == NULL ? r->end : separator + 1;
	return true;
}

static void read_pair(struct pair_reader *r, struct url_param *param_r)
{
	param_r->name = read_until(r, MARK_EQUALS | MARK_AMPERSAND);
	r->p += r->p < r->end && *r->p == '=';
	param_r->value = read_until(r, MARK_AMPERSAND);
	r->p += r->p < r->end;
}

static int read_pairs(struct arena *arena, struct str text, bool strict, struct url_param *out,
                      unsigned max)
{
	struct pair_reader r = { .broken = false };
	unsigned count = 0;

	if (text.n == 0)
		return 0;
	r.p = text.p;
	r.end = text.p + text.n;
	r.piece = text.n > PIECE ? r.p + PIECE : r.end;
	if ((r.out = arena_alloc(arena, text.n)) == NULL)
		return ERR_NOMEM;
	while (r.p < r.end) {
		if (r.p >= r.piece)
			pause_at(&r, r.p);
		if (skip_nameless(&r))
			continue;
		if (count == max)
			return ERR_LIMIT;
		read_pair(&r, &out[count++]);
		if (r.broken && strict)
			return ERR_SYNTAX;
	}
	ROSTER_ASSERT(r.p == r.end && count <= max);
	if (r.gone)
		return ERR_GONE;
	return (int)count;
}

int url_params(struct arena *arena, struct str text, struct url_param *out, unsigned max)
{
	return read_pairs(arena, text, true, out, max);
}

int url_form(struct arena *arena, struct str text, struct url_param *out, unsigned max)
{
	return read_pairs(arena, text, false, out, max);
}
