/* SPDX-License-Identifier: Apache-2.0 */
/* What watches a server asks: /actuator/health here, /actuator/prometheus in prometheus.c. */
#include "worker/v1/handlers.h"
#include "worker/worker.h"

void handle_actuator_health(struct request *rq)
{
	reply_as(rq, STR("application/vnd.spring-boot.actuator.v3+json"), STR("{\"status\":\"UP\"}"));
}

/* As handle_console_readiness(). */
void handle_actuator_readiness(struct request *rq)
{
	if (rq->worker->stopping)
		reply_text(rq, 503, STR("OUT_OF_SERVICE"));
	else
		handle_actuator_health(rq);
}
