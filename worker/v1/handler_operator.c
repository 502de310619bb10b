/* SPDX-License-Identifier: Apache-2.0 */
/* handler_operator.c - /operator: metrics, servers, status, log levels, as scripts ask for them
 * (specification 11). */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/codec/json_write.h"
#include "worker/v1/bound.h"
#include "worker/v1/handlers.h"
#include "worker/v1/v1.h"
#include "worker/worker.h"

#define LOAD_PERIOD_MS 1000U

/* ---- load of the machine --------------------------------------------------------------------- */

/* Reads the beginning of a small file of /proc; "" when it cannot be read. */
static void read_file(const char *path, char *out, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, out, size - 1) : 0;

	out[n > 0 ? n : 0] = '\0';
	if (fd >= 0)
		close(fd);
}

/* Computes the share of busy ticks since the last reading, at the first one since boot. */
static void read_cpu(struct host_load *host)
{
	uint64_t user = 0, nice_ = 0, sys = 0, idle = 0, wait = 0, irq = 0, soft = 0, steal = 0,
	         busy, total;
	char text[512];

	read_file("/proc/stat", text, sizeof(text));
	if (sscanf(text,
	           "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
	           " %" SCNu64 " %" SCNu64,
	           &user, &nice_, &sys, &idle, &wait, &irq, &soft, &steal) < 4)
		return;
	busy = user + nice_ + sys + irq + soft + steal;
	total = busy + idle + wait;
	if (total > host->total && busy >= host->busy)
		host->cpu = (float)(busy - host->busy) / (float)(total - host->total);
	host->busy = busy;
	host->total = total;
}

static uint64_t field_of(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at != NULL ? strtoull(at + strlen(name), NULL, 10) : 0;
}

static void read_memory(struct host_load *host)
{
	char text[512];
	uint64_t total, available;

	read_file("/proc/meminfo", text, sizeof(text));
	total = field_of(text, "MemTotal:");
	available = field_of(text, "MemAvailable:");
	if (total > 0 && available <= total)
		host->mem = (float)(total - available) / (float)total;
}

const struct host_load *handler_host_load(struct worker *worker)
{
	struct host_load *host = &v1_of(worker)->host;
	uint64_t now = clock_mono_ms();
	double load;

	if (host->read_ms != 0 && now - host->read_ms < LOAD_PERIOD_MS)
		return host;
	host->read_ms = now;
	read_cpu(host);
	read_memory(host);
	if (getloadavg(&load, 1) == 1)
		host->load = (float)load;
	return host;
}

/* ---- metrics --------------------------------------------------------------------------------- */

void handle_operator_metrics(struct request *rq)
{
	const struct host_load *host = handler_host_load(rq->worker);
	struct registry_stats stats;
	struct buf b;

	registry_stats(&rq->worker->registry, &stats);
	buf_init(&b);
	buf_char(&b, '{');
	JSON_PUT_STRING(&b, "status", str_of(server_status_text(gate_status(rq->worker))));
	JSON_PUT_U64(&b, "serviceCount", stats.services);
	JSON_PUT_U64(&b, "instanceCount", stats.instances);
	JSON_PUT_LIT(&b, "raftNotifyTaskCount", "0");
	JSON_PUT_U64(&b, "responsibleServiceCount", stats.services);
	JSON_PUT_U64(&b, "responsibleInstanceCount", stats.instances);
	JSON_PUT_FLOAT(&b, "cpu", host->cpu);
	JSON_PUT_FLOAT(&b, "load", host->load);
	JSON_PUT_FLOAT(&b, "mem", host->mem);
	buf_char(&b, '}');
	handler_reply_buf(rq, &b);
}

/* ---- pushes ---------------------------------------------------------------------------------- */

/* Totals since the server started. What was sent and is not acknowledged yet counts as not
 * succeeded. The datagrams under way are private to the pusher: `detail` shows none, and `reset`
 * has nothing to clear. */
void handle_operator_push_state(struct request *rq)
{
	const struct segment *seg = rq->worker->registry.seg;
	uint64_t total = metric_sum(seg, METRIC_PUSH_TOTAL),
	         succeed = metric_sum(seg, METRIC_PUSH_OK);
	bool detail, reset;
	struct buf b;

	if (!bound_bool(rq, "detail", &detail) || !bound_bool(rq, "reset", &reset))
		return;
	/* The two sums are not of one moment, so the smaller one may come out larger. */
	if (succeed > total)
		succeed = total;
	buf_init(&b);
	buf_char(&b, '{');
	JSON_PUT_U64(&b, "succeed", succeed);
	JSON_PUT_U64(&b, "total", total);
	if (total == 0)
		JSON_PUT_LIT(&b, "ratio", "0");
	else
		JSON_PUT_FLOAT(&b, "ratio", (float)succeed / (float)total);
	if (detail)
		JSON_PUT_LIT(&b, "data", "[]");
	JSON_PUT_BOOL(&b, "reset", reset);
	buf_char(&b, '}');
	handler_reply_buf(rq, &b);
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static void answer_members(struct request *rq, const char *name)
{
	struct buf b;

	buf_init(&b);
	buf_printf(&b, "{\"%s\":[", name);
	handler_put_member(&b, rq->worker->proc);
	BUF_LIT(&b, "]}");
	handler_reply_buf(rq, &b);
}

/* There is one node and it is up, so `healthy` leaves nothing out. */
void handle_operator_servers(struct request *rq)
{
	bool healthy;

	if (bound_bool(rq, "healthy", &healthy))
		answer_members(rq, "servers");
}

void handle_operator_distro_status(struct request *rq)
{
	struct str action = bound_optional(rq, "action");

	if (action.n == 0 || str_eq(action, STR("view")))
		answer_members(rq, "status");
	else
		reply_json(rq, STR("{}"), (struct str){ NULL, 0 }, (struct str){ NULL, 0 });
}

void handle_operator_distro_server(struct request *rq)
{
	struct service_stamp stamp;
	struct service_key key;
	struct buf b;
	int ret;

	if (!handler_bound_service(rq, &key))
		return;
	if ((ret = registry_poll(&rq->worker->registry, &key, NULL, &stamp)) < 0) {
		reply_registry_error(rq, ret, key.name, STR(""));
		return;
	}
	if (!stamp.found) {
		reply_caused(rq, 400, "service not found");
		return;
	}
	buf_init(&b);
	buf_char(&b, '{');
	JSON_KEY(&b, "responsibleServer");
	handler_put_address(&b, rq->worker->proc);
	buf_char(&b, '}');
	handler_reply_buf(rq, &b);
}

/* The peers of 1.x reported their load here; nobody reads it any more. */
void handle_operator_server_status(struct request *rq)
{
	struct str status;

	if (bound_text(rq, "serverStatus", &status))
		reply_ok(rq);
}

/* Shows the old election as 1.4.8 does here, though it does not use it: never a leader, never a
 * vote. raft/peer shows a leader (handler_node.c). */
void handle_operator_cluster_state(struct request *rq)
{
	struct buf b;

	buf_init(&b);
	buf_char(&b, '{');
	JSON_KEY(&b, "ip");
	handler_put_address(&b, rq->worker->proc);
	JSON_PUT_LIT(&b, "term", "-1");
	JSON_PUT_LIT(&b, "leaderDueMs", "0");
	JSON_PUT_LIT(&b, "heartbeatDueMs", "0");
	JSON_PUT_LIT(&b, "state", "\"FOLLOWER\"");
	buf_char(&b, '}');
	handler_reply_buf(rq, &b);
}

/* ---- log level ------------------------------------------------------------------------------- */

static bool is_logger(struct str name)
{
	static const char *const names[] = { "naming-push",       "naming-rt",   "naming-server",
		                             "naming-event",      "naming-raft", "naming-distro",
		                             "naming-performance" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (str_eq(name, str_of(names[i])))
			return true;
	}
	return false;
}

/* Returns what a level of 1.4.8 comes to here; a level that it does not know is DEBUG there. */
static enum log_level level_of(struct str text)
{
	static const struct {
		const char *name;
		enum log_level level;
	} rows[] = { { "OFF", LOG_LEVEL_ERROR },
		     { "ERROR", LOG_LEVEL_ERROR },
		     { "WARN", LOG_LEVEL_WARNING },
		     { "INFO", LOG_LEVEL_INFO } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (str_ieq(text, str_of(rows[i].name)))
			return rows[i].level;
	}
	return LOG_LEVEL_DEBUG;
}

/* Sets the level of the workers, the pusher and the keeper, until the configuration is read again
 * (log.level). A logger that does not exist is ignored. */
void handle_operator_log(struct request *rq)
{
	static const char *const texts[] = { "error", "warning", "info", "debug" };
	struct str name, level_text;
	enum log_level level;

	if (!bound_text(rq, "logName", &name) || !bound_text(rq, "logLevel", &level_text))
		return;
	if (is_logger(name)) {
		level = level_of(level_text);
		ROSTER_ASSERT((size_t)level < sizeof(texts) / sizeof(texts[0]));
		log_warning("op=log-level level=%s note=\"until the configuration is read again\"",
		            texts[level]);
		process_ask_log_level(rq->worker->proc, level);
	}
	reply_ok(rq);
}
