/* SPDX-License-Identifier: Apache-2.0 */
/* input.h - the bytes that a connection has received, and the requests in them.
 *
 * All connections read into one buffer of the worker, which is empty between their turns. What is
 * left of it when no whole request is in it any more moves to a buffer of the connection's own, and
 * is read on there. A request has views into the buffer it was found in; a parked one keeps it
 * (input_keep_all).
 *
 * The order of calls: input_receive(), then for each request input_next() and, when it is dealt
 * with, input_pass(); at the end input_keep_rest() or input_keep_all(). Written by input.c only; a
 * failed `own` means that memory was refused: the owner closes the connection. */
#ifndef WORKER_HTTP_INPUT_H
#define WORKER_HTTP_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "shared/base/buf.h"
#include "worker/http/chunked.h"
#include "worker/http/head_scan.h"

struct config;

struct input {
	struct buf *shared; /* the worker's */
	struct buf own;     /* what is unfinished; empty: shared is read into */
	/* where the next request begins: behind a parked one, else 0 between two turns */
	size_t at;
	bool head_done; /* the head of the request that begins at `at` is whole */
	struct head_scan head;
	struct chunked chunked;
	uint64_t received; /* bytes, ever */
};

/* MORE says that no whole request is there; BAD, that it is refused with `status` and the
 * connection ends. */
enum input_verdict { INPUT_MORE, INPUT_REQUEST, INPUT_BAD };

struct input_request {
	const char *head; /* as input->head describes it */
	struct str body;
	size_t bytes; /* head and body as they came */
	int status;
	bool expects; /* after INPUT_MORE: its client waits for "100 Continue" */
};

void input_init(struct input *in, struct buf *shared);
/* Takes over what another worker has read for this connection (migrate.h). Leaves *bytes empty. */
void input_adopt(struct input *in, struct buf *bytes);
void input_free(struct input *in);

/* Reads once. Returns the number of bytes read, 0 when nothing is there yet, and -1 at the end, or
 * when the socket or memory failed. */
ssize_t input_receive(struct input *in, int fd);
/* Finds the next request that is whole, within http.head, http.line, http.headers and http.body. */
enum input_verdict input_next(struct input *in, const struct config *config,
                              struct input_request *next_r);
void input_pass(struct input *in, const struct input_request *request);
/* Something that no call has looked at is left. */
bool input_is_left(const struct input *in);

/* The turn is over. drop says that nothing of what is left will be read. */
void input_keep_rest(struct input *in, bool drop);
/* The same while a parked request has views into the buffer, which becomes the connection's as it
 * is. */
void input_keep_all(struct input *in);
/* Forgets what has come; the memory stays. */
void input_reset(struct input *in);
/* Forgets what has just been received into the shared buffer. */
void input_forget_received(struct input *in);

/* Something of a request has come. The first half of an empty line is not counted, so that a client
 * which sends such lines byte by byte gains no time. */
bool input_has_begun(const struct input *in);
/* Writes what was received of the next request, in a form in which it could have come, for another
 * worker. */
void input_as_sent(const struct input *in, struct buf *bytes);

#endif
