/* SPDX-License-Identifier: Apache-2.0 */
/* output.h - the answer to one request while it is built: what its connection is to send.
 *
 * It has three parts, which are sent in this order:
 *   bytes   the head and a short body. They are put behind the answers that wait in a buffer of the
 *           connection (sender.h), so that answers to pipelined requests leave in one write
 *   pieces  bytes that somebody else owns. They stay where they are until the output is taken
 *   body    a long text that its writer has given away; the output owns it
 * An output has pieces or a body, not both.
 *
 * The connection takes an output right after the handler has returned, and when a long request
 * stands still (long.h); then nothing of it is borrowed any more. Bytes alone need not be taken:
 * they are in the connection's buffer already.
 *
 * Memory that is refused makes `bytes` fail like any other buffer, and the connection is closed. */
#ifndef WORKER_HTTP_OUTPUT_H
#define WORKER_HTTP_OUTPUT_H

#include <stdbool.h>
#include <sys/uio.h>

#include "shared/base/buf.h"
#include "shared/base/str.h"

#define OUTPUT_PIECES 2

struct output {
	struct buf *bytes; /* of the connection, not owned */
	struct iovec pieces[OUTPUT_PIECES];
	int piece_count;
	struct buf body;
};

/* s stays valid and unchanged until the output is taken. An empty one is left out. */
void output_borrow(struct output *output, struct str s);
/* Leaves *body empty. */
void output_own(struct output *output, struct buf *body);
/* Forgets what is borrowed and frees the body, because nobody will take the output. */
void output_drop(struct output *output);

/* There are only bytes. */
static inline bool output_is_plain(const struct output *output)
{
	return output->piece_count == 0 && output->body.len == 0;
}

#endif
