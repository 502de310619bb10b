/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/http/source_limit.h"

#include "shared/base/clock.h"
#include "shared/base/source.h"
#include "shared/metrics/metrics.h"
#include "shared/process/sources.h"
#include "worker/http/request.h"
#include "worker/worker.h"

#define REFUSED_AT_ONCE 16U /* of a source: so many over the limit are told, the rest is closed */

uint64_t source_limit_wait_s(const struct request *rq)
{
	const struct config *config = &rq->worker->proc->config;
	struct sources *sources = rq->worker->proc->sources;
	uint32_t rate = (uint32_t)config->limit_per_source,
	         burst = (uint32_t)config->limit_per_source_burst;
	uint64_t wait_us;

	if (rate == 0 || sources == NULL || !source_is_set(rq->source))
		return 0;
	wait_us = sources_take(sources, sources_hash(sources, rq->source), clock_mono_us(), rate,
	                       burst != 0 ? burst : rate);
	if (wait_us == 0)
		return 0;
	metric_add(METRIC_SOURCE_REFUSED, 1);
	return wait_us / 1000000 + 1;
}

/* Connections are counted without a limit too, because a reload may set one. */
void source_limit_adopt(struct worker *worker, const uint8_t source[16], struct source_mark *mark_r)
{
	struct sources *sources = worker->proc->sources;

	*mark_r = (struct source_mark){ .counted = false };
	if (sources == NULL || !source_is_set(source))
		return;
	*mark_r = (struct source_mark){ .hash = sources_hash(sources, source), .counted = true };
	sources_connection(sources, worker->proc->index, mark_r->hash, 1);
}

enum source_verdict source_limit_open(struct worker *worker, const uint8_t source[16],
                                      struct source_mark *mark_r)
{
	uint64_t limit = worker->proc->config.limit_connections_per_source, open;

	source_limit_adopt(worker, source, mark_r);
	if (!mark_r->counted || limit == 0 ||
	    (open = sources_connections(worker->proc->sources, mark_r->hash)) <= limit)
		return SOURCE_ADMIT;
	metric_add(METRIC_SOURCE_CONNECTIONS_REFUSED, 1);
	return open <= limit + REFUSED_AT_ONCE ? SOURCE_REFUSE : SOURCE_DROP;
}

void source_limit_close(struct worker *worker, const struct source_mark *mark)
{
	if (mark->counted)
		sources_connection(worker->proc->sources, worker->proc->index, mark->hash, -1);
}
