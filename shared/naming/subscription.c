/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/naming/subscription.h"

#include "shared/base/assert.h"
#include "shared/metrics/metrics.h"
#include "shared/net/agent.h"
#include "shared/registry/switches.h"

/* Returns the lowest version of an agent that is pushed to. Agents of other kinds are not pushed
 * to. */
static uint64_t lowest_version(enum agent_kind kind, const struct switches *switches)
{
	switch (kind) {
	case AGENT_JAVA:
		return switches->push_java;
	case AGENT_DNS:
		return switches->push_python; /* the DNS client counts as Python there */
	case AGENT_C:
		return switches->push_c;
	case AGENT_GO:
		return switches->push_go;
	case AGENT_CSHARP:
		return switches->push_csharp;
	default:
		return UINT64_MAX;
	}
}

bool subscription_agent_can_push(const struct agent *agent, const struct switches *switches)
{
	return switches->push != 0 && agent->has_version &&
	       agent->version >= lowest_version(agent->kind, switches);
}

/* Fills in the subscriber that the client wishes to be. Returns false when it is not subscribed.
 * *reason_r, UNPUSHED_REASONS so far, says why it gets no pushes if it wants some. */
static bool subscriber_of(struct naming *naming, const struct naming_caller *caller,
                          const struct naming_wish *wish, struct subscriber_spec *sub,
                          enum unpushed *reason_r)
{
	struct destination_policy *destinations = &naming->destinations;

	ROSTER_ASSERT(*reason_r == UNPUSHED_REASONS);
	if (wish->port <= 0 || !subscription_agent_can_push(caller->agent, naming->switches))
		return false;
	*sub = (struct subscriber_spec){
		.agent = caller->agent->text,
		.agent_kind = (uint8_t)caller->agent->kind,
		.agent_version = caller->agent->version,
		.grouped = wish->grouped,
		.clusters = wish->clusters,
		.app = wish->app,
		.address_text = wish->address,
		.port = (uint16_t)wish->port,
	};
	if (wish->port > UINT16_MAX)
		*reason_r = UNPUSHED_BAD_PORT;
	else if (!destination_claimed(destinations, wish->address, caller->source, sub->address))
		*reason_r = UNPUSHED_UNRESOLVABLE;
	if (*reason_r != UNPUSHED_REASONS)
		return false;
	memcpy(sub->source, caller->source, sizeof(sub->source));
	sub->push = destination_allowed(destinations, sub->address, sub->port, caller->source);
	if (!sub->push)
		*reason_r = unpushed_of_claim(sub->address, sub->port);
	return true;
}

int naming_poll(struct naming *naming, const struct naming_caller *caller,
                const struct service_key *service, const struct naming_wish *wish,
                struct naming_polled *polled_r)
{
	const struct switches *switches = naming->switches;
	enum unpushed reason = UNPUSHED_REASONS;
	struct subscriber_spec sub;
	bool subscribe = subscriber_of(naming, caller, wish, &sub, &reason);
	int ret =
	        registry_poll(naming->registry, service, subscribe ? &sub : NULL, &polled_r->stamp);

	/* Whoever is pushed to need not ask often. */
	polled_r->cache_ms = switches->cache_ms;
	if (ret == 0 && subscribe && sub.push && !polled_r->stamp.unsent)
		polled_r->cache_ms = switches->push_cache_ms;
	if (subscribe && (ret == ERR_LIMIT || ret == ERR_FULL)) {
		metric_add(ret == ERR_LIMIT ? METRIC_LIMIT_REFUSED : METRIC_FULL_REFUSED, 1);
		reason = unpushed_of_error(ret, naming->registry->refused.which);
		ret = 0;
	}
	if (reason != UNPUSHED_REASONS)
		unpushed_note(naming, caller, reason, service->name, wish->address, wish->port);
	polled_r->unpushed = reason;
	return ret;
}
