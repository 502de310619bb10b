/* SPDX-License-Identifier: Apache-2.0 */
/* router.h - from a request line to a handler: the filter chain of specification 1.3.
 *
 * The order is: paths that mean nothing (400, HTML), TRACE (405), outside the context path (404,
 * HTML), paths that could mean two things (500; worker/v1/path.h), preflight (200 or 403), the
 * context path without its slash (302), the gate (worker/v1/gate.h), parameters, unknown route (501
 * under /v1/ns, 404 elsewhere, 500 for a wrong method elsewhere), grouped service name, handler.
 * The table is hashed once at start; a look-up copies nothing. */
#ifndef WORKER_V1_ROUTER_H
#define WORKER_V1_ROUTER_H

#include "shared/base/err.h"
#include "worker/v1/routes.h"

struct router;

/* rows and the text of context (context.path) stay owned by the caller and must outlive the
 * router. */
int router_new(const struct route *rows, unsigned count, struct str context,
               struct router **router_r) MUST_CHECK;
void router_free(struct router **router);
/* Returns the row of that method, or NULL, with *path_known_r set when only the method is wrong.
 * path is what stands behind the context. */
const struct route *router_find(const struct router *router, enum method method, struct str path,
                                bool *path_known_r);
/* Returns the rows it was made of, for whoever shows them. */
const struct route *router_rows(const struct router *router, unsigned *count_r);
/* Returns the place of a row among them, or ROUTER_NONE when it is none of them. */
#define ROUTER_NONE UINT32_MAX
unsigned router_number(const struct router *router, const struct route *route);
/* Makes parameters, agent and grouped service name of rq. Returns false when the request was
 * answered. */
bool router_prepare(struct request *rq);
/* Answers the request, or lets a handler answer or park it. */
void router_dispatch(const struct router *router, struct request *rq);

#endif
