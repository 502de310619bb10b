/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/view/subscription.h"

/* Where the lowest version that is pushed to stands; nobody else is pushed to. */
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
	return switches->push != 0 && agent->has_version && agent->version >= lowest_version(agent->kind, switches);
}
