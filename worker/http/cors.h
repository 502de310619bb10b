/* SPDX-License-Identifier: Apache-2.0 */
/* cors.h - which pages of other origins may read answers: http.cors.
 *
 * "echo", as 1.4.8: every origin may, but no browser gets past a preflight. "off": none may. Else a
 * list of origins, which may and whose preflights are granted: whatever method and headers they ask
 * for, with credentials. A request is served whatever its origin is: the headers tell a browser
 * whether the page may see the answer. */
#ifndef WORKER_HTTP_CORS_H
#define WORKER_HTTP_CORS_H

#include <stdbool.h>

#include "shared/base/str.h"

/* setting: a value that the configuration took. origin may be unset. */
bool cors_shows(const char *setting, struct str origin);
bool cors_grants(const char *setting, struct str origin);

#endif
