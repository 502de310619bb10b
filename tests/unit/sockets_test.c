/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "master/sockets.h"

#define PORTS_TRIED 16U

static const struct activation none = { .datagram_fd = -1 };

static struct config make_config(uint32_t port)
{
	struct config config;

	config_defaults(&config);
	strcpy(config.listen_address, "127.0.0.1");
	config.listen_port = port;
	config.listen_backlog = 16;
	config.push_port = 0;
	config.push_receive_buffer = 65536;
	return config;
}

static void open_all(struct sockets *s, uint32_t port)
{
	struct config config = make_config(port);
	char why[160] = "";

	sockets_init(s);
	if (sockets_open(s, &config, &none, why, sizeof(why)) < 0)
		fail_msg("%s", why);
}

static void close_all(struct sockets *s)
{
	sockets_close_listening(s);
	sockets_close_udp(s);
}

/* 0 or errno. */
static int dial(uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		                  .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int ret = connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ? errno : 0;

	close(fd);
	return ret;
}

static bool accepts(int listen_fd)
{
	struct pollfd p = { .fd = listen_fd, .events = POLLIN };
	int fd = poll(&p, 1, 60000) == 1 ? accept(listen_fd, NULL, NULL) : -1;

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void one_port_for_all(void **state)
{
	struct sockets s;

	(void)state;
	open_all(&s, 0);
	assert_int_not_equal(s.listen.port, 0);
	assert_int_equal(s.udp_port, s.listen.port);
	for (unsigned i = 0; i < WORKERS_MAX; i++)
		assert_true(s.listen.fds[i] >= 0);
	assert_int_equal(dial(s.listen.port), ECONNREFUSED); /* bound, but nobody listens */
	close_all(&s);
}

static void listens_and_ends_and_listens_again(void **state)
{
	struct sockets s;

	(void)state;
	open_all(&s, 0);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(sockets_listen(&s, 5), 0);
		assert_int_equal(sockets_listen(&s, 5), 0);
		assert_int_equal(s.listening, 1ULL << 5);
		assert_int_equal(dial(s.listen.port), 0);
		assert_true(accepts(s.listen.fds[5]));
		sockets_silence(&s, 5);
		assert_int_equal(s.listening, 0);
		assert_int_equal(dial(s.listen.port), ECONNREFUSED);
	}
	close_all(&s);
}

static void does_not_share_with_a_second_server(void **state)
{
	struct sockets first, second;
	struct config config;
	char why[160] = "";

	(void)state;
	open_all(&first, 0);
	assert_int_equal(sockets_listen(&first, 0), 0);
	config = make_config(first.listen.port);
	sockets_init(&second);
	assert_int_equal(sockets_open(&second, &config, &none, why, sizeof(why)), ERR_BUSY);
	assert_non_null(strstr(why, "TCP port"));
	close_all(&second);
	close_all(&first);
}

static void names_a_taken_udp_port(void **state)
{
	struct sockets first, second;
	struct config config = make_config(0);
	char why[160] = "";

	(void)state;
	open_all(&first, 0);
	config.push_port = first.udp_port;
	sockets_init(&second);
	assert_int_equal(sockets_open(&second, &config, &none, why, sizeof(why)), ERR_BUSY);
	assert_non_null(strstr(why, "UDP port"));
	close_all(&second);
	close_all(&first);
}

static void refuses_a_name_as_address(void **state)
{
	struct config config = make_config(0);
	struct sockets s;
	char why[160] = "";

	(void)state;
	strcpy(config.listen_address, "localhost");
	sockets_init(&s);
	assert_int_equal(sockets_open(&s, &config, &none, why, sizeof(why)), ERR_SYNTAX);
	close_all(&s);
}

static int manager_socket(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET,
		                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	const int on = 1;

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
	assert_int_equal(listen(fd, 16), 0);
	return fd;
}

static void never_ends_what_the_manager_opened(void **state)
{
	struct activation given = { .stream_count = 1, .datagram_fd = -1 };
	struct config config = make_config(0);
	struct sockets s;
	char why[160] = "";
	int ret = ERR_BUSY;

	(void)state;
	/* The kernel chose the port by TCP: that of UDP may be somebody else's. */
	for (unsigned i = 0; i < PORTS_TRIED && ret == ERR_BUSY; i++) {
		given.stream_fds[0] = manager_socket();
		sockets_init(&s);
		ret = sockets_open(&s, &config, &given, why, sizeof(why));
		if (ret < 0)
			close_all(&s);
	}
	if (ret < 0)
		fail_msg("%s", why);
	assert_int_equal(s.listening, 1);
	sockets_silence(&s, 0);
	assert_int_equal(s.listening, 1);
	assert_int_equal(dial(s.listen.port), 0);
	close_all(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_port_for_all),
		cmocka_unit_test(listens_and_ends_and_listens_again),
		cmocka_unit_test(does_not_share_with_a_second_server),
		cmocka_unit_test(names_a_taken_udp_port),
		cmocka_unit_test(refuses_a_name_as_address),
		cmocka_unit_test(never_ends_what_the_manager_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
