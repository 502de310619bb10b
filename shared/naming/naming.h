/* SPDX-License-Identifier: Apache-2.0 */
/* naming.h - what a client means, free of any protocol: the rules that stand between the protocols
 * and the registry.
 *
 * A protocol (worker/v1 is one) reads what its client sent and says who that is (struct
 * naming_caller). It calls one function of this folder and makes its answer from what that returns.
 * Nothing here knows a protocol, a connection or the text of an answer.
 *
 *     beat.h          a beat, and the registration that makes up for a lost memory
 *     instance.h      register, update, patch and deregister an instance, set its metadata and
 *                     health
 *     service.h       create, set up and remove a service, set up a cluster
 *     subscription.h  ask for a service and subscribe to it in one step
 *     unpushed.h      why a client that asked for pushes gets none
 *     guard.h         who may write what, who may take away how much, which timings a client may
 *                     set
 *
 * What holds for every protocol is seen to here and in none of them: limits, rights, owners,
 * weights, timings. struct naming is embedded in the context of its process and owns nothing. No
 * lock is held when a function is called or returns. The texts and structs that a caller hands over
 * stay its own; they must live until the call returns.
 *
 * A function returns 0 or a code of err.h. Its header names the codes with a meaning of their own;
 * those of the registry come up unchanged (registry.h). A write has happened wholly when it returns
 * 0, and not at all when it returns a code or its process dies in it. The counters of what has
 * happened (metrics, departures) follow the write, so a death in between loses a count. */
#ifndef NAMING_NAMING_H
#define NAMING_NAMING_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/err.h"
#include "shared/base/log.h"
#include "shared/naming/unpushed.h"
#include "shared/net/destination.h"
#include "shared/registry/registry.h"

struct agent;
struct config;
struct switches;

/* A process that speaks a protocol with clients has one. */
struct naming {
	struct registry *registry;
	const struct switches *switches;
	const struct config *config;                 /* a reload changes it in place */
	struct destination_policy destinations;      /* by the configuration */
	struct log_limit unpushed[UNPUSHED_REASONS]; /* log lines of each */
};

/* Makes the rules ready, after registry_init(), and sets registry->limits. What is handed over must
 * outlive them. */
void naming_init(struct naming *naming, struct registry *registry, const struct config *config);
/* To be called after the configuration was read again: limits and destinations follow it. */
void naming_reload(struct naming *naming);

/* What the caller's request may write; the protocol knows it from the kind of the request, never
 * from its content. */
enum naming_right {
	NAMING_READS,     /* nothing */
	NAMING_INSTANCES, /* instances, and the service and cluster that come to be with one */
	NAMING_SERVICES,  /* services and clusters; all instances of a service by removing it */
};

/* Says who asks. It lives as long as the request, as does what it points to. */
struct naming_caller {
	const uint8_t *source; /* the address of the connection, all zero for a unix socket */
	const struct agent *agent;
	enum naming_right right;
	bool is_operator; /* it may write what others own (operator.allow) */
};

#endif
