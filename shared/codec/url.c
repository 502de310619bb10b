#include "shared/codec/url.h"

/* One more than the digit's value; 0: not a hexadecimal digit. */
static const unsigned char hex_digits[256] = {
	['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
	['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
	['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

/* The byte escaped at p, which is a '%'; -1 when it is broken. */
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
	return memchr(text.p, '%', text.n) != NULL || (plus_is_space && memchr(text.p, '+', text.n) != NULL);
}

int url_decode(struct arena *arena, struct str text, bool plus_is_space, struct str *out_r)
{
	const char *p = text.p, *end = text.p + text.n;
	char *out, *to;

	if (!needs_decoding(text, plus_is_space)) {
		*out_r = text;
		return 0;
	}
	if ((out = to = arena_alloc(arena, text.n)) == NULL)
		return ERR_NOMEM;
	while (p < end) {
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
	*out_r = str_make(out, (size_t)(to - out));
	return 0;
}

/* Takes the text up to the separator off; false at the end. */
static bool next_piece(struct str *rest, struct str *piece_r)
{
	const char *end;
	size_t n;

	if (rest->n == 0)
		return false;
	end = memchr(rest->p, '&', rest->n);
	n = end != NULL ? (size_t)(end - rest->p) : rest->n;
	*piece_r = str_make(rest->p, n);
	n += end != NULL;
	*rest = str_make(rest->p + n, rest->n - n);
	return true;
}

static int decode_pair(struct arena *arena, struct str piece, struct url_param *param_r)
{
	const char *equals = memchr(piece.p, '=', piece.n);
	size_t n = equals != NULL ? (size_t)(equals - piece.p) : piece.n;
	size_t skip = n + (equals != NULL);
	int ret = url_decode(arena, str_make(piece.p, n), true, &param_r->name);

	if (ret < 0)
		return ret;
	return url_decode(arena, str_make(piece.p + skip, piece.n - skip), true, &param_r->value);
}

int url_params(struct arena *arena, struct str text, struct url_param *out, unsigned max)
{
	struct str piece;
	unsigned count = 0;
	int ret;

	while (next_piece(&text, &piece)) {
		if (piece.n == 0 || piece.p[0] == '=') /* no name: nobody can ask for it */
			continue;
		if (count == max)
			return ERR_LIMIT;
		if ((ret = decode_pair(arena, piece, &out[count])) < 0)
			return ret;
		count++;
	}
	return (int)count;
}
