/* SPDX-License-Identifier: Apache-2.0 */
/* chunked.h - a chunked body, decoded where it lies.
 *
 * Strict: sizes are hex digits without sign or blank, every line ends in CR LF, data is followed by
 * CR LF (the parser library does not look). Extensions and trailers are read over, within limits; a
 * trailer line must be one that a head may have. The decoded bytes are moved to the front of the
 * body. Each call goes on where the last one stopped. */
#ifndef WORKER_HTTP_CHUNKED_H
#define WORKER_HTTP_CHUNKED_H

#include <stddef.h>
#include <stdint.h>

#define CHUNKED_LINE_MAX 256U /* size and extension; one trailer line */
#define CHUNKED_TRAILERS_MAX 16U

enum chunked_state { CHUNKED_SIZE, CHUNKED_DATA, CHUNKED_DATA_END, CHUNKED_TRAILER };

struct chunked {
	enum chunked_state state;
	size_t in;  /* raw bytes read so far, from the start of the request */
	size_t out; /* end of the decoded bytes */
	size_t start;
	uint64_t left; /* of this chunk */
	unsigned trailers;
	int status; /* after CHUNKED_BAD: 400 or 413 */
};

enum chunked_verdict { CHUNKED_MORE, CHUNKED_DONE, CHUNKED_BAD };

/* The body begins at start. */
void chunked_begin(struct chunked *ch, size_t start);
/* data and n are the request from its first byte. Once it returns DONE, the body is [start, out)
 * and the request ends at in. */
enum chunked_verdict chunked_feed(struct chunked *ch, char *data, size_t n, uint64_t max_body);

#endif
