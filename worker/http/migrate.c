/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/http/migrate.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "shared/base/assert.h"
#include "shared/base/log.h"
#include "worker/http/connection_state.h"

#define BYTES_MAX (1ULL << 30) /* of a request or an answer; anything above is not from us */

static void limit(int fd)
{
	struct timeval time = { MIGRATE_LIMIT_MS / 1000, MIGRATE_LIMIT_MS % 1000 * 1000 };

	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof(time));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time));
}

static bool write_all(int fd, const char *data, size_t n)
{
	while (n > 0) {
		ssize_t done = send(fd, data, n, MSG_NOSIGNAL);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		data += done;
		n -= (size_t)done;
	}
	return true;
}

static bool read_all(int fd, char *data, size_t n)
{
	while (n > 0) {
		ssize_t done = recv(fd, data, n, 0);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		data += done;
		n -= (size_t)done;
	}
	return true;
}

/* ---- sending --------------------------------------------------------------------------------- */

union control {
	struct cmsghdr head;
	char room[CMSG_SPACE(sizeof(int))];
};

/* passed_fd is -1 when no descriptor goes with it. */
static bool send_head(int fd, const struct migrate_head *head, int passed_fd)
{
	union control control = { .room = { 0 } };
	struct iovec piece = { (void *)head, sizeof(*head) };
	struct msghdr msg = { .msg_iov = &piece, .msg_iovlen = 1 };
	ssize_t n;

	if (passed_fd >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		control.head = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
			                         .cmsg_level = SOL_SOCKET,
			                         .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(&control.head), &passed_fd, sizeof(passed_fd));
	}
	do
		n = sendmsg(fd, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	/* The descriptor goes with the first byte. */
	return n > 0 && write_all(fd, (const char *)head + n, sizeof(*head) - (size_t)n);
}

static bool can_go_over(const struct connection *c)
{
	return !connection_is_broken(c) && c->held.cut == CUT_NOT &&
	       (c->state == CONNECTION_OPEN ||
	        (c->state == CONNECTION_ENDING && sender_is_pending(&c->sender)));
}

static bool send_one(const struct connection *c, int fd, struct buf *in)
{
	const struct sender *sender = &c->sender;
	struct migrate_head head = {
		.magic = MIGRATE_MAGIC,
		.flags = (c->state == CONNECTION_ENDING ? (uint32_t)MIGRATE_ENDING : 0) |
		         (c->linger ? (uint32_t)MIGRATE_LINGER : 0),
		.served = c->served,
		.idle_ms = (uint32_t)c->idle_ms,
		.out_bytes = sender->out.len - sender->at + sender->body.len,
	};

	ROSTER_ASSERT(sender->at <= sender->out.len);
	buf_reset(in);
	input_as_sent(&c->input, in);
	head.in_bytes = in->len;
	return !buf_failed(in) && send_head(fd, &head, c->fd) && write_all(fd, in->data, in->len) &&
	       write_all(fd, sender->out.data + sender->at, sender->out.len - sender->at) &&
	       write_all(fd, sender->body.data, sender->body.len);
}

int migrate_send(struct worker *worker, int fd)
{
	struct migrate_head end = { .magic = MIGRATE_MAGIC, .flags = MIGRATE_END };
	struct buf in;
	bool good = true;

	limit(fd);
	buf_init(&in);
	for (struct connection *c = worker->connections; c != NULL && good; c = c->next) {
		if (!can_go_over(c))
			continue;
		good = send_one(c, fd, &in);
		end.served += good;
	}
	buf_free(&in);
	good = good && send_head(fd, &end, -1);
	connection_close_all(worker);
	return good ? (int)end.served : ERR_IO;
}

/* ---- receiving ------------------------------------------------------------------------------- */

static bool receive_head(int fd, struct migrate_head *head_r, int *passed_fd_r)
{
	union control control = { .room = { 0 } };
	struct iovec piece = { head_r, sizeof(*head_r) };
	struct msghdr msg = { .msg_iov = &piece,
		              .msg_iovlen = 1,
		              .msg_control = &control,
		              .msg_controllen = sizeof(control) };
	const struct cmsghdr *cmsg;
	ssize_t n;

	*passed_fd_r = -1;
	do
		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return false;
	cmsg = CMSG_FIRSTHDR(&msg);
	if (cmsg != NULL && cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS &&
	    cmsg->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(passed_fd_r, CMSG_DATA(cmsg), sizeof(*passed_fd_r));
	return read_all(fd, (char *)head_r + n, sizeof(*head_r) - (size_t)n) &&
	       head_r->magic == MIGRATE_MAGIC && head_r->in_bytes <= BYTES_MAX &&
	       head_r->out_bytes <= BYTES_MAX;
}

static bool receive_bytes(int fd, struct buf *b, uint64_t n)
{
	if (n == 0)
		return true;
	if (!buf_reserve(b, (size_t)n) || !read_all(fd, b->data, (size_t)n))
		return false;
	b->len = (size_t)n;
	return true;
}

/* Returns false when the stream is broken. */
static bool receive_one(struct worker *worker, int fd, const struct migrate_head *head,
                        int passed_fd)
{
	struct connection_rest rest = {
		.served = head->served,
		.idle_ms = head->idle_ms,
		.ending = (head->flags & MIGRATE_ENDING) != 0,
		.linger = (head->flags & MIGRATE_LINGER) != 0,
	};

	buf_init(&rest.in);
	buf_init(&rest.out);
	if (passed_fd < 0 || !receive_bytes(fd, &rest.in, head->in_bytes) ||
	    !receive_bytes(fd, &rest.out, head->out_bytes)) {
		buf_free(&rest.in);
		buf_free(&rest.out);
		if (passed_fd >= 0)
			close(passed_fd);
		return false;
	}
	connection_adopt(worker, passed_fd, &rest);
	return true;
}

static int failed(int fd, int count)
{
	log_warning("op=migrate result=failed fd=%d connections=%d", fd, count);
	return ERR_IO;
}

int migrate_receive(struct worker *worker, int fd)
{
	struct migrate_head head;
	int passed_fd, count = 0;

	limit(fd);
	if (!write_all(fd, "?", 1))
		return failed(fd, 0);
	for (;; count++) {
		if (!receive_head(fd, &head, &passed_fd)) {
			if (passed_fd >= 0)
				close(passed_fd);
			return failed(fd, count);
		}
		if (head.flags & MIGRATE_END)
			return count;
		if (!receive_one(worker, fd, &head, passed_fd))
			return failed(fd, count);
	}
}
