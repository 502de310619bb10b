/* SPDX-License-Identifier: Apache-2.0 */
/* handler_beat.c - PUT /instance/beat (specification 4.7), with the registration that a full beat
 * stands for. */
#include "shared/base/cursor.h"
#include "shared/naming/beat.h"
#include "shared/view/beat_json.h"
#include "worker/v1/caller.h"
#include "worker/v1/handlers.h"
#include "worker/worker.h"

#define DESERIALIZE \
	"errCode: 101, errMsg: Nacos deserialize for class [com.alibaba.nacos.naming.healthcheck.RsInfo] failed.  "

enum beat_code { BEAT_OK = 10200, BEAT_NOT_FOUND = 20404 };

static bool read_json(struct request *rq, struct beat_info *info)
{
	struct str text = request_optional(rq, "beat", (struct str){ NULL, 0 });
	char why[160];
	int ret;

	*info = (struct beat_info){ .light = true };
	if (text.n == 0)
		return true;
	ret = beat_json_parse(&rq->arena, text, info, why, sizeof(why));
	if (ret == ERR_SYNTAX)
		reply_caused2(rq, 500, STR(DESERIALIZE), str_of(why));
	else if (ret < 0)
		reply_registry_error(rq, ret, STR(""), STR(""));
	return ret == 0;
}

/* What a full beat says goes before the parameters, but for a cluster that it leaves blank. */
static void take_body(const struct beat_info *info, struct naming_beat *beat)
{
	struct instance_key *key = &beat->key;

	if (!str_is_blank(info->cluster))
		key->cluster = info->cluster;
	key->ip = info->ip;
	key->port = info->port;
	key->ephemeral = info->ephemeral;
	beat->weight = info->weight;
	beat->metadata = info->metadata;
}

/* Keeps to the order of 4.7: JSON, port, service. */
static bool read_beat(struct request *rq, struct naming_beat *beat)
{
	struct instance_key *key = &beat->key;
	struct beat_info info;

	if (!read_json(rq, &info))
		return false;
	beat->light = info.light;
	key->cluster = request_optional(rq, "clusterName", DEFAULT_CLUSTER);
	key->ip = request_optional(rq, "ip", STR(""));
	key->ephemeral = true;
	if (!request_int(rq, request_optional(rq, "port", STR("0")), &key->port))
		return false;
	if (!info.light)
		take_body(&info, beat);
	return handler_service_key(rq, &beat->service);
}

/* This is the most frequent answer of all, so it is put together without printf. */
static void answer_beat(struct request *rq, uint64_t interval_ms, enum beat_code code)
{
	char text[128];
	struct cursor c = cursor_over(text, sizeof(text));

	CURSOR_LIT(&c, "{\"clientBeatInterval\":");
	cursor_decimal(&c, interval_ms);
	CURSOR_LIT(&c, ",\"code\":");
	cursor_decimal(&c, code);
	if (code == BEAT_OK) {
		CURSOR_LIT(&c, ",\"lightBeatEnabled\":");
		cursor_put(&c, rq->worker->switches->light_beat ? STR("true") : STR("false"));
	}
	CURSOR_LIT(&c, "}");
	reply_json(rq, cursor_text(&c), (struct str){ NULL, 0 }, (struct str){ NULL, 0 });
}

void handle_instance_beat(struct request *rq)
{
	const struct naming_caller caller = caller_of(rq);
	struct naming_beat_result result;
	struct naming_beat beat;
	int ret;

	if (!read_beat(rq, &beat))
		return;
	ret = naming_beat(&rq->worker->naming, &caller, &beat, &result);
	if (ret == ERR_RANGE)
		reply_caused(rq, 400, "Param 'ip' is required.");
	else if (ret < 0)
		reply_registry_error(rq, ret, beat.service.name, beat.key.cluster);
	else
		answer_beat(rq, result.interval_ms,
		            result.outcome == NAMING_BEAT_UNKNOWN ? BEAT_NOT_FOUND : BEAT_OK);
}
