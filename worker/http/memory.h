/* SPDX-License-Identifier: Apache-2.0 */
/* memory.h - what the buffers of all connections hold together, and who is cut off when that is
 * more than http.memory: the one that has held most for longest while its client took or sent next
 * to nothing.
 *
 * It is found without a walk through all of them: a connection that holds much hangs in the list of
 * its row (powers of two of what is held), in the order of the last progress. Progress is a share
 * of what is held, so that a byte now and then is none. The first of each list has stood still for
 * longest in it. Of these first ones, the one with the highest product of bytes and time goes; that
 * product is at least half of the highest of all.
 *
 * Who is cut off loses its buffers at once and is told at its next turn: whoever walks through the
 * connections now finds all of them. `held` of a connection is written here only. */
#ifndef WORKER_HTTP_MEMORY_H
#define WORKER_HTTP_MEMORY_H

struct connection;
struct worker;

/* The sizes of its buffers may have changed. */
void memory_count(struct connection *c);
/* It is closed; its buffers go with it. */
void memory_forget(struct connection *c);
/* If all hold more than http.memory, frees what the worst of them hold and sets their `cut`; this
 * one may be among them. */
void memory_make_room(struct connection *c);
/* Its client was told that it is cut off. */
void memory_told(struct connection *c);
/* When half of a crowd has gone, what its connections took goes back to the system: free() gives
 * back only what nothing that lives longer lies behind. */
void memory_crowd_left(struct worker *worker);

#endif
