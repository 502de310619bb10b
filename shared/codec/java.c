/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/codec/java.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "shared/base/assert.h"
#include "shared/base/decimal.h"

/* The longest text of a number that is looked at: more digits than any double needs to be read
 * exactly. */
#define NUMBER_TEXT_MAX 1200

/* ---- integers -------------------------------------------------------------------------------- */

static int parse_signed(struct str s, uint64_t max_positive, int64_t *value_r)
{
	bool negative = s.n > 0 && s.p[0] == '-';
	uint64_t limit = max_positive + negative, value = 0;

	if (s.n > 0 && (s.p[0] == '-' || s.p[0] == '+'))
		s = str_make(s.p + 1, s.n - 1);
	if (s.n == 0)
		return ERR_SYNTAX;
	for (size_t i = 0; i < s.n; i++) {
		unsigned digit = (unsigned)(unsigned char)s.p[i] - '0';

		if (digit > 9 || value > (limit - digit) / 10)
			return ERR_SYNTAX;
		value = value * 10 + digit;
	}
	*value_r = (int64_t)(negative ? 0 - value : value);
	return 0;
}

int java_parse_int(struct str s, int32_t *value_r)
{
	int64_t value;
	int ret = parse_signed(s, INT32_MAX, &value);

	if (ret == 0)
		*value_r = (int32_t)value;
	return ret;
}

int java_parse_long(struct str s, int64_t *value_r)
{
	return parse_signed(s, INT64_MAX, value_r);
}

int32_t java_lenient_int(struct str s)
{
	int32_t value;

	return java_parse_int(s, &value) == 0 ? value : 0;
}

/* ---- floating point, reading ----------------------------------------------------------------- */

static bool java_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool java_is_hex_digit(char c)
{
	return java_is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Eats digits [. digits]; returns false when there is not one digit. */
static bool eat_digits(struct str *s, bool (*is)(char))
{
	size_t seen = 0, i = 0;
	bool point = false;

	for (; i < s->n; i++) {
		if (is(s->p[i]))
			seen++;
		else if (s->p[i] == '.' && !point)
			point = true;
		else
			break;
	}
	*s = str_make(s->p + i, s->n - i);
	return seen > 0;
}

/* Eats the letter (either case), a sign and digits. Returns 0 when there is no such letter, -1 when
 * no digit follows it. */
static int eat_exponent(struct str *s, char letter)
{
	size_t i = 1, first;

	if (s->n == 0 || (s->p[0] | 0x20) != letter)
		return 0;
	if (i < s->n && (s->p[i] == '+' || s->p[i] == '-'))
		i++;
	for (first = i; i < s->n && java_is_digit(s->p[i]); i++)
		;
	if (i == first)
		return -1;
	*s = str_make(s->p + i, s->n - i);
	return 1;
}

static bool is_hex(struct str s)
{
	return s.n > 2 && s.p[0] == '0' && (s.p[1] | 0x20) == 'x';
}

/* Reads the grammar of Double.parseDouble without sign and blanks; strtod() alone accepts more.
 * Returns the length without the type letter, 0 when the text is no number. */
static size_t number_length(struct str s)
{
	struct str rest = s;
	size_t n;

	if (str_eq(s, STR("NaN")) || str_eq(s, STR("Infinity")))
		return s.n;
	if (is_hex(s)) {
		rest = str_make(s.p + 2, s.n - 2);
		if (!eat_digits(&rest, java_is_hex_digit) || eat_exponent(&rest, 'p') != 1)
			return 0;
	} else if (!eat_digits(&rest, java_is_digit) || eat_exponent(&rest, 'e') < 0) {
		return 0;
	}
	n = s.n - rest.n;
	if (rest.n == 1 && ((rest.p[0] | 0x20) == 'd' || (rest.p[0] | 0x20) == 'f'))
		return n;
	return rest.n == 0 ? n : 0;
}

/* Makes a zero-terminated copy for strtod(), sign in front; returns false when the text is no
 * number. */
static bool number_text(struct str s, char out[NUMBER_TEXT_MAX])
{
	size_t sign, n;

	s = str_trim(s);
	if (s.n > NUMBER_TEXT_MAX)
		return false;
	sign = s.n > 0 && (s.p[0] == '-' || s.p[0] == '+');
	n = number_length(str_make(s.p + sign, s.n - sign));
	if (n == 0 || sign + n >= NUMBER_TEXT_MAX)
		return false;
	memcpy(out, s.p, sign + n);
	out[sign + n] = '\0';
	return true;
}

/* Reads up to 15 digits with or without a point: both parts are exact, so one division rounds
 * right. */
static bool parse_plain(struct str s, double *value_r)
{
	static const double powers[] = { 1,   1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
		                         1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15 };
	uint64_t digits = 0;
	size_t point = s.n;

	if (s.n == 0 || s.n > 15 || !java_is_digit(s.p[0]))
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (java_is_digit(s.p[i]))
			digits = digits * 10 + (uint64_t)(s.p[i] - '0');
		else if (s.p[i] == '.' && point == s.n)
			point = i;
		else
			return false;
	}
	*value_r = (double)digits / powers[point == s.n ? 0 : s.n - point - 1];
	return true;
}

int java_parse_double(struct str s, double *value_r)
{
	char text[NUMBER_TEXT_MAX];

	if (parse_plain(s, value_r))
		return 0;
	if (!number_text(s, text))
		return ERR_SYNTAX;
	*value_r = strtod(text, NULL);
	return 0;
}

float java_lenient_float(struct str s)
{
	char text[NUMBER_TEXT_MAX];

	return number_text(s, text) ? strtof(text, NULL) : 0.0f;
}

/* ---- booleans -------------------------------------------------------------------------------- */

bool java_loose_bool(struct str s)
{
	static const struct str words[] = {
		{ "true", 4 }, { "on", 2 }, { "yes", 3 }, { "t", 1 }, { "y", 1 }
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (str_ieq(s, words[i]))
			return true;
	}
	return false;
}

bool java_strict_bool(struct str s)
{
	return str_ieq(s, STR("true"));
}

/* ---- floating point, writing ----------------------------------------------------------------- */

/* Writes "12.5" for 1250 hundredths; at least one digit stands behind the point. */
static unsigned hundredths_text(uint32_t hundredths, bool negative, char *out)
{
	uint32_t rest = hundredths % 100;
	char *at = out;

	if (negative)
		*at++ = '-';
	at = decimal_put(at, hundredths / 100);
	*at++ = '.';
	*at++ = (char)('0' + rest / 10);
	if (rest % 10 != 0)
		*at++ = (char)('0' + rest % 10);
	*at = '\0';
	ROSTER_ASSERT(at - out < JAVA_DOUBLE_TEXT);
	return (unsigned)(at - out);
}

static unsigned constant_text(const char *text, char *out)
{
	return (unsigned)snprintf(out, JAVA_DOUBLE_TEXT, "%s", text);
}

struct decimal {
	char digits[20]; /* without point, no trailing zeros */
	int count;
	int exponent; /* of the first digit */
	bool negative;
};

/* Splits the output of %e into digits and exponent. */
static void decimal_of(const char *text, struct decimal *decimal_r)
{
	struct decimal d = { .negative = text[0] == '-' };

	for (text += d.negative; *text != 'e'; text++) {
		if (*text != '.')
			d.digits[d.count++] = *text;
	}
	while (d.count > 1 && d.digits[d.count - 1] == '0')
		d.count--;
	ROSTER_ASSERT(d.count > 0 && d.count <= (int)sizeof(d.digits));
	d.exponent = atoi(text + 1);
	*decimal_r = d;
}

static unsigned put_digits(const struct decimal *d, int from, int to, char *out)
{
	unsigned n = 0;

	for (int i = from; i < to; i++)
		out[n++] = i >= 0 && i < d->count ? d->digits[i] : '0';
	return n;
}

/* Writes as Java does: plainly from 1e-3 up to 1e7, else with one digit before the point and an
 * E. */
static unsigned decimal_text(const struct decimal *d, char *out)
{
	bool plain = d->exponent >= -3 && d->exponent < 7;
	int point = plain ? d->exponent + 1 : 1; /* digits before the point */
	int whole = point > 0 ? 0 : point - 1;
	unsigned n = 0;

	if (d->negative)
		out[n++] = '-';
	n += put_digits(d, whole, point, out + n);
	out[n++] = '.';
	n += put_digits(d, point, d->count > point ? d->count : point + 1, out + n);
	out[n] = '\0';
	if (!plain)
		n += (unsigned)snprintf(out + n, JAVA_DOUBLE_TEXT - n, "E%d", d->exponent);
	ROSTER_ASSERT(n < JAVA_DOUBLE_TEXT);
	return n;
}

/* Writes the shortest text that reads back the same; `single`: as a float, which needs fewer
 * digits. */
static unsigned real_text(double value, bool single, char *out)
{
	double size = fabs(value);
	char text[32];
	struct decimal d;

	if (isnan(value))
		return constant_text("NaN", out);
	if (isinf(value))
		return constant_text(value < 0 ? "-Infinity" : "Infinity", out);
	if (size == 0 || (size >= 1e-3 && size < (single ? 1e3 : 1e7))) {
		uint32_t hundredths = (uint32_t)(size * 100 + 0.5);

		/* Two decimals that read back the same are the shortest text. A double has at most
		 * 15 digits here, a float five. */
		if ((single ? (float)hundredths / 100.0f : hundredths / 100.0) == size)
			return hundredths_text(hundredths, signbit(value), out);
	}
	for (int precision = 1; precision < (single ? 9 : 17);
	     precision++) { /* Java writes two digits at least: 4.9E-324 */
		snprintf(text, sizeof(text), "%.*e", precision, value);
		if ((single ? strtof(text, NULL) : strtod(text, NULL)) == value)
			break;
	}
	decimal_of(text, &d);
	return decimal_text(&d, out);
}

unsigned java_double_text(double value, char out[JAVA_DOUBLE_TEXT])
{
	return real_text(value, false, out);
}

unsigned java_float_text(float value, char out[JAVA_DOUBLE_TEXT])
{
	return real_text((double)value, true, out);
}
