/* SPDX-License-Identifier: Apache-2.0 */
/* fleet - a fleet of instances that register, beat or leave, as fast as possible or at a steady
 * rate.
 *
 *     fleet PORT register|beat|deregister [-n COUNT] [-p PER_SERVICE] [-x PREFIX] [-m METADATA] [-c
 *     CONNECTIONS]
 *           [-d DEPTH] [-r RATE] [-s SECONDS] [-k KEEP] [-b 1] [-a ADDRESSES]
 *
 * Instance i of COUNT is 10.a.b.c:8080 in service PREFIX-(i / PER_SERVICE). register goes through
 * them in order, once; beat (light beats) and deregister in a scattered order, because a fleet has
 * none: deregister once, beat for SECONDS.
 * -k N: one instance of N is left out of a deregistration. -m: escaped JSON. -b 1: answers are
 * polled for, without sleeping:
 * waking a sleeper is charged to the server, and the slower the server, the more often one sleeps.
 * -a: the connections come from so many loopback addresses in turns, else from one.
 *
 * RATE 0: each connection keeps DEPTH requests (32) under way. Else the k-th request is due at k /
 * RATE, is sent then whatever the server does, and its latency counts from there, so that a server
 * that stands still is not asked less. Prints "requests N bad N seconds S p50_us N p99_us N max_us
 * N"; bad: another status than 200, or for a beat another code than 10200. Over loopback only. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define QUEUE 65536 /* requests of one connection under way: a power of two */
#define OUT_BYTES (1U << 20)
#define IN_BYTES (1U << 16)
#define LATENCY_US 1000000U /* longer ones count as this; the maximum is exact */
#define SCATTER 1000003U    /* prime */

enum kind { REGISTER, BEAT, DEREGISTER };

struct connection {
	int fd;
	char *out, *in;
	size_t out_len, out_at, in_len;
	uint64_t *due_us; /* of the requests under way, first in first out */
	uint64_t sent, answered;
	bool writing;
};

static struct {
	enum kind kind;
	uint64_t count, per_service, rate, keep, connections, depth, addresses;
	double seconds;
	bool busy;
	const char *prefix, *metadata;
	int epoll;
	uint64_t begin_us, total, issued, done, bad, max_us;
	struct connection *all;
	uint32_t *latency;
} fleet = { .count = 1000,
	    .per_service = 10,
	    .connections = 16,
	    .depth = 32,
	    .seconds = 5,
	    .prefix = "fleet",
	    .metadata = "%7B%7D" };

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void die(const char *what)
{
	perror(what);
	exit(2);
}

/* ---- requests -------------------------------------------------------------------------------- */

/* The k-th request's instance. */
static uint64_t instance_of(uint64_t k)
{
	return fleet.kind == REGISTER ? k % fleet.count : (k % fleet.count) * SCATTER % fleet.count;
}

static void put_request(struct connection *c, uint64_t i)
{
	static const char *const formats[] = {
		[REGISTER] =
		        "POST /nacos/v1/ns/instance?serviceName=DEFAULT_GROUP%%40%%40%s-%" PRIu64
		        "&ip=10.%u.%u.%u&port=8080&metadata=%s",
		[BEAT] =
		        "PUT /nacos/v1/ns/instance/beat?serviceName=DEFAULT_GROUP%%40%%40%s-%" PRIu64
		        "&ip=10.%u.%u.%u&port=8080",
		[DEREGISTER] =
		        "DELETE /nacos/v1/ns/instance?serviceName=DEFAULT_GROUP%%40%%40%s-%" PRIu64
		        "&ip=10.%u.%u.%u&port=8080",
	};
	size_t room = OUT_BYTES - c->out_len;
	unsigned a = (unsigned)(i >> 16 & 255), b = (unsigned)(i >> 8 & 255),
	         last = (unsigned)(i & 255);
	int n;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	n = snprintf(c->out + c->out_len, room, formats[fleet.kind], fleet.prefix,
	             i / fleet.per_service, a, b, last, fleet.metadata);
#pragma GCC diagnostic pop
	c->out_len += (size_t)n;
	n = snprintf(
	        c->out + c->out_len, room - (size_t)n,
	        " HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Nacos-Java-Client:v1.4.8\r\nContent-Length: 0\r\n\r\n");
	c->out_len += (size_t)n;
}

static void flush(struct connection *c)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };

	while (c->out_at < c->out_len) {
		ssize_t n = send(c->fd, c->out + c->out_at, c->out_len - c->out_at, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			die("fleet: send");
		if (n < 0)
			break;
		c->out_at += (size_t)n;
	}
	if (c->out_at == c->out_len)
		c->out_at = c->out_len = 0;
	if (c->writing == (c->out_len > 0))
		return;
	c->writing = c->out_len > 0;
	event.events |= c->writing ? (uint32_t)EPOLLOUT : 0;
	epoll_ctl(fleet.epoll, EPOLL_CTL_MOD, c->fd, &event);
}

static bool has_room(const struct connection *c)
{
	return c->sent - c->answered < QUEUE && OUT_BYTES - c->out_len > 4096;
}

/* The next request goes out on this connection. */
static void issue(struct connection *c, uint64_t due_us)
{
	uint64_t i = instance_of(fleet.issued++);

	if (fleet.keep != 0 && i % fleet.keep == 0) {
		fleet.done++;
		return;
	}
	c->due_us[c->sent++ % QUEUE] = due_us;
	put_request(c, i);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void note(struct connection *c, const char *answer, size_t n)
{
	uint64_t us = now_us() - c->due_us[c->answered++ % QUEUE];

	fleet.done++;
	if (memcmp(answer, "HTTP/1.1 200", 12) != 0 ||
	    (fleet.kind == BEAT && memmem(answer, n, "10200", 5) == NULL))
		fleet.bad++;
	fleet.latency[us < LATENCY_US ? us : LATENCY_US]++;
	if (us > fleet.max_us)
		fleet.max_us = us;
}

/* Bytes of the answer at the front; 0: not all there. */
static size_t answer_bytes(const char *p, size_t n)
{
	const char *end = memmem(p, n, "\r\n\r\n", 4), *length, *last;
	size_t head, body;

	if (end == NULL)
		return 0;
	head = (size_t)(end - p) + 4;
	length = memmem(p, head, "Content-Length: ", 16);
	if (length != NULL) {
		body = (size_t)strtoul(length + 16, NULL, 10);
		return head + body <= n ? head + body : 0;
	}
	last = memmem(p + head, n - head, "0\r\n\r\n", 5);
	return last == NULL ? 0 : (size_t)(last - p) + 5;
}

static void receive(struct connection *c)
{
	ssize_t n = recv(c->fd, c->in + c->in_len, IN_BYTES - c->in_len, 0);
	size_t at = 0, bytes;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		fprintf(stderr, "fleet: the server closed a connection\n");
		exit(2);
	}
	c->in_len += (size_t)n;
	while ((bytes = answer_bytes(c->in + at, c->in_len - at)) > 0) {
		note(c, c->in + at, bytes);
		at += bytes;
	}
	memmove(c->in, c->in + at, c->in_len - at);
	c->in_len -= at;
}

/* ---- pace ------------------------------------------------------------------------------------ */

/* As many as are due by now, in turns over the connections. Returns the us until the next one. */
static int64_t send_due(void)
{
	static uint64_t turn;
	uint64_t now = now_us();

	while (fleet.issued < fleet.total) {
		uint64_t due = fleet.begin_us + fleet.issued * 1000000 / fleet.rate;
		struct connection *c = &fleet.all[turn % fleet.connections];

		if (due > now)
			return (int64_t)(due - now);
		if (!has_room(c))
			break; /* its answers make room */
		issue(c, due);
		turn++;
	}
	return 1000000;
}

static void send_depth(struct connection *c)
{
	while (fleet.issued < fleet.total && c->sent - c->answered < fleet.depth && has_room(c))
		issue(c, now_us());
	flush(c);
}

static void send_all(int64_t *wait_us)
{
	*wait_us = 1000000;
	if (fleet.rate != 0)
		*wait_us = send_due();
	for (uint64_t i = 0; i < fleet.connections; i++) {
		if (fleet.rate == 0)
			send_depth(&fleet.all[i]);
		else if (fleet.all[i].out_len > 0)
			flush(&fleet.all[i]);
	}
}

static bool over(void)
{
	if (fleet.issued >= fleet.total && fleet.done >= fleet.total)
		return true;
	if (fleet.kind == BEAT && fleet.rate == 0 &&
	    (double)(now_us() - fleet.begin_us) > fleet.seconds * 1e6)
		fleet.total = fleet.issued; /* what is under way is waited for */
	return false;
}

static void run(void)
{
	struct epoll_event events[256];
	int64_t wait_us;

	fleet.begin_us = now_us();
	while (!over()) {
		struct timespec wait;
		int n;

		send_all(&wait_us);
		if (fleet.busy)
			wait_us = 0;
		wait = (struct timespec){ .tv_sec = wait_us / 1000000,
			                  .tv_nsec = wait_us % 1000000 * 1000 };
		n = epoll_pwait2(fleet.epoll, events, 256, &wait, NULL);
		for (int i = 0; i < n; i++)
			receive(events[i].data.ptr);
	}
}

/* ---- begin and end --------------------------------------------------------------------------- */

static bool bind_source(const struct connection *c)
{
	uint64_t n = fleet.addresses == 0 ? 0 : (uint64_t)(c - fleet.all) % fleet.addresses;
	struct sockaddr_in source = {
		.sin_family = AF_INET,
		.sin_addr = { htonl((uint32_t)(0x7f090000U | n / 250 << 8 | (n % 250 + 1))) }
	};

	return fleet.addresses == 0 ||
	       bind(c->fd, (const struct sockaddr *)&source, sizeof(source)) == 0;
}

static void open_connection(struct connection *c, const struct sockaddr_in *server)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };
	int one = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	c->out = malloc(OUT_BYTES);
	c->in = malloc(IN_BYTES);
	c->due_us = malloc(QUEUE * sizeof(c->due_us[0]));
	if (c->fd < 0 || c->out == NULL || c->in == NULL || c->due_us == NULL || !bind_source(c) ||
	    connect(c->fd, (const struct sockaddr *)server, sizeof(*server)) != 0)
		die("fleet: connect");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
	epoll_ctl(fleet.epoll, EPOLL_CTL_ADD, c->fd, &event);
}

static uint64_t percentile(uint64_t per_mille)
{
	uint64_t all = 0, below = 0, us = 0;

	for (uint64_t i = 0; i <= LATENCY_US; i++)
		all += fleet.latency[i];
	for (; us < LATENCY_US && (below += fleet.latency[us]) * 1000 < all * per_mille;)
		us++;
	return us;
}

static bool parse(int argc, char **argv)
{
	static const char *const kinds[] = { "register", "beat", "deregister" };
	int option;

	while ((option = getopt(argc, argv, "n:p:x:m:c:d:r:s:k:b:a:")) != -1) {
		uint64_t number = optarg != NULL ? strtoull(optarg, NULL, 10) : 0;

		switch (option) {
		case 'n':
			fleet.count = number;
			break;
		case 'p':
			fleet.per_service = number;
			break;
		case 'x':
			fleet.prefix = optarg;
			break;
		case 'm':
			fleet.metadata = optarg;
			break;
		case 'c':
			fleet.connections = number;
			break;
		case 'd':
			fleet.depth = number;
			break;
		case 'a':
			fleet.addresses = number;
			break;
		case 'r':
			fleet.rate = number;
			break;
		case 's':
			fleet.seconds = strtod(optarg, NULL);
			break;
		case 'b':
			fleet.busy = number != 0;
			break;
		case 'k':
			fleet.keep = number;
			break;
		default:
			return false;
		}
	}
	if (optind + 2 != argc || fleet.count == 0 || fleet.per_service == 0 ||
	    fleet.connections == 0)
		return false;
	for (unsigned i = 0; i < 3; i++) {
		if (strcmp(argv[optind + 1], kinds[i]) == 0) {
			fleet.kind = (enum kind)i;
			return true;
		}
	}
	return false;
}

int main(int argc, char **argv)
{
	struct sockaddr_in server = { .sin_family = AF_INET,
		                      .sin_addr = { htonl(INADDR_LOOPBACK) } };

	if (!parse(argc, argv)) {
		fprintf(stderr,
		        "usage: fleet [-n COUNT] [-p PER_SERVICE] [-x PREFIX] [-m METADATA] [-c CONNECTIONS] [-d DEPTH] [-r RATE] "
		        "[-s SECONDS] [-k KEEP] PORT register|beat|deregister\n");
		return EXIT_FAILURE;
	}
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	server.sin_port = htons((uint16_t)atoi(argv[optind]));
	fleet.total = fleet.kind != BEAT ? fleet.count
	              : fleet.rate == 0  ? UINT64_MAX
	                                 : (uint64_t)(fleet.seconds * (double)fleet.rate);
	fleet.epoll = epoll_create1(EPOLL_CLOEXEC);
	fleet.all = calloc(fleet.connections, sizeof(fleet.all[0]));
	fleet.latency = calloc(LATENCY_US + 1, sizeof(fleet.latency[0]));
	if (fleet.epoll < 0 || fleet.all == NULL || fleet.latency == NULL)
		die("fleet");
	for (uint64_t i = 0; i < fleet.connections; i++)
		open_connection(&fleet.all[i], &server);
	run();
	printf("requests %" PRIu64 " bad %" PRIu64 " seconds %.3f p50_us %" PRIu64
	       " p99_us %" PRIu64 " max_us %" PRIu64 "\n",
	       fleet.done, fleet.bad, (double)(now_us() - fleet.begin_us) / 1e6, percentile(500),
	       percentile(990), fleet.max_us);
	return EXIT_SUCCESS;
}
