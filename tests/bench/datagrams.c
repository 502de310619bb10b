/* SPDX-License-Identifier: Apache-2.0 */
/* datagrams - the least that so many datagrams cost: sendmmsg() of 64, nothing else.
 *
 *     datagrams COUNT BYTES ROUNDS PORT...
 *
 * Sends COUNT datagrams of BYTES in each round over loopback to the sockets of audience.py on the
 * given ports, and rests before it as a pusher does. Prints "us_per_datagram N": CPU of this
 * process, the median of the rounds. */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64U
#define COUNT_MOST 100000U
#define ROUNDS_MOST 1000U
#define REST_NS 100000000L

static struct sockaddr_in to[COUNT_MOST];
static double round_us[ROUNDS_MOST];

static double cpu_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

/* As Audience.subscribe() in audience.py. */
static void aim(unsigned count, char **ports, unsigned port_count)
{
	for (unsigned n = 0; n < count; n++) {
		uint32_t host = n / port_count;

		to[n] = (struct sockaddr_in){
			.sin_family = AF_INET,
			.sin_addr = { htonl(127U << 24 | 1U << 16 | host / 250 << 8 |
			                    (host % 250 + 1)) },
			.sin_port = htons((uint16_t)atoi(ports[n % port_count])),
		};
	}
}

static void send_round(int fd, unsigned count, struct iovec *bytes)
{
	static struct mmsghdr batch[BATCH];

	for (unsigned at = 0; at < count;) {
		unsigned n = count - at < BATCH ? count - at : BATCH;
		int done;

		for (unsigned i = 0; i < n; i++)
			batch[i].msg_hdr = (struct msghdr){ .msg_name = &to[at + i],
				                            .msg_namelen = sizeof(to[0]),
				                            .msg_iov = bytes,
				                            .msg_iovlen = 1 };
		done = sendmmsg(fd, batch, n, 0);
		if (done < 0) {
			perror("datagrams: sendmmsg");
			exit(2);
		}
		at += (unsigned)done;
	}
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	static char bytes[65507];
	struct iovec one = { bytes, argc > 4 ? strtoul(argv[2], NULL, 10) : sizeof(bytes) + 1 };
	unsigned count = argc > 4 ? (unsigned)atoi(argv[1]) : 0,
	         rounds = argc > 4 ? (unsigned)atoi(argv[3]) : 0;
	const struct timespec rest = { 0, REST_NS };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || count == 0 || count > COUNT_MOST || rounds == 0 || rounds > ROUNDS_MOST ||
	    one.iov_len > sizeof(bytes)) {
		fprintf(stderr, "usage: datagrams COUNT BYTES ROUNDS PORT...\n");
		return EXIT_FAILURE;
	}
	aim(count, argv + 4, (unsigned)argc - 4);
	for (unsigned round = 0; round < rounds; round++) {
		double begin;

		nanosleep(&rest, NULL);
		begin = cpu_us();
		send_round(fd, count, &one);
		round_us[round] = (cpu_us() - begin) / count;
	}
	qsort(round_us, rounds, sizeof(round_us[0]), by_value);
	printf("us_per_datagram %.3f\n", round_us[rounds / 2]);
	return EXIT_SUCCESS;
}
