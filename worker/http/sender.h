/* SPDX-License-Identifier: Apache-2.0 */
/* sender.h - the answers of one connection on their way to its socket.
 *
 * Answers are put behind each other and written together. As long as the sockets take everything,
 * all connections use one buffer of the worker, which is empty between their turns; what a socket
 * does not take moves to a buffer of the connection's own. A long body is never copied as a whole:
 * it is written from where it lies, and if the connection owns it, the rest of it becomes the
 * connection's buffer.
 *
 * `broken` says that the socket failed or that memory was refused: nothing is written any more, and
 * the owner closes the connection when it comes to it. Written by sender.c only. */
#ifndef WORKER_HTTP_SENDER_H
#define WORKER_HTTP_SENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/buf.h"

struct output;

struct sender {
	struct buf *shared;  /* the worker's */
	struct buf out;      /* what the client has not taken */
	size_t at;           /* bytes of `answers` that are sent */
	struct buf *answers; /* where answers go: shared, or out while it holds something */
	/* of a long answer, behind out: takes the place of out, uncopied, once that is gone */
	struct buf body;
	uint64_t sent; /* bytes, ever */
	bool broken;
};

void sender_init(struct sender *s, struct buf *shared);
/* Takes over the answers of another worker for this connection (migrate.h). Leaves *out empty. */
void sender_adopt(struct sender *s, struct buf *out);
/* Also empties the shared buffer, because what is in it was made for this socket. */
void sender_free(struct sender *s);
/* Forgets what was not sent and gives its memory back. */
void sender_release(struct sender *s);

/* Answers go to the connection's own buffer from now on: others use the shared one meanwhile. */
void sender_use_own(struct sender *s);
/* Writes what there is and the output behind it, without copying what the socket takes at once. The
 * output is plain afterwards. */
void sender_take(struct sender *s, int fd, struct output *output);
/* Writes what there is; what the socket does not take stays in `out`. Returns false when the sender
 * is broken. */
bool sender_flush(struct sender *s, int fd);

/* The socket was full: something waits in `out`. */
static inline bool sender_is_pending(const struct sender *s)
{
	return s->out.len > s->at;
}

#endif
