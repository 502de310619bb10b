/* SPDX-License-Identifier: Apache-2.0 */
/* floor - the least a server on this loop and parser can spend on a request.
 *
 *     floor [--port N] [--bytes N] [--blind]
 *
 * libev, the parser library of the server, keep-alive, pipelining; one static reply of N bytes
 * (head and body), one write for all requests of one read; no routing, no limits, no log. Port 0:
 * any free one; the port chosen is printed as "port=N". On loopback only. Ends with its parent.
 *
 * --blind: without the parser, every read counts as one request: what the parser costs, to see that
 * the floor is honest. */
#include <arpa/inet.h>
#include <errno.h>
#include <ev.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "worker/http/parser_library.h"

#define BATCH 64 /* replies in one write */
#define READ_BYTES 65536

struct floor_server {
	struct ev_loop *loop;
	ev_io accept_io;
	char *replies; /* BATCH replies behind each other */
	size_t reply_bytes;
	bool blind;
};

struct connection {
	ev_io io;
	struct floor_server *server;
	parser_state parser;
	size_t owed;  /* bytes of replies not written yet */
	bool writing; /* waits for room in the socket */
	bool last;    /* the client wants no more than this */
};

static int on_complete(parser_state *parser)
{
	struct connection *c = parser->data;

	c->owed += c->server->reply_bytes;
	c->last = !parser_keep_alive(parser);
	return 0;
}

static const parser_callbacks callbacks = { .on_message_complete = on_complete };

static void connection_close(struct connection *c)
{
	ev_io_stop(c->server->loop, &c->io);
	close(c->io.fd);
	free(c);
}

static void wait_for(struct connection *c, int events)
{
	c->writing = events == EV_WRITE;
	ev_io_stop(c->server->loop, &c->io);
	ev_io_set(&c->io, c->io.fd, events);
	ev_io_start(c->server->loop, &c->io);
}

/* The rest owed ends at the end of a reply, so it may start anywhere in the first one. */
static bool write_owed(struct connection *c)
{
	const struct floor_server *server = c->server;

	while (c->owed > 0) {
		size_t phase =
		        (server->reply_bytes - c->owed % server->reply_bytes) % server->reply_bytes;
		size_t room = BATCH * server->reply_bytes - phase;
		ssize_t n =
		        write(c->io.fd, server->replies + phase, c->owed < room ? c->owed : room);

		if (n < 0 && errno == EAGAIN) {
			if (!c->writing)
				wait_for(c, EV_WRITE);
			return true;
		}
		if (n < 0)
			return false;
		c->owed -= (size_t)n;
	}
	if (c->writing)
		wait_for(c, EV_READ);
	return !c->last;
}

static bool read_requests(struct connection *c)
{
	static char data[READ_BYTES];
	ssize_t n = read(c->io.fd, data, sizeof(data));

	if (n < 0)
		return errno == EAGAIN;
	if (n == 0)
		return false;
	if (c->server->blind)
		c->owed += c->server->reply_bytes;
	else if (parser_feed(&c->parser, &callbacks, data, (size_t)n) != (size_t)n)
		return false;
	return write_owed(c);
}

static void on_io(struct ev_loop *loop, ev_io *io, int events)
{
	struct connection *c = io->data;
	bool alive = (events & EV_WRITE) != 0 ? write_owed(c) : read_requests(c);

	(void)loop;
	if (!alive)
		connection_close(c);
}

static void on_accept(struct ev_loop *loop, ev_io *io, int events)
{
	struct floor_server *server = io->data;
	int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
	struct connection *c;

	(void)events;
	if (fd < 0)
		return;
	if ((c = calloc(1, sizeof(*c))) == NULL) {
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->server = server;
	parser_init(&c->parser, &callbacks);
	c->parser.data = c;
	ev_io_init(&c->io, on_io, fd, EV_READ);
	c->io.data = c;
	ev_io_start(loop, &c->io);
}

/* A head and a body that are `bytes` together, or a few more when that is too few. */
static bool make_replies(struct floor_server *server, size_t bytes)
{
	size_t head = 0, body = 0;
	char text[128];

	for (;; body++) {
		head = (size_t)snprintf(text, sizeof(text),
		                        "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", body);
		if (head + body >= bytes)
			break;
		if (bytes - head - body > 8) /* no digit more can be needed for less than that */
			body = bytes - head - 8;
	}
	server->reply_bytes = head + body;
	server->replies = malloc(BATCH * server->reply_bytes);
	if (server->replies == NULL)
		return false;
	for (size_t i = 0; i < BATCH; i++) {
		memcpy(server->replies + i * server->reply_bytes, text, head);
		memset(server->replies + i * server->reply_bytes + head, 'x', body);
	}
	return true;
}

static int open_socket(unsigned short port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
		                  .sin_port = htons(port),
		                  .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t size = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&sa, size) < 0 || listen(fd, 1024) < 0 ||
	    getsockname(fd, (struct sockaddr *)&sa, &size) < 0) {
		close(fd);
		return -1;
	}
	printf("port=%u\n", ntohs(sa.sin_port));
	fflush(stdout);
	return fd;
}

static bool parse_options(int argc, char **argv, unsigned short *port_r, size_t *bytes_r,
                          bool *blind_r)
{
	static const struct option options[] = {
		{ "port", required_argument, NULL, 'p' },
		{ "bytes", required_argument, NULL, 'b' },
		{ "blind", no_argument, NULL, 'd' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "p:b:d", options, NULL)) != -1) {
		if (option == 'p')
			*port_r = (unsigned short)atoi(optarg);
		else if (option == 'b')
			*bytes_r = (size_t)atol(optarg);
		else if (option == 'd')
			*blind_r = true;
		else
			return false;
	}
	return optind == argc && *bytes_r <= 64 * 1024 * 1024;
}

int main(int argc, char **argv)
{
	struct floor_server server = { .loop = EV_DEFAULT };
	unsigned short port = 0;
	size_t bytes = 0;
	int fd;

	if (!parse_options(argc, argv, &port, &bytes, &server.blind)) {
		fprintf(stderr, "usage: floor [--port N] [--bytes N] [--blind]\n");
		return EXIT_FAILURE;
	}
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	signal(SIGPIPE, SIG_IGN);
	if (!make_replies(&server, bytes) || (fd = open_socket(port)) < 0) {
		perror("floor");
		return EXIT_FAILURE;
	}
	ev_io_init(&server.accept_io, on_accept, fd, EV_READ);
	server.accept_io.data = &server;
	ev_io_start(server.loop, &server.accept_io);
	ev_run(server.loop, 0);
	return EXIT_SUCCESS;
}
