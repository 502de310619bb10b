/* SPDX-License-Identifier: Apache-2.0 */
/* Heads and bodies as recorded (specification 1.1, 1.4). */
#include "tests/unit/http_fixture.h"

#include <stdio.h>

#include "shared/base/clock.h"
#include "worker/http/answer.h"

#define VARY \
	"Vary: Origin\r\nVary: Access-Control-Request-Method\r\nVary: Access-Control-Request-Headers\r\n"
#define CSP "Content-Security-Policy: script-src 'self'\r\n"
#define DATE "Date: Sun, 22 Nov 2026 11:48:31 GMT\r\n"
#define WALL_US 1795348111607000ULL

static struct fixture f;

static int set_up(void **state)
{
	(void)state;
	fixture_init(&f);
	clock_set_for_test(1, WALL_US);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	clock_set_for_test(0, 0);
	fixture_free(&f);
	return 0;
}

static void test_whole_text(void **state)
{
	(void)state;
	reply_ok(fixture_request(&f));
	assert_string_equal(fixture_out(&f), "HTTP/1.1 200 OK\r\n" VARY CSP
	                                     "Content-Type: text/plain;charset=UTF-8\r\n"
	                                     "Content-Length: 2\r\n" DATE "\r\nok");
	assert_true(f.rq.answered);
	assert_false(f.rq.close_after);
}

static void test_whole_json(void **state)
{
	(void)state;
	reply_json(fixture_request(&f), STR("{\"a\":"), STR("[1,2,3,4,5,6]"), STR("}"));
	assert_string_equal(fixture_out(&f),
	                    "HTTP/1.1 200 OK\r\n" VARY CSP "Content-Type: application/json\r\n"
	                    "Transfer-Encoding: chunked\r\n" DATE
	                    "\r\n13\r\n{\"a\":[1,2,3,4,5,6]}\r\n0\r\n\r\n");
	fixture_request(&f)->http_1_0 = true;
	f.rq.keep_alive_asked = true; /* or it would not be kept */
	reply_json(&f.rq, STR("{}"), (struct str){ NULL, 0 }, (struct str){ NULL, 0 });
	assert_string_equal(fixture_out(&f),
	                    "HTTP/1.1 200 OK\r\n" VARY CSP "Content-Type: application/json\r\n"
	                    "Content-Length: 2\r\n" DATE
	                    "Keep-Alive: timeout=60\r\nConnection: keep-alive\r\n\r\n{}");
}

static void answer_text(struct request *rq)
{
	reply_text(rq, 404, STR("no"));
}

static void answer_json(struct request *rq)
{
	reply_json(rq, STR("{}"), STR(""), STR(""));
}

static void answer_as(struct request *rq)
{
	reply_as(rq, STR("text/css"), STR("a"));
}

static void answer_empty(struct request *rq)
{
	reply_bare(rq, 204, STR(""));
}

static void answer_error_page(struct request *rq)
{
	reply_error_page(rq, 403, STR("no"));
}

static void answer_bare(struct request *rq)
{
	reply_bare(rq, 404, STR("no"));
}

static void answer_container_page(struct request *rq)
{
	answer_page(rq, 404);
}

static void answer_over_limit(struct request *rq)
{
	reply_over_limit(rq, "limits.per_source", 1, 1);
}

static void answer_caused(struct request *rq)
{
	reply_caused(rq, 500, "no");
}

static const struct {
	const char *name;
	void (*answer)(struct request *rq);
	bool stays;
} kinds[] = {
	{ "ok", reply_ok, true },
	{ "text", answer_text, true },
	{ "json", answer_json, true },
	{ "as", answer_as, true },
	{ "empty", answer_empty, true },
	{ "error page", answer_error_page, true },
	{ "bare", answer_bare, true },
	{ "container page", answer_container_page, true },
	{ "preflight", answer_preflight, true },
	{ "over a limit", answer_over_limit, true },
	{ "dropped by its status", answer_caused, false },
};

/* Each kind of answer: asked for, asked for with HEAD, not asked for, about to be closed. */
static void test_keep_alive(void **state)
{
	static const char promise[] =
	        "\r\nKeep-Alive: timeout=60\r\nConnection: keep-alive\r\n\r\n";

	(void)state;
	for (size_t i = 0; i < COUNT(kinds); i++) {
		for (int way = 0; way < 4; way++) {
			struct request *rq = fixture_request(&f);
			bool closes = way == 3 || !kinds[i].stays;

			rq->keep_alive_asked = way != 2;
			rq->method = way == 1 ? METHOD_HEAD : METHOD_GET;
			rq->close_after = way == 3;
			kinds[i].answer(rq);
			if (has(fixture_out(&f), promise) != (way < 2 && !closes) ||
			    has(f.text, "keep-alive") != (way < 2 && !closes) ||
			    has(f.text, "\r\nConnection: close\r\n") != closes)
				fail_msg("%s, way %d: %s", kinds[i].name, way, f.text);
		}
	}
}

static void test_origin(void **state)
{
	(void)state;
	fixture_request(&f)->origin = STR("http://a.example");
	reply_ok(&f.rq);
	assert_true(has(fixture_out(&f), "\r\nAccess-Control-Allow-Origin: http://a.example\r\n"
	                                 "Access-Control-Allow-Credentials: true\r\n"));
	answer_preflight(fixture_request(&f));
	assert_string_equal(fixture_out(&f),
	                    "HTTP/1.1 403 Forbidden\r\n" VARY "Content-Length: 20\r\n" DATE
	                    "\r\nInvalid CORS request");
}

/* setting, origin: is it shown, is its preflight granted? */
static const struct {
	const char *setting, *origin;
	bool shown, granted;
} cors_rows[] = {
	{ "echo", "http://a.example", true, false },
	{ "echo", "null", true, false },
	{ "echo", "echo", true, false },
	{ "off", "http://a.example", false, false },
	{ "off", "off", false, false },
	{ "http://a.example", "http://a.example", true, true },
	{ "http://a.example", "HTTP://A.example", true, true },
	{ "http://a.example", "https://a.example", false, false },
	{ "http://a.example", "http://a.example:80", false, false },
	{ "http://a.example", "http://a.example.b", false, false },
	{ "http://a.example", "http://a.exampl", false, false },
	{ "http://a.example", "http://a.example http://b.example", false, false },
	{ "http://a.example", "null", false, false },
	{ "http://a.example", "", false, false },
	{ " http://a.example  https://b.example:8443 ", "https://b.example:8443", true, true },
	{ " http://a.example  https://b.example:8443 ", "", false, false },
	{ "http://a.example https://b.example:8443", "http://a.example", true, true },
	{ "http://a.example https://b.example:8443", "http://c.example", false, false },
};

static void test_cors(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cors_rows); i++) {
		char allowed[200];
		bool shown, granted;

		strcpy(f.proc.config.http_cors, cors_rows[i].setting);
		snprintf(
		        allowed, sizeof(allowed),
		        "\r\nAccess-Control-Allow-Origin: %s\r\nAccess-Control-Allow-Credentials: true\r\n",
		        cors_rows[i].origin);
		fixture_request(&f)->origin = str_of(cors_rows[i].origin);
		reply_ok(&f.rq);
		shown = has(fixture_out(&f), allowed);
		if (shown != cors_rows[i].shown ||
		    has(fixture_out(&f), "Access-Control-Allow") != shown ||
		    !has(fixture_out(&f), VARY))
			fail_msg("%zu: %s", i, fixture_out(&f));
		fixture_request(&f)->origin = str_of(cors_rows[i].origin);
		f.rq.cors_method = STR("PUT");
		answer_preflight(&f.rq);
		granted =
		        has(fixture_out(&f), "HTTP/1.1 200 ") && has(fixture_out(&f), allowed) &&
		        has(fixture_out(&f),
		            "\r\nAccess-Control-Allow-Methods: PUT\r\nAccess-Control-Max-Age: 18000\r\n");
		if (granted != cors_rows[i].granted ||
		    (!granted && has(fixture_out(&f), "Access-Control-Allow")))
			fail_msg("%zu: %s", i, fixture_out(&f));
	}
	fixture_request(&f)->origin = STR("http://a.example");
	f.rq.cors_method = STR("PUT");
	f.rq.cors_headers = STR("x-a, x-b");
	answer_preflight(&f.rq);
	assert_string_equal(
	        fixture_out(&f),
	        "HTTP/1.1 200 OK\r\n" VARY "Access-Control-Allow-Origin: http://a.example\r\n"
	        "Access-Control-Allow-Credentials: true\r\nAccess-Control-Allow-Methods: PUT\r\n"
	        "Access-Control-Allow-Headers: x-a, x-b\r\nAccess-Control-Max-Age: 18000\r\nContent-Length: 0\r\n" DATE
	        "\r\n");
}

static const struct {
	const char *accept, *type;
} text_rows[] = {
	{ "", "text/plain;charset=UTF-8" },
	{ "*/*", "text/plain;charset=UTF-8" },
	{ "application/json", "application/json" },
	{ "text/html", "text/html;charset=UTF-8" },
	{ "image/png", "image/png;charset=UTF-8" },
	{ "application/vnd.a+json", "application/vnd.a+json" },
	{ "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", "text/html;charset=UTF-8" },
	{ "*/*, image/gif", "image/gif;charset=UTF-8" },
	{ "text/html;q=0.1, application/json;q=0.9", "application/json" },
	{ "text/*", "text/plain;charset=UTF-8" },
	{ "text/html\x01/x", "text/plain;charset=UTF-8" },
	{ "text/html;q=0", "text/plain;charset=UTF-8" },
	{ "nonsense,,;;", "text/plain;charset=UTF-8" },
};

static void test_accept_text(void **state)
{
	char want[100];

	(void)state;
	for (size_t i = 0; i < COUNT(text_rows); i++) {
		fixture_request(&f)->accept = str_of(text_rows[i].accept);
		reply_ok(&f.rq);
		snprintf(want, sizeof(want), "\r\nContent-Type: %s\r\n", text_rows[i].type);
		if (!has(fixture_out(&f), want))
			fail_msg("Accept '%s': %s", text_rows[i].accept, fixture_out(&f));
	}
}

static void test_accept_json(void **state)
{
	static const char *const good[] = {
		"", "*/*", "application/json", "text/html, */*;q=0.1", "application/*", "text/a, *"
	};
	static const char *const refused[] = { "text/plain", "image/png, text/html",
		                               "application/json;q=0" };

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		fixture_request(&f)->accept = str_of(good[i]);
		reply_json(&f.rq, STR("{}"), STR(""), STR(""));
		if (!has(fixture_out(&f), "HTTP/1.1 200 "))
			fail_msg("Accept '%s'", good[i]);
	}
	for (size_t i = 0; i < COUNT(refused); i++) {
		fixture_request(&f)->accept = str_of(refused[i]);
		reply_json(&f.rq, STR("{}"), STR(""), STR(""));
		if (!has(fixture_out(&f), "HTTP/1.1 500 ") ||
		    strcmp(body_of(fixture_out(&f)),
		           "caused: Could not find acceptable representation;") != 0)
			fail_msg("Accept '%s': %s", refused[i], fixture_out(&f));
	}
}

static void test_caused(void **state)
{
	(void)state;
	reply_caused(fixture_request(&f), 400, "Param '%s' is required.", "ip");
	assert_string_equal(fixture_out(&f),
	                    "HTTP/1.1 400 Bad Request\r\n" VARY CSP
	                    "Content-Type: text/plain;charset=UTF-8\r\n"
	                    "Content-Length: 32\r\n" DATE
	                    "Connection: close\r\n\r\ncaused: Param 'ip' is required.;");
	assert_true(f.rq.close_after);
	reply_caused2(fixture_request(&f), 500, STR("a"), STR("b"));
	assert_string_equal(body_of(fixture_out(&f)), "caused: a;caused: b;");
	reply_caused2(fixture_request(&f), 500, STR(""), STR(""));
	assert_string_equal(body_of(fixture_out(&f)), "");
	reply_missing(fixture_request(&f), "pageNo", "int");
	assert_string_equal(
	        body_of(fixture_out(&f)),
	        "caused: Required request parameter 'pageNo' for method parameter type int is not present;");
}

static void test_drops(void **state)
{
	static const int drops[] = { 400, 408, 413, 414, 500, 501, 503 },
	                 keeps[] = { 200, 403, 404, 405, 429 };

	(void)state;
	for (size_t i = 0; i < COUNT(drops); i++) {
		reply_bare(fixture_request(&f), drops[i], STR(""));
		if (!has(fixture_out(&f), "\r\nConnection: close\r\n") || !f.rq.close_after)
			fail_msg("%d keeps", drops[i]);
	}
	for (size_t i = 0; i < COUNT(keeps); i++) {
		reply_bare(fixture_request(&f), keeps[i], STR(""));
		if (has(fixture_out(&f), "\r\nConnection: ") || f.rq.close_after)
			fail_msg("%d drops", keeps[i]);
	}
}

static void test_error_page(void **state)
{
	(void)state;
	reply_early_page(fixture_request(&f), 501, "no such api:%s:%s", "GET", "/nacos/v1/ns/x");
	assert_true(has(fixture_out(&f),
	                "HTTP/1.1 501 Not Implemented\r\nContent-Type: application/json\r\n"
	                "Transfer-Encoding: chunked\r\n" DATE "Connection: close\r\n\r\n"));
	assert_true(has(
	        fixture_out(&f),
	        "{\"timestamp\":\"2026-11-22T11:48:31.607+00:00\",\"status\":501,\"error\":\"Not Implemented\","
	        "\"message\":\"no such api:GET:/nacos/v1/ns/x\",\"path\":\"/nacos/v1/ns/x\"}"));
	reply_error_page(fixture_request(&f), 404, STR("No message available"));
	assert_true(has(fixture_out(&f), "HTTP/1.1 404 Not Found\r\n" VARY CSP
	                                 "Content-Type: application/json\r\n"));
	fixture_request(&f)->accept = STR("text/html");
	reply_error_page(&f.rq, 404, STR("<script>&\"x\""));
	assert_true(has(fixture_out(&f), "Content-Type: text/html;charset=UTF-8\r\n"));
	assert_true(has(fixture_out(&f), "&lt;script&gt;&amp;&quot;x&quot;"));
	assert_false(has(fixture_out(&f), "<script"));
}

static void test_head_has_no_body(void **state)
{
	(void)state;
	fixture_request(&f)->method = METHOD_HEAD;
	reply_early_page(&f.rq, 501, "no such api");
	assert_true(has(fixture_out(&f), "Content-Type: application/json\r\nContent-Length: "));
	assert_string_equal(body_of(fixture_out(&f)), "");
	fixture_request(&f)->method = METHOD_HEAD;
	reply_json(&f.rq, STR("{}"), STR(""), STR(""));
	assert_string_equal(body_of(fixture_out(&f)), "");
}

static void test_refuse(void **state)
{
	(void)state;
	fixture_request(&f);
	answer_refuse(&f.out, 400);
	assert_true(has(
	        fixture_out(&f),
	        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/html;charset=utf-8\r\nContent-Length: "));
	assert_true(has(fixture_out(&f), "Connection: close\r\n\r\n<!doctype html>"));
}

static void test_over_limit(void **state)
{
	const char *out;

	(void)state;
	reply_over_limit(fixture_request(&f), "limits.per_source", 20, 3);
	out = fixture_out(&f);
	assert_true(has(out, "HTTP/1.1 429 Too Many Requests\r\n"));
	assert_true(has(out, "\r\nRetry-After: 3\r\n"));
	assert_false(has(out, "Connection: close"));
	assert_string_equal(body_of(out), "caused: limits.per_source reached: 20;");
	fixture_request(&f)->close_after = true;
	reply_over_limit(&f.rq, "limits.connections_per_source", 8, 1);
	out = fixture_out(&f);
	assert_true(has(out, "HTTP/1.1 429 Too Many Requests\r\n"));
	assert_true(has(out, "\r\nRetry-After: 1\r\n"));
	assert_true(
	        has(out,
	            "Connection: close\r\n\r\ncaused: limits.connections_per_source reached: 8;"));
}

static void expect_registry_error(int err, int status, const char *body)
{
	char line[30];

	reply_registry_error(fixture_request(&f), err, STR("g@@s"), STR("a_b"));
	snprintf(line, sizeof(line), "HTTP/1.1 %d ", status);
	if (strncmp(fixture_out(&f), line, strlen(line)) != 0 ||
	    strcmp(body_of(fixture_out(&f)), body) != 0)
		fail_msg("%s: %s", err_str(err), fixture_out(&f));
}

static void test_registry_errors(void **state)
{
	struct segment seg = { .bytes = 4096 };

	(void)state;
	f.worker.registry.seg = &seg;
	expect_registry_error(
	        ERR_SERVICE_NAME, 400,
	        "caused: dom name can only have these characters: 0-9a-zA-Z-._:, current: g@@s;");
	expect_registry_error(
	        ERR_CLUSTER_NAME, 400,
	        "caused: cluster name can only have these characters: 0-9a-zA-Z-, current: a_b;");
	expect_registry_error(ERR_FULL, 503, "caused: segment.limit reached: 4096;");
	f.worker.registry.refused = (struct refusal){ REGISTRY_LIMIT_INSTANCES, 1000000, false };
	expect_registry_error(ERR_LIMIT, 503, "caused: limits.instances reached: 1000000;");
	f.worker.registry.refused = (struct refusal){ REGISTRY_LIMIT_NAME, 400, true };
	expect_registry_error(ERR_LIMIT, 400, "caused: limits.name reached: 400;");
	f.worker.registry.refused = (struct refusal){ REGISTRY_LIMIT_METADATA, 8192, true };
	expect_registry_error(ERR_LIMIT, 400, "caused: limits.metadata reached: 8192;");
	f.proc.config.http_memory_bytes = 65536;
	expect_registry_error(ERR_ANSWER, 503, "caused: http.memory reached: 65536;");
	assert_int_equal(f.slot.counters[METRIC_LIMIT_REFUSED], 4);
	assert_int_equal(f.slot.counters[METRIC_FULL_REFUSED], 1);
	assert_int_equal(f.slot.counters[METRIC_HTTP_4XX], 4);
	assert_int_equal(f.slot.counters[METRIC_HTTP_5XX], 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_whole_text, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_whole_json, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_keep_alive, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_origin, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cors, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_accept_text, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_accept_json, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_caused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_drops, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_error_page, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_head_has_no_body, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refuse, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_over_limit, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_registry_errors, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
