/* SPDX-License-Identifier: Apache-2.0 */
/* beater.c - instances that live: many connections that never stop beating, whatever happens to the
 * server.
 *
 *     beater PORT SERVICES INSTANCES CONNECTIONS INTERVAL_MS [churn]
 *
 * Instance i is 10.9.(i / 200).(i % 200 + 1):9000 of service live-(i % SERVICES). Even ones beat
 * lightly, odd ones with the full JSON. Each beats every INTERVAL_MS; no answer within a second, or
 * a broken connection: a new connection, the same beat again. Prints "lost I" when a light beat is
 * told that its instance is gone, "bad I TEXT" for any other answer than success, and when standard
 * input ends
 *     beats N full N retried N lost N bad N gap_ms N
 * where gap_ms is the longest time between two answers of one instance.
 *
 * churn: instances of services churn-N are registered and taken away instead, again and again; with
 * INTERVAL_MS 0 as fast as the server answers. That is load for the locks: nobody asks what became
 * of them. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MS 1000U
#define RETRY_MS 20U
#define CONNECTIONS_MAX 1024U
#define INSTANCES_MAX 10000U

struct connection {
	int fd;     /* -1: to be opened at due_ms */
	bool waits; /* for an answer */
	bool again; /* the beat was sent before */
	bool leave; /* churn: this time around the instances go */
	unsigned first, current;
	uint64_t due_ms, sent_ms;
	size_t have;
	char in[2048];
};

static struct {
	struct sockaddr_in server;
	int epoll;
	bool churn;
	unsigned services, instances, connections;
	uint64_t pause_ms; /* between two beats of one connection: it takes its instances in turn */
	uint64_t answered_ms[INSTANCES_MAX];
	struct connection all[CONNECTIONS_MAX];
	uint64_t beats, full, retried, lost, bad, gap_ms;
} beater;

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void give_up(struct connection *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->again = c->waits || c->again;
	c->waits = false;
	c->due_ms = now_ms() + RETRY_MS;
}

static void open_connection(struct connection *c)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };
	const int one = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* Loopback: either somebody listens or it is refused at once. */
	if (c->fd < 0 ||
	    connect(c->fd, (struct sockaddr *)&beater.server, sizeof(beater.server)) != 0) {
		give_up(c);
		return;
	}
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
	epoll_ctl(beater.epoll, EPOLL_CTL_ADD, c->fd, &event);
}

static int print_beat(char *out, size_t size, unsigned i)
{
	char ip[32], beat[512] = "";
	unsigned service = i % beater.services;

	snprintf(ip, sizeof(ip), "10.9.%u.%u", i / 200, i % 200 + 1);
	if (i % 2 == 1)
		snprintf(
		        beat, sizeof(beat),
		        "&beat=%%7B%%22cluster%%22:%%22DEFAULT%%22,%%22ip%%22:%%22%s%%22,%%22port%%22:9000,%%22scheduled%%22:true,"
		        "%%22serviceName%%22:%%22DEFAULT_GROUP@@live-%u%%22,%%22weight%%22:1.0%%7D",
		        ip, service);
	return snprintf(
	        out, size,
	        "PUT /nacos/v1/ns/instance/beat?serviceName=DEFAULT_GROUP@@live-%u&ip=%s&port=9000%s HTTP/1.1\r\n"
	        "Host: localhost\r\nContent-Length: 0\r\n\r\n",
	        service, ip, beat);
}

static int print_churn(char *out, size_t size, unsigned i, bool leave)
{
	char metadata[600] = "";

	/* Length by number: values of every size class. */
	if (!leave)
		snprintf(
		        metadata, sizeof(metadata),
		        "&metadata=%%7B%%22preserved.heart.beat.timeout%%22:%%223600000%%22,"
		        "%%22preserved.ip.delete.timeout%%22:%%227200000%%22,%%22k%%22:%%22%0*d%%22%%7D",
		        (int)(i % 400 + 1), 7);
	return snprintf(
	        out, size,
	        "%s /nacos/v1/ns/instance?serviceName=churn-%u&ip=10.7.%u.%u&port=9001%s HTTP/1.1\r\n"
	        "Host: localhost\r\nContent-Length: 0\r\n\r\n",
	        leave ? "DELETE" : "POST", i % beater.services, i / 200, i % 200 + 1, metadata);
}

static void beat(struct connection *c)
{
	char request[1024];
	int n = beater.churn ? print_churn(request, sizeof(request), c->current, c->leave)
	                     : print_beat(request, sizeof(request), c->current);

	beater.retried += c->again;
	c->sent_ms = now_ms();
	c->have = 0;
	c->waits = true;
	if (send(c->fd, request, (size_t)n, MSG_NOSIGNAL) != n)
		give_up(c);
}

/* Length of the body, -1 while the answer is not complete. */
static ssize_t body_of(struct connection *c, const char **body_r)
{
	const char *end, *length;
	size_t wanted;

	c->in[c->have] = '\0';
	end = strstr(c->in, "\r\n\r\n");
	length = strstr(c->in, "Content-Length: ");
	if (end == NULL)
		return -1;
	*body_r = end + 4;
	if (length != NULL && length < end) {
		wanted = (size_t)strtoul(length + 16, NULL, 10);
		return strlen(*body_r) >= wanted ? (ssize_t)wanted : -1;
	}
	return strstr(*body_r, "\r\n0\r\n\r\n") != NULL ? (ssize_t)strlen(*body_r) : -1;
}

static void judge(const struct connection *c, const char *body)
{
	uint64_t now = now_ms(), gap = now - beater.answered_ms[c->current];

	beater.beats++;
	beater.full += c->current % 2;
	beater.gap_ms = gap > beater.gap_ms ? gap : beater.gap_ms;
	beater.answered_ms[c->current] = now;
	if (memcmp(c->in + 9, "200", 3) == 0 &&
	    strstr(body, beater.churn ? "ok" : "\"code\":10200") != NULL)
		return;
	if (strstr(body, "20404") != NULL) {
		beater.lost++;
		printf("lost %u\n", c->current);
	} else {
		beater.bad++;
		printf("bad %u %.12s %.200s\n", c->current, c->in, body);
	}
}

static void answered(struct connection *c, const char *body)
{
	judge(c, body);
	c->waits = c->again = false;
	c->due_ms = c->sent_ms + beater.pause_ms;
	c->current += beater.connections;
	if (c->current >= beater.instances) {
		c->current = c->first;
		c->leave = !c->leave;
	}
}

static void readable(struct connection *c)
{
	const char *body;
	ssize_t n = recv(c->fd, c->in + c->have, sizeof(c->in) - 1 - c->have, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		give_up(c);
		return;
	}
	c->have += (size_t)n;
	if (c->waits && body_of(c, &body) >= 0)
		answered(c, body);
}

static void turn(struct connection *c, uint64_t now)
{
	if (c->waits && now - c->sent_ms > ANSWER_MS)
		give_up(c);
	if (c->waits || c->due_ms > now)
		return;
	if (c->fd < 0)
		open_connection(c);
	if (c->fd >= 0)
		beat(c);
}

static void loop(void)
{
	struct epoll_event events[128];
	bool ended = false;

	while (!ended) {
		int n = epoll_wait(beater.epoll, events, 128, 2);
		uint64_t now;

		for (int i = 0; i < n; i++) {
			struct connection *c = events[i].data.ptr;

			if (c == NULL)
				ended = true;
			else if (c->fd >= 0)
				readable(c);
		}
		now = now_ms();
		for (unsigned i = 0; i < beater.connections; i++)
			turn(&beater.all[i], now);
	}
}

int main(int argc, char **argv)
{
	struct epoll_event event = { .events = EPOLLIN };

	if (argc != 6 && argc != 7) {
		fprintf(stderr,
		        "usage: beater PORT SERVICES INSTANCES CONNECTIONS INTERVAL_MS [churn]\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	beater.server = (struct sockaddr_in){ .sin_family = AF_INET,
		                              .sin_port = htons((uint16_t)atoi(argv[1])) };
	beater.server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	beater.services = (unsigned)atoi(argv[2]);
	beater.instances = (unsigned)atoi(argv[3]);
	beater.connections = (unsigned)atoi(argv[4]);
	beater.churn = argc == 7;
	beater.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (beater.services == 0 || beater.connections == 0 ||
	    beater.connections > CONNECTIONS_MAX || beater.instances < beater.connections ||
	    beater.instances > INSTANCES_MAX)
		return 2;
	beater.pause_ms = strtoull(argv[5], NULL, 10) * beater.connections / beater.instances;
	for (unsigned i = 0; i < beater.instances; i++)
		beater.answered_ms[i] = now_ms();
	for (unsigned i = 0; i < beater.connections; i++)
		beater.all[i] = (struct connection){
			.fd = -1, .first = i, .current = i, .due_ms = now_ms() + i % 50
		};
	epoll_ctl(beater.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event);
	loop();
	printf("beats %" PRIu64 " full %" PRIu64 " retried %" PRIu64 " lost %" PRIu64
	       " bad %" PRIu64 " gap_ms %" PRIu64 "\n",
	       beater.beats, beater.full, beater.retried, beater.lost, beater.bad, beater.gap_ms);
	return 0;
}
