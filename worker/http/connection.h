/* SPDX-License-Identifier: Apache-2.0 */
/* connection.h - client connections: bytes in, answers out.
 *
 * A connection reads once per wake-up, answers the whole requests it has got, http.pipeline of them at most, and writes
 * once; what it has sent ahead beyond that waits until the others have had their turn. Read
 * and write buffers are the worker's (connection_pool); a connection owns memory only for what is
 * unfinished: part of a request, or answers the client has not taken yet. While answers wait, nothing
 * more is read. All connections hang from worker->connections and free themselves.
 *
 * Times (http.*_timeout): a head has to be whole within its time; a body and an answer have to move
 * within theirs; an idle connection is closed, not before the time its client was told (worker/http/keep_alive.h). One timer
 * each, re-armed only when it fires too early. */
#ifndef WORKER_HTTP_CONNECTION_H
#define WORKER_HTTP_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "shared/base/err.h"

struct buf;
struct connection;
struct request;
struct worker;

/* Sets worker->pool; the loop, process and router of the worker must be there. */
int connection_pool_new(struct worker *worker) MUST_CHECK;
void connection_pool_free(struct worker *worker);

/* Take the descriptor over, whatever happens. peer NULL: a local socket. */
void connection_open(struct worker *worker, int fd, const struct sockaddr_storage *peer);
/* http.connections is reached: 503, "Connection: close". */
void connection_refuse(struct worker *worker, int fd);

/* Closes the idle ones; the others end after their answer. worker->stopping must be set; the loop ends
 * with the last one. */
void connection_stop_all(struct worker *worker);
void connection_close_all(struct worker *worker);
/* The worker stood still for so long: nobody is late because of that. */
void connection_postpone_all(struct worker *worker, uint64_t ms);

/* Writes what the answer buffer holds and then the pieces, without copying what the socket takes at once. */
void connection_write_through(struct connection *connection, const struct iovec *pieces, int count);
/* The same with a buffer of any length, which becomes the connection's own if the socket does not take all of it. Leaves *body
 * empty. */
void connection_give(struct connection *connection, struct buf *body);
/* The parked request has its answer. */
void connection_answered(struct connection *connection);
/* Closes it at once, whatever it is doing. Frees it. */
void connection_close(struct connection *connection);
/* Its parked request will not be answered: 503, and it ends. May free it. */
void connection_give_up(struct connection *connection);

#endif
