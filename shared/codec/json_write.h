/* SPDX-License-Identifier: Apache-2.0 */
/* json_write.h - JSON text in the form the specification asks for (7.5).
 *
 * Strings: only the quote, the backslash and control characters are escaped (\b \t \n \f \r, others
 * \u00XX upper-case); slash and non-ASCII raw. Doubles as Java prints them. */
#ifndef CODEC_JSON_WRITE_H
#define CODEC_JSON_WRITE_H

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

#endif
