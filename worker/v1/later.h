/* SPDX-License-Identifier: Apache-2.0 */
/* later.h - paths of the real server that later stages will serve: users and rights, the group of
 * servers.
 *
 * One answer for all of them, whatever the method: 501 "no such api", as under /v1/ns for what
 * nobody knows. A client or a script is told that this server does not do it, not that it looked in
 * the wrong place (404). A row goes when its route comes. */
#ifndef WORKER_V1_LATER_H
#define WORKER_V1_LATER_H

#include <stdbool.h>

#include "shared/base/str.h"

extern const char *const later_paths[]; /* after the context path */
extern const unsigned later_count;

/* Says whether the path, with or without one trailing slash, is one of them. */
bool later_holds(struct str path);

#endif
