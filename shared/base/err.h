/* SPDX-License-Identifier: Apache-2.0 */
/* err.h - the one list of error codes.
 *
 * Functions return 0 (or a count) or one of these negative codes. Mark them
 * MUST_CHECK. Predicates return bool instead. The texts are for logs and for
 * answers of our own; the answers of the specification have their own texts. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#define MUST_CHECK __attribute__((warn_unused_result))

enum err {
	ERR_NOMEM = -1, /* malloc refused */
	ERR_FULL = -2,  /* the segment has no page left: answer 503 */
	ERR_LIMIT = -3, /* a configured limit was reached: answer 503 or 400 */
	ERR_NOT_FOUND = -4,
	ERR_EXISTS = -5,
	ERR_SERVICE_NAME = -6, /* characters of a service name, specification 2.2 */
	ERR_CLUSTER_NAME = -7, /* characters of a cluster name, specification 2.3 */
	ERR_SYNTAX = -8,       /* text could not be parsed */
	ERR_RANGE = -9,        /* parsed, but outside the allowed range */
	ERR_CORRUPT = -10,     /* a reference or count in the segment is impossible */
	ERR_LOCK = -11,        /* a shard lock could not be had within its limit */
	ERR_UNDO = -12,        /* the undo log of the shard is too short for the operation */
	ERR_IO = -13,          /* a system call failed; errno says why */
	ERR_AGAIN = -14,       /* the thing changed meanwhile; look again */
	ERR_TOO_BIG = -15,     /* longer than the buffer or datagram allows */
	ERR_BUSY = -16,        /* somebody else owns it (flock, port) */
	ERR_NO_INSTANCE = -17, /* the service exists, the instance does not */
	ERR_OWNER = -18,       /* the instance belongs to another address */
	ERR_GONE = -19,        /* nobody waits for the result any more: clean up and return */
	ERR_DEPARTURES = -20,  /* the source has taken away too many instances (brake.deregister) */
	ERR_ANSWER = -21,      /* the answer is longer than http.memory allows */
};

/* The text is never NULL: it is "unknown error" for a code outside the list. */
const char *err_str(int code);

#endif
