/* SPDX-License-Identifier: Apache-2.0 */
/* routes.h - every route is a row: method, path, handler, flags.
 *
 * doc/api.md and the tests read the table too. A path also matches with one trailing slash. */
#ifndef WORKER_ROUTES_H
#define WORKER_ROUTES_H

#include "worker/request.h"

enum route_flag {
	ROUTE_NAMING = 1,      /* under /v1/ns: filter chain of specification 1.3 */
	ROUTE_RESPONSIBLE = 2, /* D: forwarded in a cluster */
	ROUTE_WRITE = 4,       /* right needed: write */
	ROUTE_OPERATOR = 8,    /* only from the sources of operator.allow */
	ROUTE_LONG = 16,       /* its work depends on how much is stored or asked for: worker/long.h */
};

struct route {
	enum method method;
	const char *path; /* after context.path */
	void (*handler)(struct request *rq);
	unsigned flags;
	const char *about; /* one line for doc/api.md */
};

extern const struct route routes[];
extern const unsigned route_count;

const char *route_method(const struct route *route);

#endif
