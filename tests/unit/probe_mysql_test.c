/* SPDX-License-Identifier: Apache-2.0 */
/* Checks by MySQL against a server that this test plays: it greets, lets in or refuses, and answers
 * the command with some rows. */
#include "probe_fixture.h"

#include <stdio.h>
#include <unistd.h>

#include "shared/process/process.h"

#define READ_ONLY "show global variables where variable_name='read_only'"
#define ROWS_CUT 16U /* an answer of so many rows is not read to its end */

struct answer {
	unsigned login_error, error; /* to the command; 0: none */
	unsigned columns, rows;      /* no columns: it was no question */
	const char *last, *others;   /* last column of the first row and of others; NULL is NULL */
	bool breaks;                 /* an error comes behind the rows */
	bool silent;                 /* nothing comes behind the rows, or none at all */
};

struct server {
	const struct answer *answer;
	int listener, fd;
	uint16_t port;
	ev_io io;
	uint8_t in[4096], out[16384];
	size_t in_len, out_len;
	uint8_t number; /* of the next packet */
	char user[32], query[256];
	unsigned password_len; /* as it is sent */
	bool quits;            /* the client has taken leave */
	bool over;             /* the connection is */
};

/* ---- packets --------------------------------------------------------------------------------- */

static void put(struct server *server, const void *bytes, size_t n)
{
	assert_true(server->out_len + n <= sizeof(server->out));
	memcpy(server->out + server->out_len, bytes, n);
	server->out_len += n;
}

static void put_packet(struct server *server, const void *bytes, size_t n)
{
	const uint8_t head[4] = { n & 255, n >> 8 & 255, n >> 16 & 255, server->number++ };

	put(server, head, sizeof(head));
	put(server, bytes, n);
}

#define PUT_LITERAL(server, text) put_packet(server, text, sizeof(text) - 1)

static void put_greeting(struct server *server)
{
	server->number = 0;
	/* Protocol 4.1, long passwords, transactions, secure connections; ways to log in have
	 * names. */
	PUT_LITERAL(server, "\x0a"
	                    "5.7.0\0"
	                    "\x01\0\0\0"
	                    "saltsalt\0"
	                    "\x01\xa2"
	                    "\x21"
	                    "\x02\0"
	                    "\x08\0"
	                    "\x15"
	                    "\0\0\0\0\0\0\0\0\0\0"
	                    "saltsaltsalt\0"
	                    "mysql_native_password\0");
}

static void put_ok(struct server *server)
{
	PUT_LITERAL(server, "\0\0\0\x02\0\0\0");
}

static void put_end(struct server *server)
{
	PUT_LITERAL(server, "\xfe\0\0\x02\0");
}

static void put_error(struct server *server, unsigned number)
{
	char text[] = "\xff..#HY000No";

	text[1] = (char)(number & 255);
	text[2] = (char)(number >> 8);
	put_packet(server, text, sizeof(text) - 1);
}

static size_t add_text(uint8_t *to, const char *text)
{
	size_t n = text == NULL ? 0 : strlen(text);

	to[0] = text == NULL ? 0xfb : (uint8_t)n;
	if (n > 0)
		memcpy(to + 1, text, n);
	return n + 1;
}

static void put_row(struct server *server, const char *last)
{
	uint8_t row[256];
	size_t n = 0;

	for (unsigned i = 1; i < server->answer->columns; i++)
		n += add_text(row + n, "read_only");
	n += add_text(row + n, last);
	put_packet(server, row, n);
}

static void put_rows(struct server *server)
{
	const struct answer *answer = server->answer;
	const uint8_t columns = (uint8_t)answer->columns;

	put_packet(server, &columns, 1);
	for (unsigned i = 0; i < answer->columns; i++)
		PUT_LITERAL(server, "\x03"
		                    "def\0\0\0\x01"
		                    "c\0"
		                    "\x0c\x21\0\xff\0\0\0\xfd\0\0\0\0\0");
	put_end(server);
	for (unsigned i = 0; i < answer->rows; i++)
		put_row(server, i == 0 ? answer->last : answer->others);
	if (answer->silent)
		return;
	if (answer->breaks)
		put_error(server, 1317);
	else
		put_end(server);
}

/* ---- server ---------------------------------------------------------------------------------- */

static void send_out(struct server *server)
{
	if (server->out_len > 0)
		assert_int_equal(send(server->fd, server->out, server->out_len, MSG_NOSIGNAL),
		                 server->out_len);
	server->out_len = 0;
}

/* Behind 32 bytes of fixed length stand the name and what proves the password. */
static void on_login(struct server *server, const uint8_t *bytes, size_t n)
{
	assert_true(n > 34);
	snprintf(server->user, sizeof(server->user), "%s", (const char *)bytes + 32);
	server->password_len = bytes[32 + strlen(server->user) + 1];
	if (server->answer->login_error != 0)
		put_error(server, server->answer->login_error);
	else
		put_ok(server);
}

static void on_command(struct server *server, const uint8_t *bytes, size_t n)
{
	const struct answer *answer = server->answer;

	if (bytes[0] == 1) {
		server->quits = true;
		return;
	}
	assert_int_equal(bytes[0], 3);
	snprintf(server->query, sizeof(server->query), "%.*s", (int)n - 1, (const char *)bytes + 1);
	if (answer->error != 0)
		put_error(server, answer->error);
	else if (answer->columns > 0)
		put_rows(server);
	else if (!answer->silent)
		put_ok(server);
}

static void on_bytes(struct ev_loop *l, ev_io *w, int events)
{
	struct server *server = w->data;
	ssize_t got = recv(server->fd, server->in + server->in_len,
	                   sizeof(server->in) - server->in_len, 0);
	size_t n;

	(void)events;
	if (got <= 0) {
		server->over = true;
		ev_io_stop(l, w);
		return;
	}
	server->in_len += (size_t)got;
	while (server->in_len >= 4 &&
	       server->in_len >= 4 + (n = (size_t)(server->in[0] | server->in[1] << 8))) {
		server->number = (uint8_t)(server->in[3] + 1);
		if (server->in[3] == 1)
			on_login(server, server->in + 4, n);
		else
			on_command(server, server->in + 4, n);
		server->in_len -= 4 + n;
		memmove(server->in, server->in + 4 + n, server->in_len);
	}
	send_out(server);
}

static void on_connection(struct ev_loop *l, ev_io *w, int events)
{
	struct server *server = w->data;

	(void)events;
	server->fd = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(server->fd >= 0);
	ev_io_stop(l, w);
	ev_io_init(&server->io, on_bytes, server->fd, EV_READ);
	ev_io_start(l, &server->io);
	put_greeting(server);
	send_out(server);
}

static void server_open(struct server *server, const struct answer *answer)
{
	memset(server, 0, sizeof(*server));
	server->answer = answer;
	server->listener = listener_open(AF_INET, &server->port);
	ev_io_init(&server->io, on_connection, server->listener, EV_READ);
	server->io.data = server;
	ev_io_start(loop, &server->io);
}

/* Plays the answer for a check with this command, until the client is gone. */
static struct outcome play(struct server *server, const char *command, const struct answer *answer)
{
	const struct checker checker = { .type = CHECKER_MYSQL,
		                         .user = STR("probe"),
		                         .pwd = STR("secret"),
		                         .cmd = str_of(command) };
	struct outcome outcome;

	server_open(server, answer);
	outcome = run(&checker, "127.0.0.1", server->port);
	while (!server->over)
		ev_run(loop, EVRUN_ONCE);
	close(server->fd);
	close(server->listener);
	return outcome;
}

/* ---- verdicts -------------------------------------------------------------------------------- */

/* The first row of the answer decides when the command asks for read-only, else there has to be an
 * answer. */
static const struct {
	const char *command;
	struct answer answer;
	enum check_verdict verdict;
	const char *why;
	int detail;
} rows[] = {
	{ READ_ONLY, { .columns = 2, .rows = 1, .last = "OFF" }, CHECK_PASSED, "passed", 0 },
	{ READ_ONLY, { .columns = 2, .rows = 1, .last = "ON" }, CHECK_FAILED, "read-only", 0 },
	{ READ_ONLY, { .columns = 2, .rows = 1, .last = "ONE" }, CHECK_PASSED, "passed", 0 },
	{ READ_ONLY, { .columns = 2, .rows = 1, .last = NULL }, CHECK_PASSED, "passed", 0 },
	{ READ_ONLY,
	  { .columns = 2, .rows = 3, .last = "ON", .others = "OFF" },
	  CHECK_FAILED,
	  "read-only",
	  0 },
	{ READ_ONLY,
	  { .columns = 2, .rows = 3, .last = "OFF", .others = "ON" },
	  CHECK_PASSED,
	  "passed",
	  0 },
	{ READ_ONLY, { .columns = 3, .rows = 1, .last = "ON" }, CHECK_PASSED, "passed", 0 },
	{ READ_ONLY, { .columns = 1, .rows = 1, .last = "ON" }, CHECK_REFUSED, "columns", 0 },
	{ READ_ONLY, { .columns = 2 }, CHECK_REFUSED, "no rows", 0 },
	{ READ_ONLY, { .columns = 0 }, CHECK_REFUSED, "no rows", 0 },
	{ READ_ONLY, { .columns = 2, .breaks = true }, CHECK_REFUSED, "SQL error", 1317 },
	{ "select 1", { .columns = 1, .rows = 1, .last = "ON" }, CHECK_PASSED, "passed", 0 },
	{ "select 1", { .columns = 2, .rows = 2, .last = "ON" }, CHECK_PASSED, "passed", 0 },
	{ "select 1", { .columns = 1 }, CHECK_PASSED, "passed", 0 },
	{ "select 1", { .columns = 1, .breaks = true }, CHECK_PASSED, "passed", 0 },
	{ "do 1", { .columns = 0 }, CHECK_REFUSED, "no rows", 0 },
	{ "selec", { .error = 1064 }, CHECK_REFUSED, "SQL error", 1064 },
	{ "select 1", { .login_error = 1045 }, CHECK_REFUSED, "SQL error", 1045 },
	{ "select 1", { .silent = true }, CHECK_FAILED, "timeout", 0 },
	{ READ_ONLY, { .columns = 2, .silent = true }, CHECK_FAILED, "timeout", 0 },
	{ READ_ONLY,
	  { .columns = 2, .rows = 1, .last = "ON", .silent = true },
	  CHECK_FAILED,
	  "read-only",
	  0 },
};

static void test_verdicts(void **state)
{
	static struct server server;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct outcome outcome = play(&server, rows[i].command, &rows[i].answer);
		const struct probe_result *result = &outcome.result;

		if (result->verdict != rows[i].verdict || strcmp(result->why, rows[i].why) != 0 ||
		    result->detail != rows[i].detail)
			fail_msg("row %zu: verdict %d: %s %d", i, result->verdict, result->why,
			         result->detail);
		if (rows[i].verdict == CHECK_PASSED)
			assert_int_equal(result->rt, PROBE_RT_MEASURED);
		else
			assert_int_equal(result->rt, strcmp(result->why, "timeout") == 0
			                                     ? PROBE_RT_TWICE
			                                     : PROBE_RT_MAX);
		assert_string_equal(server.user, "probe");
		assert_int_equal(server.password_len, 20); /* its hash */
		if (rows[i].answer.login_error == 0)
			assert_string_equal(server.query, rows[i].command);
	}
}

/* A short answer is read to its end, and the client takes leave. A longer one is cut off. */
static void test_long_answers_are_cut_off(void **state)
{
	static struct server server;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		const unsigned counts[] = { ROWS_CUT - 1, ROWS_CUT, 100 };
		struct answer answer = {
			.columns = 2, .rows = counts[i], .last = "OFF", .others = "OFF"
		};
		struct outcome outcome = play(&server, READ_ONLY, &answer);

		assert_result(&outcome, CHECK_PASSED, PROBE_RT_MEASURED);
		assert_int_equal(server.quits, counts[i] < ROWS_CUT);
	}
}

/* ---- modules --------------------------------------------------------------------------------- */

/* A keeper that has not loaded them makes no check, and learns that it is to leave for one that
 * has. */
static void test_without_modules(void **state)
{
	static const struct checker checker = { .type = CHECKER_MYSQL, .user = { "probe", 5 } };
	struct probe_order order = order_for(&checker, "127.0.0.1", 1);
	struct outcome outcome = { .loop = loop };
	struct probe_pace pace = { .turn = NULL };
	struct probe *probe;

	(void)state;
	assert_int_equal(probe_start(loop, &order, on_done, &outcome, &probe), ERR_AGAIN);
	assert_null(probe);
	order.pace = &pace;
	assert_int_equal(probe_start(loop, &order, on_done, &outcome, &probe), ERR_AGAIN);
	assert_true(pace.modules_wanted);
	keeper_load_modules();
	pace.modules_wanted = false;
	assert_int_equal(probe_start(loop, &order, on_done, &outcome, &probe), 0);
	assert_false(pace.modules_wanted);
	probe_stop(&probe);
	assert_int_equal(outcome.calls, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* The first one loads the modules. */
		cmocka_unit_test_setup_teardown(test_without_modules, setup, teardown),
		cmocka_unit_test_setup_teardown(test_verdicts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_answers_are_cut_off, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
