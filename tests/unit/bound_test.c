/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters of the endpoints marked (S): specification 1.2. */
#include "tests/unit/http_fixture.h"

#include "shared/base/utf8.h"
#include "worker/v1/bound.h"
#include "worker/v1/router.h"

static struct fixture f;

static int set_up(void **state)
{
	(void)state;
	fixture_init(&f);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fixture_free(&f);
	return 0;
}

static struct request *with_query(const char *query)
{
	fixture_request(&f)->query = str_of(query);
	assert_true(router_prepare(&f.rq));
	return &f.rq;
}

static void answered(const char *body)
{
	const char *out = fixture_out(&f);

	assert_true(has(out, "HTTP/1.1 500"));
	assert_string_equal(body_of(out), body);
}

static void texts(void **state)
{
	struct str value;

	(void)state;
	assert_true(bound_text(with_query("a=%20x"), "a", &value));
	assert_true(str_eq(value, STR(" x")));
	assert_true(bound_text(with_query("a="), "a", &value));
	assert_int_equal(value.n, 0);
	assert_false(bound_text(with_query("b=1"), "a", &value));
	answered(
	        "caused: Required request parameter 'a' for method parameter type String is not present;");
	value = bound_optional(with_query("b=1"), "a");
	assert_true(str_is_set(value) && value.n == 0);
}

static void numbers(void **state)
{
	int32_t value;

	(void)state;
	assert_true(bound_int(with_query("n=%207%20"), "n", &value));
	assert_int_equal(value, 7);
	assert_true(bound_optional_int(with_query("n=-3"), "n", &value));
	assert_int_equal(value, -3);
	assert_false(bound_int(with_query(""), "n", &value));
	answered(
	        "caused: Required request parameter 'n' for method parameter type int is not present;");
	assert_false(bound_int(with_query("n=1x"), "n", &value));
	answered(
	        "caused: Failed to convert value of type 'java.lang.String' to required type 'int'; nested exception is "
	        "java.lang.NumberFormatException: For input string: \"1x\";caused: For input string: \"1x\";");
	assert_true(bound_int(with_query("n=1%202"), "n", &value));
	assert_int_equal(value, 12);
	assert_false(bound_optional_int(with_query("n=%20"), "n", &value));
	answered(
	        "caused: Failed to convert value of type 'java.lang.String' to required type 'int'; nested exception is "
	        "java.lang.NumberFormatException: For input string: \"\";caused: For input string: \"\";");
	assert_false(bound_int(with_query("n="), "n", &value));
	answered(
	        "caused: Failed to convert value of type 'java.lang.String' to required type 'int'; nested exception is "
	        "java.lang.NumberFormatException: For input string: \"\";caused: For input string: \"\";");
	assert_false(bound_optional_int(with_query(""), "n", &value));
	assert_true(has(
	        fixture_out(&f),
	        "caused: Optional int parameter 'n' is present but cannot be translated into a null value"));
}

static void booleans(void **state)
{
	static const struct {
		const char *query;
		bool value;
	} rows[] = {
		{ "", false },    { "b=TRUE", true },    { "b=on", true },   { "b=Yes", true },
		{ "b=1", true },  { "b=%201%20", true }, { "b=off", false }, { "b=no", false },
		{ "b=0", false }, { "b=False", false },
	};
	bool value;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_true(bound_bool(with_query(rows[i].query), "b", &value));
		assert_int_equal(value, rows[i].value);
	}
	assert_false(bound_bool(with_query("b="), "b", &value));
	answered(
	        "caused: Failed to convert value of type 'java.lang.String' to required type 'boolean'; nested exception is "
	        "java.lang.IllegalArgumentException: Invalid boolean value [];caused: Invalid boolean value [];");
	assert_false(bound_bool(with_query("b=%20"), "b", &value));
	answered(
	        "caused: Failed to convert value of type 'java.lang.String' to required type 'boolean'; nested exception is "
	        "java.lang.IllegalArgumentException: Invalid boolean value [ ];caused: Invalid boolean value [ ];");
	assert_false(bound_bool(with_query("b=maybe"), "b", &value));
	answered(
	        "caused: Failed to convert value of type 'java.lang.String' to required type 'boolean'; nested exception is "
	        "java.lang.IllegalArgumentException: Invalid boolean value [maybe];caused: Invalid boolean value [maybe];");
}

static void floats(void **state)
{
	float value = 9;

	(void)state;
	assert_true(bound_float(with_query(""), "f", &value));
	assert_true(value == 0);
	assert_true(bound_float(with_query("f=%200.5%20"), "f", &value));
	assert_true(value == 0.5F);
	assert_true(bound_float(with_query("f="), "f", &value));
	assert_true(value == 0);
	assert_false(bound_float(with_query("f=%20"), "f", &value));
	answered(
	        "caused: Failed to convert value of type 'java.lang.String' to required type 'float'; nested exception is "
	        "java.lang.NumberFormatException: empty String;caused: empty String;");
	assert_false(bound_float(with_query("f=x"), "f", &value));
	answered(
	        "caused: Failed to convert value of type 'java.lang.String' to required type 'float'; nested exception is "
	        "java.lang.NumberFormatException: For input string: \"x\";caused: For input string: \"x\";");
}

/* A bad value is shown up to a size, and never half of a character: the answer is UTF-8. */
static void bad_values_are_cut(void **state)
{
	char query[8 + 3 * 4 * 40], want[400] = "";
	int32_t number;
	float real;
	bool yes;

	(void)state;
	for (size_t begin = 0; begin < 4; begin++) {
		snprintf(query, sizeof(query), "n=%.*s", (int)begin, "xyz");
		snprintf(want, sizeof(want), "%.*s", (int)begin, "xyz");
		for (size_t i = 0; i < 40; i++)
			strcat(query, "%F0%9F%98%80");
		for (size_t i = 0; i < (100 - begin) / 4; i++)
			strcat(want, "\xf0\x9f\x98\x80");
		assert_false(bound_int(with_query(query), "n", &number));
		assert_true(has(fixture_out(&f), want) && utf8_valid(str_of(fixture_out(&f))));
		assert_false(bound_float(with_query(query), "n", &real));
		assert_true(has(fixture_out(&f), want) && utf8_valid(str_of(fixture_out(&f))));
		assert_false(bound_bool(with_query(query), "n", &yes));
		assert_true(has(fixture_out(&f), want) && utf8_valid(str_of(fixture_out(&f))));
	}
}

/* The empty one is the default, a blank one is a name. */
static void namespaces(void **state)
{
	(void)state;
	assert_true(str_eq(bound_namespace(with_query("")), STR("public")));
	assert_true(str_eq(bound_namespace(with_query("namespaceId=")), STR("public")));
	assert_true(str_eq(bound_namespace(with_query("namespaceId=%20")), STR(" ")));
	assert_true(str_eq(bound_namespace(with_query("namespaceId=%20a")), STR(" a")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(texts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(numbers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(booleans, set_up, tear_down),
		cmocka_unit_test_setup_teardown(floats, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bad_values_are_cut, set_up, tear_down),
		cmocka_unit_test_setup_teardown(namespaces, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
