/* SPDX-License-Identifier: Apache-2.0 */
/* udp.h - the push socket: datagrams out and ACKs in, by the batch.
 *
 * The socket is made, bound and sized by the master and outlives the pusher, so ACKs that arrive
 * while there is none wait in its buffer. It may be AF_INET or a dual-stack AF_INET6 one. Nothing
 * here blocks.
 *
 * What the kernel dropped because its buffer was full comes along with received datagrams
 * (SO_RXQ_OVFL) as a running total of the socket; the part that was not known before is handed
 * out. */
#ifndef PUSHER_UDP_H
#define PUSHER_UDP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "shared/base/err.h"
#include "shared/base/str.h"

#define UDP_BATCH 64U
#define UDP_ACK_BYTES 2048U /* a longer datagram is cut, and then is no ACK */
#define UDP_CONTROL_BYTES 64U

struct udp_out {
	const uint8_t *address;
	uint16_t port;
	struct str bytes;
};

struct udp {
	int fd;
	int family;
	uint32_t overflow; /* running total known so far */
	struct mmsghdr messages[UDP_BATCH];
	struct iovec vectors[UDP_BATCH];
	struct sockaddr_storage addresses[UDP_BATCH];
	char control[UDP_BATCH][UDP_CONTROL_BYTES];
	char input[UDP_BATCH][UDP_ACK_BYTES];
};

enum udp_result {
	UDP_SENT,  /* all */
	UDP_FULL,  /* the buffer of the socket is full: go on when it is writable */
	UDP_SHORT, /* the kernel is out of buffers and does not tell when there are some */
	UDP_TOO_LONG, /* the first one that was not sent cannot be: it exceeds a limit of the path or the socket */
	UDP_FAILED, /* the first one that was not sent cannot be; errno says why */
};

/* *udp is zero before, as the whole schedule is (schedule.h). overflow: what the metric says
 * already, so that a restart counts nothing twice. */
int udp_init(struct udp *udp, int fd, uint32_t overflow) MUST_CHECK;
/* Sends at most UDP_BATCH datagrams in their order; *sent_r of them were handed to the kernel. */
enum udp_result udp_send(struct udp *udp, const struct udp_out *out, unsigned count,
                         unsigned *sent_r);

typedef void udp_receive_fn(void *arg, const uint8_t address[16], uint16_t port, struct str text);
/* Hands out one batch at most. Returns how many datagrams were there; *lost_r is what the kernel
 * dropped since the last call. */
unsigned udp_receive(struct udp *udp, udp_receive_fn *fn, void *arg, uint32_t *lost_r);

#endif
