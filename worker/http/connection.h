/* SPDX-License-Identifier: Apache-2.0 */
/* connection.h - client connections: bytes in, answers out.
 *
 * A connection reads once per wake-up, answers the whole requests it has got, http.pipeline of them
 * at most, and writes once; what it has sent ahead beyond that waits until the others have had
 * their turn. Read and write buffers are the worker's (connection_pool); a connection owns memory
 * only for what is unfinished: part of a request, or answers the client has not taken yet. While
 * answers wait, nothing more is read. All connections hang from worker->connections and free
 * themselves.
 *
 * Below it are the parts that do not know it: input.h (bytes into requests), sender.h (answers onto
 * the socket), exchange.h (one request), memory.h (what all connections hold), park.h and long.h
 * (answers that come later). Those reach the connection through struct carrier (request.h) only.
 *
 * Times (http.*_timeout): a head has to be whole within its time; a body and an answer have to move
 * within theirs; an idle connection is closed, not before the time its client was told
 * (worker/http/keep_alive.h). One timer each, re-armed only when it fires too early. */
#ifndef WORKER_HTTP_CONNECTION_H
#define WORKER_HTTP_CONNECTION_H

#include <stdint.h>
#include <sys/socket.h>

#include "shared/base/err.h"

struct worker;

/* Sets worker->pool; the loop, the process and the protocol of the worker must be there. */
int connection_pool_new(struct worker *worker) MUST_CHECK;
void connection_pool_free(struct worker *worker);

/* These take the descriptor over, whatever happens. peer is NULL for a local socket. */
void connection_open(struct worker *worker, int fd, const struct sockaddr_storage *peer);
/* Answers 503 and "Connection: close", because http.connections is reached. */
void connection_refuse(struct worker *worker, int fd);

/* Closes the idle ones; the others end after their answer. worker->stopping must be set; the loop
 * ends with the last one. */
void connection_stop_all(struct worker *worker);
void connection_close_all(struct worker *worker);
/* The worker stood still for so long; nobody shall be late because of that. */
void connection_postpone_all(struct worker *worker, uint64_t ms);

#endif
