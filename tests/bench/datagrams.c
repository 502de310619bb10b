/* datagrams - the least that so many datagrams cost: sendmmsg() of 64, nothing else.
 *
 *     datagrams COUNT BYTES ROUNDS
 *
 * Sends COUNT datagrams of BYTES in each round over loopback to sockets with room for all of them. Prints "us_per_datagram N": CPU of this process. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH 64U
#define SOCKETS 16U
#define ROOM_BYTES (64 << 20)

static double cpu_us(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static int bound(struct sockaddr_in *at_r)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(*at_r);
	int room = ROOM_BYTES;

	*at_r = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	if (fd < 0 || bind(fd, (struct sockaddr *)at_r, size) < 0 || getsockname(fd, (struct sockaddr *)at_r, &size) < 0) {
		perror("datagrams");
		exit(2);
	}
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	return fd;
}

int main(int argc, char **argv)
{
	static char bytes[65507];
	static struct mmsghdr batch[BATCH];
	struct sockaddr_in to[SOCKETS], self;
	struct iovec one = { bytes, 0 };
	unsigned long count, rounds, sent = 0;
	int fd;
	double begin;

	if (argc != 4 || (one.iov_len = strtoul(argv[2], NULL, 10)) > sizeof(bytes)) {
		fprintf(stderr, "usage: datagrams COUNT BYTES ROUNDS\n");
		return EXIT_FAILURE;
	}
	count = strtoul(argv[1], NULL, 10);
	rounds = strtoul(argv[3], NULL, 10);
	for (unsigned i = 0; i < SOCKETS; i++)
		bound(&to[i]);
	fd = bound(&self);
	begin = cpu_us();
	for (unsigned long round = 0; round < rounds; round++) {
		for (unsigned long at = 0; at < count;) {
			unsigned n = count - at < BATCH ? (unsigned)(count - at) : BATCH;
			int done;

			for (unsigned i = 0; i < n; i++)
				batch[i].msg_hdr = (struct msghdr){ .msg_name = &to[(at + i) % SOCKETS],
					                            .msg_namelen = sizeof(to[0]),
					                            .msg_iov = &one,
					                            .msg_iovlen = 1 };
			done = sendmmsg(fd, batch, n, 0);
			if (done < 0) {
				perror("datagrams: sendmmsg");
				return 2;
			}
			at += (unsigned long)done;
			sent += (unsigned long)done;
		}
	}
	printf("us_per_datagram %.3f\n", (cpu_us() - begin) / (double)sent);
	return EXIT_SUCCESS;
}
