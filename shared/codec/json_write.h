/* SPDX-License-Identifier: Apache-2.0 */
/* json_write.h - JSON text in the form the specification asks for (7.5).
 *
 * Strings: only the quote, the backslash and control characters are escaped (\b \t \n \f \r, others
 * \u00XX upper-case); slash and non-ASCII raw. Doubles as Java prints them. */
#ifndef CODEC_JSON_WRITE_H
#define CODEC_JSON_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "shared/base/buf.h"
#include "shared/base/str.h"

/* Writes a string with its quotes. */
void json_string(struct buf *b, struct str s);
/* Writes escaped text without quotes: to put JSON into a JSON string piece by piece. */
void json_escape(struct buf *b, struct str s);
/* Writes what Double.toString of Java does: 1.0, 0.01, 1.0E-4, 1.0E7; NaN is written as "NaN" with
 * quotes. */
void json_double(struct buf *b, double value);
/* Writes what Float.toString of Java does. */
void json_float(struct buf *b, float value);
/* Writes true or false. */
void json_bool(struct buf *b, bool value);

/* Writes the comma before an element of an array, or before a member whose name is no literal. The
 * first one gets none: the buffer is empty then, or ends with the bracket. */
static inline void json_comma(struct buf *b)
{
	if (b->len > 0 && b->data[b->len - 1] != '[' && b->data[b->len - 1] != '{')
		buf_char(b, ',');
}

/* For the macros below. Returns b. */
static inline struct buf *json_key(struct buf *b, const char *text, size_t n)
{
	if (buf_reserve(b, n + 1)) {
		char *at = b->data + b->len;

		if (b->len > 0 && at[-1] != '{')
			*at++ = ',';
		memcpy(at, text, n);
		b->len = (size_t)(at - b->data) + n;
	}
	return b;
}

/* Begins a member of an object: the comma, unless it is the first as above, and the name. The name
 * is a literal without anything to escape. */
#define JSON_KEY(b, name) json_key((b), "\"" name "\":", sizeof("\"" name "\":") - 1)
/* Write a whole member. The value of JSON_PUT_LIT is a literal that is written as it is: null, [],
 * "x" with its quotes, or only how the value begins. */
#define JSON_PUT_STRING(b, name, value) json_string(JSON_KEY(b, name), (value))
#define JSON_PUT_U64(b, name, value) buf_u64(JSON_KEY(b, name), (value))
#define JSON_PUT_I64(b, name, value) buf_i64(JSON_KEY(b, name), (value))
#define JSON_PUT_DOUBLE(b, name, value) json_double(JSON_KEY(b, name), (value))
#define JSON_PUT_FLOAT(b, name, value) json_float(JSON_KEY(b, name), (value))
#define JSON_PUT_BOOL(b, name, value) json_bool(JSON_KEY(b, name), (value))
#define JSON_PUT_LIT(b, name, literal) \
	json_key((b), "\"" name "\":" literal, sizeof("\"" name "\":" literal) - 1)

#endif
