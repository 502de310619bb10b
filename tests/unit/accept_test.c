/* SPDX-License-Identifier: Apache-2.0 */
/* Which sockets a worker accepts from, over the loopback. */
#include "tests/unit/http_fixture.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "shared/net/address.h"
#include "worker/http/accept.h"
#include "worker/http/connection.h"
#include "worker/http/connection_state.h"
#include "worker/v1/router.h"

#define SOCKETS 3

static struct fixture f;
static struct segment *seg;
static struct listen_set listen_set;
static struct sockaddr_in names[SOCKETS];
static const struct route no_rows[1] = { { .path = "/none", .about = "" } };

static int open_listener(struct sockaddr_in *name_r)
{
	socklen_t n = sizeof(*name_r);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*name_r = (struct sockaddr_in){ .sin_family = AF_INET,
		                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	assert_int_equal(bind(fd, (struct sockaddr *)name_r, n), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)name_r, &n), 0);
	return fd;
}

static int set_up(void **state)
{
	(void)state;
	fixture_init(&f);
	f.proc.config.http_head_timeout_ms = 60000;
	assert_int_equal(segment_open_anonymous(16 << 20, &seg), 0);
	for (unsigned i = 0; i < WORKERS_MAX; i++)
		listen_set.fds[i] = i < SOCKETS ? open_listener(&names[i]) : -1;
	f.proc.seg = seg;
	f.proc.listen = &listen_set;
	f.proc.index = 1;
	f.worker.loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
	assert_int_equal(router_new(no_rows, 1, STR("/nacos"), &f.v1.router), 0);
	assert_int_equal(connection_pool_new(&f.worker), 0);
	assert_int_equal(accept_start(&f.worker), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	accept_free(&f.worker);
	connection_pool_free(&f.worker);
	router_free(&f.v1.router);
	ev_loop_destroy(f.worker.loop);
	for (unsigned i = 0; i < SOCKETS; i++) {
		if (listen_set.fds[i] >= 0)
			close(listen_set.fds[i]);
	}
	segment_close_for_test(&seg);
	fixture_free(&f);
	return 0;
}

static int dial(unsigned n)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&names[n], sizeof(names[n])), 0);
	return fd;
}

static void run(void)
{
	for (int i = 0; i < 4; i++)
		ev_run(f.worker.loop, EVRUN_NOWAIT);
}

static void set_orphans(uint64_t orphans)
{
	seg->board->orphans = orphans;
	accept_refresh(&f.worker);
}

/* connect() over the loopback returns when the connection is in the queue: no waiting. */
static void test_own_only(void **state)
{
	int own = dial(1), other = dial(0);
	int on = 0;
	socklen_t n = sizeof(on);

	(void)state;
	run();
	assert_int_equal(f.worker.connection_count, 1);
	assert_int_equal(getsockopt(f.worker.connections->fd, IPPROTO_TCP, TCP_NODELAY, &on, &n),
	                 0);
	assert_int_not_equal(on, 0);
	assert_true(address_is_loopback(f.worker.connections->source));
	assert_int_not_equal(f.worker.connections->source_port, 0);
	close(own);
	close(other);
}

static void test_orphans(void **state)
{
	int first = dial(0), second, third;

	(void)state;
	run();
	assert_int_equal(f.worker.connection_count, 0);
	set_orphans(1 << 0);
	run();
	assert_int_equal(f.worker.connection_count, 1);
	second = dial(0);
	run();
	assert_int_equal(f.worker.connection_count, 2);
	set_orphans(0);
	third = dial(0);
	run();
	assert_int_equal(f.worker.connection_count, 2);
	close(first);
	close(second);
	close(third);
}

static void test_stopped(void **state)
{
	int fd = dial(1);

	(void)state;
	accept_stop(&f.worker);
	set_orphans(1 << 0);
	run();
	assert_int_equal(f.worker.connection_count, 0);
	close(fd);
}

static void test_limit(void **state)
{
	char answer[1024];
	int fds[3];
	ssize_t n;

	(void)state;
	f.proc.config.http_connections = 2;
	for (unsigned i = 0; i < 3; i++)
		fds[i] = dial(1);
	run();
	assert_int_equal(f.slot.counters[METRIC_HTTP_REFUSED], 1);
	assert_int_equal(f.slot.counters[METRIC_HTTP_CONNECTIONS], 2);
	n = recv(fds[2], answer, sizeof(answer) - 1, 0);
	assert_true(n > 0);
	answer[n] = '\0';
	assert_true(has(answer, "HTTP/1.1 503 ") && has(answer, "Connection: close\r\n"));
	for (unsigned i = 0; i < 3; i++)
		close(fds[i]);
}

/* Without descriptors the queue is emptied all the same, and the next one is served again. */
static void test_no_descriptors(void **state)
{
	struct rlimit old, low;
	int fds[2] = { dial(1), dial(1) };
	int lowest_free = dup(fds[0]);
	char answer[512];

	(void)state;
	close(lowest_free);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = (struct rlimit){ (rlim_t)lowest_free, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	run();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(f.worker.connection_count, 0);
	assert_int_equal(f.slot.counters[METRIC_HTTP_REFUSED], 2);
	assert_int_equal(f.slot.counters[METRIC_HTTP_ACCEPT_PAUSES], 0);
	for (unsigned i = 0; i < 2; i++) {
		memset(answer, 0, sizeof(answer));
		assert_true(recv(fds[i], answer, sizeof(answer) - 1, MSG_WAITALL) > 0);
		assert_true(has(answer, "HTTP/1.1 503 "));
		assert_true(has(answer, "Connection: close\r\n"));
		close(fds[i]);
	}
	fds[0] = dial(1);
	run();
	assert_int_equal(f.worker.connection_count, 1);
	close(fds[0]);
}

/* Not even the spare one helps: the loop waits instead of asking again and again, and then goes
 * on. */
static void test_pause(void **state)
{
	struct rlimit old, low;
	int fd = dial(1);

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = (struct rlimit){ 3, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	for (unsigned i = 0; i < 20; i++)
		ev_run(f.worker.loop, EVRUN_NOWAIT);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(f.slot.counters[METRIC_HTTP_ACCEPT_PAUSES], 1);
	assert_int_equal(f.worker.connection_count, 0);
	accept_refresh(&f.worker); /* the board changed: still no */
	ev_run(f.worker.loop, EVRUN_NOWAIT);
	assert_int_equal(f.worker.connection_count, 0);
	while (f.worker.connection_count == 0)
		ev_run(f.worker.loop, EVRUN_ONCE);
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_own_only), TEST(test_orphans),        TEST(test_stopped),
		TEST(test_limit),    TEST(test_no_descriptors), TEST(test_pause),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
