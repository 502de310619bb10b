/* SPDX-License-Identifier: Apache-2.0 */
/* assert.h - what must hold, whatever clients send and whatever the segment holds: else this
 * program is wrong and stops.
 *
 * Asserts are always on, so a condition is cheap and has no effect of its own. It is never about
 * the input of a client, nor about what is read from the segment, which may be damaged
 * (ERR_CORRUPT), or from other memory that another process can write to. The process aborts; its
 * last words name the condition and the place, and the master logs them. A death at any place is
 * survived, so to stop is better than to go on from what cannot be. */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

#include <stddef.h>

#define ASSERT_WORDS "assert " /* the last words of an assert begin with them */

#define ROSTER_ASSERT(condition) \
	((condition) ? (void)0 : assert_failed(#condition, __FILE__, __LINE__))

/* Says where the last words of this process go: size bytes that outlive it (its slot in the
 * segment). Without a place, or with NULL, they go into the log. */
void assert_leave_words(char *place, size_t size);
/* Ends the process. It may run under a shard lock: with a place for the words it writes there and
 * makes no system call before abort(). */
void assert_failed(const char *what, const char *file, int line) __attribute__((noreturn, cold));

#endif
