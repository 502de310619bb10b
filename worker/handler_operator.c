#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "shared/base/clock.h"
#include "shared/codec/json_write.h"
#include "worker/handlers.h"
#include "worker/worker.h"

#define LOAD_PERIOD_MS 1000U

/* ---- load of the machine ------------------------------------------------------- */

/* The beginning of a small file of /proc; "" when it cannot be read. */
static void read_file(const char *path, char *out, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, out, size - 1) : 0;

	out[n > 0 ? n : 0] = '\0';
	if (fd >= 0)
		close(fd);
}

/* Share of busy ticks since the last reading; since boot at the first. */
static void read_cpu(struct host_load *host)
{
	uint64_t user = 0, nice_ = 0, sys = 0, idle = 0, wait = 0, irq = 0, soft = 0, steal = 0, busy, total;
	char text[512];

	read_file("/proc/stat", text, sizeof(text));
	if (sscanf(text, "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
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

static const struct host_load *load_now(struct worker *worker)
{
	struct host_load *host = &worker->host;
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

/* ---- metrics -------------------------------------------------------------------- */

void handle_operator_metrics(struct request *rq)
{
	const struct host_load *host = load_now(rq->worker);
	struct registry_stats stats;
	struct buf b;

	registry_stats(&rq->worker->registry, &stats);
	buf_init(&b);
	BUF_LIT(&b, "{\"status\":\"UP\",\"serviceCount\":");
	buf_u64(&b, stats.services);
	BUF_LIT(&b, ",\"instanceCount\":");
	buf_u64(&b, stats.instances);
	BUF_LIT(&b, ",\"raftNotifyTaskCount\":0,\"responsibleServiceCount\":");
	buf_u64(&b, stats.services);
	BUF_LIT(&b, ",\"responsibleInstanceCount\":");
	buf_u64(&b, stats.instances);
	BUF_LIT(&b, ",\"cpu\":");
	json_float(&b, host->cpu);
	BUF_LIT(&b, ",\"load\":");
	json_float(&b, host->load);
	BUF_LIT(&b, ",\"mem\":");
	json_float(&b, host->mem);
	buf_char(&b, '}');
	handler_reply_buf(rq, &b);
}

/* ---- switches ------------------------------------------------------------------- */

enum switch_type { SWITCH_NUMBER, SWITCH_BOOL, SWITCH_FLOAT, SWITCH_PARAMS, SWITCH_VERSION, SWITCH_FIXED };

/* In the order of the answer. Fixed ones cannot be set in this server. */
static const struct switch_row {
	const char *name;
	enum switch_type type;
	size_t offset;
	const char *fixed;
} switch_rows[] = {
#define AT(field) offsetof(struct switches, field), NULL
	{ "masters", SWITCH_FIXED, 0, "null" },
	{ "adWeightMap", SWITCH_FIXED, 0, "{}" },
	{ "defaultPushCacheMillis", SWITCH_NUMBER, AT(push_cache_ms) },
	{ "clientBeatInterval", SWITCH_NUMBER, AT(beat_interval_ms) },
	{ "defaultCacheMillis", SWITCH_NUMBER, AT(cache_ms) },
	{ "distroThreshold", SWITCH_FLOAT, AT(distro_threshold) },
	{ "healthCheckEnabled", SWITCH_BOOL, AT(health_check) },
	{ "autoChangeHealthCheckEnabled", SWITCH_BOOL, AT(auto_change_health_check) },
	{ "distroEnabled", SWITCH_BOOL, AT(distro) },
	{ "enableStandalone", SWITCH_BOOL, AT(standalone) },
	{ "pushEnabled", SWITCH_BOOL, AT(push) },
	{ "checkTimes", SWITCH_NUMBER, AT(check_times) },
	{ "httpHealthParams", SWITCH_PARAMS, AT(http) },
	{ "tcpHealthParams", SWITCH_PARAMS, AT(tcp) },
	{ "mysqlHealthParams", SWITCH_PARAMS, AT(mysql) },
	{ "incrementalList", SWITCH_FIXED, 0, "[]" },
	{ "serverStatusSynchronizationPeriodMillis", SWITCH_NUMBER, AT(server_status_ms) },
	{ "serviceStatusSynchronizationPeriodMillis", SWITCH_NUMBER, AT(service_status_ms) },
	{ "disableAddIP", SWITCH_BOOL, AT(disable_add_ip) },
	{ "sendBeatOnly", SWITCH_BOOL, AT(send_beat_only) },
	{ "lightBeatEnabled", SWITCH_BOOL, AT(light_beat) },
	{ "limitedUrlMap", SWITCH_FIXED, 0, "{}" },
	{ "distroServerExpiredMillis", SWITCH_NUMBER, AT(distro_expired_ms) },
	{ "pushGoVersion", SWITCH_VERSION, AT(push_go) },
	{ "pushJavaVersion", SWITCH_VERSION, AT(push_java) },
	{ "pushPythonVersion", SWITCH_VERSION, AT(push_python) },
	{ "pushCVersion", SWITCH_VERSION, AT(push_c) },
	{ "pushCSharpVersion", SWITCH_VERSION, AT(push_csharp) },
	{ "enableAuthentication", SWITCH_BOOL, AT(authentication) },
	{ "overriddenServerStatus", SWITCH_FIXED, 0, "null" },
	{ "defaultInstanceEphemeral", SWITCH_BOOL, AT(ephemeral) },
	{ "healthCheckWhiteList", SWITCH_FIXED, 0, "[]" },
	{ "name", SWITCH_FIXED, 0, "\"00-00---000-NACOS_SWITCH_DOMAIN-000---00-00\"" },
	{ "checksum", SWITCH_FIXED, 0, "null" },
#undef AT
};

static float float_of(uint64_t bits)
{
	uint32_t low = (uint32_t)bits;
	float value;

	memcpy(&value, &low, sizeof(value));
	return value;
}

static void put_params(struct buf *b, const struct health_params *params)
{
	buf_printf(b, "{\"max\":%" PRIu64 ",\"min\":%" PRIu64 ",\"factor\":", params->max_ms, params->min_ms);
	json_float(b, float_of(params->factor));
	buf_char(b, '}');
}

static void put_switch(struct buf *b, const struct switch_row *row, const struct switches *switches)
{
	const void *at = (const char *)switches + row->offset;
	uint64_t word = row->type == SWITCH_PARAMS || row->type == SWITCH_FIXED ? 0 : *(const uint64_t *)at;

	switch (row->type) {
	case SWITCH_NUMBER:
		buf_u64(b, word);
		break;
	case SWITCH_BOOL:
		buf_printf(b, "%s", word != 0 ? "true" : "false");
		break;
	case SWITCH_FLOAT:
		json_float(b, float_of(word));
		break;
	case SWITCH_PARAMS:
		put_params(b, at);
		break;
	case SWITCH_VERSION:
		buf_printf(b, "\"%u.%u.%u\"", (unsigned)(word >> 20) & 1023, (unsigned)(word >> 10) & 1023,
		           (unsigned)word & 1023);
		break;
	case SWITCH_FIXED:
		buf_str(b, str_of(row->fixed));
		break;
	}
}

void handle_operator_switches(struct request *rq)
{
	struct buf b;

	buf_init(&b);
	for (size_t i = 0; i < sizeof(switch_rows) / sizeof(switch_rows[0]); i++) {
		buf_printf(&b, "%c\"%s\":", i == 0 ? '{' : ',', switch_rows[i].name);
		put_switch(&b, &switch_rows[i], rq->worker->switches);
	}
	buf_char(&b, '}');
	handler_reply_buf(rq, &b);
}
