/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/codec/json_write.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "shared/base/assert.h"
#include "shared/codec/java.h"

/* How each byte is written. 0: as it is; 'u': as \u00XX; else the letter behind the backslash. */
static const char escapes[256] = {
	['\0'] = 'u', [0x01] = 'u', [0x02] = 'u', [0x03] = 'u',  [0x04] = 'u', [0x05] = 'u',
	[0x06] = 'u', [0x07] = 'u', ['\b'] = 'b', ['\t'] = 't',  ['\n'] = 'n', [0x0b] = 'u',
	['\f'] = 'f', ['\r'] = 'r', [0x0e] = 'u', [0x0f] = 'u',  [0x10] = 'u', [0x11] = 'u',
	[0x12] = 'u', [0x13] = 'u', [0x14] = 'u', [0x15] = 'u',  [0x16] = 'u', [0x17] = 'u',
	[0x18] = 'u', [0x19] = 'u', [0x1a] = 'u', [0x1b] = 'u',  [0x1c] = 'u', [0x1d] = 'u',
	[0x1e] = 'u', [0x1f] = 'u', ['"'] = '"',  ['\\'] = '\\',
};

static void put_escape(struct buf *b, unsigned char c)
{
	static const char hex[] = "0123456789ABCDEF";
	char text[6] = { '\\', escapes[c], '0', '0', hex[c >> 4], hex[c & 15] };

	ROSTER_ASSERT(escapes[c] != 0);
	buf_put(b, text, escapes[c] == 'u' ? 6 : 2);
}

/* Returns true when none of these eight bytes needs an escape. It may say no for a byte beside one
 * that does. */
static bool plain8(const char *p)
{
	const uint64_t ones = 0x0101010101010101U, high = 0x8080808080808080U;
	uint64_t w, quote, slash;

	memcpy(&w, p, sizeof(w));
	quote = w ^ (ones * '"');
	slash = w ^ (ones * '\\');
	return ((((w - ones * 0x20) & ~w) | ((quote - ones) & ~quote) | ((slash - ones) & ~slash)) &
	        high) == 0;
}

void json_escape(struct buf *b, struct str s)
{
	size_t begin = 0;

	for (size_t i = 0; i < s.n; i++) {
		while (s.n - i >= 8 && plain8(s.p + i))
			i += 8;
		if (i == s.n)
			break;

		unsigned char c = (unsigned char)s.p[i];

		if (escapes[c] == 0)
			continue;
		buf_put(b, s.p + begin, i - begin);
		put_escape(b, c);
		begin = i + 1;
	}
	if (begin < s.n)
		buf_put(b, s.p + begin, s.n - begin);
}

void json_string(struct buf *b, struct str s)
{
	buf_char(b, '"');
	json_escape(b, s);
	buf_char(b, '"');
}

/* JSON has no words for NaN and the infinities, so they are written as texts. */
static void put_real(struct buf *b, const char *text, unsigned n, bool finite)
{
	if (!finite)
		buf_char(b, '"');
	buf_put(b, text, n);
	if (!finite)
		buf_char(b, '"');
}

void json_double(struct buf *b, double value)
{
	char text[JAVA_DOUBLE_TEXT];
	unsigned n = java_double_text(value, text);

	put_real(b, text, n, isfinite(value));
}

void json_float(struct buf *b, float value)
{
	char text[JAVA_DOUBLE_TEXT];
	unsigned n = java_float_text(value, text);

	put_real(b, text, n, isfinite(value));
}

void json_bool(struct buf *b, bool value)
{
	if (value)
		BUF_LIT(b, "true");
	else
		BUF_LIT(b, "false");
}
