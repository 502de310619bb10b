/* SPDX-License-Identifier: Apache-2.0 */
/* Which handler, and which answer when there is none (specification 1.3, 1.4; recordings of
 * http-surface). */
#include "tests/unit/http_fixture.h"

#include <stdio.h>

#include "tests/unit/death_fixture.h"
#include "worker/v1/router.h"

static struct fixture f;
static struct router *router;

static void answer_route(struct request *rq)
{
	reply_text(rq, 200, str_of(v1_request(rq)->route->about));
}

static void answer_nothing(struct request *rq)
{
	(void)rq;
}

static const struct route rows[] = {
	{ METHOD_GET, "/v1/ns/instance", answer_route, ROUTE_NAMING, "get" },
	{ METHOD_POST, "/v1/ns/instance", answer_route, ROUTE_NAMING, "post" },
	{ METHOD_PATCH, "/v1/ns/instance", answer_route, ROUTE_NAMING, "patch" },
	{ METHOD_GET, "/v1/ns/instance/list", answer_route, ROUTE_NAMING, "list" },
	{ METHOD_GET, "/v1/ns/nothing", answer_nothing, ROUTE_NAMING, "nothing" },
	{ METHOD_GET, "/v1/console/health/liveness", answer_route, 0, "liveness" },
	{ METHOD_GET, "/", answer_route, 0, "page" },
};

static int set_up(void **state)
{
	(void)state;
	fixture_init(&f);
	return router_new(rows, COUNT(rows), STR("/nacos"), &router);
}

static int tear_down(void **state)
{
	(void)state;
	router_free(&router);
	fixture_free(&f);
	return 0;
}

static const char *const names[] = { "GET",  "POST",    "PUT",   "DELETE",  "PATCH",
	                             "HEAD", "OPTIONS", "TRACE", "PROPFIND" };

static const char *dispatch(enum method method, const char *path)
{
	struct request *rq = fixture_request(&f);

	rq->method = method;
	rq->method_text = str_of(names[method]);
	rq->path = str_of(path);
	router_dispatch(router, rq);
	assert_true(rq->answered);
	return fixture_out(&f);
}

#define JSON "Content-Type: application/json\r\n"
#define TEXT "Content-Type: text/plain;charset=UTF-8\r\n"
#define HTML "Content-Type: text/html;charset=utf-8\r\n"

static const struct {
	enum method method;
	const char *path;
	int status;
	const char *head, *body;
} cases[] = {
	{ METHOD_GET, "/nacos/v1/ns/instance", 200, TEXT, "get" },
	{ METHOD_GET, "/nacos/v1/ns/instance/", 200, TEXT, "get" },
	{ METHOD_POST, "/nacos/v1/ns/instance", 200, TEXT, "post" },
	{ METHOD_PATCH, "/nacos/v1/ns/instance", 200, TEXT, "patch" },
	{ METHOD_GET, "/nacos/v1/ns/instance/list/", 200, TEXT, "list" },
	{ METHOD_GET, "/nacos/v1/ns/nosuch", 501, JSON,
	  "\"message\":\"no such api:GET:/nacos/v1/ns/nosuch\"" },
	{ METHOD_GET, "/nacos/v1/ns", 501, JSON, "no such api:GET:/nacos/v1/ns\"" },
	{ METHOD_GET, "/nacos/v1/ns/", 501, JSON, "no such api:GET:/nacos/v1/ns/\"" },
	{ METHOD_PUT, "/nacos/v1/ns/instance", 501, JSON,
	  "no such api:PUT:/nacos/v1/ns/instance\"" },
	{ METHOD_OPTIONS, "/nacos/v1/ns/instance", 501, JSON,
	  "no such api:OPTIONS:/nacos/v1/ns/instance\"" },
	{ METHOD_OTHER, "/nacos/v1/ns/instance", 501, JSON,
	  "no such api:PROPFIND:/nacos/v1/ns/instance\"" },
	{ METHOD_GET, "/nacos/v1/ns/instance/list.json", 501, JSON,
	  "no such api:GET:/nacos/v1/ns/instance/list.json\"" },
	{ METHOD_GET, "/nacos/v1/ns/INSTANCE", 501, JSON, "no such api" },
	{ METHOD_GET, "/nacos/v1/nsx", 404, JSON,
	  "\"message\":\"No message available\",\"path\":\"/nacos/v1/nsx\"" },
	{ METHOD_GET, "/nacos/v1/zz", 404, JSON, "No message available" },
	{ METHOD_GET, "/nacos", 302, "Location: /nacos/\r\n", "" },
	{ METHOD_POST, "/nacos", 302, "Location: /nacos/\r\n", "" },
	{ METHOD_HEAD, "/nacos", 302, "Location: /nacos/\r\n", "" },
	{ METHOD_GET, "/nacos/", 200, TEXT, "page" },
	{ METHOD_GET, "/nacos//", 500, JSON,
	  "URL contained a potentially malicious String \\\"//\\\"" },
	{ METHOD_GET, "/nacosx/v1/ns/instance", 404, HTML, "<html" },
	{ METHOD_GET, "/", 404, HTML, "<html" },
	{ METHOD_GET, "*", 404, HTML, "<html" },
	{ METHOD_GET, "/nacos/v1//ns/instance", 500, JSON,
	  "URL contained a potentially malicious String \\\"//\\\"" },
	{ METHOD_GET, "//nacos/v1/ns/instance", 500, JSON,
	  "URL contained a potentially malicious String" },
	{ METHOD_GET, "/nacos/v1/ns/instance;a=b", 500, JSON,
	  "URL contained a potentially malicious String \\\";\\\"" },
	{ METHOD_GET, "/nacos/v1/ns/%69nstance", 200, TEXT, "get" },
	{ METHOD_GET, "/%6eacos/v1/n%73/instance/lis%74/", 200, TEXT, "list" },
	{ METHOD_GET, "/nacos/v1/console/%68ealth/liveness", 200, TEXT, "liveness" },
	{ METHOD_PUT, "/nacos/v1/ns/%69nstance", 501, JSON,
	  "no such api:PUT:/nacos/v1/ns/%69nstance\"" },
	{ METHOD_GET, "/nacos/v1/%6es/nosuch", 501, JSON,
	  "no such api:GET:/nacos/v1/%6es/nosuch\",\"path\":\"/nacos/v1/%6es/nosuch\"" },
	{ METHOD_GET, "/nacos/v1/ns/%49nstance", 501, JSON,
	  "no such api:GET:/nacos/v1/ns/%49nstance\"" },
	{ METHOD_GET, "/nacos/v1/ns/instance%20", 501, JSON,
	  "no such api:GET:/nacos/v1/ns/instance%20\"" },
	{ METHOD_GET, "/nacos/v1/ns/instance%3fa", 501, JSON,
	  "no such api:GET:/nacos/v1/ns/instance%3fa\"" },
	{ METHOD_GET, "/nacos/v1/ns/instance%2flist", 400, HTML, "<html" },
	{ METHOD_GET, "/nacos/v1/ns/instance%zz", 400, HTML, "<html" },
	{ METHOD_GET, "/nacos/v1/ns/instance\\list", 400, HTML, "<html" },
	{ METHOD_GET, "/zz%00", 400, HTML, "<html" },
	{ METHOD_GET, "/../nacos/v1/ns/instance", 400, HTML, "<html" },
	{ METHOD_GET, "/zz%2e", 404, HTML, "<html" },
	{ METHOD_GET, "/zz//y;a", 404, HTML, "<html" },
	{ METHOD_GET, "/nacos/../zz", 404, HTML, "<html" },
	{ METHOD_GET, "/nacos%3ba/v1/ns/instance", 404, HTML, "<html" },
	{ METHOD_GET, "/x/../nacos/v1/ns/instance", 500, JSON,
	  "rejected because the URL was not normalized.\",\"path\":\"/x/../nacos" },
	{ METHOD_GET, "/nacos/v1/ns/./instance", 500, JSON,
	  "rejected because the URL was not normalized." },
	{ METHOD_GET, "/nacos/v1/ns/%2e/instance", 500, JSON,
	  "a potentially malicious String \\\"%2e\\\"" },
	{ METHOD_GET, "/nacos/v1/ns/%2569nstance", 500, JSON,
	  "a potentially malicious String \\\"%25\\\"" },
	{ METHOD_GET, "/nacos/v1/console/health/liveness", 200, TEXT, "liveness" },
	{ METHOD_POST, "/nacos/v1/console/health/liveness", 500, TEXT,
	  "caused: Request method 'POST' not supported;" },
	{ METHOD_TRACE, "/nacos/v1/ns/instance", 405, HTML, "<html" },
	{ METHOD_TRACE, "/zz", 405, "Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS\r\n", "<html" },
	{ METHOD_OPTIONS, "*", 200,
	  "Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS\r\nContent-Length: 0\r\n", "" },
	{ METHOD_OPTIONS, "/nacos/v1/console/health/liveness", 200,
	  "Allow: GET,HEAD,OPTIONS\r\nContent-Length: 0\r\n", "" },
	{ METHOD_OPTIONS, "/nacos/v1/zz", 404, JSON, "No message available" },
	{ METHOD_OPTIONS, "/zz", 404, HTML, "<html" },
	{ METHOD_GET, "/nacos/v1/ns/nothing", 500, TEXT, "caused: the handler gave no answer;" },
};

static void test_cases(void **state)
{
	char line[30];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *out = dispatch(cases[i].method, cases[i].path);

		snprintf(line, sizeof(line), "HTTP/1.1 %d ", cases[i].status);
		if (strncmp(out, line, strlen(line)) != 0 || !has(out, cases[i].head) ||
		    !has(body_of(out), cases[i].body))
			fail_msg("%s %s: %s", names[cases[i].method], cases[i].path, out);
	}
}

/* The headers of the filter chain are on answers from behind it only. */
static void test_chain_headers(void **state)
{
	(void)state;
	assert_true(has(dispatch(METHOD_GET, "/nacos/v1/ns/instance"), "Content-Security-Policy"));
	assert_true(has(dispatch(METHOD_GET, "/nacos/v1/zz"), "Content-Security-Policy"));
	assert_false(has(dispatch(METHOD_GET, "/nacos/v1/ns/zz"), "Content-Security-Policy"));
	assert_false(has(dispatch(METHOD_GET, "/nacos/v1/ns/zz"), "Vary"));
	assert_false(has(dispatch(METHOD_GET, "/zz"), "Vary"));
}

static void test_head(void **state)
{
	const char *out;

	(void)state;
	out = dispatch(METHOD_HEAD, "/nacos/v1/ns/instance/list");
	assert_true(has(out, "HTTP/1.1 501 ") && has(out, JSON));
	assert_string_equal(body_of(out), "");
	out = dispatch(METHOD_HEAD, "/nacos/v1/console/health/liveness");
	assert_true(has(out, "HTTP/1.1 200 ") && has(out, "Content-Length: 8\r\n"));
	assert_string_equal(body_of(out), "");
}

static void test_redirect(void **state)
{
	struct request *rq = fixture_request(&f);

	(void)state;
	rq->path = STR("/nacos");
	rq->query = STR("a=b");
	router_dispatch(router, rq);
	assert_true(has(fixture_out(&f), "Location: /nacos/?a=b\r\n"));
}

/* The same rows behind another context path. */
static void test_context(void **state)
{
	static const struct {
		const char *context, *path;
		int status;
	} all[] = {
		{ "/", "/v1/ns/instance", 200 },
		{ "/", "/v1/ns/instance/", 200 },
		{ "/", "/nacos/v1/ns/instance", 404 },
		{ "/", "/v1/ns/nosuch", 501 },
		{ "/", "/", 200 },
		{ "/", "//", 500 },
		{ "/", "*", 404 },
		{ "/", "//v1/ns/instance", 500 },
		{ "/registry", "/registry/v1/ns/instance", 200 },
		{ "/registry", "/registry", 302 },
		{ "/registry", "/registryx/v1/ns/instance", 404 },
		{ "/registry", "/nacos/v1/ns/instance", 404 },
		{ "/registry", "/v1/ns/instance", 404 },
		{ "/a/b", "/a/b/v1/ns/instance/list", 200 },
		{ "/a/b", "/a/b", 302 },
		{ "/a/b", "/a", 404 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(all); i++) {
		char line[30];

		router_free(&router);
		assert_int_equal(router_new(rows, COUNT(rows), str_of(all[i].context), &router), 0);
		snprintf(line, sizeof(line), "HTTP/1.1 %d ", all[i].status);
		if (!has(dispatch(METHOD_GET, all[i].path), line))
			fail_msg("%s under %s: %s", all[i].path, all[i].context, fixture_out(&f));
	}
	assert_true(has(dispatch(METHOD_GET, "/a/b/v1/ns/x"), "\"path\":\"/a/b/v1/ns/x\""));
}

static void test_preflight(void **state)
{
	struct request *rq = fixture_request(&f);

	(void)state;
	rq->method = METHOD_OPTIONS;
	rq->method_text = STR("OPTIONS");
	rq->origin = STR("http://a");
	rq->cors_method = STR("PUT");
	rq->path = STR("/nacos/v1/ns/instance");
	router_dispatch(router, rq);
	assert_true(has(fixture_out(&f), "HTTP/1.1 403 "));
	assert_string_equal(body_of(fixture_out(&f)), "Invalid CORS request");
}

/* Many rows: every one is found, and nothing else. */
static void test_many(void **state)
{
	static struct route many[200];
	static char paths[200][20];
	struct router *big;
	bool known;

	(void)state;
	for (unsigned i = 0; i < COUNT(many); i++) {
		snprintf(paths[i], sizeof(paths[i]), "/v1/p%u", i);
		many[i] = (struct route){
			.method = METHOD_GET, .path = paths[i], .handler = answer_route, .about = ""
		};
	}
	assert_int_equal(router_new(many, COUNT(many), STR("/nacos"), &big), 0);
	for (unsigned i = 0; i < COUNT(many); i++)
		assert_ptr_equal(router_find(big, METHOD_GET, str_of(paths[i]), &known), &many[i]);
	assert_null(router_find(big, METHOD_POST, str_of(paths[0]), &known));
	assert_true(known);
	assert_null(router_find(big, METHOD_GET, STR("/v1/p200"), &known));
	assert_false(known);
	assert_null(router_find(big, METHOD_GET, STR(""), &known));
	assert_false(known);
	router_free(&big);
}

/* router_find() takes the slash off the path that it is asked for. */
static void test_a_row_that_nobody_finds_ends_the_process(void **state)
{
	static const struct route slash = { METHOD_GET, "/v1/zz/", answer_route, 0, "" };
	struct death death;

	(void)state;
	if (death_fork(&death)) {
		struct router *other;

		_exit(router_new(&slash, 1, STR("/nacos"), &other) < 0);
	}
	death_was_by_assert(&death, "assert path.n ");
}

/* The view that all share would change under a long request at each of its pauses. */
static void test_a_long_request_keeps_its_view(void **state)
{
	struct death death;

	(void)state;
	if (death_fork(&death)) {
		struct request *rq = fixture_request(&f);

		rq->work = (struct long_work *)(void *)rq;
		v1_protocol.begin(rq);
		_exit(0);
	}
	death_was_by_assert(&death, "assert rq->work ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_cases, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_chain_headers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_head, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_redirect, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_context, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_preflight, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_row_that_nobody_finds_ends_the_process,
		                                set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_long_request_keeps_its_view, set_up,
		                                tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
