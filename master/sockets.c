/* SPDX-License-Identifier: Apache-2.0 */
#include "master/sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/assert.h"
#include "shared/base/log.h"

#define PORT_TRIES 16U /* port 0: another TCP port when the UDP port of that number is taken */

void sockets_init(struct sockets *s)
{
	*s = (struct sockets){ .udp_fd = -1 };
	for (unsigned i = 0; i < WORKERS_MAX; i++)
		s->listen.fds[i] = -1;
}

static int refuse_port(char *why, size_t why_size, const char *what, uint16_t port)
{
	int code = errno == EADDRINUSE ? ERR_BUSY : ERR_IO;

	snprintf(why, why_size, "%s port %u: %s", what, port, strerror(errno));
	return code;
}

static int parse_address(struct sockets *s, const char *text, uint16_t port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&s->address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&s->address;

	memset(&s->address, 0, sizeof(s->address));
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		s->address_len = sizeof(*v4);
		return 0;
	}
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		s->address_len = sizeof(*v6);
		return 0;
	}
	return ERR_SYNTAX;
}

static uint16_t port_of(const struct sockaddr_storage *sa)
{
	/* The port stands at the same place in both families. */
	struct sockaddr_in in;

	memcpy(&in, sa, sizeof(in));
	return ntohs(in.sin_port);
}

static void set_port(struct sockaddr_storage *sa, uint16_t port)
{
	((struct sockaddr_in *)sa)->sin_port = htons(port);
}

static uint16_t bound_port(int fd)
{
	struct sockaddr_storage sa = { 0 };
	socklen_t len = sizeof(sa);

	return getsockname(fd, (struct sockaddr *)&sa, &len) == 0 ? port_of(&sa) : 0;
}

/* Returns a socket that is bound, or -1 with errno. */
static int bind_socket(const struct sockets *s, int type, uint16_t port, bool share)
{
	const int on = 1, off = 0;
	struct sockaddr_storage sa = s->address;
	int fd = socket(sa.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	set_port(&sa, port);
	if ((type == SOCK_STREAM &&
	     setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0) ||
	    (share && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0) ||
	    (sa.ss_family == AF_INET6 &&
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0) ||
	    bind(fd, (struct sockaddr *)&sa, s->address_len) < 0) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

/* SO_REUSEPORT would silently share the port with a second server of the same user. */
static bool port_is_free(const struct sockets *s, uint16_t port)
{
	int fd = bind_socket(s, SOCK_STREAM, port, false);
	bool is_free = fd >= 0 && listen(fd, 1) == 0;
	int saved = errno;

	if (fd >= 0)
		close(fd);
	errno = saved;
	return is_free;
}

static int bind_first(struct sockets *s, uint16_t port, char *why, size_t why_size)
{
	if ((port != 0 && !port_is_free(s, port)) ||
	    (s->listen.fds[0] = bind_socket(s, SOCK_STREAM, port, true)) < 0)
		return refuse_port(why, why_size, "TCP", port);
	s->listen.port = bound_port(s->listen.fds[0]);
	return 0;
}

/* The others become duplicates of the first socket: one accept queue for all workers. */
static int share_first(struct sockets *s, char *why, size_t why_size)
{
	/* Our own sockets may always be bound beside each other. */
	ROSTER_ASSERT((s->activated & 1) != 0);
	for (unsigned i = 1; i < WORKERS_MAX; i++) {
		if (s->listen.fds[i] >= 0)
			continue;
		s->listen.fds[i] = fcntl(s->listen.fds[0], F_DUPFD_CLOEXEC, 0);
		if (s->listen.fds[i] < 0)
			return refuse_port(why, why_size, "TCP", s->listen.port);
		s->shared |= 1ULL << i;
	}
	log_info("op=sockets what=shared port=%u", s->listen.port);
	return 0;
}

static int bind_others(struct sockets *s, char *why, size_t why_size)
{
	for (unsigned i = 0; i < WORKERS_MAX; i++) {
		if (s->listen.fds[i] >= 0)
			continue;
		s->listen.fds[i] = bind_socket(s, SOCK_STREAM, s->listen.port, true);
		if (s->listen.fds[i] < 0 && s->activated != 0 && errno == EADDRINUSE)
			return share_first(s, why, why_size);
		if (s->listen.fds[i] < 0)
			return refuse_port(why, why_size, "TCP", s->listen.port);
	}
	return 0;
}

static int take_activated(struct sockets *s, const struct activation *activation, char *why,
                          size_t why_size)
{
	ROSTER_ASSERT(activation->stream_count > 0 && activation->stream_count <= WORKERS_MAX);
	s->address_len = sizeof(s->address);
	if (getsockname(activation->stream_fds[0], (struct sockaddr *)&s->address,
	                &s->address_len) < 0)
		return refuse_port(why, why_size, "inherited TCP", 0);
	s->listen.port = port_of(&s->address);
	for (unsigned i = 0; i < activation->stream_count; i++) {
		s->listen.fds[i] = activation->stream_fds[i];
		s->activated |= 1ULL << i;
		s->listening |= 1ULL << i;
	}
	return 0;
}

/* Without the right to pass it the kernel's limit holds. In the default size half of 1,000 ACKs
 * that come together are lost. */
static void set_receive_buffer(int fd, uint64_t bytes)
{
	int wanted = bytes > INT_MAX / 2 ? INT_MAX / 2 : (int)bytes;
	int got = 0;
	socklen_t len = sizeof(got);

	/* A socket unit may have given it enough already, and it is never made smaller. */
	if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &got, &len) == 0 && got / 2 >= wanted)
		return;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &wanted, sizeof(wanted)) == 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &wanted, sizeof(wanted));
	if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &got, &len) == 0 && got / 2 < wanted)
		log_warning(
		        "op=push-socket what=receive-buffer wanted=%d got=%d hint=\"raise net.core.rmem_max\"",
		        wanted, got / 2);
}

static int bind_udp(struct sockets *s, const struct config *config, char *why, size_t why_size)
{
	uint16_t port = config->push_port != 0 ? (uint16_t)config->push_port : s->listen.port;

	s->udp_fd = bind_socket(s, SOCK_DGRAM, port, false);
	return s->udp_fd < 0 ? refuse_port(why, why_size, "UDP", port) : 0;
}

static void finish_udp(struct sockets *s, const struct config *config)
{
	const int on = 1;

	ROSTER_ASSERT(s->udp_fd >= 0);
	s->udp_port = bound_port(s->udp_fd);
	set_receive_buffer(s->udp_fd, config->push_receive_buffer);
	if (setsockopt(s->udp_fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof(on)) < 0)
		log_warning("op=push-socket what=overflow-count err=\"%s\"", strerror(errno));
}

/* Looks for a TCP port that is free and whose UDP twin is free too. */
static int bind_pair(struct sockets *s, const struct config *config, bool need_udp, char *why,
                     size_t why_size)
{
	int ret = 0;

	for (unsigned i = 0; i < PORT_TRIES; i++) {
		if ((ret = bind_first(s, (uint16_t)config->listen_port, why, why_size)) < 0)
			return ret;
		if (!need_udp || (ret = bind_udp(s, config, why, why_size)) == 0)
			return 0;
		close(s->listen.fds[0]);
		s->listen.fds[0] = -1;
		if (ret != ERR_BUSY || config->listen_port != 0 || config->push_port != 0)
			return ret;
	}
	return ret;
}

int sockets_open(struct sockets *s, const struct config *config,
                 const struct activation *activation, char *why, size_t why_size)
{
	int ret;

	ROSTER_ASSERT(s->listen.fds[0] < 0 && s->listening == 0); /* as sockets_init() leaves it */
	s->backlog = config->listen_backlog > INT_MAX ? INT_MAX : (int)config->listen_backlog;
	s->udp_fd = activation->datagram_fd;
	if (activation->stream_count > 0) {
		ret = take_activated(s, activation, why, why_size);
		if (ret == 0 && s->udp_fd < 0)
			ret = bind_udp(s, config, why, why_size);
	} else if (parse_address(s, config->listen_address, (uint16_t)config->listen_port) < 0) {
		snprintf(why, why_size, "listen.address \"%s\" is not an IP address",
		         config->listen_address);
		return ERR_SYNTAX;
	} else {
		ret = bind_pair(s, config, s->udp_fd < 0, why, why_size);
	}
	if (ret < 0 || (ret = bind_others(s, why, why_size)) < 0)
		return ret;
	finish_udp(s, config);
	return 0;
}

int sockets_adopted(struct sockets *s)
{
	s->address_len = sizeof(s->address);
	if (getsockname(s->listen.fds[0], (struct sockaddr *)&s->address, &s->address_len) < 0)
		return ERR_IO;
	s->listen.port = port_of(&s->address);
	s->udp_port = bound_port(s->udp_fd);
	return s->udp_port == 0 ? ERR_IO : 0;
}

int sockets_listen(struct sockets *s, unsigned worker)
{
	ROSTER_ASSERT(worker < WORKERS_MAX);
	if (s->listening >> worker & 1)
		return 0;
	if (listen(s->listen.fds[worker], s->backlog) < 0)
		return ERR_IO;
	s->listening |= 1ULL << worker;
	return 0;
}

void sockets_silence(struct sockets *s, unsigned worker)
{
	ROSTER_ASSERT(worker < WORKERS_MAX);
	if (!(s->listening >> worker & 1) || s->activated >> worker & 1)
		return;
	if (!(s->shared >> worker & 1) && shutdown(s->listen.fds[worker], SHUT_RD) < 0)
		log_warning("op=silence worker=%u err=\"%s\"", worker, strerror(errno));
	s->listening &= ~(1ULL << worker);
}

void sockets_close_listening(struct sockets *s)
{
	for (unsigned i = 0; i < WORKERS_MAX; i++) {
		if (s->listen.fds[i] >= 0)
			close(s->listen.fds[i]);
		s->listen.fds[i] = -1;
	}
}

void sockets_close_udp(struct sockets *s)
{
	if (s->udp_fd >= 0)
		close(s->udp_fd);
	s->udp_fd = -1;
}
