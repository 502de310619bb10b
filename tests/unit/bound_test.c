/* Parameters of the endpoints marked (S): specification 1.2. */
#include "tests/unit/http_fixture.h"

#include "worker/bound.h"
#include "worker/router.h"

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
	answered("caused: Required request parameter 'a' for method parameter type String is not present;");
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
	answered("caused: Required request parameter 'n' for method parameter type int is not present;");
	assert_false(bound_int(with_query("n=1x"), "n", &value));
	answered("caused: Failed to convert value of type 'java.lang.String' to required type 'int'; nested exception is "
	         "java.lang.NumberFormatException: For input string: \"1x\";caused: For input string: \"1x\";");
	assert_false(bound_optional_int(with_query("n="), "n", &value));
	assert_true(
	        has(fixture_out(&f), "caused: Optional int parameter 'n' is present but cannot be translated into a null value"));
}

static void booleans(void **state)
{
	static const struct {
		const char *query;
		bool value;
	} rows[] = {
		{ "", false },     { "b=", false },   { "b=%20", false },   { "b=TRUE", true },
		{ "b=on", true },  { "b=Yes", true }, { "b=1", true },      { "b=off", false },
		{ "b=no", false }, { "b=0", false },  { "b=False", false },
	};
	bool value;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_true(bound_bool(with_query(rows[i].query), "b", &value));
		assert_int_equal(value, rows[i].value);
	}
	assert_false(bound_bool(with_query("b=maybe"), "b", &value));
	answered("caused: Failed to convert value of type 'java.lang.String' to required type 'boolean'; nested exception is "
	         "java.lang.IllegalArgumentException: Invalid boolean value [maybe];caused: Invalid boolean value [maybe];");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(texts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(numbers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(booleans, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
