/* SPDX-License-Identifier: Apache-2.0 */
/* park.h - requests that wait for their answer, by id (the calls of a handler are in request.h). */
#ifndef WORKER_HTTP_PARK_H
#define WORKER_HTTP_PARK_H

struct request;

/* The connection has gone, or the answer is given: the id means nothing any more. */
void park_forget(struct request *rq);

#endif
