/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/http/input.h"

#include <errno.h>
#include <sys/socket.h>

#include "shared/base/assert.h"
#include "shared/config/config.h"

#define READ_BYTES (64U * 1024U)
#define HEAD_BYTES 4096U         /* room for a head that is read on */
#define BUFFER_KEEP (8U * 1024U) /* a connection gives larger buffers back when they are empty */

void input_init(struct input *in, struct buf *shared)
{
	*in = (struct input){ .shared = shared };
	buf_init(&in->own);
}

void input_adopt(struct input *in, struct buf *bytes)
{
	ROSTER_ASSERT(in->own.len == 0 && in->at == 0);
	in->own = *bytes;
	buf_init(bytes);
}

void input_free(struct input *in)
{
	buf_free(&in->own);
	in->at = 0;
}

/* Where the bytes are. */
static struct buf *current(struct input *in)
{
	return in->own.len > 0 ? &in->own : in->shared;
}

/* ---- receiving ------------------------------------------------------------------------------- */

/* Returns how much to make room for: the rest of a body, but at most READ_BYTES at a time, so that
 * a client which only announces a large body takes no memory for it. */
static size_t wanted(const struct input *in)
{
	uint64_t whole =
	        in->head_done && !in->head.chunked ? in->head.length + in->head.content_length : 0;

	if (in->own.len == 0)
		return READ_BYTES;
	if (whole > in->own.len && whole - in->own.len < READ_BYTES)
		return (size_t)(whole - in->own.len);
	return whole > in->own.len || in->head.chunked ? READ_BYTES : HEAD_BYTES;
}

ssize_t input_receive(struct input *in, int fd)
{
	struct buf *b = current(in);
	ssize_t n;

	if (!buf_reserve(b, wanted(in)))
		return -1;
	do
		n = recv(fd, b->data + b->len,
		         b->cap - b->len < READ_BYTES ? b->cap - b->len : READ_BYTES, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
	if (n == 0)
		return -1;
	b->len += (size_t)n;
	in->received += (uint64_t)n;
	return n;
}

/* ---- framing --------------------------------------------------------------------------------- */

static enum input_verdict bad(struct input_request *next, int status)
{
	next->status = status;
	return INPUT_BAD;
}

static enum input_verdict read_head(struct input *in, const char *data, size_t n,
                                    const struct config *config, struct input_request *next)
{
	const struct head_limits limits = { config->http_head_bytes, config->http_line_bytes,
		                            config->http_headers };

	switch (head_scan_feed(&in->head, data, n, &limits)) {
	case HEAD_MORE:
		return INPUT_MORE;
	case HEAD_BAD:
		return bad(next, in->head.status);
	case HEAD_DONE:
		break;
	}
	if (in->head.content_length > config->http_body_bytes)
		return bad(next, 413);
	in->head_done = true;
	chunked_begin(&in->chunked, in->head.length);
	return INPUT_REQUEST;
}

static enum input_verdict read_chunked(struct input *in, char *data, size_t n,
                                       const struct config *config, struct input_request *next)
{
	switch (chunked_feed(&in->chunked, data, n, config->http_body_bytes)) {
	case CHUNKED_MORE:
		return INPUT_MORE;
	case CHUNKED_BAD:
		return bad(next, in->chunked.status);
	case CHUNKED_DONE:
		break;
	}
	next->body = str_make(data + in->head.length, in->chunked.out - in->chunked.start);
	next->bytes = in->chunked.in;
	return INPUT_REQUEST;
}

static enum input_verdict read_body(struct input *in, char *data, size_t n,
                                    const struct config *config, struct input_request *next)
{
	ROSTER_ASSERT(n >= in->head.length);
	if (in->head.chunked)
		return read_chunked(in, data, n, config, next);
	if (n - in->head.length < in->head.content_length)
		return INPUT_MORE;
	next->body = str_make(data + in->head.length, (size_t)in->head.content_length);
	next->bytes = in->head.length + (size_t)in->head.content_length;
	return INPUT_REQUEST;
}

/* A chunked body that is not whole yet: the raw bytes behind it close up to the decoded ones. */
static void close_up(struct input *in, struct buf *b)
{
	size_t gap = in->chunked.in - in->chunked.out;
	char *data = b->data + in->at;

	if (!in->head_done || !in->head.chunked || gap == 0)
		return;
	ROSTER_ASSERT(in->at + in->chunked.in <= b->len);
	memmove(data + in->chunked.out, data + in->chunked.in, b->len - in->at - in->chunked.in);
	b->len -= gap;
	in->chunked.in = in->chunked.out;
}

enum input_verdict input_next(struct input *in, const struct config *config,
                              struct input_request *next_r)
{
	struct buf *b = current(in);
	bool fresh = !in->head_done;
	enum input_verdict verdict;
	char *data;
	size_t n;

	ROSTER_ASSERT(in->at <= b->len);
	/* An empty line does not begin a request: the connection is as idle behind it as it was
	 * before. */
	if (in->at < b->len && b->data[in->at] == '\r')
		in->at += head_scan_skip(&in->head, b->data + in->at, b->len - in->at);
	data = b->data + in->at;
	n = b->len - in->at;
	*next_r = (struct input_request){ .head = data };
	if (n == 0)
		return INPUT_MORE;
	if (fresh && (verdict = read_head(in, data, n, config, next_r)) != INPUT_REQUEST)
		return verdict;
	verdict = read_body(in, data, n, config, next_r);
	if (verdict == INPUT_MORE) {
		next_r->expects = fresh && in->head.expect_continue && in->head.minor == 1 &&
		                  n == in->head.length;
		close_up(in, b);
	}
	return verdict;
}

void input_pass(struct input *in, const struct input_request *request)
{
	in->at += request->bytes;
	ROSTER_ASSERT(in->head_done && in->at <= current(in)->len);
	head_scan_reset(&in->head);
	in->head_done = false;
}

bool input_is_left(const struct input *in)
{
	return in->at < current((struct input *)in)->len;
}

/* ---- keeping --------------------------------------------------------------------------------- */

void input_keep_rest(struct input *in, bool drop)
{
	struct buf *b = current(in);
	size_t at = drop ? b->len : in->at, rest = b->len - at;

	ROSTER_ASSERT(at <= b->len);
	in->at = 0;
	if (b == in->shared) {
		if (rest > 0)
			buf_put(&in->own, b->data + at, rest);
		buf_reset(b);
		return;
	}
	if (at > 0 && rest > 0)
		memmove(b->data, b->data + at, rest);
	b->len = rest;
	if (rest == 0 && b->cap > BUFFER_KEEP)
		buf_free(b);
}

void input_keep_all(struct input *in)
{
	struct buf *b = current(in);

	if (b == &in->own)
		return;
	ROSTER_ASSERT(in->own.len == 0);
	buf_free(&in->own);
	in->own = *b;
	buf_init(b);
}

void input_reset(struct input *in)
{
	buf_reset(&in->own);
	in->at = 0;
}

void input_forget_received(struct input *in)
{
	buf_reset(in->shared);
}

bool input_has_begun(const struct input *in)
{
	bool half_line =
	        in->own.len == 1 && in->own.data[0] == '\r' && in->head.empty < HEAD_EMPTY_MAX;

	return in->own.len > 0 && !half_line;
}

/* ---- for another worker ---------------------------------------------------------------------- */

/* Writes a request whose chunked body is decoded in part: the decoded bytes as one chunk, then what
 * brings another decoder to where ours stands, then the bytes it has not seen. */
static void chunked_as_sent(const struct input *in, struct buf *b)
{
	const struct chunked *ch = &in->chunked;
	const char *data = in->own.data + in->at;
	size_t n = in->own.len - in->at, decoded = ch->out - ch->start;

	ROSTER_ASSERT(ch->start <= ch->out && ch->out <= ch->in && ch->in <= n);
	buf_put(b, data, ch->start);
	if (decoded > 0) {
		buf_printf(b, "%zx\r\n", decoded);
		buf_put(b, data + ch->start, decoded);
		if (ch->state != CHUNKED_DATA_END)
			BUF_LIT(b, "\r\n");
	}
	if (ch->state == CHUNKED_DATA)
		buf_printf(b, "%llx\r\n", (unsigned long long)ch->left);
	else if (ch->state == CHUNKED_TRAILER)
		BUF_LIT(b, "0\r\n");
	buf_put(b, data + ch->in, n - ch->in);
}

/* The empty lines before the request go too, because the receiver is to count them. */
void input_as_sent(const struct input *in, struct buf *bytes)
{
	for (unsigned i = 0; i < in->head.empty; i++)
		BUF_LIT(bytes, "\r\n");
	if (in->own.len > 0 && in->head_done && in->head.chunked)
		chunked_as_sent(in, bytes);
	else if (in->own.len > in->at)
		buf_put(bytes, in->own.data + in->at, in->own.len - in->at);
}
