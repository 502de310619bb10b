/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/http/head_scan.h"

#include <string.h>

#include "shared/base/assert.h"

#define METHOD_MAX 32U

/* Token bytes of header names and methods. */
static const bool token_byte[256] = {
	['!'] = true,         ['#'] = true,         ['$'] = true, ['%'] = true,
	['&'] = true,         ['\''] = true,        ['*'] = true, ['+'] = true,
	['-'] = true,         ['.'] = true,         ['^'] = true, ['_'] = true,
	['`'] = true,         ['|'] = true,         ['~'] = true, ['0' ... '9'] = true,
	['A' ... 'Z'] = true, ['a' ... 'z'] = true,
};

static const struct {
	struct str name;
	bool once;    /* twice is an attack, not an accident */
	bool framing; /* the library acts upon it */
} known[HEAD_NAMES] = {
	[HEAD_HOST] = { STR("host"), true, false },
	[HEAD_ACCEPT] = { STR("accept"), false, false },
	[HEAD_ORIGIN] = { STR("origin"), false, false },
	[HEAD_EXPECT] = { STR("expect"), true, false },
	[HEAD_UPGRADE] = { STR("upgrade"), false, true },
	[HEAD_CONNECTION] = { STR("connection"), false, true },
	[HEAD_USER_AGENT] = { STR("user-agent"), false, false },
	[HEAD_CONTENT_TYPE] = { STR("content-type"), false, false },
	[HEAD_CLIENT_VERSION] = { STR("client-version"), false, false },
	[HEAD_CONTENT_LENGTH] = { STR("content-length"), true, true },
	[HEAD_PROXY_CONNECTION] = { STR("proxy-connection"), false, true },
	[HEAD_TRANSFER_ENCODING] = { STR("transfer-encoding"), true, true },
	[HEAD_CORS_METHOD] = { STR("access-control-request-method"), false, false },
	[HEAD_CORS_HEADERS] = { STR("access-control-request-headers"), false, false },
};

void head_scan_reset(struct head_scan *hc)
{
	memset(hc, 0, sizeof(*hc));
}

struct str head_scan_value(const struct head_scan *hc, const char *data, enum head_name name)
{
	const struct head_span *span = &hc->found[name];

	return span->at == 0 ? (struct str){ NULL, 0 } : str_make(data + span->at, span->n);
}

static bool bad(struct head_scan *hc, int status)
{
	hc->status = status;
	return false;
}

static bool is_token(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!token_byte[(unsigned char)p[i]])
			return false;
	}
	return n > 0;
}

static bool control_byte(unsigned char c)
{
	return (c < ' ' && c != '\t') || c == 0x7f;
}

/* Says whether any of eight bytes is under `low`, or DEL. Only a no is exact: a borrow may run from
 * one byte into the next. */
static bool maybe_under(uint64_t word, unsigned char low)
{
	const uint64_t ones = 0x0101010101010101ULL, high = 0x8080808080808080ULL;
	uint64_t under = (word - ones * low) & ~word & high;
	uint64_t del = word ^ (ones * 0x7f);

	return (under | ((del - ones) & ~del & high)) != 0;
}

static bool bytes_have_control(const char *p, size_t n, bool blank_too)
{
	for (size_t i = 0; i < n; i++) {
		if (control_byte((unsigned char)p[i]) || (blank_too && (unsigned char)p[i] <= ' '))
			return true;
	}
	return false;
}

/* Control bytes other than the tab, or (blank_too) any byte up to the space. */
static bool has_control(const char *p, size_t n, bool blank_too)
{
	uint64_t word;

	if (n < sizeof(word))
		return bytes_have_control(p, n, blank_too);
	for (size_t i = 0; i < n; i += sizeof(word)) {
		if (n - i < sizeof(word)) /* the last word reaches back */
			i = n - sizeof(word);
		memcpy(&word, p + i, sizeof(word));
		if (maybe_under(word, blank_too ? ' ' + 1 : ' ') &&
		    bytes_have_control(p + i, sizeof(word), blank_too))
			return true;
	}
	return false;
}

/* METHOD SP target SP HTTP/1.x, one blank each. */
static bool request_line(struct head_scan *hc, const char *p, uint32_t n)
{
	const char *first = memchr(p, ' ', n);
	const char *last = memrchr(p, ' ', n);
	struct str version;

	if (first == NULL || first == p || first - p > (long)METHOD_MAX ||
	    !is_token(p, (size_t)(first - p)))
		return bad(hc, 400);
	version = str_make(last + 1, (size_t)(p + n - last - 1));
	if (last == first || version.n != 8 || !str_starts(version, STR("HTTP/")) ||
	    version.p[6] != '.')
		return bad(hc, 400);
	if (version.p[5] != '1' || (version.p[7] != '1' && version.p[7] != '0'))
		return bad(hc, 505);
	hc->minor = (uint8_t)(version.p[7] - '0');
	hc->method = (struct head_span){ 0, (uint32_t)(first - p) };
	hc->target = (struct head_span){ hc->method.n + 1, (uint32_t)(last - first - 1) };
	/* A fragment is never sent; blanks and control bytes would move the end of the target. */
	if (hc->target.n == 0 || has_control(first + 1, hc->target.n, true) ||
	    memchr(first + 1, '#', hc->target.n) != NULL)
		return bad(hc, 400);
	return true;
}

static bool content_length(struct head_scan *hc, struct str value)
{
	if (value.n == 0 || value.n > 18)
		return bad(hc, value.n == 0 ? 400 : 413);
	for (size_t i = 0; i < value.n; i++) {
		if (value.p[i] < '0' || value.p[i] > '9')
			return bad(hc, 400);
		hc->content_length = hc->content_length * 10 + (uint64_t)(value.p[i] - '0');
	}
	hc->has_length = true;
	return true;
}

static bool known_value(struct head_scan *hc, enum head_name name, struct str value)
{
	switch (name) {
	case HEAD_CONTENT_LENGTH:
		return content_length(hc, value);
	case HEAD_TRANSFER_ENCODING:
		if (!str_ieq(value, STR("chunked")))
			return bad(hc, 400);
		hc->chunked = true;
		return true;
	case HEAD_EXPECT:
		if (!str_ieq(value, STR("100-continue")))
			return bad(hc, 417);
		hc->expect_continue = true;
		return true;
	default:
		return true;
	}
}

/* The table is in order of length, and few names share length and first letter, so the walk is
 * short. */
static int known_name(struct str name)
{
	for (int i = 0; i < HEAD_NAMES && known[i].name.n <= name.n; i++) {
		if (known[i].name.n == name.n && known[i].name.p[0] == (name.p[0] | 0x20) &&
		    str_ieq(known[i].name, name))
			return i;
	}
	return -1;
}

/* Besides a line without a colon this refuses an empty name, a folded line and a blank before the
 * colon, because in each the bytes before the colon are no token. */
const char *head_scan_colon(const char *line, size_t n)
{
	size_t name = 0;

	while (name < n && token_byte[(unsigned char)line[name]])
		name++;
	if (name == 0 || name == n || line[name] != ':')
		return NULL;
	return has_control(line + name + 1, n - name - 1, false) ? NULL : line + name;
}

/* A name that only begins like Transfer-Encoding is refused: others may read it as that,
 * http_parser among them. */
static bool is_near_framing(struct str name)
{
	const struct str *near = &known[HEAD_TRANSFER_ENCODING].name;

	return name.n > near->n && strncasecmp(name.p, near->p, near->n) == 0;
}

static void keep_framing(struct head_scan *hc, uint32_t at, uint32_t n)
{
	if (hc->framings < HEAD_FRAMING_MAX)
		hc->framing[hc->framings] = (struct head_span){ at, n };
	hc->framings++;
}

static bool header_line(struct head_scan *hc, const char *data, uint32_t at, uint32_t n)
{
	const char *p = data + at;
	const char *colon = head_scan_colon(p, n);
	struct str text, value;
	int name;

	if (colon == NULL)
		return bad(hc, 400);
	text = str_make(p, (size_t)(colon - p));
	name = known_name(text);
	if (name < 0)
		return is_near_framing(text) ? bad(hc, 400) : true;
	if (known[name].framing)
		keep_framing(hc, at, n + 2);
	value = str_trim(str_make(colon + 1, (size_t)(p + n - colon - 1)));
	if (hc->found[name].at != 0)
		return known[name].once ? bad(hc, 400) : true;
	hc->found[name] = (struct head_span){ (uint32_t)(value.p - data), (uint32_t)value.n };
	return known_value(hc, (enum head_name)name, value);
}

/* After the last line: what must stand in a head, and what must not stand together. */
static bool whole_head(struct head_scan *hc)
{
	if (hc->minor == 1 && hc->found[HEAD_HOST].at == 0)
		return bad(hc, 400);
	if (hc->chunked && (hc->has_length || hc->minor == 0))
		return bad(hc, 400);
	return true;
}

static bool one_line(struct head_scan *hc, const char *data, uint32_t at, uint32_t n,
                     const struct head_limits *limits)
{
	/* A CR inside is caught by has_control() and is_token(). */
	if (at == 0)
		return n > limits->line_bytes ? bad(hc, 414) : request_line(hc, data, n);
	if (n > limits->line_bytes || ++hc->headers > limits->headers)
		return bad(hc, 431);
	return header_line(hc, data, at, n);
}

size_t head_scan_skip(struct head_scan *hc, const char *data, size_t n)
{
	size_t at = 0;

	if (hc->line > 0)
		return 0;
	while (n - at >= 2 && data[at] == '\r' && data[at + 1] == '\n' &&
	       hc->empty < HEAD_EMPTY_MAX) {
		hc->searched = 0;
		hc->empty++;
		at += 2;
	}
	return at;
}

enum head_verdict head_scan_feed(struct head_scan *hc, const char *data, size_t n,
                                 const struct head_limits *limits)
{
	const char *lf;

	ROSTER_ASSERT(hc->line <= hc->searched && hc->searched <= n);
	while (hc->searched < n &&
	       (lf = memchr(data + hc->searched, '\n', n - hc->searched)) != NULL) {
		uint32_t at = hc->line, end = (uint32_t)(lf - data);

		if (end == at || lf[-1] != '\r')
			return bad(hc, 400), HEAD_BAD;
		if (end + 1 > limits->head_bytes)
			return bad(hc, at == 0 ? 414 : 431), HEAD_BAD;
		hc->line = hc->searched = end + 1;
		if (end - 1 == at && at > 0) {
			hc->length = end + 1;
			return whole_head(hc) ? HEAD_DONE : HEAD_BAD;
		}
		if (!one_line(hc, data, at, end - 1 - at, limits))
			return HEAD_BAD;
	}
	hc->searched = (uint32_t)n;
	if (n > limits->head_bytes || n - hc->line > (size_t)limits->line_bytes + 2)
		return bad(hc, hc->line == 0 ? 414 : 431), HEAD_BAD;
	return HEAD_MORE;
}
