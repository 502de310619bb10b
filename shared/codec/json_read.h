/* SPDX-License-Identifier: Apache-2.0 */
/* json_read.h - JSON of clients, read with yajl, within limits.
 *
 * One callback per value, in order, each text well-formed UTF-8: a byte that is none, and an
 * escaped half of a surrogate pair, read as U+FFFD (a client that cuts a text between them shall
 * register all the same). No memory but the arena's; nothing to release, also after an error.
 * Refused beyond what yajl refuses: too deep, too many names. Whatever follows the first value is
 * ignored, as the Java server does. A byte order mark in front is no JSON, there neither. */
#ifndef CODEC_JSON_READ_H
#define CODEC_JSON_READ_H

#include <stdbool.h>

#include "shared/base/arena.h"
#include "shared/base/err.h"
#include "shared/base/str.h"

enum json_kind {
	JSON_NULL,
	JSON_FALSE,
	JSON_TRUE,
	JSON_NUMBER,
	JSON_STRING,
	JSON_OBJECT,
	JSON_ARRAY
};

/* An object or array is announced at its beginning; its members follow with depth + 1. */
struct json_item {
	enum json_kind kind;
	unsigned depth;  /* 0: the value itself, 1: its members ... */
	struct str key;  /* unset in arrays and at depth 0 */
	struct str text; /* strings decoded; numbers and words as written */
};

/* Returns NULL to go on, else the reason to stop, which becomes `why`. Texts point into the source
 * or the arena. */
typedef const char *json_item_fn(void *arg, const struct json_item *item);

struct json_limits {
	unsigned depth; /* objects and arrays within each other, at most 64 */
	unsigned keys;  /* names in all objects together */
};

/* A text in it, or a number or the blank between two values, may be this long in the source. Of a
 * longer one every piece would take milliseconds, since yajl reads a text from its begin with each.
 * limits.metadata allows 245,280 bytes at the most; a text of them that is full of escapes has to
 * come in parts. */
#define JSON_TEXT_MAX (256U * 1024U)

/* Reads a text. ERR_SYNTAX (why says it), ERR_TOO_BIG (JSON_TEXT_MAX, for about one piece more),
 * ERR_NOMEM. why may be NULL. Long texts are read with pauses (fiber.h), and the callbacks may make
 * some: ERR_GONE. */
int json_read(struct arena *arena, struct str text, struct json_limits limits, json_item_fn *fn,
              void *arg, char *why, size_t why_size) MUST_CHECK;

#endif
