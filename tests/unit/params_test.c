/* SPDX-License-Identifier: Apache-2.0 */
/* Parameter rules of specification 1.2 and 2.2. */
#include "tests/unit/http_fixture.h"

#include <stdio.h>

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

static struct request *with_form(enum method method, const char *type, const char *form,
                                 const char *query)
{
	fixture_request(&f)->method = method;
	f.rq.content_type = str_of(type);
	f.rq.body = str_of(form);
	f.rq.query = query == NULL ? (struct str){ NULL, 0 } : str_of(query);
	assert_true(router_prepare(&f.rq));
	return &f.rq;
}

#define FORM "application/x-www-form-urlencoded"

static void expect(struct str got, const char *want)
{
	if (want == NULL ? str_is_set(got) : !str_is_set(got) || !str_eq(got, str_of(want)))
		fail_msg("want '%s', got '%.*s'", want == NULL ? "(absent)" : want, (int)got.n,
		         got.n > 0 ? got.p : "");
}

static void test_raw(void **state)
{
	(void)state;
	with_query("a=1&b=%e4%b8%ad&c=x+y&d&e=&a=2");
	expect(request_param(&f.rq, STR("a")), "2");
	expect(request_param(&f.rq, STR("b")), "中");
	expect(request_param(&f.rq, STR("c")), "x y");
	expect(request_param(&f.rq, STR("d")), "");
	expect(request_param(&f.rq, STR("e")), "");
	expect(request_param(&f.rq, STR("f")), NULL);
	expect(request_param(&f.rq, STR("A")), NULL);
}

static void test_forms(void **state)
{
	static const enum method with[] = { METHOD_POST, METHOD_PUT, METHOD_DELETE, METHOD_PATCH };
	static const struct {
		enum method method;
		const char *type, *want;
	} rows[] = {
		{ METHOD_GET, FORM, NULL },
		{ METHOD_POST, "application/json", NULL },
		{ METHOD_POST, "", NULL },
		{ METHOD_POST, FORM "x", NULL },
		{ METHOD_POST, FORM ";charset=UTF-8", "1" },
		{ METHOD_PUT, "Application/X-WWW-Form-Urlencoded ; charset=gbk", "1" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(with); i++)
		expect(request_param(with_form(with[i], FORM, "a=1", NULL), STR("a")), "1");
	for (size_t i = 0; i < COUNT(rows); i++)
		expect(request_param(with_form(rows[i].method, rows[i].type, "a=1", NULL),
		                     STR("a")),
		       rows[i].want);
	with_form(METHOD_PUT, FORM, "a=form&b=2", "a=query&c=3");
	expect(request_param(&f.rq, STR("a")), "query");
	expect(request_param(&f.rq, STR("b")), "2");
	expect(request_param(&f.rq, STR("c")), "3");
	/* The Go client does not escape. */
	with_form(METHOD_PUT, FORM, "metadata={\"k\":\"a=b\"}&beat={\"ip\":\"1.1.1.1\",\"x\":[1]}",
	          NULL);
	expect(request_param(&f.rq, STR("metadata")), "{\"k\":\"a=b\"}");
	expect(request_param(&f.rq, STR("beat")), "{\"ip\":\"1.1.1.1\",\"x\":[1]}");
}

static void test_optional_and_required(void **state)
{
	struct str value;

	(void)state;
	with_query("a=%20x%09&empty=&blank=%20");
	expect(request_optional(&f.rq, "a", STR("d")), "x");
	expect(request_optional(&f.rq, "empty", STR("d")), "d");
	expect(request_optional(&f.rq, "blank", STR("d")), "d");
	expect(request_optional(&f.rq, "absent", STR("d")), "d");
	expect(request_namespace(&f.rq), "public");
	assert_true(request_required(&f.rq, "a", &value));
	expect(value, "x");
	assert_true(request_required(&f.rq, "blank", &value));
	expect(value, "");
	assert_false(request_required(&f.rq, "empty", &value));
	assert_string_equal(body_of(fixture_out(&f)), "caused: Param 'empty' is required.;");
	with_query("x");
	assert_false(request_required(&f.rq, "absent", &value));
	assert_string_equal(body_of(fixture_out(&f)), "caused: Param 'absent' is required.;");
}

static void test_encoding(void **state)
{
	static const struct {
		const char *encoding, *value, *want;
	} rows[] = {
		{ "UTF-8", "%c3%a9", "é" },         { "utf8", "%c3%a9", "é" },
		{ "ISO-8859-1", "%c3%a9", "Ã©" },   { "GBK", "%d6%d0", "中" },
		{ "gbk", "a%ff", "a\xef\xbf\xbd" }, { "../../x", "%c3%a9", "é" },
		{ "nonsense", "%c3%a9", "é" },      { "ISO-8859-1//TRANSLIT", "%c3%a9", "é" },
	};
	char query[100];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		snprintf(query, sizeof(query), "a=%s&encoding=%s", rows[i].value, rows[i].encoding);
		expect(request_optional(with_query(query), "a", STR("")), rows[i].want);
	}
}

static void test_form_charset(void **state)
{
	static const struct {
		const char *type, *form, *query, *want; /* NULL: refused */
	} rows[] = {
		{ FORM, "a=%d6%d0", NULL, "\xef\xbf\xbd\xef\xbf\xbd" },
		{ FORM ";charset=GBK", "a=%d6%d0", NULL, "中" },
		{ FORM "; charset=gbk", "a=\xd6\xd0", NULL, "中" },
		{ FORM "; charset=gbk", "a=\xd6%d0", NULL, "中" },
		{ FORM "; Charset=\"GBK\"", "a=%d6%d0", NULL, "中" },
		{ FORM " ;CHARSET = 'gbk' ", "a=%d6%d0", NULL, "中" },
		{ FORM "; a=\";charset=x\"; charset=GBK; b", "a=%d6%d0", NULL, "中" },
		{ FORM ";charset=UTF-8;charset=GBK", "a=%d6%d0", NULL, "中" },
		{ FORM ";charset=utf8", "a=%e4%b8%ad", NULL, "中" },
		{ FORM ";charset", "a=%e4%b8%ad", NULL, "中" },
		{ FORM ";", "a=%e4%b8%ad", NULL, "中" },
		{ FORM ";charset=Shift_JIS", "a={\"b\":\"\\n\"}", NULL, "{\"b\":\"\\n\"}" },
		{ FORM ";charset=GBK", "a=100%", NULL, "100%" },
		{ FORM ";charset=GBK", "a=b&c", NULL, "b" },
		/* The query is UTF-8, whatever the form is. */
		{ FORM ";charset=GBK", "b=%d6%d0", "a=%e4%b8%ad", "中" },
		/* `encoding` as ever; the same charset twice is applied once. */
		{ FORM, "a=%d6%d0", "encoding=GBK", "中" },
		{ FORM ";charset=UTF-8", "a=%d6%d0&encoding=GBK", NULL, "中" },
		{ FORM ";charset=GBK", "a=%d6%d0&encoding=UTF-8", NULL, "中" },
		{ FORM ";charset=GBK", "a=%d6%d0&encoding=CP936", NULL, "中" },
		{ FORM ";charset=GBK", "encoding=GBK", "a=%d6%d0", "中" },
		{ FORM ";charset=GBK", "a=%d6%d0&encoding=nosuch", NULL, "中" },
		{ FORM ";charset=GBK", "a=%d6%d0", "encoding=ISO-8859-1",
		  "\xc3\xa4\xc2\xb8\xc2\xad" },
		{ FORM ";charset=nosuch", "a=b", NULL, NULL },
		{ FORM ";charset=", "a=b", NULL, NULL },
		{ FORM ";charset=\"", "a=b", NULL, NULL },
		{ FORM ";charset=GBK//TRANSLIT", "a=b", NULL, NULL },
		{ FORM ";charset=UTF-16", "a=b", NULL, NULL },
		{ FORM ";charset=utf-7", "a=b", NULL, NULL },
		{ FORM ";charset=ISO-2022-JP", "a=b", NULL, NULL },
		{ FORM ";charset=GBK;charset=\xff\xd6", "a=b", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		fixture_request(&f)->method = METHOD_PUT;
		f.rq.content_type = str_of(rows[i].type);
		f.rq.body = str_of(rows[i].form);
		f.rq.query =
		        rows[i].query == NULL ? (struct str){ NULL, 0 } : str_of(rows[i].query);
		if (router_prepare(&f.rq) != (rows[i].want != NULL))
			fail_msg("row %zu", i);
		if (rows[i].want != NULL)
			expect(request_optional(&f.rq, "a", STR("")), rows[i].want);
		else
			assert_true(has(fixture_out(&f), "HTTP/1.1 400 ") &&
			            has(fixture_out(&f), "caused: Content-Type: the charset \""));
	}
	/* Without a form nobody asks for its charset. */
	expect(request_param(with_form(METHOD_GET, FORM ";charset=nosuch", "a=1", "a=2"), STR("a")),
	       "2");
	expect(request_param(with_form(METHOD_PUT, "text/plain;charset=nosuch", "a=1", "a=2"),
	                     STR("a")),
	       "2");
	expect(request_param(with_form(METHOD_PUT, FORM ";charset=nosuch", "", "a=2"), STR("a")),
	       "2");
}

static void test_grouping(void **state)
{
	static const struct {
		const char *query, *name;
	} rows[] = {
		{ "", NULL },
		{ "a=1", NULL },
		{ "serviceName=", "" },
		{ "serviceName=%20%20", "  " },
		{ "serviceName=%20&dom=", "" },
		{ "serviceName=&dom=%20", " " },
		{ "serviceName=%20&dom=s", "DEFAULT_GROUP@@s" },
		{ "serviceName=s", "DEFAULT_GROUP@@s" },
		{ "serviceName=%20s%20", "DEFAULT_GROUP@@s" },
		{ "serviceName=s&groupName=", "DEFAULT_GROUP@@s" },
		{ "serviceName=s&groupName=g", "g@@s" },
		{ "serviceName=h@@s&groupName=g", "h@@s" },
		{ "serviceName=@@", "@@" },
		{ "dom=s&groupName=g", "g@@s" },
		{ "serviceName=&dom=s", "DEFAULT_GROUP@@s" },
		{ "serviceName=s&dom=t", "DEFAULT_GROUP@@s" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		expect(v1_request(with_query(rows[i].query))->service_name, rows[i].name);
}

static void test_service_format(void **state)
{
#define FORMAT \
	"caused: Param 'serviceName' is illegal, it should be format as 'groupName@@serviceName';"
	static const struct {
		const char *query, *body;
	} rows[] = {
		{ "serviceName=s", NULL },
		{ "serviceName=g@@a@@b", NULL },
		{ "a=1", "caused: Param 'serviceName' is required.;" },
		{ "serviceName=", "caused: Param 'serviceName' is required.;" },
		{ "serviceName=%20", FORMAT },
		{ "serviceName=%20&dom=", "caused: Param 'serviceName' is required.;" },
		{ "serviceName=g@@", FORMAT },
		{ "serviceName=@@", FORMAT },
		{ "serviceName=@@@@", FORMAT },
		{ "serviceName=@@c",
		  "caused: Param 'serviceName' is illegal, groupName can't be empty;" },
	};
	struct str name;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		bool good = request_service(with_query(rows[i].query), &name);

		if (good != (rows[i].body == NULL) ||
		    (!good && strcmp(body_of(fixture_out(&f)), rows[i].body) != 0))
			fail_msg("%s: %s", rows[i].query, fixture_out(&f));
	}
}

static void test_numbers(void **state)
{
	int32_t number;
	double real;

	(void)state;
	with_query("");
	assert_true(request_int(&f.rq, STR("-5"), &number));
	assert_int_equal(number, -5);
	assert_false(request_int(&f.rq, STR("80.5"), &number));
	assert_string_equal(body_of(fixture_out(&f)), "caused: For input string: \"80.5\";");
	with_query("");
	assert_false(request_int(&f.rq, STR(""), &number));
	assert_string_equal(body_of(fixture_out(&f)), "caused: For input string: \"\";");
	with_query("");
	assert_true(request_double(&f.rq, STR("1e3"), &real));
	assert_true(real == 1000.0);
	assert_false(request_double(&f.rq, STR("abc"), &real));
	assert_string_equal(body_of(fixture_out(&f)), "caused: For input string: \"abc\";");
}

static void test_bad_parameters(void **state)
{
	char query[REQUEST_PARAMS_MAX * 2 + 20] = "";

	(void)state;
	fixture_request(&f)->query = STR("a=%zz");
	assert_false(router_prepare(&f.rq));
	assert_true(has(fixture_out(&f), "HTTP/1.1 400 "));
	for (unsigned i = 0; i < REQUEST_PARAMS_MAX; i++)
		strcat(query, "a&");
	fixture_request(&f)->query = str_of(query);
	assert_true(router_prepare(&f.rq));
	strcat(query, "a");
	fixture_request(&f)->query = str_of(query);
	assert_false(router_prepare(&f.rq));
	assert_string_equal(body_of(fixture_out(&f)), "caused: http.parameters reached: 256;");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_raw, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_forms, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_optional_and_required, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_encoding, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_form_charset, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_grouping, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_service_format, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_numbers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bad_parameters, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
