/* SPDX-License-Identifier: Apache-2.0 */
/* pattern.h - regular expressions that clients send.
 *
 * Compiled for one request, matched against whole service names. Both are bounded: length of the text, steps and
 * depth of a match, memory, and the time of all matches of one pattern together. Others run before a match and within one
 * (fiber.h); their time does not count. */
#ifndef WORKER_V1_PATTERN_H
#define WORKER_V1_PATTERN_H

#include <stddef.h>

#include "shared/base/err.h"
#include "shared/base/str.h"

#define PATTERN_BYTES_MAX 1024U
#define PATTERN_TIME_MS 500U

struct pattern;

/* ERR_SYNTAX (why says what; also for a text that is too long), ERR_NOMEM. */
int pattern_new(struct str text, struct pattern **pattern_r, char *why, size_t why_size) MUST_CHECK;
void pattern_free(struct pattern **pattern);
/* 1: the whole subject matches, 0: it does not, ERR_LIMIT: too many steps, or the time of this pattern is used up. ERR_GONE. The
 * subject stays the caller's, so it must lie where nobody moves it. */
int pattern_matches(struct pattern *pattern, struct str subject) MUST_CHECK;

#endif
