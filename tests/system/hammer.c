/* SPDX-License-Identifier: Apache-2.0 */
/* hammer.c - many keep-alive connections and a stream of new ones, with the slowest answer of each.
 *
 *     hammer PORT CONNECTIONS INTERVAL_MS NEW_INTERVAL_MS SECONDS REQUEST_TARGET
 *
 * Each kept connection sends one request every INTERVAL_MS (never two at a time); every
 * NEW_INTERVAL_MS one more connection is opened for a single request. Prints a line "broken
 * CLIENT_PORT AT_MS kept|new open|idle" for each connection that the server broke (open: while a
 * request waited for its answer), "slow CLIENT_PORT AT_MS TOOK_US kept|new answered|unanswered" for
 * each request over 200 ms, and at the end, which SIGTERM may bring earlier,
 *     requests N slowest_us N new N slowest_new_us N bad N closed N
 * where bad counts answers other than 200 and closed the kept connections whose answer said
 * "Connection: close": these are opened again at once, as a client does, and so are broken ones.
 * Answers are told complete by Content-Length or by the last chunk. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NEW_MAX 512
#define SLOW_US 200000

struct client {
	int fd;          /* -1: free (new ones only) */
	bool kept, open; /* open: a request waits for its answer */
	uint16_t port;
	uint64_t sent_us, next_us;
	size_t have;
	char in[4096];
};

static struct {
	struct sockaddr_in server;
	char request[1024];
	size_t request_len;
	int epoll;
	uint64_t begin_us;
	uint64_t requests, slowest, fresh, slowest_fresh, bad, closed;
} hammer;

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void client_open(struct client *c)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP, .data.ptr = c };
	struct sockaddr_in self;
	socklen_t len = sizeof(self);
	int one = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	c->have = 0;
	c->open = false;
	/* Loopback: connect returns once the kernel queued it, whether or not anybody accepts. */
	if (c->fd < 0 ||
	    connect(c->fd, (struct sockaddr *)&hammer.server, sizeof(hammer.server)) != 0) {
		perror("hammer: connect");
		exit(2);
	}
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	getsockname(c->fd, (struct sockaddr *)&self, &len);
	c->port = ntohs(self.sin_port);
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
	epoll_ctl(hammer.epoll, EPOLL_CTL_ADD, c->fd, &event);
}

static void client_close(struct client *c)
{
	close(c->fd);
	c->fd = -1;
}

static void client_broken(struct client *c)
{
	printf("broken %u %" PRIu64 " %s %s\n", c->port, (now_us() - hammer.begin_us) / 1000,
	       c->kept ? "kept" : "new", c->open ? "open" : "idle");
	client_close(c);
	if (c->kept)
		client_open(c);
}

static void client_send(struct client *c)
{
	c->sent_us = now_us();
	c->open = true;
	c->have = 0;
	if (send(c->fd, hammer.request, hammer.request_len, MSG_NOSIGNAL) !=
	    (ssize_t)hammer.request_len)
		client_broken(c);
}

/* The whole answer is there? */
static bool answer_complete(const struct client *c)
{
	const char *end = memmem(c->in, c->have, "\r\n\r\n", 4), *length;
	size_t body;

	if (end == NULL)
		return false;
	body = c->have - (size_t)(end + 4 - c->in);
	length = memmem(c->in, (size_t)(end - c->in), "Content-Length: ", 16);
	if (length != NULL)
		return body >= (size_t)strtoul(length + 16, NULL, 10);
	return body >= 5 && memcmp(c->in + c->have - 5, "0\r\n\r\n", 5) == 0;
}

static void client_answered(struct client *c)
{
	uint64_t took = now_us() - c->sent_us;

	c->open = false;
	if (took > SLOW_US)
		printf("slow %u %" PRIu64 " %" PRIu64 " %s answered\n", c->port,
		       (now_us() - hammer.begin_us) / 1000, took, c->kept ? "kept" : "new");
	if (c->have < 12 || memcmp(c->in + 9, "200", 3) != 0)
		hammer.bad++;
	if (c->kept) {
		hammer.requests++;
		if (took > hammer.slowest)
			hammer.slowest = took;
		if (memmem(c->in, c->have, "\r\nConnection: close\r\n", 21) != NULL) {
			hammer.closed++;
			client_close(c);
			client_open(c);
		}
	} else {
		hammer.fresh++;
		if (took > hammer.slowest_fresh)
			hammer.slowest_fresh = took;
		client_close(c);
	}
}

static void client_readable(struct client *c)
{
	ssize_t n = recv(c->fd, c->in + c->have, sizeof(c->in) - 1 - c->have, 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		client_broken(c);
		return;
	}
	c->have += (size_t)n;
	c->in[c->have] = '\0';
	if (c->open && answer_complete(c))
		client_answered(c);
}

static void start_fresh(struct client *fresh)
{
	for (int i = 0; i < NEW_MAX; i++)
		if (fresh[i].fd < 0) {
			client_open(&fresh[i]);
			client_send(&fresh[i]);
			return;
		}
	printf("stuck: %d new connections wait for an answer\n", NEW_MAX);
	exit(2);
}

static volatile sig_atomic_t told;

static void on_signal(int signal)
{
	told = signal;
}

static void loop(struct client *kept, int count, struct client *fresh, uint64_t interval,
                 uint64_t fresh_interval, uint64_t end)
{
	struct epoll_event events[256];
	uint64_t next_fresh = now_us(), now;

	while ((now = now_us()) < end && told == 0) {
		int n = epoll_wait(hammer.epoll, events, 256, 1);

		for (int i = 0; i < n; i++)
			client_readable(events[i].data.ptr);
		now = now_us();
		for (int i = 0; i < count; i++)
			if (!kept[i].open && kept[i].next_us <= now) {
				kept[i].next_us = now + interval;
				client_send(&kept[i]);
			}
		if (next_fresh <= now) {
			next_fresh = now + fresh_interval;
			start_fresh(fresh);
		}
	}
}

/* Requests still open at the end count with the time they have waited so far. */
static void count_open(const struct client *c, uint64_t *slowest)
{
	uint64_t took = now_us() - c->sent_us;

	if (c->fd < 0 || !c->open)
		return;
	if (took > SLOW_US)
		printf("slow %u %" PRIu64 " %" PRIu64 " %s unanswered\n", c->port,
		       (now_us() - hammer.begin_us) / 1000, took, c->kept ? "kept" : "new");
	if (took > *slowest)
		*slowest = took;
}

int main(int argc, char **argv)
{
	struct client *kept, *fresh;
	uint64_t interval;
	int count;

	if (argc != 7) {
		fprintf(stderr,
		        "usage: hammer PORT CONNECTIONS INTERVAL_MS NEW_INTERVAL_MS SECONDS REQUEST_TARGET\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	hammer.server = (struct sockaddr_in){ .sin_family = AF_INET,
		                              .sin_port = htons((uint16_t)atoi(argv[1])) };
	hammer.server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	count = atoi(argv[2]);
	interval = strtoull(argv[3], NULL, 10) * 1000;
	hammer.request_len =
	        (size_t)snprintf(hammer.request, sizeof(hammer.request),
	                         "PUT %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
	                         argv[6]);
	hammer.epoll = epoll_create1(EPOLL_CLOEXEC);
	kept = calloc((size_t)count, sizeof(*kept));
	fresh = calloc(NEW_MAX, sizeof(*fresh));
	if (kept == NULL || fresh == NULL || hammer.request_len >= sizeof(hammer.request))
		return 2;
	hammer.begin_us = now_us();
	for (int i = 0; i < NEW_MAX; i++)
		fresh[i].fd = -1;
	for (int i = 0; i < count; i++) {
		kept[i].kept = true;
		kept[i].next_us = hammer.begin_us + interval * (uint64_t)i / (uint64_t)count;
		client_open(&kept[i]);
	}
	signal(SIGTERM, on_signal);
	printf("started\n");
	loop(kept, count, fresh, interval, strtoull(argv[4], NULL, 10) * 1000,
	     hammer.begin_us + strtoull(argv[5], NULL, 10) * 1000000);
	for (int i = 0; i < count; i++)
		count_open(&kept[i], &hammer.slowest);
	for (int i = 0; i < NEW_MAX; i++)
		count_open(&fresh[i], &hammer.slowest_fresh);
	printf("requests %" PRIu64 " slowest_us %" PRIu64 " new %" PRIu64 " slowest_new_us %" PRIu64
	       " bad %" PRIu64 " closed %" PRIu64 "\n",
	       hammer.requests, hammer.slowest, hammer.fresh, hammer.slowest_fresh, hammer.bad,
	       hammer.closed);
	free(kept);
	free(fresh);
	return 0;
}
