/* SPDX-License-Identifier: Apache-2.0 */
/* push_fixture.h - subscribers that are real sockets, around a registry in an anonymous segment. */
#ifndef TESTS_PUSH_FIXTURE_H
#define TESTS_PUSH_FIXTURE_H

#include <arpa/inet.h>
#include <libdeflate.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "registry_fixture.h"
#include "shared/metrics/metrics.h"
#include "shared/net/address.h"
#include "shared/net/agent.h"
#include "shared/shm/slot.h"

#define PUSH_WAIT_MS 60000 /* only ends what hangs */

struct client {
	int fd;
	uint16_t port;
};

struct push {
	char text[1 << 20]; /* unpacked */
	size_t len;
	uint64_t key;
	char raw[65536];
	size_t raw_len;
	struct sockaddr_in from;
};

static inline int udp_open_at(struct spot spot, const char *ip, uint16_t *port_r)
{
	struct sockaddr_in sa = { .sin_family = AF_INET };
	socklen_t len = sizeof sa;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true_at(spot, fd >= 0);
	inet_pton(AF_INET, ip, &sa.sin_addr);
	assert_int_equal_at(spot, bind(fd, (struct sockaddr *)&sa, len), 0);
	assert_int_equal_at(spot, getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	*port_r = ntohs(sa.sin_port);
	return fd;
}
#define udp_open(...) udp_open_at(SPOT, __VA_ARGS__)

static inline struct client client_open_at(struct spot spot)
{
	struct client c;

	c.fd = udp_open_at(spot, "127.0.0.1", &c.port);
	return c;
}
#define client_open() client_open_at(SPOT)

static inline struct subscriber_spec subscriber_for_at(struct spot spot, const char *ip,
                                                       uint16_t port, const char *clusters)
{
	struct subscriber_spec spec = {
		.agent = STR("Nacos-Java-Client:v1.4.2"),
		.agent_kind = AGENT_JAVA,
		.agent_version = AGENT_VERSION(1, 4, 2),
		.grouped = true,
		.push = true,
		.clusters = str_of(clusters),
		.app = STR("app"),
		.address_text = str_of(ip),
		.port = port,
	};

	assert_int_equal_at(spot, address_parse(str_of(ip), spec.address), 0);
	memcpy(spec.source, spec.address, 16);
	return spec;
}
#define subscriber_for(...) subscriber_for_at(SPOT, __VA_ARGS__)

static inline void poll_as_at(struct spot spot, struct registry *reg, const char *name,
                              const struct subscriber_spec *spec)
{
	struct service_key key = key_for(name);
	struct service_stamp stamp;

	assert_int_equal_at(spot, registry_poll(reg, &key, spec, &stamp), 0);
}
#define poll_as(...) poll_as_at(SPOT, __VA_ARGS__)

static inline void push_unpack_at(struct spot spot, struct push *push)
{
	struct libdeflate_decompressor *d;

	if (push->raw_len < 2 || memcmp(push->raw, "\x1f\x8b", 2) != 0) {
		memcpy(push->text, push->raw, push->raw_len);
		push->len = push->raw_len;
	} else {
		d = libdeflate_alloc_decompressor();
		assert_int_equal_at(spot,
		                    libdeflate_gzip_decompress(d, push->raw, push->raw_len,
		                                               push->text, sizeof push->text - 1,
		                                               &push->len),
		                    LIBDEFLATE_SUCCESS);
		libdeflate_free_decompressor(d);
	}
	push->text[push->len] = '\0';
	const char *key = NULL, *at = push->text;
	while ((at = strstr(at, "\"lastRefTime\":")) != NULL)
		key = at++;
	if (key == NULL)
		fail_at(spot, "no lastRefTime in the push: %s", push->text);
	push->key = strtoull(key + strlen("\"lastRefTime\":"), NULL, 10);
}
#define push_unpack(...) push_unpack_at(SPOT, __VA_ARGS__)

static inline bool client_readable(const struct client *c, int wait_ms)
{
	struct pollfd p = { c->fd, POLLIN, 0 };

	return poll(&p, 1, wait_ms) == 1;
}

/* Waits for it; fails the test when none comes. */
static inline void client_read_at(struct spot spot, const struct client *c, struct push *push)
{
	socklen_t len = sizeof push->from;

	if (!client_readable(c, PUSH_WAIT_MS))
		fail_at(spot, "no push came to port %u", c->port);
	push->raw_len = (size_t)recvfrom(c->fd, push->raw, sizeof push->raw, 0,
	                                 (struct sockaddr *)&push->from, &len);
	push_unpack_at(spot, push);
}
#define client_read(...) client_read_at(SPOT, __VA_ARGS__)

static inline void client_send_at(struct spot spot, const struct client *c, const struct push *push,
                                  const char *text)
{
	ssize_t n = sendto(c->fd, text, strlen(text), 0, (const struct sockaddr *)&push->from,
	                   sizeof push->from);

	assert_int_equal_at(spot, n, strlen(text));
}
#define client_send(...) client_send_at(SPOT, __VA_ARGS__)

static inline void client_ack_at(struct spot spot, const struct client *c, const struct push *push)
{
	char text[128];

	snprintf(text, sizeof text,
	         "{\"type\":\"push-ack\",\"lastRefTime\":\"%llu\",\"data\":\"\"}",
	         (unsigned long long)push->key);
	client_send_at(spot, c, push, text);
}
#define client_ack(...) client_ack_at(SPOT, __VA_ARGS__)

#endif
