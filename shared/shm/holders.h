/* SPDX-License-Identifier: Apache-2.0 */
/* holders.h - who keeps the flock of a segment file: names for the text of a refused start.
 *
 * Two places are asked, because neither knows everything. /proc/locks knows the process that took
 * the lock, which may be dead while a child lives on with the inherited descriptor. The file's own
 * board and slots name the master and its children; of those only processes that still carry our
 * title count, since a pid may have been given to somebody else. Nothing is done to any of them: a
 * pid found in a segment is a hint for people. */
#ifndef SHM_HOLDERS_H
#define SHM_HOLDERS_H

#include <stddef.h>

/* fd is the file, which we have not locked. Writes "pid 17 (roster: master), pid 19 (...)", cut to
 * the size with "...", or "" when nobody is found. Reads files of /proc and maps nothing. */
void holders_describe(int fd, char *out, size_t size);

#endif
