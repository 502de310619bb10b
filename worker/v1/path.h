/* SPDX-License-Identifier: Apache-2.0 */
/* path.h - the path of a request target as 1.4.8 reads it: its container, and the firewall behind
 * that.
 *
 * The container decodes each segment and takes parameters (";a=b"), empty segments and dots out of
 * it; routes, limits and guards are compared with what is left, so that no other spelling of a path
 * gets past them. The firewall then refuses every path that was written so that two programs could
 * read it differently. Both were recorded (doc/compatibility.md). */
#ifndef WORKER_V1_PATH_H
#define WORKER_V1_PATH_H

#include <stdbool.h>

#include "shared/base/arena.h"
#include "shared/base/err.h"
#include "shared/base/str.h"

struct path {
	/* the source itself when there is nothing to decode, else from the arena */
	struct str plain;
	const char *malicious; /* what the firewall found in it; NULL: nothing */
	bool dots; /* segments "." or ".." in plain sight, which the firewall refuses as well */
};

/* Returns ERR_SYNTAX for what the container refuses (400): a broken escape, an escaped slash, a
 * backslash or zero byte in either form, bytes that are not ASCII, ".." above the root. Returns
 * ERR_NOMEM without memory. A target that is no path ("*") is left as it is. */
int path_read(struct arena *arena, struct str raw, struct path *path_r) MUST_CHECK;

#endif
