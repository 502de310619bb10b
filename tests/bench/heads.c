/* SPDX-License-Identifier: Apache-2.0 */
/* heads - what http_head_parse() costs, without sockets: the parser library and what stands around
 * it.
 *
 *     heads [COUNT [WORD]]
 *
 * Parses each head below (whose name contains WORD) COUNT times (a million) and prints a line
 * "NAME: N.N ns" of CPU time a head. For a figure that no neighbour disturbs, count instructions:
 * valgrind --tool=callgrind, of two counts, and divide their difference. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "worker/http/head.h"

static const struct {
	const char *name, *head;
} heads[] = {
	{ "light beat",
	  "PUT /nacos/v1/ns/instance/beat?namespaceId=public&serviceName=DEFAULT_GROUP%40%40orders&clusterName=DEFAULT&"
	  "ip=10.0.0.1&port=8080 HTTP/1.1\r\nHost: 127.0.0.1:8848\r\n\r\n" },
	{ "list of a Java client",
	  "GET /nacos/v1/ns/instance/list?healthyOnly=false&namespaceId=public&clientIP=10.0.0.1&"
	  "serviceName=DEFAULT_GROUP%40%40orders&udpPort=54951&encoding=UTF-8 HTTP/1.1\r\n"
	  "Client-Version: Nacos-Java-Client:v1.4.2\r\nUser-Agent: Nacos-Java-Client:v1.4.2\r\n"
	  "Accept-Encoding: gzip,deflate,sdch\r\nRequestId: 5ad4b9b0-4e2a-4d0b-8a45-1f8ac8d4f3d5\r\n"
	  "Request-Module: Naming\r\nContent-Type: application/x-www-form-urlencoded;charset=UTF-8\r\n"
	  "Accept-Charset: UTF-8\r\nHost: 10.0.0.9:8848\r\n"
	  "Accept: text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2\r\nConnection: keep-alive\r\n\r\n" },
	{ "beat with a form",
	  "PUT /nacos/v1/ns/instance/beat?app=unknown&namespaceId=public&port=8080 HTTP/1.1\r\n"
	  "User-Agent: Nacos-Java-Client:v1.4.2\r\nContent-Type: application/x-www-form-urlencoded\r\n"
	  "Host: 10.0.0.9:8848\r\nConnection: keep-alive\r\nContent-Length: 214\r\n\r\n" },
};

static double cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Nanoseconds a head; negative: it was refused. */
static double parse_many(const char *head, unsigned long count)
{
	static const struct head_limits limits = { .head_bytes = 8192,
		                                   .line_bytes = 4096,
		                                   .headers = 40 };
	struct request rq = { 0 };
	struct head_scan hc;
	double begin;

	head_scan_reset(&hc);
	if (head_scan_feed(&hc, head, strlen(head), &limits) != HEAD_DONE)
		return -1;
	begin = cpu_ns();
	for (unsigned long i = 0; i < count; i++) {
		if (http_head_parse(head, &hc, &rq) != 0 || !rq.keep_alive)
			return -1;
	}
	return (cpu_ns() - begin) / (double)count;
}

int main(int argc, char **argv)
{
	unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;

	if (argc > 3 || count == 0) {
		fprintf(stderr, "usage: heads [COUNT [WORD]]\n");
		return EXIT_FAILURE;
	}
	http_head_init();
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		double ns;

		if (argc > 2 && strstr(heads[i].name, argv[2]) == NULL)
			continue;
		ns = parse_many(heads[i].head, count);
		if (ns < 0) {
			fprintf(stderr, "heads: %s: refused\n", heads[i].name);
			return EXIT_FAILURE;
		}
		printf("%s: %.1f ns\n", heads[i].name, ns);
	}
	return EXIT_SUCCESS;
}
