/* SPDX-License-Identifier: Apache-2.0 */
/* java: numbers as a Java 17 prints and reads them (texts checked against one). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "shared/codec/java.h"
#include "tests/unit/random.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void doubles_print(void **state)
{
	static const struct {
		double value;
		const char *text;
	} rows[] = {
		{ 0.0, "0.0" },
		{ -0.0, "-0.0" },
		{ 1, "1.0" },
		{ -3, "-3.0" },
		{ 0.01, "0.01" },
		{ 1e-3, "0.001" },
		{ 9.99e-4, "9.99E-4" },
		{ 1e-4, "1.0E-4" },
		{ 1e7, "1.0E7" },
		{ 9999999, "9999999.0" },
		{ 9999999.5, "9999999.5" },
		{ 12345678, "1.2345678E7" },
		{ 0.1 + 0.2, "0.30000000000000004" },
		{ 10000, "10000.0" },
		{ 0.5, "0.5" },
		{ 0.07, "0.07" },
		{ 2.675, "2.675" },
		{ 4.35, "4.35" },
		{ 99999.99, "99999.99" },
		{ 1.05, "1.05" },
		{ 1e22, "1.0E22" },
		{ 4.9e-324, "4.9E-324" },
		{ 1.7976931348623157e308, "1.7976931348623157E308" },
		{ 2.2250738585072014e-308, "2.2250738585072014E-308" },
		{ 1234567.125, "1234567.125" },
		{ 123.456, "123.456" },
		{ 0.001234, "0.001234" },
		{ NAN, "NaN" },
		{ INFINITY, "Infinity" },
		{ -INFINITY, "-Infinity" },
	};
	char text[JAVA_DOUBLE_TEXT];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		unsigned n = java_double_text(rows[i].value, text);

		assert_string_equal(text, rows[i].text);
		assert_int_equal(n, strlen(rows[i].text));
	}
}

static void floats_print(void **state)
{
	static const struct {
		float value;
		const char *text;
	} rows[] = {
		{ 0.0f, "0.0" },
		{ 0.6f, "0.6" },
		{ 0.7f, "0.7" },
		{ 0.85f, "0.85" },
		{ 0.65f, "0.65" },
		{ 1.0f, "1.0" },
		{ 1e-4f, "1.0E-4" },
		{ 1e7f, "1.0E7" },
		{ 1234.5f, "1234.5" },
		{ 0.33333334f, "0.33333334" },
		{ 3.4028235e38f, "3.4028235E38" },
		{ 1.4e-45f, "1.4E-45" },
		{ 16777216.0f, "1.6777216E7" },
		{ 999.99f, "999.99" },
		{ -0.5f, "-0.5" },
		{ 123456.7f, "123456.7" },
		{ NAN, "NaN" },
	};
	char text[JAVA_DOUBLE_TEXT];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		java_float_text(rows[i].value, text);
		assert_string_equal(text, rows[i].text);
	}
}

static void printed_doubles_read_back(void **state)
{
	char text[JAVA_DOUBLE_TEXT];

	(void)state;
	for (int i = 0; i < 20000; i++) {
		uint64_t random = random_next();
		double value, back;
		unsigned n;

		if (i % 2 == 0)
			memcpy(&value, &random, sizeof(value));
		else
			value = (double)(random % 2000000) / 100;
		if (isnan(value))
			continue;
		n = java_double_text(value, text);
		assert_int_equal(java_parse_double(str_make(text, n), &back), 0);
		assert_memory_equal(&value, &back, sizeof(value));
	}
}

static void doubles_read(void **state)
{
	static const struct {
		const char *text;
		double value;
	} good[] = {
		{ "1", 1 },
		{ "1.5", 1.5 },
		{ ".5", 0.5 },
		{ "1.", 1 },
		{ "1e3", 1000 },
		{ "1E+3", 1000 },
		{ "-2.5e-1", -0.25 },
		{ "+7", 7 },
		{ " 1.0 ", 1 },
		{ "1d", 1 },
		{ "1.5F", 1.5 },
		{ "0x1p3", 8 },
		{ "0X.8P1d", 1 },
		{ "0x1.8p0", 1.5 },
		{ "Infinity", INFINITY },
		{ "-Infinity", -INFINITY },
		{ "1e400", INFINITY },
		{ "0.1", 0.1 },
		{ "100000000000000000000000", 1e23 },
		{ "123456789.012345", 123456789.012345 },
		{ "1e-400", 0 },
	};
	static const char *const bad[] = { "",         " ",    ".",   "-",   "e3",   "1e",
		                           "1e+",      "x",    "1x",  "1 2", "nan",  "inf",
		                           "INFINITY", "NaNd", "0x",  "0x1", "0xp1", "1..2",
		                           "1.2.3",    "1dd",  "--1", "1,5", "0x1p", "infinity" };
	double value;

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		assert_int_equal(java_parse_double(str_of(good[i].text), &value), 0);
		assert_true(value == good[i].value);
	}
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(java_parse_double(str_of(bad[i]), &value), ERR_SYNTAX);
	assert_int_equal(java_parse_double(STR("NaN"), &value), 0);
	assert_true(isnan(value));
	assert_int_equal(java_parse_double(str_make("1\0002", 3), &value), ERR_SYNTAX);
	assert_true(java_lenient_float(STR("0.6")) == 0.6f);
	assert_true(java_lenient_float(STR("x")) == 0.0f);
}

static void a_very_long_number_is_refused(void **state)
{
	static char text[5000];
	double value;

	(void)state;
	memset(text, '1', sizeof(text));
	assert_int_equal(java_parse_double(str_make(text, 300), &value), 0);
	assert_int_equal(java_parse_double(str_make(text, sizeof(text)), &value), ERR_SYNTAX);
}

static void integers_read(void **state)
{
	static const struct {
		const char *text;
		int ret;
		int32_t value;
	} rows[] = {
		{ "0", 0, 0 },
		{ "8080", 0, 8080 },
		{ "+5", 0, 5 },
		{ "-1", 0, -1 },
		{ "2147483647", 0, INT32_MAX },
		{ "-2147483648", 0, INT32_MIN },
		{ "007", 0, 7 },
		{ "2147483648", ERR_SYNTAX, 0 },
		{ "-2147483649", ERR_SYNTAX, 0 },
		{ "", ERR_SYNTAX, 0 },
		{ "-", ERR_SYNTAX, 0 },
		{ "1.0", ERR_SYNTAX, 0 },
		{ " 1", ERR_SYNTAX, 0 },
		{ "x", ERR_SYNTAX, 0 },
		{ "99999999999999999999999", ERR_SYNTAX, 0 },
	};
	int32_t value;
	int64_t number;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_int_equal(java_parse_int(str_of(rows[i].text), &value), rows[i].ret);
		if (rows[i].ret == 0)
			assert_int_equal(value, rows[i].value);
		assert_int_equal(java_lenient_int(str_of(rows[i].text)), rows[i].value);
	}
	assert_int_equal(java_parse_long(STR("9223372036854775807"), &number), 0);
	assert_true(number == INT64_MAX);
	assert_int_equal(java_parse_long(STR("-9223372036854775808"), &number), 0);
	assert_true(number == INT64_MIN);
	assert_int_equal(java_parse_long(STR("9223372036854775808"), &number), ERR_SYNTAX);
}

static void booleans_read(void **state)
{
	static const char *const yes[] = { "true", "TRUE", "on", "Yes", "t", "Y" };
	static const char *const no[] = { "", "1", "false", "tr", "truee", "no" };

	(void)state;
	for (size_t i = 0; i < COUNT(yes); i++)
		assert_true(java_loose_bool(str_of(yes[i])));
	for (size_t i = 0; i < COUNT(no); i++)
		assert_false(java_loose_bool(str_of(no[i])));
	assert_true(java_strict_bool(STR("True")));
	assert_false(java_strict_bool(STR("yes")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(doubles_print),
		cmocka_unit_test(floats_print),
		cmocka_unit_test(printed_doubles_read_back),
		cmocka_unit_test(doubles_read),
		cmocka_unit_test(a_very_long_number_is_refused),
		cmocka_unit_test(integers_read),
		cmocka_unit_test(booleans_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
