/* SPDX-License-Identifier: Apache-2.0 */
#include "pusher/udp.h"

#include <errno.h>
#include <string.h>

#include "shared/base/assert.h"
#include "shared/net/address.h"

int udp_init(struct udp *udp, int fd, uint32_t overflow)
{
	struct sockaddr_storage own = { 0 };
	socklen_t len = sizeof own;
	int on = 1;

	udp->fd = fd;
	udp->overflow = overflow;
	if (getsockname(fd, (struct sockaddr *)&own, &len) < 0)
		return ERR_IO;
	udp->family = own.ss_family;
	/* If that is refused, only the metric stays at zero. */
	(void)!setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on);
	return 0;
}

/* Returns false when the socket cannot reach addresses of that family. */
static bool prepare_out(struct udp *udp, unsigned i, const struct udp_out *out)
{
	socklen_t len =
	        address_to_sockaddr(out->address, out->port, udp->family, &udp->addresses[i]);

	udp->vectors[i] = (struct iovec){ (void *)out->bytes.p, out->bytes.n };
	udp->messages[i].msg_hdr = (struct msghdr){
		.msg_name = &udp->addresses[i],
		.msg_namelen = len,
		.msg_iov = &udp->vectors[i],
		.msg_iovlen = 1,
	};
	return len > 0;
}

static enum udp_result result_of(int error)
{
	switch (error) {
	case EAGAIN:
	case EINTR: /* the socket is writable then, and the loop says so at once */
		return UDP_FULL;
	case ENOBUFS:
	case ENOMEM:
		return UDP_SHORT;
	case EMSGSIZE:
		return UDP_TOO_LONG;
	default:
		return UDP_FAILED;
	}
}

enum udp_result udp_send(struct udp *udp, const struct udp_out *out, unsigned count,
                         unsigned *sent_r)
{
	unsigned ready = 0;
	int n;

	ROSTER_ASSERT(count <= UDP_BATCH);
	*sent_r = 0;
	/* Datagrams before one that cannot be sent leave first. That one is then the first that was
	 * not sent, as the caller expects. */
	while (ready < count && prepare_out(udp, ready, &out[ready]))
		ready++;
	/* The kernel may take fewer than it is given. The next call says why. */
	while (*sent_r < ready) {
		n = sendmmsg(udp->fd, udp->messages + *sent_r, ready - *sent_r,
		             MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0)
			return result_of(errno);
		*sent_r += (unsigned)n;
	}
	ROSTER_ASSERT(*sent_r == ready);
	if (ready < count) {
		errno = EAFNOSUPPORT; /* an IPv6 destination and an IPv4 socket */
		return UDP_FAILED;
	}
	return UDP_SENT;
}

/* Returns the total that came along with a datagram; `before` when none did. */
static uint32_t overflow_of(struct msghdr *header, uint32_t before)
{
	struct cmsghdr *control;
	uint32_t total;

	for (control = CMSG_FIRSTHDR(header); control != NULL;
	     control = CMSG_NXTHDR(header, control)) {
		if (control->cmsg_level == SOL_SOCKET && control->cmsg_type == SO_RXQ_OVFL) {
			memcpy(&total, CMSG_DATA(control), sizeof total);
			return total;
		}
	}
	return before;
}

static void note_overflow(struct udp *udp, uint32_t total, uint32_t *lost_r)
{
	/* A total below the known one is that of a new socket, which counts from zero. */
	*lost_r += total >= udp->overflow ? total - udp->overflow : total;
	udp->overflow = total;
}

/* A call leaves lengths behind in the headers, so they are made anew for each. */
static void prepare_in(struct udp *udp)
{
	unsigned i;

	for (i = 0; i < UDP_BATCH; i++) {
		udp->vectors[i] = (struct iovec){ udp->input[i], UDP_ACK_BYTES };
		udp->messages[i].msg_hdr = (struct msghdr){
			.msg_name = &udp->addresses[i],
			.msg_namelen = sizeof udp->addresses[i],
			.msg_iov = &udp->vectors[i],
			.msg_iovlen = 1,
			.msg_control = udp->control[i],
			.msg_controllen = UDP_CONTROL_BYTES,
		};
	}
}

unsigned udp_receive(struct udp *udp, udp_receive_fn *fn, void *arg, uint32_t *lost_r)
{
	uint8_t address[16];
	uint16_t port;
	int n, i;

	*lost_r = 0;
	prepare_in(udp);
	n = recvmmsg(udp->fd, udp->messages, UDP_BATCH, MSG_DONTWAIT, NULL);
	for (i = 0; i < n; i++) {
		note_overflow(udp, overflow_of(&udp->messages[i].msg_hdr, udp->overflow), lost_r);
		address_of_sockaddr(&udp->addresses[i], address, &port);
		fn(arg, address, port, str_make(udp->input[i], udp->messages[i].msg_len));
	}
	return n > 0 ? (unsigned)n : 0;
}
