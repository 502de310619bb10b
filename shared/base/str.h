/* SPDX-License-Identifier: Apache-2.0 */
/* str.h - a view of bytes that somebody else owns.
 *
 * Not terminated by a zero byte; may hold one. {NULL, 0} means "absent" where a
 * header says so; str_is_set() tells absent from empty. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct str {
	const char *p;
	size_t n;
};

#define STR(literal) ((struct str){ (literal), sizeof(literal) - 1 })

static inline struct str str_make(const char *p, size_t n)
{
	return (struct str){ p, n };
}

static inline struct str str_of(const char *zero_terminated)
{
	return (struct str){ zero_terminated, strlen(zero_terminated) };
}

static inline bool str_is_set(struct str s)
{
	return s.p != NULL;
}

static inline bool str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* Compares in the order of bytes, a text before a longer one that begins with it. Returns less than
 * 0, 0, or more than 0. */
static inline int str_compare(struct str a, struct str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int order = n > 0 ? memcmp(a.p, b.p, n) : 0;

	return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

/* Are the texts equal when the case of ASCII letters does not count? */
static inline bool str_ieq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || strncasecmp(a.p, b.p, a.n) == 0);
}

static inline bool str_starts(struct str s, struct str prefix)
{
	return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

/* The text without the part of a UTF-8 character that a cut left at its end. */
static inline struct str str_whole(struct str s)
{
	for (size_t back = 1; back <= 3 && back <= s.n; back++) {
		unsigned char c = (unsigned char)s.p[s.n - back];
		size_t length = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;

		if ((c & 0xc0) != 0x80)
			return length > back ? (struct str){ s.p, s.n - back } : s;
	}
	return s;
}

/* The first bytes of a UTF-8 text, at most `most`, in whole characters: whoever cuts a text to a
 * size does it with this. */
static inline struct str str_cut(struct str s, size_t most)
{
	return s.n > most ? str_whole((struct str){ s.p, most }) : s;
}

/* Does the same in place to a text that snprintf() has cut. */
static inline void str_end_whole(char *zero_terminated)
{
	zero_terminated[str_whole(str_of(zero_terminated)).n] = '\0';
}

/* Does the byte stand twice in a row? */
static inline bool str_has_double(struct str s, char c)
{
	const char twice[2] = { c, c };

	return s.n > 1 && memmem(s.p, s.n, twice, sizeof(twice)) != NULL;
}

/* Cuts leading and trailing bytes up to U+0020, as Java's String.trim(). */
static inline struct str str_trim(struct str s)
{
	while (s.n > 0 && (unsigned char)s.p[0] <= ' ') {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && (unsigned char)s.p[s.n - 1] <= ' ')
		s.n--;
	return s;
}

/* "Blank" of the specification: absent, empty or only bytes up to U+0020. */
static inline bool str_is_blank(struct str s)
{
	return str_trim(s).n == 0;
}

#endif
