/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/v1/caller.h"

#include "shared/base/assert.h"
#include "worker/http/request.h"
#include "worker/v1/gate.h"
#include "worker/v1/routes.h"

static enum naming_right right_of(const struct route *route)
{
	if ((route->flags & ROUTE_INSTANCES) != 0)
		return NAMING_INSTANCES;
	return (route->flags & ROUTE_SERVICES) != 0 ? NAMING_SERVICES : NAMING_READS;
}

struct naming_caller caller_of(const struct request *rq)
{
	ROSTER_ASSERT(rq->route != NULL);
	return (struct naming_caller){
		.source = rq->source,
		.sender = rq->sender,
		.agent = &rq->agent,
		.right = right_of(rq->route),
		.is_operator = gate_is_operator(rq),
	};
}
