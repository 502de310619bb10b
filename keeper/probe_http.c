/* SPDX-License-Identifier: Apache-2.0 */
/* probe_http.c - sends a GET and looks at the status: 200 passes, 302 and 503 are soft failures,
 * anything else is a hard one.
 *
 * The rest of the answer is read and thrown away, up to DRAIN_MOST, so that the peer is not cut off
 * in the middle; it changes nothing any more. Nothing of it is followed. */
#include "keeper/probe_kind.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "shared/base/assert.h"
#include "shared/base/buf.h"
#include "shared/net/address.h"

#define STATUS_BYTES 13U /* "HTTP/1.1 200" and what follows */
#define DRAIN_MOST 65536U
#define DRAIN_ONCE 4096U
#define NAME_MOST 128U
#define HEADER_SHORTEST 3U /* "a:b", whatever stands between them */

struct http_probe {
	struct probe probe;
	struct buf request;
	size_t sent;
	bool connected, judged;
	struct probe_result result; /* judged */
	char status[STATUS_BYTES];
	size_t got, drained;
};

/* ---- request --------------------------------------------------------------------------------- */

static bool is_header_name(struct str s)
{
	static const char marks[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
		    (c == '\0' || strchr(marks, c) == NULL))
			return false;
	}
	return s.n > 0 && s.n <= NAME_MOST;
}

/* A control byte could end the line, so only the tab is let through. */
static bool is_value(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (((unsigned char)s.p[i] < ' ' && s.p[i] != '\t') || s.p[i] == 0x7f)
			return false;
	return true;
}

/* The request has no body and a connection of its own, which these headers would contradict. */
static bool is_own_header(struct str name)
{
	static const char *const names[] = {
		"connection", "content-length",    "expect", "keep-alive", "te",
		"trailer",    "transfer-encoding", "upgrade"
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (str_ieq(name, str_of(names[i])))
			return true;
	return false;
}

/* Returns the part before `at`, and moves *rest behind it. */
static struct str cut(struct str *rest, char at)
{
	const char *p = rest->n > 0 ? memchr(rest->p, at, rest->n) : NULL;
	struct str part = *rest;

	if (p != NULL)
		part.n = (size_t)(p - rest->p);
	*rest = p != NULL ? str_make(p + 1, rest->n - part.n - 1) : str_make(rest->p, 0);
	return part;
}

/* Takes the next usable "name:value" of the list. Returns false at its end. Those with another
 * number of colons are left out, as Nacos 1.4 does. */
static bool next_header(struct str *list, struct str *name_r, struct str *value_r)
{
	while (list->n > 0) {
		struct str value = cut(list, '|'), name = cut(&value, ':');

		*name_r = str_trim(name);
		*value_r = str_trim(value);
		if (value_r->n > 0 && memchr(value.p, ':', value.n) == NULL &&
		    is_header_name(*name_r) && is_value(*value_r) && !is_own_header(*name_r))
			return true;
	}
	return false;
}

/* The list is read once and searched by a hash of the name: it may have a thousand headers. */
struct header {
	struct str name, value;
	bool again; /* the name comes once more behind it */
};

struct headers {
	struct header *list;
	uint32_t count, mask;
	uint32_t *places; /* by a hash of the name: number in the list, plus one; 0: free */
};

/* FNV-1a of the name in small letters. Other characters that 0x20 makes equal only share a
 * place. */
static uint32_t header_hash(struct str name)
{
	uint32_t hash = 2166136261U;

	for (size_t i = 0; i < name.n; i++)
		hash = (hash ^ (uint8_t)((unsigned char)name.p[i] | 0x20)) * 16777619U;
	return hash;
}

/* At most half of the places are taken, so the search comes to a free one. */
static uint32_t *header_place(const struct headers *h, struct str name)
{
	uint32_t at = header_hash(name) & h->mask;

	while (h->places[at] != 0 && !str_ieq(h->list[h->places[at] - 1].name, name))
		at = (at + 1) & h->mask;
	return &h->places[at];
}

static bool has_header(const struct headers *h, struct str name)
{
	return *header_place(h, name) != 0;
}

static void free_headers(struct headers *h)
{
	free(h->list);
	free(h->places);
}

static int read_headers(struct headers *h, struct str text)
{
	uint32_t most = (uint32_t)text.n / HEADER_SHORTEST + 1, places = 2;
	struct str name, value;

	while (places < 2 * most)
		places *= 2;
	*h = (struct headers){ .list = calloc(most, sizeof(h->list[0])), .mask = places - 1 };
	h->places = calloc(places, sizeof(h->places[0]));
	if (h->list == NULL || h->places == NULL) {
		free_headers(h);
		return ERR_NOMEM;
	}
	while (next_header(&text, &name, &value)) {
		uint32_t *place = header_place(h, name);

		if (*place != 0)
			h->list[*place - 1].again = true;
		ROSTER_ASSERT(h->count < most);
		h->list[h->count] = (struct header){ .name = name, .value = value };
		*place = ++h->count;
	}
	return 0;
}

/* What could end the line or begin another one is escaped, and a fragment is left out. */
static void put_path(struct buf *b, struct str path)
{
	if (path.n == 0 || path.p[0] != '/')
		buf_char(b, '/');
	for (size_t i = 0; i < path.n && path.p[i] != '#'; i++) {
		unsigned char c = (unsigned char)path.p[i];

		if (c <= ' ' || c >= 0x7f)
			buf_printf(b, "%%%02X", c);
		else
			buf_char(b, (char)c);
	}
}

static void put_host_header(struct buf *b, const struct probe_order *order)
{
	char text[ADDRESS_TEXT];

	address_text(order->address, text);
	buf_printf(b, strchr(text, ':') != NULL ? "Host: [%s]:%u\r\n" : "Host: %s:%u\r\n", text,
	           order->port);
}

/* Of headers with one name the last one is sent. */
static void put_headers(struct buf *b, const struct headers *h)
{
	for (uint32_t i = 0; i < h->count; i++) {
		if (h->list[i].again)
			continue;
		buf_str(b, h->list[i].name);
		BUF_LIT(b, ": ");
		buf_str(b, h->list[i].value);
		BUF_LIT(b, "\r\n");
	}
}

static int write_request(struct buf *b, const struct probe_order *order)
{
	struct headers headers;
	int ret = read_headers(&headers, order->checker->headers);

	if (ret < 0)
		return ret;
	BUF_LIT(b, "GET ");
	put_path(b, order->checker->path);
	BUF_LIT(b, " HTTP/1.1\r\n");
	if (!has_header(&headers, STR("host")))
		put_host_header(b, order);
	if (!has_header(&headers, STR("user-agent")))
		BUF_LIT(b, "User-Agent: VIPServer\r\n");
	put_headers(b, &headers);
	BUF_LIT(b, "Connection: close\r\n\r\n");
	free_headers(&headers);
	return buf_failed(b) ? ERR_NOMEM : 0;
}

static int begin_http(struct probe *probe, const struct probe_order *order)
{
	struct http_probe *http = (struct http_probe *)probe;

	int ret;

	buf_init(&http->request);
	ret = write_request(&http->request, order);
	return ret < 0 ? ret : probe_connect(probe, order);
}

/* ---- answer ---------------------------------------------------------------------------------- */

static bool is_status_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Returns the status, or 0 when this is not the beginning of an answer in HTTP/1. */
static int answer_status(const char s[STATUS_BYTES])
{
	if (memcmp(s, "HTTP/1.", 7) != 0 || (s[7] != '0' && s[7] != '1') || s[8] != ' ' ||
	    !is_status_digit(s[9]) || !is_status_digit(s[10]) || !is_status_digit(s[11]) ||
	    (s[12] != ' ' && s[12] != '\r' && s[12] != '\n'))
		return 0;
	return (s[9] - '0') * 100 + (s[10] - '0') * 10 + (s[11] - '0');
}

static struct probe_result judge_status(const struct probe *probe, int status)
{
	struct probe_result result = { .rt = PROBE_RT_MAX, .why = "status", .detail = status };

	if (status == 200)
		return probe_passed(probe);
	if (status == 0)
		return probe_failed("no HTTP", 0);
	result.verdict = status == 302 || status == 503 ? CHECK_FAILED : CHECK_REFUSED;
	if (result.verdict == CHECK_FAILED)
		result.rt = PROBE_RT_TWICE;
	return result;
}

/* Throws away what follows the status. Returns true when no more is to be read. */
static bool drained(struct http_probe *http)
{
	char waste[DRAIN_ONCE];
	ssize_t n;

	ROSTER_ASSERT(http->judged);
	n = recv(http->probe.fd, waste, sizeof(waste), 0);
	if (n > 0)
		http->drained += (size_t)n;
	return http->drained > DRAIN_MOST || n == 0 || (n < 0 && errno != EAGAIN);
}

/* Returns true when there will be no status; *result_r says why. */
static bool read_status(struct http_probe *http, struct probe_result *result_r)
{
	ssize_t n;

	ROSTER_ASSERT(http->got < STATUS_BYTES);
	n = recv(http->probe.fd, http->status + http->got, STATUS_BYTES - http->got, 0);
	if (n <= 0) {
		*result_r = probe_failed("read", n < 0 ? errno : ECONNRESET);
		return n == 0 || errno != EAGAIN;
	}
	http->got += (size_t)n;
	if (http->got == STATUS_BYTES) {
		http->result = judge_status(&http->probe, answer_status(http->status));
		http->judged = true;
	}
	return false;
}

static bool write_rest(struct http_probe *http, struct probe_result *result_r)
{
	ssize_t n;

	ROSTER_ASSERT(http->sent <= http->request.len);
	n = send(http->probe.fd, http->request.data + http->sent, http->request.len - http->sent,
	         MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN) {
		*result_r = probe_failed("write", errno);
		return true;
	}
	http->sent += n > 0 ? (size_t)n : 0;
	if (http->sent == http->request.len)
		probe_wait(&http->probe, EV_READ);
	return false;
}

/* The time for the answer begins when the connection is there. */
static bool connected(struct http_probe *http, struct probe_result *result_r)
{
	int error = probe_connect_error(&http->probe);

	if (error != 0) {
		*result_r = probe_failed("connect", error);
		return true;
	}
	http->connected = true;
	probe_renew(&http->probe);
	return write_rest(http, result_r);
}

/* A status that came in time counts, even if the rest of the answer did not come. */
static bool late_http(const struct http_probe *http, struct probe_result *result_r)
{
	*result_r = http->judged ? http->result : probe_timed_out();
	return true;
}

static bool step_http(struct probe *probe, int events, struct probe_result *result_r)
{
	struct http_probe *http = (struct http_probe *)probe;

	if (!http->connected && (events & EV_WRITE))
		return connected(http, result_r);
	if ((events & EV_WRITE) && write_rest(http, result_r))
		return true;
	if ((events & EV_READ) && !http->judged && read_status(http, result_r))
		return true;
	if ((events & EV_READ) && http->judged && drained(http)) {
		*result_r = http->result;
		return true;
	}
	return (events & EV_TIMER) ? late_http(http, result_r) : false;
}

static void end_http(struct probe *probe)
{
	buf_free(&((struct http_probe *)probe)->request);
}

const struct probe_kind probe_http = { sizeof(struct http_probe), begin_http, step_http, end_http,
	                               NULL };
