/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/v1/gate.h"

#include <stdlib.h>

#include "shared/net/address.h"
#include "tests/unit/http_fixture.h"
#include "worker/v1/routes.h"

#define SEGMENT_BYTES (16U << 20)

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fixture_init(f);
	assert_int_equal(segment_open_anonymous(SEGMENT_BYTES, &f->proc.seg), 0);
	assert_int_equal(registry_format(f->proc.seg), 0);
	registry_init(&f->worker.registry, f->proc.seg);
	f->worker.switches = switches_of(f->proc.seg);
	f->v1.gate = (struct gate){ .begun = false };
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	segment_close_for_test(&f->proc.seg);
	fixture_free(f);
	free(f);
	return 0;
}

/* As another worker would: stored, not told. */
static void store(struct fixture *f, const char *status, const char *limited)
{
	static struct switches_copy copy;
	struct switch_state state;

	assert_int_equal(switch_load(&f->worker.registry, &copy, &state), 0);
	state.status = str_of(status);
	state.limited = str_of(limited);
	assert_int_equal(switch_store(&f->worker.registry, &state), 0);
}

static void test_open(void **state)
{
	struct fixture *f = *state;

	assert_false(gate_stops(fixture_request(f)));
	assert_int_equal(gate_status(&f->worker), STATUS_UP);
	assert_true(f->v1.gate.open);
	assert_int_equal(f->out.len, 0);
}

static const struct {
	const char *status;
	enum method method;
	const char *user_agent, *client_version;
	bool stops;
} statuses[] = {
	{ "UP", METHOD_GET, "", "", false },
	{ "", METHOD_GET, "", "", false },
	{ "GONE", METHOD_GET, "", "", false },
	{ "DOWN", METHOD_GET, "", "", true },
	{ "DOWN", METHOD_PUT, "curl", "", true },
	{ "DOWN", METHOD_PUT, "Nacos-Server:v1.4.8", "", false },
	{ "DOWN", METHOD_PUT, "", "Nacos-Server", false },
	{ "DOWN", METHOD_PUT, "curl", "Nacos-Server", true },
	{ "STARTING", METHOD_GET, "", "", true },
	{ "PAUSED", METHOD_POST, "", "", true },
	{ "WRITE_ONLY", METHOD_GET, "", "", true },
	{ "WRITE_ONLY", METHOD_POST, "", "", false },
	{ "READ_ONLY", METHOD_GET, "", "", false },
	{ "READ_ONLY", METHOD_DELETE, "", "", true },
};

static void test_status(void **state)
{
	struct fixture *f = *state;
	char body[80];

	for (size_t i = 0; i < COUNT(statuses); i++) {
		struct request *rq = fixture_request(f);

		store(f, statuses[i].status, "");
		rq->method = statuses[i].method;
		rq->user_agent = str_of(statuses[i].user_agent);
		rq->client_version = str_of(statuses[i].client_version);
		if (gate_stops(rq) != statuses[i].stops)
			fail_msg("row %zu", i);
		assert_int_equal(rq->answered, statuses[i].stops);
		if (!statuses[i].stops)
			continue;
		assert_true(has(fixture_out(f), "HTTP/1.1 503 Service Unavailable\r\n"));
		assert_false(has(fixture_out(f), "Content-Type"));
		assert_false(has(fixture_out(f), "Vary"));
		snprintf(body, sizeof(body), "server is %snow, please try again later!",
		         statuses[i].status);
		assert_string_equal(body_of(fixture_out(f)), body);
	}
}

static const struct {
	const char *limited, *path,
	        *query;     /* query NULL: none; path "a|b": received as a, decoded b */
	const char *answer; /* NULL: passes */
} limits[] = {
	{ "/nacos/v1/ns/a:403", "/nacos/v1/ns/a", NULL, "HTTP/1.1 403 Forbidden\r\n" },
	{ "/nacos/v1/ns/a:403", "/nacos/v1/ns/ab", NULL, "HTTP/1.1 403 Forbidden\r\n" },
	{ "/nacos/v1/ns/a:403", "/nacos/v1/ns/b", NULL, NULL },
	{ "/nacos/v1/ns/a:403", "/nacos/v1/ns/", NULL, NULL },
	{ "/v1/ns/a:403", "/nacos/v1/ns/a", NULL, NULL },
	{ "/nacos/v1/ns/a?x=1:429", "/nacos/v1/ns/a", "x=12&y",
	  "HTTP/1.1 429 Too Many Requests\r\n" },
	{ "/nacos/v1/ns/a?x=1:429", "/nacos/v1/ns/a", "x=2", NULL },
	{ "/nacos/v1/ns/a?x=1:429", "/nacos/v1/ns/a", "x=", NULL },
	{ "/nacos/v1/ns/a?x=1:429", "/nacos/v1/ns/ab", "x=1", NULL },
	{ "/nacos/v1/ns/a?null:418", "/nacos/v1/ns/a", NULL, "HTTP/1.1 418 \r\n" },
	{ "/nacos/v1/ns/a?null:418", "/nacos/v1/ns/a", "", NULL },
	{ "/nacos/v1/ns/a?:204", "/nacos/v1/ns/a", "", "HTTP/1.1 204 \r\n" },
	{ "/nacos/v1/ns/a:403", "/nacos/v1/ns/%61|/nacos/v1/ns/a", NULL,
	  "HTTP/1.1 403 Forbidden\r\n" },
	{ "/nacos/v1/ns/%61:403", "/nacos/v1/ns/%61|/nacos/v1/ns/a", NULL,
	  "HTTP/1.1 403 Forbidden\r\n" },
	{ "/nacos/v1/ns/%61:403", "/nacos/v1/ns/a", NULL, NULL },
	{ "/nacos/v1/ns/a?x=1:429", "/nacos/v1/ns/a/", "x=1",
	  "HTTP/1.1 429 Too Many Requests\r\n" },
	{ "/nacos/v1/ns/a?x=1:429", "/nacos/v1/ns/%61/|/nacos/v1/ns/a/", "x=1",
	  "HTTP/1.1 429 Too Many Requests\r\n" },
	{ "/nacos/v1/ns/a/:403", "/nacos/v1/ns/%61/|/nacos/v1/ns/a/", NULL,
	  "HTTP/1.1 403 Forbidden\r\n" },
	{ "/nacos/v1/ns/a/:403", "/nacos/v1/ns/a", NULL, NULL },
	{ "/x:200,/nacos:502,/nacos/v1:503", "/nacos/v1/ns/a", NULL, "HTTP/1.1 502 \r\n" },
	/* No route stores these, but a snapshot may hold any text. */
	{ "/nacos/v1/ns/a:-5", "/nacos/v1/ns/a", NULL, NULL },
	{ "/nacos/v1/ns/a:199", "/nacos/v1/ns/a", NULL, NULL },
	{ "/nacos/v1/ns/a:200", "/nacos/v1/ns/a", NULL, "HTTP/1.1 200 OK\r\n" },
	{ "/nacos/v1/ns/a:599", "/nacos/v1/ns/a", NULL, "HTTP/1.1 599 \r\n" },
	{ "/nacos/v1/ns/a:600", "/nacos/v1/ns/a", NULL, NULL },
	{ ":503", "/nacos/v1/ns/a", NULL, NULL },
};

static void test_limited(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < COUNT(limits); i++) {
		struct request *rq = fixture_request(f);

		store(f, "", limits[i].limited);
		rq->path = str_make(limits[i].path, strcspn(limits[i].path, "|"));
		f->own.plain = limits[i].path[rq->path.n] == '|'
		                       ? str_of(limits[i].path + rq->path.n + 1)
		                       : rq->path;
		if (limits[i].query != NULL)
			rq->query = str_of(limits[i].query);
		if (gate_stops(rq) != (limits[i].answer != NULL))
			fail_msg("row %zu", i);
		if (limits[i].answer == NULL)
			continue;
		assert_true(str_starts(str_of(fixture_out(f)), str_of(limits[i].answer)));
		assert_int_equal(has(fixture_out(f), "Content-Length: 0\r\n"),
		                 !has(limits[i].answer, "204"));
		assert_false(has(fixture_out(f), "Content-Type"));
		assert_string_equal(body_of(fixture_out(f)), "");
	}
}

static void allow(struct fixture *f, const char *range)
{
	struct config *config = &f->proc.config;
	struct config_range *row = &config->operator_allow[config->operator_allow_count++];

	assert_int_equal(address_parse_range(str_of(range), row->address, &row->bits), 0);
}

static const struct route operator_row = { METHOD_PUT, "/v1/ns/operator/switches", NULL,
	                                   ROUTE_OPERATOR, "" };
static const struct route other_row = { METHOD_PUT, "/v1/ns/instance", NULL, 0, "" };

static struct request *request_from(struct fixture *f, const struct route *route,
                                    const char *source)
{
	struct request *rq = fixture_request(f);

	rq->method = METHOD_PUT;
	v1_request(rq)->route = route;
	assert_int_equal(address_parse(str_of(source), rq->source), 0);
	return rq;
}

static void test_operators(void **state)
{
	static const struct {
		const char *source;
		bool admitted;
	} rows[] = {
		{ "127.0.0.1", true }, { "127.9.9.9", true }, { "::1", true },
		{ "10.1.2.3", true },  { "10.2.0.0", false }, { "128.0.0.1", false },
		{ "::2", false },      { "::", false },
	};
	struct fixture *f = *state;

	assert_false(gate_admits(request_from(f, &operator_row, "127.0.0.1")));
	allow(f, "127.0.0.0/8");
	allow(f, "::1");
	allow(f, "10.1.0.0/16");
	for (size_t i = 0; i < COUNT(rows); i++) {
		if (gate_admits(request_from(f, &operator_row, rows[i].source)) != rows[i].admitted)
			fail_msg("%s", rows[i].source);
		if (rows[i].admitted)
			continue;
		assert_true(has(fixture_out(f), "HTTP/1.1 403 Forbidden\r\n"));
		assert_true(has(
		        fixture_out(f),
		        "\"status\":403,\"error\":\"Forbidden\",\"message\":\"operator.allow does not list "));
	}
}

/* Who limits everything can still lift it. */
static void test_limit_spares_operators(void **state)
{
	struct fixture *f = *state;

	store(f, "", "/nacos:503");
	allow(f, "127.0.0.0/8");
	assert_false(gate_stops(request_from(f, &operator_row, "127.0.0.1")));
	assert_true(gate_stops(request_from(f, &operator_row, "10.0.0.1")));
	assert_true(gate_stops(request_from(f, &other_row, "127.0.0.1")));
	assert_true(gate_stops(request_from(f, NULL, "127.0.0.1")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_open, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_status, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_limited, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_operators, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_limit_spares_operators, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
