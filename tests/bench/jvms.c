/* SPDX-License-Identifier: Apache-2.0 */
/* jvms - a fleet of Java clients: one instance each, a beat every 5 s, and connections as
 * HttpURLConnection keeps them.
 *
 *     jvms PORT paced|skipped CLIENTS SECONDS
 *
 * Client i of CLIENTS beats for the instance that `fleet -n CLIENTS -p 10 -x jvms` registers as
 * number i. Its next beat is due 5 s after the answer to the last one, as the published clients
 * have it. HttpURLConnection keeps an idle connection as long as "Keep-Alive: timeout=N" says, 5 s
 * without it, and looks when it needs one: too old, it is closed and another made.
 *
 * paced: in real seconds; the first beats are spread over 5 s, those that fall due within 10 ms go
 * out together. skipped:
 * nobody waits out the 5 s, each client goes on as if they were over: the server sees the same
 * connections and beats, only denser.
 *
 * When all clients have had an answer, "begin" is printed, and SECONDS later "beats N bad N
 * connections N seconds S p50_us N p99_us N max_us N" of the time between; latencies count from the
 * moment a beat was due. Over loopback only. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define INTERVAL_US 5000000U
#define TICK_US 10000U
#define SLOTS 1024U       /* ticks of the wheel: more than an interval, a power of two */
#define DEFAULT_IDLE_S 5U /* without a Keep-Alive header */
#define PER_SERVICE 10U   /* instances, as `fleet -p 10` registers them */
#define SOURCES 16U /* addresses of the clients: ports of one would not do when nothing is kept */
#define ANSWER_BYTES 2048U
#define LATENCY_US 1000000U /* longer ones count as this; the maximum is exact */

struct client {
	struct client *next; /* of its slot */
	int fd;              /* -1: none */
	uint64_t due_us, idle_since_us, idle_us;
	bool answered; /* at least once */
};

static struct {
	bool skipped;
	struct sockaddr_in server;
	unsigned count;
	uint64_t seconds_us;
	int epoll;
	struct client *all, *slots[SLOTS];
	uint64_t tick; /* all slots before it are done with */
	uint64_t begin_us, first_answers, beats, bad, connections, max_us;
	uint32_t *latency;
} fleet = { .server = { .sin_family = AF_INET } };

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

/* ---- connections ----------------------------------------------------------------------------- */

static void drop(struct client *c)
{
	close(c->fd);
	c->fd = -1;
}

static void open_connection(struct client *c, unsigned i)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };
	struct sockaddr_in source = { .sin_family = AF_INET,
		                      .sin_addr = { htonl(INADDR_LOOPBACK + 1 + i % SOURCES) } };
	int one = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		die("jvms: socket");
	setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (bind(c->fd, (struct sockaddr *)&source, sizeof(source)) != 0 ||
	    connect(c->fd, (struct sockaddr *)&fleet.server, sizeof(fleet.server)) != 0)
		die("jvms: connect");
	epoll_ctl(fleet.epoll, EPOLL_CTL_ADD, c->fd, &event);
	fleet.connections++;
}

/* Connections end on this side, or after an answer that says so. */
static void cut_off(const struct client *c)
{
	fprintf(stderr,
	        "jvms: the server has closed a connection, idle for %.3f s, promised %.0f s\n",
	        (double)(now_us() - c->idle_since_us) / 1e6, (double)c->idle_us / 1e6);
	exit(2);
}

/* ---- beats ----------------------------------------------------------------------------------- */

/* What bench.lua sends as a light beat. */
static size_t request_of(unsigned i, char *text, size_t room)
{
	return (size_t)snprintf(
	        text, room,
	        "PUT /nacos/v1/ns/instance/beat?namespaceId=public&serviceName=DEFAULT_GROUP%%40%%40jvms-%u"
	        "&clusterName=DEFAULT&ip=10.%u.%u.%u&port=8080 HTTP/1.1\r\n"
	        "Host: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded;charset=UTF-8\r\n"
	        "Request-Module: Naming\r\nRequestId: 0f8fad5b-d9cb-469f-a165-70867728950e\r\n"
	        "Accept-Encoding: gzip,deflate,sdch\r\nClient-Version: 1.4.8\r\n"
	        "User-Agent: Nacos-Java-Client:v1.4.8\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n",
	        i / PER_SERVICE, i >> 16 & 255, i >> 8 & 255, i & 255);
}

static void beat(struct client *c)
{
	unsigned i = (unsigned)(c - fleet.all);
	char request[1024];
	size_t n = request_of(i, request, sizeof(request));

	if (c->fd >= 0 && now_us() - c->idle_since_us >= c->idle_us)
		drop(c);
	if (c->fd < 0)
		open_connection(c, i);
	if (send(c->fd, request, n, MSG_NOSIGNAL) != (ssize_t)n)
		cut_off(c);
}

/* In the first slot that is not before its time. */
static void plan(struct client *c, uint64_t due_us)
{
	uint64_t tick = (due_us + TICK_US - 1) / TICK_US;
	struct client **slot = &fleet.slots[tick % SLOTS];

	c->due_us = tick * TICK_US;
	c->next = *slot;
	*slot = c;
}

/* All whose time has come. Returns the us until the next slot. */
static int64_t beat_due(void)
{
	uint64_t now = now_us();

	for (; fleet.tick * TICK_US <= now; fleet.tick++) {
		struct client *c = fleet.slots[fleet.tick % SLOTS], *next;

		fleet.slots[fleet.tick % SLOTS] = NULL;
		for (; c != NULL; c = next) {
			next = c->next;
			beat(c);
		}
	}
	now = now_us();
	return fleet.tick * TICK_US > now ? (int64_t)(fleet.tick * TICK_US - now) : 0;
}

/* ---- answers --------------------------------------------------------------------------------- */

static uint64_t promised_us(const char *answer)
{
	const char *header = strstr(answer, "\r\nKeep-Alive: timeout=");

	return (header == NULL ? DEFAULT_IDLE_S : strtoul(header + 22, NULL, 10)) * 1000000;
}

static void note(const struct client *c, uint64_t now, bool good)
{
	uint64_t us = now - c->due_us;

	fleet.beats++;
	fleet.bad += !good;
	fleet.latency[us < LATENCY_US ? us : LATENCY_US]++;
	if (us > fleet.max_us)
		fleet.max_us = us;
}

/* An answer to a beat is small and comes in one piece. */
static void receive(struct client *c)
{
	char answer[ANSWER_BYTES];
	ssize_t n = recv(c->fd, answer, sizeof(answer) - 1, 0);
	uint64_t now = now_us();
	bool good;

	if (n <= 0)
		cut_off(c);
	answer[n] = '\0';
	good = strncmp(answer, "HTTP/1.1 200", 12) == 0 && strstr(answer, "10200") != NULL &&
	       n >= 5 && memcmp(answer + n - 5, "0\r\n\r\n", 5) == 0;
	note(c, now, good);
	fleet.first_answers += !c->answered;
	c->answered = true;
	c->idle_since_us = now;
	c->idle_us = promised_us(answer);
	if (strstr(answer, "\r\nConnection: close\r\n") != NULL)
		drop(c);
	if (!fleet.skipped) {
		plan(c, now + INTERVAL_US);
		return;
	}
	c->idle_since_us -= INTERVAL_US;
	c->due_us = now;
	beat(c);
}

/* ---- run ------------------------------------------------------------------------------------- */

static void begin(void)
{
	puts("begin");
	fflush(stdout);
	fleet.begin_us = now_us();
	fleet.beats = fleet.bad = fleet.connections = fleet.max_us = 0;
	memset(fleet.latency, 0, (LATENCY_US + 1) * sizeof(fleet.latency[0]));
}

static void run(void)
{
	struct epoll_event events[256];
	uint64_t start = now_us();

	fleet.tick = start / TICK_US;
	for (unsigned i = 0; i < fleet.count; i++)
		plan(&fleet.all[i],
		     start + (fleet.skipped ? 0 : (uint64_t)i * INTERVAL_US / fleet.count));
	while (fleet.begin_us == 0 || now_us() < fleet.begin_us + fleet.seconds_us) {
		int64_t wait_us = beat_due();
		struct timespec wait = { .tv_nsec = wait_us * 1000 };
		int n = epoll_pwait2(fleet.epoll, events, 256, &wait, NULL);

		for (int i = 0; i < n; i++)
			receive(events[i].data.ptr);
		if (fleet.begin_us == 0 && fleet.first_answers == fleet.count)
			begin();
	}
}

static uint64_t percentile(uint64_t per_mille)
{
	uint64_t below = 0, us = 0;

	for (; us < LATENCY_US && (below += fleet.latency[us]) * 1000 < fleet.beats * per_mille;)
		us++;
	return us;
}

static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		die("jvms: getrlimit");
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		die("jvms: setrlimit");
}

int main(int argc, char **argv)
{
	if (argc != 5 || (strcmp(argv[2], "paced") != 0 && strcmp(argv[2], "skipped") != 0)) {
		fprintf(stderr, "usage: jvms PORT paced|skipped CLIENTS SECONDS\n");
		return EXIT_FAILURE;
	}
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	raise_limit();
	fleet.server.sin_port = htons((uint16_t)atoi(argv[1]));
	fleet.server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fleet.skipped = strcmp(argv[2], "skipped") == 0;
	fleet.count = (unsigned)atoi(argv[3]);
	fleet.seconds_us = (uint64_t)(strtod(argv[4], NULL) * 1e6);
	fleet.epoll = epoll_create1(EPOLL_CLOEXEC);
	fleet.all = calloc(fleet.count, sizeof(fleet.all[0]));
	fleet.latency = calloc(LATENCY_US + 1, sizeof(fleet.latency[0]));
	if (fleet.epoll < 0 || fleet.all == NULL || fleet.latency == NULL)
		die("jvms");
	for (unsigned i = 0; i < fleet.count; i++)
		fleet.all[i].fd = -1;
	run();
	printf("beats %" PRIu64 " bad %" PRIu64 " connections %" PRIu64
	       " seconds %.3f p50_us %" PRIu64 " p99_us %" PRIu64 " max_us %" PRIu64 "\n",
	       fleet.beats, fleet.bad, fleet.connections, (double)(now_us() - fleet.begin_us) / 1e6,
	       percentile(500), percentile(990), fleet.max_us);
	return EXIT_SUCCESS;
}
