/* SPDX-License-Identifier: Apache-2.0 */
/* parser_library.h - llhttp where configure found it, http_parser elsewhere: the calls that differ,
 * under one name.
 *
 * For http_head.c, and for the tests and benchmarks that measure it against the library. Methods,
 * flags and error codes have the same names in both. Whether the connection persists has to be
 * asked in on_headers_complete: behind the head llhttp forgets it. */
#ifndef WORKER_HTTP_PARSER_LIBRARY_H
#define WORKER_HTTP_PARSER_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef HAVE_LLHTTP
#include <llhttp.h>

typedef llhttp_t parser_state;
typedef llhttp_settings_t parser_callbacks;

/* Once, before the first head. */
static inline void parser_library_init(void)
{
}

static inline void parser_init(parser_state *p, const parser_callbacks *callbacks)
{
	llhttp_init(p, HTTP_REQUEST, callbacks);
}

/* Returns the bytes taken: fewer than n after a pause or what it refuses, and none from then on. */
static inline size_t parser_feed(parser_state *p, const parser_callbacks *callbacks,
                                 const char *data, size_t n)
{
	(void)callbacks;
	return llhttp_execute(p, data, n) == HPE_OK ? n : (size_t)(llhttp_get_error_pos(p) - data);
}

/* What a callback returns to stop here. */
static inline int parser_pause(parser_state *p)
{
	(void)p;
	return HPE_PAUSED;
}

/* HPE_OK: nothing was refused. */
static inline unsigned parser_error(const parser_state *p)
{
	unsigned error = llhttp_get_errno(p);

	return error == HPE_PAUSED_UPGRADE
	               ? (unsigned)HPE_OK
	               : error; /* what follows an upgrade is none of its business */
}

static inline bool parser_keep_alive(const parser_state *p)
{
	return llhttp_should_keep_alive(p) != 0;
}

#else
#include <http_parser.h>

typedef http_parser parser_state;
typedef http_parser_settings parser_callbacks;

/* The library's own limit goes: http.head is checked before. */
static inline void parser_library_init(void)
{
	http_parser_set_max_header_size(UINT32_MAX);
}

static inline void parser_init(parser_state *p, const parser_callbacks *callbacks)
{
	(void)callbacks;
	http_parser_init(p, HTTP_REQUEST);
}

static inline size_t parser_feed(parser_state *p, const parser_callbacks *callbacks,
                                 const char *data, size_t n)
{
	return http_parser_execute(p, callbacks, data, n);
}

static inline int parser_pause(parser_state *p)
{
	http_parser_pause(p, 1);
	return 0;
}

static inline unsigned parser_error(const parser_state *p)
{
	return HTTP_PARSER_ERRNO(p);
}

static inline bool parser_keep_alive(const parser_state *p)
{
	return http_should_keep_alive(p) != 0;
}

#endif
#endif
