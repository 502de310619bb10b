/* SPDX-License-Identifier: Apache-2.0 */
/* pattern.h - regular expressions that clients send.
 *
 * A pattern is compiled for one request and matched against whole service names. Both are bounded:
 * length of the text, steps and depth of a match, memory, and the time of all matches of one
 * pattern together. Others run before a match and within one (fiber.h); their time does not
 * count. */
#ifndef WORKER_V1_PATTERN_H
#define WORKER_V1_PATTERN_H

#include <stddef.h>

#include "shared/base/err.h"
#include "shared/base/str.h"

#define PATTERN_BYTES_MAX 1024U
#define PATTERN_TIME_MS 500U

struct pattern;

/* Returns 0, ERR_SYNTAX (why says what is wrong; also for a text that is too long) or ERR_NOMEM. */
int pattern_new(struct str text, struct pattern **pattern_r, char *why, size_t why_size) MUST_CHECK;
void pattern_free(struct pattern **pattern);
/* Returns 1 when the whole subject matches, 0 when it does not, ERR_LIMIT after too many steps or
 * when the time of this pattern is used up, or ERR_GONE. Others run meanwhile, so the subject must
 * lie where nobody moves it. */
int pattern_matches(struct pattern *pattern, struct str subject) MUST_CHECK;

#endif
