/* SPDX-License-Identifier: Apache-2.0 */
/* overload.c - more than a server likes: crowds of connections, floods of requests.
 *
 *     overload idle PORT COUNT FIRST_SOURCE
 *         COUNT connections, 2,500 from each address (127.1.0.1 + FIRST_SOURCE on: the kernel takes
 *         long to find a port when many
 *         of one address are taken), one request each; prints "open N failed N", then for each line
 *         of input sends one request
 *         on each and prints "answered N broken N slowest_us N"; ends with the input.
 *     overload flood PORT CONNECTIONS DEPTH SECONDS METHOD TARGET
 *         DEPTH requests ahead on each connection, all the time.
 *     overload storm PORT CONNECTIONS DEPTH SECONDS SERVICE
 *         the same with registrations: each connection changes the weight of an instance of its own
 *         with every request.
 *     overload subscribe PORT SOURCES PORTS FIRST_PORT SERVICE
 *         from SOURCES loopback addresses (127.1.0.1 on), lists with PORTS different udpPorts each.
 *
 * The last three print "sent N ok N other N broken N us N per_second N": ok are answers of 200, the
 * last two fields from the first request to the last answer. Answers are counted by their status
 * lines: a body that had "HTTP/1.1 200" in it would spoil the count, and none has. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define OUT_BYTES 65536
#define REQUEST_MAX 1024
#define WAIT_LAST_US 120000000 /* for answers that are still due at the end */

static const char mark[] = "HTTP/1.1 "; /* the status follows */

struct client {
	int fd; /* -1: broken */
	uint32_t number;
	uint64_t sent, answered;
	unsigned matched, digits, status; /* where in a status line the input stands */
	char *out;
	size_t out_len, out_at;
	uint64_t asked_us; /* idle: 0 nothing due */
};

static struct {
	struct sockaddr_in server;
	struct client *clients;
	unsigned count, depth;
	int epoll;
	uint64_t requests_each; /* 0: until the time is over */
	size_t (*write)(const struct client *c, char *out);
	const char *method, *target, *service;
	unsigned first_port, first_source, per_source;
	uint64_t ok, other, broken, slowest;
} overload;

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* ---- requests -------------------------------------------------------------------------------- */

static size_t write_fixed(const struct client *c, char *out)
{
	(void)c;
	return (size_t)snprintf(out, REQUEST_MAX,
	                        "%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
	                        overload.method, overload.target);
}

static size_t write_change(const struct client *c, char *out)
{
	return (size_t)snprintf(
	        out, REQUEST_MAX,
	        "POST /nacos/v1/ns/instance?serviceName=%s&ip=10.9.0.%u&port=80&weight=%u HTTP/1.1\r\nHost: x\r\n"
	        "Content-Length: 0\r\n\r\n",
	        overload.service, c->number + 1, (unsigned)(c->sent % 100 + 1));
}

static void source_of(const struct client *c, struct in_addr *address_r)
{
	address_r->s_addr =
	        htonl(0x7f010001 + overload.first_source + c->number / overload.per_source);
}

static size_t write_list(const struct client *c, char *out)
{
	struct in_addr address;
	char text[INET_ADDRSTRLEN];

	source_of(c, &address);
	inet_ntop(AF_INET, &address, text, sizeof(text));
	return (size_t)snprintf(
	        out, REQUEST_MAX,
	        "GET /nacos/v1/ns/instance/list?serviceName=%s&udpPort=%u&clientIP=%s HTTP/1.1\r\nHost: x\r\n"
	        "User-Agent: Nacos-Java-Client:v1.4.2\r\n\r\n",
	        overload.service, overload.first_port + (unsigned)c->sent, text);
}

/* ---- connections ----------------------------------------------------------------------------- */

static void client_break(struct client *c)
{
	if (c->fd < 0)
		return;
	close(c->fd);
	c->fd = -1;
	c->asked_us = 0;
	overload.broken++;
}

static bool client_open(struct client *c, bool own_source)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP, .data.ptr = c };
	struct sockaddr_in self = { .sin_family = AF_INET };
	int one = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return false;
	if (own_source) {
		source_of(c, &self.sin_addr);
		setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
		if (bind(c->fd, (struct sockaddr *)&self, sizeof(self)) != 0)
			perror("overload: bind");
	}
	if (connect(c->fd, (struct sockaddr *)&overload.server, sizeof(overload.server)) != 0) {
		close(c->fd);
		c->fd = -1;
		return false;
	}
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
	epoll_ctl(overload.epoll, EPOLL_CTL_ADD, c->fd, &event);
	return true;
}

static void answered(struct client *c)
{
	uint64_t took;

	c->answered++;
	if (c->status == 200)
		overload.ok++;
	else
		overload.other++;
	if (c->asked_us == 0)
		return;
	took = now_us() - c->asked_us;
	c->asked_us = 0;
	if (took > overload.slowest)
		overload.slowest = took;
}

/* Through the input byte by byte: a status line may be cut anywhere. */
static void count_answers(struct client *c, const char *data, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (c->matched == sizeof(mark) - 1) {
			c->status = c->status * 10 + (unsigned)(data[i] - '0');
			if (++c->digits == 3) {
				answered(c);
				c->matched = 0;
			}
		} else if (data[i] == mark[c->matched]) {
			c->matched++;
			c->digits = c->status = 0;
		} else if (c->matched > 0) {
			c->matched = 0;
			i--; /* this byte may begin one */
		} else {
			const char *next = memchr(data + i, mark[0], n - i);

			if (next == NULL)
				return;
			i = (size_t)(next - data) - 1;
		}
	}
}

static void client_read(struct client *c)
{
	static char in[262144];
	ssize_t n = recv(c->fd, in, sizeof(in), 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		client_break(c);
	else
		count_answers(c, in, (size_t)n);
}

static bool may_send(const struct client *c, bool over)
{
	return !over && c->sent - c->answered < overload.depth &&
	       (overload.requests_each == 0 || c->sent < overload.requests_each);
}

/* As many requests as may be under way, in one write. */
static void client_fill(struct client *c, bool over)
{
	ssize_t n;

	if (c->fd < 0)
		return;
	if (c->out_at == c->out_len) {
		c->out_at = c->out_len = 0;
		while (may_send(c, over) && c->out_len + REQUEST_MAX <= OUT_BYTES) {
			c->out_len += overload.write(c, c->out + c->out_len);
			c->sent++;
		}
	}
	if (c->out_at == c->out_len)
		return;
	n = send(c->fd, c->out + c->out_at, c->out_len - c->out_at, MSG_NOSIGNAL);
	if (n > 0)
		c->out_at += (size_t)n;
	else if (errno != EAGAIN)
		client_break(c);
}

static void poll_clients(int timeout_ms)
{
	struct epoll_event events[512];
	int n = epoll_wait(overload.epoll, events, 512, timeout_ms);

	for (int i = 0; i < n; i++) {
		struct client *c = events[i].data.ptr;

		if (c->fd >= 0)
			client_read(c);
	}
}

/* ---- modes ----------------------------------------------------------------------------------- */

static bool finished(bool over)
{
	for (unsigned i = 0; i < overload.count; i++) {
		const struct client *c = &overload.clients[i];

		if (c->fd < 0)
			continue;
		if (c->answered < c->sent || c->out_at < c->out_len || may_send(c, over))
			return false;
	}
	return over || overload.requests_each != 0;
}

static int run(bool own_source, uint64_t seconds)
{
	uint64_t begin = now_us(), end = begin + seconds * 1000000, sent = 0, took;

	for (unsigned i = 0; i < overload.count; i++) {
		struct client *c = &overload.clients[i];

		c->out = malloc(OUT_BYTES);
		if (c->out == NULL || !client_open(c, own_source))
			overload.broken++;
	}
	for (;;) {
		bool over = overload.requests_each == 0 && now_us() >= end;

		for (unsigned i = 0; i < overload.count; i++)
			client_fill(&overload.clients[i], over);
		if (finished(over) || now_us() >= end + WAIT_LAST_US)
			break;
		poll_clients(1);
	}
	took = now_us() - begin;
	for (unsigned i = 0; i < overload.count; i++) {
		sent += overload.clients[i].sent;
		free(overload.clients[i].out);
	}
	printf("sent %" PRIu64 " ok %" PRIu64 " other %" PRIu64 " broken %" PRIu64 " us %" PRIu64
	       " per_second %" PRIu64 "\n",
	       sent, overload.ok, overload.other, overload.broken, took,
	       (overload.ok + overload.other) * 1000000 / took);
	return 0;
}

static bool any_asked(void)
{
	for (unsigned i = 0; i < overload.count; i++)
		if (overload.clients[i].asked_us != 0)
			return true;
	return false;
}

/* One request on each connection; some at a time, so that the slowest says something about the
 * server. */
static void ask(unsigned from, unsigned to)
{
	char request[REQUEST_MAX];
	uint64_t end = now_us() + WAIT_LAST_US;

	for (unsigned i = from; i < to; i++) {
		struct client *c = &overload.clients[i];

		if (c->fd < 0)
			continue;
		size_t n = write_fixed(c, request);

		c->asked_us = now_us();
		if (send(c->fd, request, n, MSG_NOSIGNAL) != (ssize_t)n)
			client_break(c);
		if (i % 16 == 15)
			poll_clients(0);
	}
	while (any_asked() && now_us() < end)
		poll_clients(10);
}

static void ask_all(void)
{
	overload.ok = overload.other = overload.broken = overload.slowest = 0;
	ask(0, overload.count);
}

/* In steps that the queue of a listening socket holds: what is in excess there waits for a
 * second. */
static unsigned open_all(void)
{
	unsigned failed = 0;

	for (unsigned from = 0, to; from < overload.count; from = to) {
		to = from + 500 < overload.count ? from + 500 : overload.count;
		for (unsigned i = from; i < to; i++)
			failed += !client_open(&overload.clients[i], true);
		ask(from, to);
	}
	return failed;
}

static int idle(void)
{
	char line[64];
	unsigned failed;

	overload.method = "PUT";
	overload.target = "/nacos/v1/ns/instance/beat?serviceName=idle&ip=10.0.0.1&port=80";
	failed = open_all();
	printf("open %" PRIu64 " failed %u\n", overload.ok, failed);
	while (fgets(line, sizeof(line), stdin) != NULL) {
		ask_all();
		printf("answered %" PRIu64 " broken %" PRIu64 " slowest_us %" PRIu64 "\n",
		       overload.ok, overload.broken, overload.slowest);
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 3 ? argv[1] : "";
	struct rlimit limit;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	overload.epoll = epoll_create1(EPOLL_CLOEXEC);
	overload.count = argc > 3 ? (unsigned)atoi(argv[3]) : 0;
	overload.clients = calloc(overload.count + 1, sizeof(*overload.clients));
	for (unsigned i = 0; i < overload.count; i++)
		overload.clients[i] = (struct client){ .fd = -1, .number = i };
	overload.server = (struct sockaddr_in){ .sin_family = AF_INET,
		                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	overload.server.sin_port = htons((uint16_t)(argc > 2 ? atoi(argv[2]) : 0));
	overload.per_source = 1;
	if (strcmp(mode, "idle") == 0 && argc == 5) {
		overload.per_source = 2500;
		overload.first_source = (unsigned)atoi(argv[4]);
		return idle();
	}
	if (strcmp(mode, "flood") == 0 && argc == 8) {
		overload.depth = (unsigned)atoi(argv[4]);
		overload.method = argv[6];
		overload.target = argv[7];
		overload.write = write_fixed;
		return run(false, strtoull(argv[5], NULL, 10));
	}
	if (strcmp(mode, "storm") == 0 && argc == 7) {
		overload.depth = (unsigned)atoi(argv[4]);
		overload.service = argv[6];
		overload.write = write_change;
		return run(false, strtoull(argv[5], NULL, 10));
	}
	if (strcmp(mode, "subscribe") == 0 && argc == 7) {
		overload.depth = 32;
		overload.requests_each = strtoull(argv[4], NULL, 10);
		overload.first_port = (unsigned)atoi(argv[5]);
		overload.service = argv[6];
		overload.write = write_list;
		return run(true, 60);
	}
	fprintf(stderr, "usage: overload idle|flood|storm|subscribe PORT COUNT ...\n");
	return 2;
}
