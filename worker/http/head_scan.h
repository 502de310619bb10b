/* SPDX-License-Identifier: Apache-2.0 */
/* head_scan.h - the strict look at a request head, before any parser sees it.
 *
 * The parser library lets through what proxies in front read differently (bare LF, folded lines, a
 * blank before the colon, two Hosts, HTTP/0.9). Here every line ends in CR LF, names are tokens,
 * values hold no control bytes, there is exactly one Host for 1.1 and at most one for 1.0, and the
 * length of the body is said once or not at all. What is refused here is answered and the
 * connection ends.
 *
 * The library is then only shown the lines it acts upon; in the others it would look for what is
 * refused here.
 *
 * It is fed with everything received of the request so far, and goes on where it stopped. All
 * positions are relative to the first byte of the request, so that the caller may move its buffer
 * between calls. */
#ifndef WORKER_HTTP_HEAD_SCAN_H
#define WORKER_HTTP_HEAD_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/str.h"

struct head_limits {
	uint32_t head_bytes; /* whole head: 431 */
	uint32_t line_bytes; /* request line: 414; header line: 431 */
	uint32_t headers;    /* count: 431 */
};

/* The headers that somebody reads, in the order of their lengths; of equal names the first
 * counts. */
enum head_name {
	HEAD_HOST,
	HEAD_ACCEPT,
	HEAD_ORIGIN,
	HEAD_EXPECT,
	HEAD_UPGRADE,
	HEAD_CONNECTION,
	HEAD_USER_AGENT,
	HEAD_CONTENT_TYPE,
	HEAD_CLIENT_VERSION,
	HEAD_CONTENT_LENGTH,
	HEAD_PROXY_CONNECTION,
	HEAD_TRANSFER_ENCODING,
	HEAD_CORS_METHOD,
	HEAD_CORS_HEADERS,
	HEAD_NAMES
};

struct head_span {
	uint32_t at, n; /* at 0: absent (the request line stands there) */
};

#define HEAD_FRAMING_MAX 6U
#define HEAD_EMPTY_MAX 2U

struct head_scan {
	uint32_t line;     /* start of the line being waited for */
	uint32_t searched; /* no LF before this */
	uint32_t headers;
	uint32_t length; /* of the whole head, once done */
	struct head_span method, target;
	struct head_span found[HEAD_NAMES];
	/* lines the library acts upon, with their line ends */
	struct head_span framing[HEAD_FRAMING_MAX];
	uint32_t framings; /* may be more than there is room for: then all lines are to be shown */
	uint8_t minor;     /* HTTP/1.minor */
	uint8_t empty;     /* lines left out before the request line */
	bool chunked, has_length, expect_continue;
	uint64_t content_length;
	int status; /* after HEAD_BAD */
};

enum head_verdict { HEAD_MORE, HEAD_DONE, HEAD_BAD };

void head_scan_reset(struct head_scan *hc);
/* Old clients send an empty line behind a body. Before a request line such lines are left out
 * (RFC 9112, 2.2), HEAD_EMPTY_MAX of them and nothing else. Is called before each feed. Returns how
 * many bytes the caller takes away from the front. */
size_t head_scan_skip(struct head_scan *hc, const char *data, size_t n);
enum head_verdict head_scan_feed(struct head_scan *hc, const char *data, size_t n,
                                 const struct head_limits *limits);
/* Finds the colon of a header or trailer line (without its CR LF). Returns NULL when the name is
 * not a token or the value has a control byte. */
const char *head_scan_colon(const char *line, size_t n);
/* Returns unset when the header is absent. */
struct str head_scan_value(const struct head_scan *hc, const char *data, enum head_name name);

#endif
