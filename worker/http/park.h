/* SPDX-License-Identifier: Apache-2.0 */
/* park.h - requests that wait for their answer, by id (the calls of a handler are in request.h).
 *
 * The worker's table of them (struct parked) is written here only. It does not own the requests:
 * the connection does, or the work of a long one (long.h). */
#ifndef WORKER_HTTP_PARK_H
#define WORKER_HTTP_PARK_H

struct request;
struct worker;

/* The connection has gone, or the answer is given: the id means nothing any more. */
void park_forget(struct request *rq);
/* Is called when the worker ends and nothing is parked any more. */
void park_free(struct worker *worker);

#endif
