/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/base/utf8.h"

#include <stdint.h>
#include <string.h>

#include "shared/base/assert.h"
#include "shared/base/breath.h"

#define PIECE 65536U      /* bytes looked at between two pauses */
#define REPAIR_WEIGHT 16U /* of a byte that is none */

/* The rows of table 3-7 of the Unicode standard: first byte, range of the second, number of bytes
 * that follow. */
static const struct {
	uint8_t first, last, low, high, more;
} forms[] = {
	{ 0xc2, 0xdf, 0x80, 0xbf, 1 }, { 0xe0, 0xe0, 0xa0, 0xbf, 2 }, { 0xe1, 0xec, 0x80, 0xbf, 2 },
	{ 0xed, 0xed, 0x80, 0x9f, 2 }, { 0xee, 0xef, 0x80, 0xbf, 2 }, { 0xf0, 0xf0, 0x90, 0xbf, 3 },
	{ 0xf1, 0xf3, 0x80, 0xbf, 3 }, { 0xf4, 0xf4, 0x80, 0x8f, 3 },
};

/* Returns the length of the sequence at p, which is not ASCII; 0 when it is not well-formed. */
static size_t sequence_length(const unsigned char *p, size_t n)
{
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (p[0] < forms[i].first || p[0] > forms[i].last)
			continue;
		if (n <= forms[i].more || p[1] < forms[i].low || p[1] > forms[i].high)
			return 0;
		for (size_t k = 2; k <= forms[i].more; k++) {
			if ((p[k] & 0xc0) != 0x80)
				return 0;
		}
		return (size_t)forms[i].more + 1;
	}
	return 0;
}

/* Goes on at *at, which begins a character, as far as `until`, or to the end of the character
 * there. Returns false when the text is not well-formed. */
static bool skip_valid(struct str s, size_t *at, size_t until)
{
	const unsigned char *p = (const unsigned char *)s.p;
	size_t i = *at, length;

	while (i < until) {
		uint64_t word;
		uint32_t half;

		if (i + 8 <= s.n) { /* eight ASCII bytes at once */
			memcpy(&word, p + i, 8);
			if ((word & 0x8080808080808080U) == 0) {
				i += 8;
				continue;
			}
		} else if (i + 4 <= s.n) {
			memcpy(&half, p + i, 4);
			if ((half & 0x80808080U) == 0) {
				i += 4;
				continue;
			}
		}
		if (p[i] < 0x80) {
			i++;
			continue;
		}
		if ((length = sequence_length(p + i, s.n - i)) == 0)
			return false;
		i += length;
	}
	ROSTER_ASSERT(i <= s.n); /* the last character ends with the text */
	*at = i;
	return true;
}

bool utf8_valid(struct str s)
{
	size_t i = 0;

	return skip_valid(s, &i, s.n);
}

/* Returns 1 when the whole text is well-formed, 0 when it is not, ERR_GONE. */
static int look_through(struct str s)
{
	size_t i = 0;

	while (skip_valid(s, &i, s.n - i > PIECE ? i + PIECE : s.n)) {
		if (i == s.n)
			return 1;
		if (fiber_pause() < 0)
			return ERR_GONE;
	}
	return 0;
}

/* Returns how many bytes Java replaces by one U+FFFD where no sequence begins: as far as they could
 * be one, and a surrogate as a whole. */
static size_t malformed_length(const unsigned char *p, size_t n)
{
	size_t length = 1;

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]) && n > 1; i++) {
		unsigned high = p[0] == 0xed ? 0xbf : forms[i].high;

		if (p[0] < forms[i].first || p[0] > forms[i].last || p[1] < forms[i].low ||
		    p[1] > high)
			continue;
		for (length = 2;
		     length <= forms[i].more && length < n && (p[length] & 0xc0) == 0x80; length++)
			continue;
	}
	return length;
}

int utf8_repair(struct arena *arena, struct str s, struct str *out_r)
{
	const unsigned char *p = (const unsigned char *)s.p;
	struct breath breath = { 0 };
	char *out, *at;
	int ret = look_through(s);

	*out_r = s;
	if (ret != 0)
		return ret < 0 ? ret : 0;
	if ((out = at = arena_alloc(arena, 3 * s.n)) == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < s.n;) {
		size_t length = p[i] < 0x80 ? 1 : sequence_length(p + i, s.n - i);

		if (breathe(&breath, length > 0 ? length : REPAIR_WEIGHT) < 0)
			return ERR_GONE;

		memcpy(at, length > 0 ? s.p + i : "\xef\xbf\xbd", length > 0 ? length : 3);
		at += length > 0 ? length : 3;
		i += length > 0 ? length : malformed_length(p + i, s.n - i);
	}
	ROSTER_ASSERT((size_t)(at - out) <= 3 * s.n);
	*out_r = str_make(out, (size_t)(at - out));
	return 0;
}

/* Reads one code point of a text known to be well-formed and advances *i behind it. */
static uint32_t code_point(struct str s, size_t *i)
{
	unsigned char first = (unsigned char)s.p[(*i)++];
	uint32_t more = first < 0xc0 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
	uint32_t point = more == 0 ? first : first & (0x3fU >> more);

	for (; more > 0 && *i < s.n; more--)
		point = point << 6 | ((unsigned char)s.p[(*i)++] & 0x3fU);
	return point;
}

uint32_t utf8_java_hash(struct str s)
{
	uint32_t hash = 0;

	for (size_t i = 0; i < s.n;) {
		uint32_t point = code_point(s, &i);

		if (point >= 0x10000) {
			hash = hash * 31 + (0xd800 + ((point - 0x10000) >> 10));
			point = 0xdc00 + ((point - 0x10000) & 0x3ff);
		}
		hash = hash * 31 + point;
	}
	return hash;
}
