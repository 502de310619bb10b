/* SPDX-License-Identifier: Apache-2.0 */
/* subscription.h - a client asks for a service, and wishes to hear of its changes.
 *
 * One question does both, under one lock: what the service is like just now, and the subscription,
 * which each further question renews. Changes are pushed to the address and the port that the
 * client names, if its agent understands pushes (specification 9.1) and the address may be sent to
 * (shared/net/destination.h). No name is resolved. A claim of an address that may not be sent to is
 * stored and shown, but not pushed to. */
#ifndef NAMING_SUBSCRIPTION_H
#define NAMING_SUBSCRIPTION_H

#include "shared/naming/naming.h"
#include "shared/naming/unpushed.h"

/* What a client asks for. */
struct naming_wish {
	/* where to push to, as the client wrote it; empty: where it asks from */
	struct str address;
	int32_t port; /* 0 or less: it wants no pushes */
	struct str clusters, app;
	bool grouped; /* it reads names with their group */
};

struct naming_polled {
	struct service_stamp stamp;
	uint64_t cache_ms;      /* when to ask again: later for who is pushed to */
	enum unpushed unpushed; /* UNPUSHED_REASONS: it is pushed to, or wants no pushes */
};

/* Does this agent understand pushes, by the switches? */
bool subscription_agent_can_push(const struct agent *agent, const struct switches *switches);
/* Answers a client's question. A subscription that is refused spoils nothing: 0, and a reason. An
 * unknown service is no error either: polled_r->stamp.found is false, and a subscriber waits for
 * it. */
int naming_poll(struct naming *naming, const struct naming_caller *caller,
                const struct service_key *service, const struct naming_wish *wish,
                struct naming_polled *polled_r) MUST_CHECK;

#endif
