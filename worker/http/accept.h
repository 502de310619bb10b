/* SPDX-License-Identifier: Apache-2.0 */
/* accept.h - which listening sockets a worker accepts from: its own, and those of siblings that
 * cannot.
 *
 * Every worker holds the SO_REUSEPORT socket of every worker. The master says on the board whose
 * socket is an orphan (its worker is dead, stopped or stuck): then the siblings accept from it too,
 * until the successor is ready.
 *
 * Over http.connections a connection is accepted and answered 503 ("Connection: close"): a client
 * that waits in a queue would learn later what it can learn now. When descriptors have run out, one
 * that was kept in reserve lets the queue be emptied, with a 503 for each; when that fails too,
 * nothing is accepted for 100 ms. */
#ifndef WORKER_HTTP_ACCEPT_H
#define WORKER_HTTP_ACCEPT_H

#include "shared/base/err.h"

struct worker;

/* Sets worker->accept. */
int accept_start(struct worker *worker) MUST_CHECK;
/* Is called when the board has changed. */
void accept_refresh(struct worker *worker);
/* Accepts no new connections from now on. */
void accept_stop(struct worker *worker);
void accept_free(struct worker *worker);

#endif
