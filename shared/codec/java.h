/* SPDX-License-Identifier: Apache-2.0 */
/* java.h - numbers and booleans the way the Java server reads and prints them (spec 1.2, 7.5). */
#ifndef CODEC_JAVA_H
#define CODEC_JAVA_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/err.h"
#include "shared/base/str.h"

#define JAVA_DOUBLE_TEXT 32

int java_parse_int(struct str s,
                   int32_t *value_r) MUST_CHECK; /* ERR_SYNTAX; optional sign, digits, 32 bit */
int java_parse_long(struct str s, int64_t *value_r) MUST_CHECK;
/* Reads 1e3, NaN, Infinity, hex floats, a trailing d or f, and blanks around. ERR_SYNTAX. */
int java_parse_double(struct str s, double *value_r) MUST_CHECK;
int32_t java_lenient_int(struct str s); /* 0 on failure */
float java_lenient_float(struct str s);
bool java_loose_bool(struct str s);  /* true on yes t y, any case */
bool java_strict_bool(struct str s); /* true, any case */
/* Write the text of Double.toString or Float.toString, the shortest that reads back, and return its
 * length. */
unsigned java_double_text(double value, char out[JAVA_DOUBLE_TEXT]);
unsigned java_float_text(float value, char out[JAVA_DOUBLE_TEXT]);

#endif
