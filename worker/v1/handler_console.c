/* SPDX-License-Identifier: Apache-2.0 */
/* handler_console.c - answers what a console and an orchestrator ask first: state, liveness,
 * readiness. */
#include "worker/v1/handlers.h"
#include "worker/worker.h"

void handle_console_liveness(struct request *rq)
{
	reply_text(rq, 200, STR("OK"));
}

/* A worker that stops is not ready, so that a balancer that asks sends nobody here any more. */
void handle_console_readiness(struct request *rq)
{
	if (rq->worker->stopping)
		reply_text(rq, 500, STR("Naming is not in readiness"));
	else
		reply_text(rq, 200, STR("OK"));
}

/* This is one node alone. The console shows its pages of configurations unless function_mode is
 * "naming". */
void handle_console_state(struct request *rq)
{
	reply_json(rq,
	           STR("{\"version\":\"" HANDLER_VERSION
	               "\",\"standalone_mode\":\"standalone\",\"function_mode\":null}"),
	           (struct str){ NULL, 0 }, (struct str){ NULL, 0 });
}
