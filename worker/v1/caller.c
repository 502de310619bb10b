/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/v1/caller.h"

#include "shared/base/assert.h"
#include "worker/v1/gate.h"
#include "worker/v1/routes.h"
#include "worker/v1/v1.h"

static enum naming_right right_of(const struct route *route)
{
	if ((route->flags & ROUTE_INSTANCES) != 0)
		return NAMING_INSTANCES;
	return (route->flags & ROUTE_SERVICES) != 0 ? NAMING_SERVICES : NAMING_READS;
}

struct naming_caller caller_of(const struct request *rq)
{
	const struct v1_request *own = v1_request(rq);

	ROSTER_ASSERT(own->route != NULL);
	return (struct naming_caller){
		.source = rq->source,
		.agent = &own->agent,
		.right = right_of(own->route),
		.is_operator = gate_is_operator(rq),
	};
}
