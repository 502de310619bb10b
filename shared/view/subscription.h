/* SPDX-License-Identifier: Apache-2.0 */
/* subscription.h - who is pushed to (specification 9.1): agent kind and version against the switches. */
#ifndef VIEW_SUBSCRIPTION_H
#define VIEW_SUBSCRIPTION_H

#include <stdbool.h>

#include "shared/net/agent.h"
#include "shared/registry/switches.h"

bool subscription_agent_can_push(const struct agent *agent, const struct switches *switches);

#endif
