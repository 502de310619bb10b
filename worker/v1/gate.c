/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/v1/gate.h"

#include <stdio.h>

#include "shared/base/assert.h"
#include "shared/base/log.h"
#include "shared/net/address.h"
#include "worker/v1/reply.h"
#include "worker/v1/routes.h"
#include "worker/v1/v1.h"
#include "worker/worker.h"

/* ---- following the switches ------------------------------------------------------------------ */

static bool is_current(const struct worker *worker)
{
	const struct gate *gate = &v1_of(worker)->gate;

	return gate->begun && gate->copy.words.generation == switches_generation(worker->switches);
}

static void refresh(struct worker *worker)
{
	struct gate *gate = &v1_of(worker)->gate;
	int ret = switches_read(&worker->registry, &gate->copy);

	if (ret < 0) {
		/* To let requests pass is better than to stop them for a reason nobody gave. The
		 * switches are read again at their next change. */
		log_error("op=read-switches err=\"%s\"", err_str(ret));
		gate->copy.words.generation = switches_generation(worker->switches);
		gate->copy.texts = (struct switches_texts){ .masters = { NULL, 0 } };
	}
	gate->begun = true;
	if (server_status_parse(gate->copy.texts.status, &gate->status) < 0)
		gate->status = STATUS_UP;
	gate->open = gate->status == STATUS_UP && gate->copy.texts.limited.n == 0;
}

static struct gate *current(struct worker *worker)
{
	if (!is_current(worker))
		refresh(worker);
	return &v1_of(worker)->gate;
}

enum server_status gate_status(struct worker *worker)
{
	return current(worker)->status;
}

/* ---- limited URLs ---------------------------------------------------------------------------- */

/* Says whether path + "?" + query begins with url. Without a query the word null stands for it. */
static bool url_starts(struct str path, struct str query, struct str url)
{
	if (url.n <= path.n)
		return str_starts(path, url);
	if (!str_starts(url, path) || url.p[path.n] != '?')
		return false;
	return str_starts(query, str_make(url.p + path.n + 1, url.n - path.n - 1));
}

/* Looks at every spelling that leads to the same route: as received, decoded, and without the slash
 * at the end. */
static bool is_limited(const struct request *rq, struct str url)
{
	struct str query = str_is_set(rq->query) ? rq->query : STR("null"),
	           plain = v1_request(rq)->plain, route = plain;

	if (route.n > 1 && route.p[route.n - 1] == '/')
		route.n--;
	return url_starts(rq->path, query, url) || url_starts(plain, query, url) ||
	       url_starts(route, query, url);
}

/* An operator's writes pass: a limit on everything could not be lifted again. */
static bool is_operator(const struct request *rq);

static bool stops_url(struct request *rq, const struct gate *gate)
{
	struct str rest = gate->copy.texts.limited, url;
	int status;

	while (switch_next_limited(&rest, &url, &status)) {
		if (!is_limited(rq, url))
			continue;
		if (is_operator(rq))
			return false;
		reply_bare(rq, status, STR(""));
		return true;
	}
	return false;
}

/* ---- status ---------------------------------------------------------------------------------- */

static bool stops_status(struct request *rq, const struct gate *gate)
{
	struct str agent = rq->user_agent.n > 0 ? rq->user_agent : rq->client_version;
	char text[96];
	int n;

	if (gate->status == STATUS_UP || str_starts(agent, STR("Nacos-Server")))
		return false;
	if (gate->status == STATUS_WRITE_ONLY && rq->method != METHOD_GET)
		return false;
	if (gate->status == STATUS_READ_ONLY && rq->method == METHOD_GET)
		return false;
	n = snprintf(text, sizeof(text), "server is %snow, please try again later!",
	             server_status_text(gate->status));
	ROSTER_ASSERT(n > 0 && (size_t)n < sizeof(text));
	reply_bare(rq, 503, str_make(text, (size_t)n));
	return true;
}

bool gate_stops(struct request *rq)
{
	const struct gate *gate = current(rq->worker);
	bool stops;

	if (gate->open)
		return false;
	stops = stops_url(rq, gate) || stops_status(rq, gate);
	ROSTER_ASSERT(stops == rq->answered);
	return stops;
}

/* ---- operators ------------------------------------------------------------------------------- */

static bool is_allowed(const struct config *config, const uint8_t source[16])
{
	for (uint32_t i = 0; i < config->operator_allow_count; i++) {
		const struct config_range *range = &config->operator_allow[i];

		if (address_in_range(source, range->address, range->bits))
			return true;
	}
	return false;
}

bool gate_is_operator(const struct request *rq)
{
	return is_allowed(&rq->worker->proc->config, rq->source);
}

static bool is_operator(const struct request *rq)
{
	const struct route *route = v1_request(rq)->route;

	return route != NULL && (route->flags & ROUTE_OPERATOR) != 0 &&
	       is_allowed(&rq->worker->proc->config, rq->source);
}

bool gate_admits(struct request *rq)
{
	const struct route *route = v1_request(rq)->route;
	char source[ADDRESS_TEXT], text[ADDRESS_TEXT + 64];
	int n;

	ROSTER_ASSERT(route != NULL && (route->flags & ROUTE_OPERATOR) != 0);
	if (is_allowed(&rq->worker->proc->config, rq->source))
		return true;
	address_text(rq->source, source);
	log_debug("op=refuse-operator source=%s method=%s path=\"%s\"", source,
	          method_name(route->method), route->path);
	n = snprintf(text, sizeof(text), "operator.allow does not list %s", source);
	ROSTER_ASSERT(n > 0 && (size_t)n < sizeof(text));
	reply_error_page(rq, 403, str_make(text, (size_t)n));
	return false;
}
