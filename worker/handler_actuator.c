/* What watches a server asks: /actuator/health here, /actuator/prometheus in prometheus.c. */
#include "worker/handlers.h"

void handle_actuator_health(struct request *rq)
{
	reply_as(rq, STR("application/vnd.spring-boot.actuator.v3+json"), STR("{\"status\":\"UP\"}"));
}
