/* SPDX-License-Identifier: Apache-2.0 */
/* migrate.h - the open connections of a worker that leaves, to one that comes.
 *
 * It is used for a change of the segment's layout. The old worker stands still
 * (shared/process/freeze.h), that is between two requests. The new one asks at its end of a socket
 * pair, gets each connection's descriptor (SCM_RIGHTS) with what was read of the next request and
 * what the client has not yet taken of the last answer, and goes on. No client sees more than the
 * pause.
 *
 * What was read of a request goes over as it came from the wire, a chunked body as far as it was
 * decoded in chunks of another size: the receiver parses from the first byte, so nothing of
 * either's insides crosses and the two may be of different versions. A parked request cannot go
 * over; its connection is closed, like those that only wait for the client's last bytes after an
 * error.
 *
 * The stream is, for each connection, a struct migrate_head with the descriptor and then the bytes;
 * at the end comes a head without one. Both sides block, at most MIGRATE_LIMIT_MS a call. A death
 * in the middle costs the connections that are with neither, which are those being sent. */
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
	uint32_t served; /* requests answered on the connection */
	/* the time it was given while idle; the receiver gives no less. 0: not said */
	uint32_t idle_ms;
	uint64_t in_bytes, out_bytes;
};

/* The old worker sends all and keeps nothing open. Returns how many it sent, or ERR_IO; those that
 * were not sent are closed. */
int migrate_send(struct worker *worker, int fd) MUST_CHECK;
/* The new worker asks, takes them until the end and answers what they have asked meanwhile. Returns
 * how many it took, or ERR_IO when the other one is gone or says nothing; those taken before
 * stay. */
int migrate_receive(struct worker *worker, int fd) MUST_CHECK;

#endif
