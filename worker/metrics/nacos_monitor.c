/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/metrics/nacos_monitor.h"

#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/clock.h"
#include "shared/codec/java.h"
#include "shared/metrics/metrics.h"
#include "shared/registry/registry.h"

struct node {
	const struct segment *seg;
	const struct registry_stats *stats;
};

static double mysql_checks(const struct node *node)
{
	return (double)metric_sum(node->seg, METRIC_CHECKS_MYSQL);
}

static double http_checks(const struct node *node)
{
	return (double)metric_sum(node->seg, METRIC_CHECKS_HTTP);
}

static double tcp_checks(const struct node *node)
{
	return (double)metric_sum(node->seg, METRIC_CHECKS_TCP);
}

static double leader(const struct node *node)
{
	(void)node;
	return 1;
}

static double service_count(const struct node *node)
{
	return (double)node->stats->services;
}

static double instance_count(const struct node *node)
{
	return (double)node->stats->instances;
}

static double push_total(const struct node *node)
{
	return (double)metric_sum(node->seg, METRIC_PUSH_TOTAL);
}

/* Those that wait for their ACK count as failed. */
static double push_failed(const struct node *node)
{
	uint64_t ok = metric_sum(node->seg, METRIC_PUSH_OK),
	         total = metric_sum(node->seg, METRIC_PUSH_TOTAL);

	return total > ok ? (double)(total - ok) : 0;
}

static double push_cost_max(const struct node *node)
{
	uint64_t max;
	double mean;

	return metric_cost_last(node->seg, clock_mono_ms(), &max, &mean) ? (double)max : -1;
}

static double push_cost_mean(const struct node *node)
{
	uint64_t max;
	double mean;

	return metric_cost_last(node->seg, clock_mono_ms(), &max, &mean) ? mean : -1;
}

/* Specification 11. */
static const struct {
	const char *name;
	double (*value)(const struct node *node);
} nacos_rows[] = {
	{ "mysqlhealthCheck", mysql_checks }, { "httpHealthCheck", http_checks },
	{ "tcpHealthCheck", tcp_checks },     { "serviceCount", service_count },
	{ "ipCount", instance_count },        { "maxPushCost", push_cost_max },
	{ "avgPushCost", push_cost_mean },    { "totalPush", push_total },
	{ "failedPush", push_failed },        { "leaderStatus", leader },
};

void nacos_monitor_put(struct buf *b, const char *name, const struct segment *seg,
                       const struct registry_stats *stats)
{
	const struct node node = { .seg = seg, .stats = stats };
	char number[JAVA_DOUBLE_TEXT];
	unsigned n;

	for (size_t i = 0; i < sizeof(nacos_rows) / sizeof(nacos_rows[0]); i++) {
		n = java_double_text(nacos_rows[i].value(&node), number);
		buf_printf(b, "%s{module=\"naming\",name=\"%s\",} %.*s\n", name, nacos_rows[i].name,
		           (int)n, number);
	}
}
