/* SPDX-License-Identifier: Apache-2.0 */
/* migrate.h - the open connections of a worker that leaves, to one that comes.
 *
 * For a change of the segment's layout: the old worker stands still (shared/process/freeze.h), so between its requests; the new
 * one asks at its end of a socket pair, gets each connection's descriptor (SCM_RIGHTS) with what was read of the next request
 * and what the client has not yet taken of the last answer, and goes on. No client sees more than the pause.
 *
 * What was read of a request goes over as it came from the wire, a chunked body as far as it was decoded in chunks of
 * another size: the receiver parses from the first byte, so nothing of either's insides crosses and the two may be of
 * different versions. A parked request cannot go over; its connection is closed, like those that only wait for the
 * client's last bytes after an error.
 *
 * Stream: a struct migrate_head with the descriptor, then the bytes; at the end a head without one. Both sides block, at most
 * MIGRATE_LIMIT_MS a call. A death in the middle costs the connections that are with neither: those being sent. */
#ifndef WORKER_HTTP_MIGRATE_H
#define WORKER_HTTP_MIGRATE_H

#include <stdint.h>

#include "shared/base/err.h"

struct worker;

#define MIGRATE_LIMIT_MS 2000U
#define MIGRATE_MAGIC 0x31565248U /* "HRV1" */

enum migrate_flag {
	MIGRATE_END = 1,    /* the last head; `served` counts the connections */
	MIGRATE_ENDING = 2, /* to be closed when its answer is taken */
	MIGRATE_LINGER = 4, /* ... and unread bytes may be there then */
};

struct migrate_head {
	uint32_t magic;
	uint32_t flags;
	uint32_t served;  /* requests answered on the connection */
	uint32_t idle_ms; /* the time it was given while idle; the receiver gives no less. 0: not said */
	uint64_t in_bytes, out_bytes;
};

/* Old worker: sends all and keeps nothing open; returns how many, or ERR_IO (those behind are closed). */
int migrate_send(struct worker *worker, int fd) MUST_CHECK;
/* New worker: asks, takes them until the end, answers what they have asked meanwhile. Returns how many; ERR_IO: the other
 * one is gone or says nothing (those before stay). */
int migrate_receive(struct worker *worker, int fd) MUST_CHECK;

#endif
