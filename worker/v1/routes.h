/* SPDX-License-Identifier: Apache-2.0 */
/* routes.h - every route is a row: method, path, handler, flags.
 *
 * The flags say what the route may write: instances, services, the node (of operators), or nothing
 * of these; never two of them. worker/v1/caller.h makes a right of it, tests/system/owner_test.py
 * tries each row as a stranger.
 *
 * doc/api.md and the tests read the table too. A path also matches with one trailing slash. */
#ifndef WORKER_V1_ROUTES_H
#define WORKER_V1_ROUTES_H

#include "worker/http/request.h"

enum route_flag {
	ROUTE_NAMING = 1, /* under /v1/ns: filter chain of specification 1.3 */
	ROUTE_INSTANCES =
	        2, /* writes instances; the service and cluster of a new one come to be with it */
	ROUTE_OPERATOR =
	        4, /* writes what concerns the whole node; only from the sources of operator.allow */
	ROUTE_LONG =
	        8, /* its work depends on how much is stored or asked for: worker/http/long.h */
	ROUTE_SERVICES =
	        16, /* writes services and clusters: settings, and all instances by removing one */
};

#define ROUTE_WRITES (ROUTE_INSTANCES | ROUTE_OPERATOR | ROUTE_SERVICES)

struct route {
	enum method method;
	const char *path; /* after context.path */
	void (*handler)(struct request *rq);
	unsigned flags;
	const char *about; /* one line for doc/api.md */
};

extern const struct route routes[];
extern const unsigned route_count;

#endif
