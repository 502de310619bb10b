/* SPDX-License-Identifier: Apache-2.0 */
/* probe_mysql.c - logs in, runs the command, and looks at one value when the command is the one
 * that asks for read-only.
 *
 * The calls of libmariadb are made in pieces: each wants some events of its descriptor and goes on
 * when they came. They run on stacks of their own, which are only unwound by going on. So a call
 * that is given up is told that its time is over.
 *
 * A peer names the way to log in, and the library looks for a module of that name, before it looks
 * into the list of those that are allowed; a name may have slashes. So all modules of the list are
 * loaded before the first check, and after that the folder of modules is one in which there is
 * nothing (probe_load_modules()). */
#include "keeper/probe_kind.h"

#include <dlfcn.h>
#include <errmsg.h>
#include <errno.h>
#include <mysql.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "shared/base/assert.h"
#include "shared/base/log.h"
#include "shared/net/address.h"

#define ROWS_MOST 16U             /* read to the end; a longer answer is cut off */
#define PACKET_MOST (64U * 1024U) /* of the peer */
#define UNWIND_MOST 8U
#define READ_ONLY_COMMAND "show global variables where variable_name='read_only'"
#define READ_ONLY_COLUMN 1U
/* The ways to log in, without those that hand over the password as it is. */
#define LOGINS "mysql_native_password,client_ed25519,caching_sha2_password"
#define NO_FOLDER "/dev/null" /* no file, wherever ".." would lead */
#define CRYPTO_LOAD_CONFIG 0x40
#define LOGIN_MODULE 2 /* a type of modules */

enum stage { STAGE_CONNECT, STAGE_QUERY, STAGE_ROWS };

struct mysql_probe {
	struct probe probe;
	MYSQL *mysql;
	MYSQL_RES *rows;
	enum stage stage;
	bool waits; /* the stage's call is in pieces */
	bool ok;    /* what it returned */
	bool more;  /* of the answer is not read */
	bool judged;
	unsigned row_count;
	struct probe_result result; /* judged */
	MYSQL_ROW row;
	char *user, *password, *command;
	uint16_t port;
	char host[ADDRESS_TEXT];
};

/* ---- calls in pieces ------------------------------------------------------------------------- */

static int connect_piece(struct mysql_probe *my, bool first, int ready)
{
	MYSQL *connected = NULL;
	int waits;

	if (first)
		waits = mysql_real_connect_start(&connected, my->mysql, my->host, my->user,
		                                 my->password, NULL, my->port, NULL, 0);
	else
		waits = mysql_real_connect_cont(&connected, my->mysql, ready);
	my->ok = connected != NULL;
	return waits;
}

static int query_piece(struct mysql_probe *my, bool first, int ready)
{
	int failed = 1;
	int waits;

	if (first)
		waits = mysql_real_query_start(&failed, my->mysql, my->command,
		                               strlen(my->command));
	else
		waits = mysql_real_query_cont(&failed, my->mysql, ready);
	my->ok = failed == 0;
	return waits;
}

static int row_piece(struct mysql_probe *my, bool first, int ready)
{
	int waits;

	ROSTER_ASSERT(my->rows != NULL); /* a query that brought none ended the probe */
	waits = first ? mysql_fetch_row_start(&my->row, my->rows)
	              : mysql_fetch_row_cont(&my->row, my->rows, ready);
	my->ok = waits == 0 && my->row != NULL;
	return waits;
}

/* Returns the MYSQL_WAIT_* that the call wants; 0 when it is through and my->ok says how it
 * went. */
typedef int piece_fn(struct mysql_probe *my, bool first, int ready);

static piece_fn *const pieces[] = {
	[STAGE_CONNECT] = connect_piece,
	[STAGE_QUERY] = query_piece,
	[STAGE_ROWS] = row_piece,
};

static void call_piece(struct mysql_probe *my, bool first, int ready)
{
	int waits, events;

	ROSTER_ASSERT(first != my->waits); /* one call at a time */
	waits = pieces[my->stage](my, first, ready);
	events = ((waits & MYSQL_WAIT_READ) ? EV_READ : 0) |
	         ((waits & MYSQL_WAIT_WRITE) ? EV_WRITE : 0);
	my->waits = waits != 0;
	if (!my->waits)
		return;
	my->probe.fd = mysql_get_socket(my->mysql);
	probe_wait(&my->probe, events);
}

/* ---- results --------------------------------------------------------------------------------- */

/* The library keeps the errno nowhere but in its text: "Can't connect to server on '127.0.0.1'
 * (111)". */
static int error_number(const char *text)
{
	const char *open = strrchr(text, '(');

	return open == NULL ? 0 : atoi(open + 1);
}

static bool is_client_error(unsigned number)
{
	return (number >= CR_MIN_ERROR && number <= CR_MAX_ERROR) ||
	       (number >= CER_MIN_ERROR && number <= CER_MAX_ERROR);
}

static struct probe_result failure(const struct mysql_probe *my)
{
	unsigned number = mysql_errno(my->mysql);
	struct probe_result result =
	        probe_failed("MySQL client", number == CR_OUT_OF_MEMORY ? ENOMEM : 0);

	if (number == CR_CONN_HOST_ERROR || number == CR_CONNECTION_ERROR ||
	    number == CR_IPSOCK_ERROR)
		return probe_failed("connect", error_number(mysql_error(my->mysql)));
	result.detail = (int)number;
	if (number != 0 && !is_client_error(number)) {
		result.verdict = CHECK_REFUSED;
		result.why = "SQL error";
	}
	return result;
}

static struct probe_result wrong_answer(const char *why)
{
	return (struct probe_result){ .verdict = CHECK_REFUSED, .rt = PROBE_RT_MAX, .why = why };
}

static void judge_mysql(struct mysql_probe *my, struct probe_result result)
{
	ROSTER_ASSERT(!my->judged); /* the first word counts */
	my->judged = true;
	my->result = result;
}

/* ---- stages ---------------------------------------------------------------------------------- */

/* Each of the following says what comes after the call that is through. It returns true when that
 * was the last one; then my->result says how the check ended. */
static bool after_connect(struct mysql_probe *my)
{
	if (!my->ok) {
		if (!my->judged)
			judge_mysql(my, failure(my));
		return true;
	}
	probe_renew(&my->probe);
	my->stage = STAGE_QUERY;
	return false;
}

static bool after_query(struct mysql_probe *my)
{
	bool asks_read_only = strcmp(my->command, READ_ONLY_COMMAND) == 0;

	if (my->ok)
		my->rows = mysql_use_result(my->mysql);
	if (my->rows == NULL) {
		judge_mysql(my,
		            mysql_errno(my->mysql) == 0 ? wrong_answer("no rows") : failure(my));
		return true;
	}
	if (!asks_read_only)
		judge_mysql(my, probe_passed(&my->probe));
	my->more = true;
	my->stage = STAGE_ROWS;
	return false;
}

static struct probe_result judge_read_only(const struct mysql_probe *my)
{
	const unsigned long *lengths = mysql_fetch_lengths(my->rows);
	const char *value;

	if (mysql_num_fields(my->rows) <= READ_ONLY_COLUMN || lengths == NULL)
		return wrong_answer("columns");
	value = my->row[READ_ONLY_COLUMN];
	if (value != NULL && str_eq(str_make(value, lengths[READ_ONLY_COLUMN]), STR("ON")))
		return probe_failed("read-only", 0);
	return probe_passed(&my->probe);
}

static bool after_row(struct mysql_probe *my)
{
	if (my->ok) {
		if (!my->judged)
			judge_mysql(my, judge_read_only(my));
		return ++my->row_count >= ROWS_MOST;
	}
	my->more = mysql_errno(my->mysql) != 0;
	if (!my->judged)
		judge_mysql(my, my->more ? failure(my) : wrong_answer("no rows"));
	return true;
}

static bool after(struct mysql_probe *my)
{
	if (my->stage == STAGE_CONNECT)
		return after_connect(my);
	return my->stage == STAGE_QUERY ? after_query(my) : after_row(my);
}

static int wait_flags(int events)
{
	return ((events & EV_READ) ? MYSQL_WAIT_READ : 0) |
	       ((events & EV_WRITE) ? MYSQL_WAIT_WRITE : 0);
}

static bool step_mysql(struct probe *probe, int events, struct probe_result *result_r)
{
	struct mysql_probe *my = (struct mysql_probe *)probe;
	enum stage before = my->stage;
	bool over = false;

	/* The library may close the descriptor, and the loop must not watch it then. */
	ev_io_stop(probe->loop, &probe->io);
	if (my->waits && wait_flags(events) != 0)
		call_piece(my, false, wait_flags(events));
	while (!my->waits && !(over = after(my)))
		call_piece(my, true, 0);
	if (!over && (events & EV_TIMER) && my->stage == before) {
		over = true;
		if (!my->judged)
			judge_mysql(my, probe_timed_out());
	}
	ROSTER_ASSERT(!over || my->judged);
	*result_r = my->result;
	return over;
}

/* ---- life ------------------------------------------------------------------------------------ */

static char *copy(struct str text)
{
	return strndup(text.n > 0 ? text.p : "", text.n);
}

static void set_options(MYSQL *mysql)
{
	static const unsigned protocol = MYSQL_PROTOCOL_TCP, seconds = 1, no = 0;
	static const unsigned long packet = PACKET_MOST;
	static const my_bool unverified = 0;

	mysql_optionsv(mysql, MYSQL_OPT_NONBLOCK, NULL);
	mysql_optionsv(mysql, MYSQL_OPT_PROTOCOL, &protocol);
	mysql_optionsv(mysql, MYSQL_OPT_LOCAL_INFILE, &no);
	mysql_optionsv(mysql, MYSQL_OPT_MAX_ALLOWED_PACKET, &packet);
	mysql_optionsv(mysql, MARIADB_OPT_RESTRICTED_AUTH, LOGINS);
	mysql_optionsv(mysql, MYSQL_PLUGIN_DIR, NO_FOLDER);
	/* The library's newer versions insist on TLS otherwise. */
	mysql_optionsv(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &unverified);
	/* A second is the shortest time it knows; the limit of the probe comes first. */
	mysql_optionsv(mysql, MYSQL_OPT_CONNECT_TIMEOUT, &seconds);
	mysql_optionsv(mysql, MYSQL_OPT_READ_TIMEOUT, &seconds);
	mysql_optionsv(mysql, MYSQL_OPT_WRITE_TIMEOUT, &seconds);
}

static bool modules_loaded;

static int begin_mysql(struct probe *probe, const struct probe_order *order)
{
	struct mysql_probe *my = (struct mysql_probe *)probe;

	if (!modules_loaded) {
		if (order->pace != NULL)
			order->pace->modules_wanted = true;
		return ERR_AGAIN;
	}
	my->user = copy(order->checker->user);
	my->password = copy(order->checker->pwd);
	my->command = copy(order->checker->cmd);
	my->mysql = mysql_init(NULL);
	if (my->user == NULL || my->password == NULL || my->command == NULL || my->mysql == NULL)
		return ERR_NOMEM;
	/* Without a name the library would ask the system for our own account, and tell the
	 * peer. */
	if (my->user[0] == '\0') {
		judge_mysql(my, wrong_answer("no user"));
		probe->at_once = true;
		return 0;
	}
	set_options(my->mysql);
	address_text(order->address, my->host);
	my->port = order->port;
	call_piece(my, true, 0);
	probe->at_once = !my->waits;
	return 0;
}

/* Ends the connection without waiting for anything. Rows that are not read any more are cut off,
 * since the library would read them to the end. */
static void hang_up(struct mysql_probe *my)
{
	for (unsigned i = 0; my->waits && i < UNWIND_MOST; i++)
		my->waits = pieces[my->stage](my, false, MYSQL_WAIT_TIMEOUT) != 0;
	if (my->rows != NULL && my->more)
		shutdown(mysql_get_socket(my->mysql), SHUT_RDWR);
	mysql_free_result(my->rows);
	mysql_close(my->mysql);
}

static void end_mysql(struct probe *probe)
{
	struct mysql_probe *my = (struct mysql_probe *)probe;

	probe->fd = -1; /* the library's */
	if (my->mysql != NULL)
		hang_up(my);
	free(my->user);
	free(my->password);
	free(my->command);
}

/* ---- modules --------------------------------------------------------------------------------- */

static void load_login(MYSQL *mysql, const char *name)
{
	if (mysql_client_find_plugin(mysql, name, LOGIN_MODULE) == NULL)
		log_warning("op=check-modules name=%s err=\"%s\"", name, mysql_error(mysql));
}

/* If the library takes its hashes from OpenSSL, the configuration of that may name modules too,
 * which are loaded here. */
static void load_crypto(void)
{
	int (*init)(uint64_t options, const void *settings);
	void *symbol = dlsym(RTLD_DEFAULT, "OPENSSL_init_crypto");

	if (symbol == NULL)
		return;
	memcpy(&init, &symbol, sizeof(init));
	if (init(CRYPTO_LOAD_CONFIG, NULL) != 1)
		log_warning("op=check-modules name=openssl result=failed");
}

/* The first mysql_init() also asks for the port of the service "mysql", which opens files. */
static void load_mysql_modules(void)
{
	MYSQL *mysql = mysql_init(NULL);
	char names[] = LOGINS, *rest = NULL;

	modules_loaded = true;
	if (mysql == NULL)
		return;
	for (char *name = strtok_r(names, ",", &rest); name != NULL;
	     name = strtok_r(NULL, ",", &rest))
		load_login(mysql, name);
	mysql_close(mysql);
	load_crypto();
}

const struct probe_kind probe_mysql = { sizeof(struct mysql_probe), begin_mysql, step_mysql,
	                                end_mysql, load_mysql_modules };
