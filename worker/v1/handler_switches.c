/* SPDX-License-Identifier: Apache-2.0 */
/* handler_switches.c - /operator/switches: shows and sets them (specification 10). */
#include "shared/base/log.h"
#include "shared/net/address.h"
#include "worker/v1/bound.h"
#include "worker/v1/handlers.h"
#include "worker/v1/switch_table.h"
#include "worker/worker.h"

void handle_switches_get(struct request *rq)
{
	struct switches_copy copy;
	struct switch_state state;
	struct buf b;
	int ret = switch_load(&rq->worker->registry, &copy, &state);

	if (ret < 0) {
		reply_registry_error(rq, ret, STR(""), STR(""));
		return;
	}
	buf_init(&b);
	switch_show(&b, &state);
	handler_reply_buf(rq, &b);
}

static void refuse_switch(struct request *rq, int err, const struct switch_refusal *refusal)
{
	if (err == ERR_RANGE || err == ERR_SYNTAX)
		reply_caused2(rq, refusal->status, str_of(refusal->text), str_of(refusal->cause));
	else if (err == ERR_TOO_BIG)
		reply_caused(rq, 400, "the value is longer than %u bytes", SWITCHES_TEXT_MAX);
	else
		reply_registry_error(rq, err, STR(""), STR(""));
}

static void note_switch(struct request *rq, struct str entry, struct str value)
{
	char what[80], to[200], source[ADDRESS_TEXT];

	log_info("op=switch entry=%s value=%s effect=%s source=%s",
	         log_quote(entry, what, sizeof(what)), log_quote(value, to, sizeof(to)),
	         switch_is_live(entry) ? "live" : "shown", address_text(rq->source, source));
}

static int set_switch(struct request *rq, struct str entry, struct str value,
                      struct switch_refusal *refusal)
{
	struct registry *reg = &rq->worker->registry;
	struct switches_copy copy;
	struct switch_state state;
	int ret;

	do {
		if ((ret = switch_load(reg, &copy, &state)) < 0)
			return ret;
		if ((ret = switch_set(&rq->arena, &state, entry, value, refusal)) != 0)
			return ret;
		ret = switch_store(reg, &state);
	} while (ret == ERR_AGAIN);
	return ret;
}

/* `debug` is read and means nothing. In 1.4.8 it changes the memory of one server only; here there
 * is no memory apart from what is stored. */
void handle_switches_set(struct request *rq)
{
	struct switch_refusal refusal = { 0 };
	struct str entry, value;
	bool debug;
	int ret;

	if (!bound_bool(rq, "debug", &debug) || !bound_text(rq, "entry", &entry) ||
	    !bound_text(rq, "value", &value))
		return;
	if ((ret = set_switch(rq, entry, value, &refusal)) < 0) {
		refuse_switch(rq, ret, &refusal);
		return;
	}
	if (ret != SWITCH_UNKNOWN)
		note_switch(rq, entry, value);
	reply_ok(rq);
}
