/* SPDX-License-Identifier: Apache-2.0 */
/* agent.h - which client is it? (specification 1.5, 9.1) */
#ifndef NET_AGENT_H
#define NET_AGENT_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/str.h"

enum agent_kind {
	AGENT_UNKNOWN,
	AGENT_JAVA,
	AGENT_DNS,
	AGENT_C,
	AGENT_JAVA_SDK,
	AGENT_NACOS_SERVER,
	AGENT_TENGINE,
	AGENT_GO,
	AGENT_CSHARP,
	AGENT_KINDS
};

struct agent {
	struct str text;
	enum agent_kind kind;
	uint32_t version; /* major << 20 | minor << 10 | patch, each cut at 1023 */
	bool has_version; /* false: the kind is unknown, or its version has fewer than two parts */
};

#define AGENT_VERSION(major, minor, patch) \
	((uint32_t)(major) << 20 | (uint32_t)(minor) << 10 | (uint32_t)(patch))

/* Reads user_agent, or client_version when that is empty. The text of the agent points into it. */
struct agent agent_parse(struct str user_agent, struct str client_version);
/* Is it a "Java >= 1.0"? Those get names with their group, and what they update must exist. */
bool agent_is_java1(const struct agent *agent);

#endif
