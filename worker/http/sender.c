/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/http/sender.h"

#include <errno.h>
#include <sys/socket.h>

#include "shared/base/assert.h"
#include "worker/http/output.h"

#define BUFFER_KEEP (8U * 1024U)         /* of a connection */
#define SHARED_KEEP (4U * 1024U * 1024U) /* of the worker */
#define SEND_MOST \
	(1024U * \
	 1024U) /* bytes in one write: the other side may take them as fast as they are copied */
#define PIECES_MAX (1 + OUTPUT_PIECES)

void sender_init(struct sender *s, struct buf *shared)
{
	*s = (struct sender){ .shared = shared, .answers = shared };
	buf_init(&s->out);
	buf_init(&s->body);
}

void sender_adopt(struct sender *s, struct buf *out)
{
	ROSTER_ASSERT(s->out.len == 0 && s->answers == s->shared);
	s->out = *out;
	buf_init(out);
	if (s->out.len > 0)
		s->answers = &s->out;
}

void sender_release(struct sender *s)
{
	buf_free(&s->out);
	buf_free(&s->body);
	s->at = 0;
	s->answers = s->shared;
}

void sender_free(struct sender *s)
{
	sender_release(s);
	buf_reset(s->shared);
}

void sender_use_own(struct sender *s)
{
	ROSTER_ASSERT(s->answers == &s->out || s->at == 0);
	s->answers = &s->out;
}

/* All of the answers are with the kernel. */
static void answers_gone(struct sender *s)
{
	size_t keep = s->answers == s->shared ? SHARED_KEEP : BUFFER_KEEP;

	s->at = 0;
	if (s->answers->cap > keep)
		buf_free(s->answers);
	buf_reset(s->answers);
	s->answers = s->shared;
	if (s->body.len == 0)
		return;
	buf_free(&s->out);
	s->out = s->body;
	buf_init(&s->body);
	s->answers = &s->out;
}

static bool keep_answers(struct sender *s)
{
	struct buf *shared = s->shared;

	if (s->answers != shared)
		return true;
	ROSTER_ASSERT(s->out.len == 0);
	buf_put(&s->out, shared->data + s->at, shared->len - s->at);
	buf_reset(shared);
	s->at = 0;
	s->answers = &s->out;
	return !buf_failed(&s->out);
}

/* Shortens pieces that are too much for one turn. Returns how many are left. */
static int cut_pieces(struct iovec *pieces, int n)
{
	size_t left = SEND_MOST;

	for (int i = 0; i < n; i++) {
		if (pieces[i].iov_len >= left) {
			pieces[i].iov_len = left;
			return i + 1;
		}
		left -= pieces[i].iov_len;
	}
	return n;
}

/* Returns the bytes sent, 0 when the socket is full, -1 when it is broken. */
static ssize_t send_pieces(struct sender *s, int fd, struct iovec *pieces, int given)
{
	int n = cut_pieces(pieces, given);
	struct msghdr msg = { .msg_iov = pieces, .msg_iovlen = (size_t)n };
	ssize_t sent;

	do
		sent = n == 1 ? send(fd, pieces->iov_base, pieces->iov_len, MSG_NOSIGNAL)
		              : sendmsg(fd, &msg, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
	s->sent += (uint64_t)sent;
	return sent;
}

static bool flush(struct sender *s, int fd)
{
	struct buf *answers = s->answers;
	struct iovec piece;
	ssize_t sent;

	if (s->broken || buf_failed(answers))
		return false;
	ROSTER_ASSERT(s->at <= answers->len);
	if (answers->len > s->at) {
		piece = (struct iovec){ answers->data + s->at, answers->len - s->at };
		if ((sent = send_pieces(s, fd, &piece, 1)) < 0)
			return false;
		s->at += (size_t)sent;
	}
	if (answers->len > s->at)
		return keep_answers(s);
	answers_gone(s);
	return true;
}

bool sender_flush(struct sender *s, int fd)
{
	s->broken = !flush(s, fd);
	return !s->broken;
}

/* The answers that wait are the first of the pieces; returns how many bytes of the others have been
 * sent. */
static size_t advance(struct sender *s, size_t before, size_t sent)
{
	if (sent < before) {
		s->at += sent;
		return 0;
	}
	buf_reset(s->answers);
	s->at = 0;
	return sent - before;
}

static void write_borrowed(struct sender *s, int fd, const struct output *output)
{
	struct buf *answers = s->answers;
	size_t before = answers->len - s->at, gone;
	struct iovec all[PIECES_MAX] = { { answers->data + s->at, before } };
	ssize_t sent;

	ROSTER_ASSERT(output->piece_count < PIECES_MAX);
	memcpy(all + 1, output->pieces, (size_t)output->piece_count * sizeof(all[0]));
	if ((sent = send_pieces(s, fd, all, output->piece_count + 1)) < 0) {
		s->broken = true;
		return;
	}
	gone = advance(s, before, (size_t)sent);
	for (int i = 0; i < output->piece_count; i++) {
		const struct iovec *piece = &output->pieces[i];
		size_t n = gone < piece->iov_len ? gone : piece->iov_len;

		buf_put(answers, (const char *)piece->iov_base + n, piece->iov_len - n);
		gone -= n;
	}
}

/* No answer follows before all of it is gone; exchange_run() sees to that. */
static void write_owned(struct sender *s, int fd, struct buf *body)
{
	struct buf *answers = s->answers;
	size_t before = answers->len - s->at, gone;
	struct iovec all[2] = { { answers->data + s->at, before }, { body->data, body->len } };
	ssize_t sent;

	ROSTER_ASSERT(s->body.len == 0);
	if ((sent = send_pieces(s, fd, all, 2)) < 0) {
		s->broken = true;
		return;
	}
	if ((size_t)sent < before) {
		s->at += (size_t)sent;
		s->body = *body;
	} else {
		gone = advance(s, before, (size_t)sent);
		buf_free(&s->out);
		s->out = *body;
		s->at = gone;
		s->answers = &s->out;
	}
	buf_init(body);
}

void sender_take(struct sender *s, int fd, struct output *output)
{
	if (output_is_plain(output))
		return;
	ROSTER_ASSERT(output->bytes == s->answers);
	s->broken = s->broken || buf_failed(s->answers) || buf_failed(&output->body);
	if (!s->broken && output->piece_count > 0)
		write_borrowed(s, fd, output);
	else if (!s->broken)
		write_owned(s, fd, &output->body);
	output_drop(output);
}
