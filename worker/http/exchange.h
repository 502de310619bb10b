/* SPDX-License-Identifier: Apache-2.0 */
/* exchange.h - the requests of one connection: out of its input, to the protocol, answers to its
 * sender.
 *
 * It makes no system call but the write of a long answer (sender_take). connection.c calls it with
 * a connection that is open and has nothing waiting to be sent. */
#ifndef WORKER_HTTP_EXCHANGE_H
#define WORKER_HTTP_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

struct connection;
struct request;

/* Answers the whole requests in the input, and keeps the rest of it. Returns true when the turn of
 * the connection is over and whole requests may still be there. */
bool exchange_run(struct connection *c);
/* Answers the request being read with a page that refuses it; the connection ends. */
void exchange_refuse(struct connection *c, int status);
/* The request is answered: counts it and gives it back. */
void exchange_finish(struct connection *c, struct request *rq, uint64_t now_us);

#endif
