/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "shared/naming/guard.h"
#include "shared/view/beat_json.h"
#include "worker/v1/caller.h"
#include "worker/v1/handlers.h"
#include "worker/worker.h"

#define DESERIALIZE "errCode: 101, errMsg: Nacos deserialize for class [com.alibaba.nacos.naming.healthcheck.RsInfo] failed.  "

enum beat_code { BEAT_OK = 10200, BEAT_NOT_FOUND = 20404 };

struct beat_request {
	struct service_key service;
	struct instance_key key;
	struct beat_info info;
};

static bool read_json(struct request *rq, struct beat_info *info)
{
	struct str text = request_optional(rq, "beat", (struct str){ NULL, 0 });
	char why[160];
	int ret;

	*info = (struct beat_info){ .light = true };
	if (text.n == 0)
		return true;
	ret = beat_json_parse(&rq->arena, text, info, why, sizeof(why));
	if (ret == 0)
		guard_timings(&rq->worker->naming, &info->metadata);
	if (ret == ERR_SYNTAX)
		reply_caused2(rq, 500, STR(DESERIALIZE), str_of(why));
	else if (ret < 0)
		reply_registry_error(rq, ret, STR(""), STR(""));
	return ret == 0;
}

/* The order of 4.7: JSON, port, service. */
static bool read_beat(struct request *rq, struct beat_request *beat)
{
	struct instance_key *key = &beat->key;

	if (!read_json(rq, &beat->info))
		return false;
	key->cluster = request_optional(rq, "clusterName", DEFAULT_CLUSTER);
	key->ip = request_optional(rq, "ip", STR(""));
	key->ephemeral = true;
	if (!request_int(rq, request_optional(rq, "port", STR("0")), &key->port))
		return false;
	if (!beat->info.light) {
		if (!str_is_blank(beat->info.cluster))
			key->cluster = beat->info.cluster;
		key->ip = beat->info.ip;
		key->port = beat->info.port;
		key->ephemeral = beat->info.ephemeral;
	}
	return handler_service_key(rq, &beat->service);
}

static char *put_number(char *at, uint64_t value)
{
	char digits[20];
	unsigned n = 0;

	do
		digits[n++] = (char)('0' + value % 10);
	while ((value /= 10) > 0);
	while (n > 0)
		*at++ = digits[--n];
	return at;
}

static char *put_text(char *at, struct str s)
{
	memcpy(at, s.p, s.n);
	return at + s.n;
}

/* The most frequent answer of all: no formatting machinery. */
static void answer(struct request *rq, uint64_t interval_ms, enum beat_code code)
{
	char text[128], *at = text;

	at = put_text(at, STR("{\"clientBeatInterval\":"));
	at = put_number(at, interval_ms);
	at = put_text(at, STR(",\"code\":"));
	at = put_number(at, code);
	if (code == BEAT_OK) {
		at = put_text(at, STR(",\"lightBeatEnabled\":"));
		at = put_text(at, rq->worker->switches->light_beat ? STR("true") : STR("false"));
	}
	*at++ = '}';
	reply_json(rq, str_make(text, (size_t)(at - text)), (struct str){ NULL, 0 }, (struct str){ NULL, 0 });
}

/* A full beat of an unknown instance registers it: a server that lost its memory learns it again from the
 * beats (specification 4.7 step 3). An instance without an address is refused: nobody could show it. */
static int compensate(struct request *rq, struct beat_request *beat)
{
	const struct naming_caller caller = caller_of(rq);
	const struct beat_info *info = &beat->info;
	struct instance_spec spec = {
		.key = beat->key,
		.weight = info->weight,
		.enabled = true,
		.healthy = true,
		.metadata = info->metadata,
	};
	int ret;

	if (info->ip.n == 0) {
		reply_caused(rq, 400, "Param 'ip' is required.");
		return ERR_RANGE;
	}
	ret = registry_register(&rq->worker->registry,
	                        guard_origin(&rq->worker->naming, &caller, NAMING_INSTANCES, CAUSE_COMPENSATION), &beat->service,
	                        &spec);
	if (ret < 0)
		reply_registry_error(rq, ret, beat->service.name, beat->key.cluster);
	else
		metric_add(METRIC_REGISTERS, 1);
	return ret;
}

static void answer_unknown(struct request *rq, struct beat_request *beat)
{
	const struct overrides *overrides = &beat->info.metadata.overrides;
	uint64_t interval_ms = rq->worker->switches->beat_interval_ms;

	metric_add(METRIC_BEATS_UNKNOWN, 1);
	if (beat->info.light)
		answer(rq, interval_ms, BEAT_NOT_FOUND);
	else if (compensate(rq, beat) == 0)
		answer(rq, overrides->has_interval ? overrides->interval_ms : interval_ms, BEAT_OK);
}

void handle_instance_beat(struct request *rq)
{
	const struct naming_caller caller = caller_of(rq);
	struct worker *worker = rq->worker;
	struct beat_result result;
	struct beat_request beat;
	int ret;

	if (!read_beat(rq, &beat))
		return;
	metric_add(METRIC_BEATS, 1);
	ret = registry_beat(&worker->registry, guard_origin(&rq->worker->naming, &caller, NAMING_INSTANCES, CAUSE_BEAT),
	                    &beat.service, &beat.key, &result);
	if (ret == ERR_NOT_FOUND || ret == ERR_NO_INSTANCE) {
		answer_unknown(rq, &beat);
	} else if (ret < 0) {
		reply_registry_error(rq, ret, beat.service.name, beat.key.cluster);
	} else {
		if (result.revived)
			metric_add(METRIC_BEATS_REVIVED, 1);
		answer(rq, result.has_interval ? result.interval_ms : worker->switches->beat_interval_ms, BEAT_OK);
	}
}
