#include "worker/handlers.h"
#include "worker/worker.h"

void handle_console_liveness(struct request *rq)
{
	reply_text(rq, 200, STR("OK"));
}

/* Not ready while stopping: a balancer that asks shall send nobody here any more. */
void handle_console_readiness(struct request *rq)
{
	if (rq->worker->stopping)
		reply_text(rq, 500, STR("Naming is not in readiness"));
	else
		reply_text(rq, 200, STR("OK"));
}
