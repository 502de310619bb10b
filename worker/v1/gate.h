/* SPDX-License-Identifier: Apache-2.0 */
/* gate.h - who may pass: limited URLs, the status of the server (specification 1.3 steps 1 and 2,
 * 1.6), operator.allow.
 *
 * A limited URL is compared with the path in any spelling, and with the query as it came. An
 * operator's route is known by its row, not by a text.
 *
 * The switches live in the segment and any worker may change them, so each worker keeps what
 * follows from their texts and makes it anew when their generation has moved. While the status is
 * UP and no URL is limited, that compare is all a request costs.
 *
 * The status is the one set by overriddenServerStatus, else UP: a worker that could not serve would
 * not answer. A text that is no status (an older server may have stored one) sets nothing. */
#ifndef WORKER_V1_GATE_H
#define WORKER_V1_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/registry/switches.h"
#include "worker/v1/switch_table.h"

struct request;
struct worker;

struct gate {
	bool begun;
	bool open; /* nothing limited, status UP */
	enum server_status status;
	struct switches_copy copy; /* what the rest was made from */
};

/* Is called for paths under /v1/ns once the route is looked up. Returns true when the request was
 * answered. */
bool gate_stops(struct request *rq);
/* The route has ROUTE_OPERATOR. Returns false when this source may not use it and was answered with
 * 403. */
bool gate_admits(struct request *rq);
/* Says whether operator.allow lists the source of the request. */
bool gate_is_operator(const struct request *rq);
enum server_status gate_status(struct worker *worker);

#endif
