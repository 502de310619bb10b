/* SPDX-License-Identifier: Apache-2.0 */
/* caller.h - who asks, for shared/naming: the source of the request's connection, its agent,
 * whether operator.allow lists the source, and the right that the row of its route gives
 * (worker/v1/routes.h). Rows of ROUTE_OPERATOR write nothing there. */
#ifndef WORKER_V1_CALLER_H
#define WORKER_V1_CALLER_H

#include "shared/naming/naming.h"

struct request;

/* The result points into the request, which must have a route. */
struct naming_caller caller_of(const struct request *rq);

#endif
