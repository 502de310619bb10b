/* SPDX-License-Identifier: Apache-2.0 */
/* The pusher as a process of its own: many subscribers, stop, kill. The test is the client and the
 * worker. */
#include "push_fixture.h"

#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "shared/config/config.h"
#include "shared/process/process.h"

#define MANY 10000U
#define SOCKETS 16U

static struct fixture f;
static struct process proc;
static int alive[2];
static pid_t child;

/* The next `times` calls of sendmmsg() in any process fail with the error. */
struct refused_sends {
	unsigned times;
	int error;
};

static struct refused_sends *refused;

/* Stands before the one of the C library. */
int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
	if (refused->times > 0) {
		refused->times--;
		errno = refused->error;
		return -1;
	}
	return (int)syscall(SYS_sendmmsg, fd, messages, count, flags);
}

static uint64_t metric(enum metric id)
{
	return metric_sum(f.seg, id);
}

static void spawn(void)
{
	proc.slot->state = SLOT_STARTING;
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		close(alive[1]);
		process_enter(&proc);
		_exit(pusher_main(&proc));
	}
	for (unsigned ms = 0; __atomic_load_n(&proc.slot->state, __ATOMIC_ACQUIRE) != SLOT_READY;
	     ms++) {
		assert_true(ms < PUSH_WAIT_MS);
		poll(NULL, 0, 1);
	}
}

static int reap(void)
{
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	child = 0;
	return status;
}

static void kill_now(void)
{
	assert_int_equal(kill(child, SIGKILL), 0);
	(void)reap();
	/* As the master does on every SIGCHLD. */
	process_wake(f.seg->wake_fd[QUEUE_PUSHER]);
}

static int setup(void **state)
{
	int size = 8 << 20;

	(void)state;
	refused->times = 0;
	fixture_open(&f, 256U << 20);
	clock_set_for_test(0, 0);
	f.seg->header->health_ms = 1000000;
	f.seg->header->health_mono_ms = clock_mono_ms();
	f.seg->wake_fd[QUEUE_PUSHER] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	assert_int_equal(pipe(alive), 0);
	memset(&proc, 0, sizeof proc);
	proc.role = ROLE_PUSHER;
	proc.seg = f.seg;
	proc.slot = &f.seg->slots[0];
	proc.alive_fd = alive[0];
	proc.notice_fd = proc.ready_fd = -1;
	snprintf(proc.name, sizeof proc.name, "pusher");
	config_defaults(&proc.config);
	proc.config.push_delay_ms = 200;
	proc.config.push_ack_wait_ms = 20000;
	proc.udp_fd = udp_open("127.0.0.1", &proc.udp_port);
	/* Without the right to it the kernel's limit stays, and the client below is quick
	 * enough. */
	if (setsockopt(proc.udp_fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
		assert_int_equal(setsockopt(proc.udp_fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size),
		                 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (child > 0)
		kill_now();
	close(alive[0]);
	close(alive[1]);
	close(proc.udp_fd);
	close(f.seg->wake_fd[QUEUE_PUSHER]);
	assert_clean(&f);
	fixture_close(&f);
	return 0;
}

/* A crowd: each subscriber has its own address of 127/8; a few sockets hear all of them. */
struct crowd {
	struct client clients[SOCKETS];
	unsigned count;
	uint64_t last_us; /* when the last one came */
	unsigned got;     /* datagrams */
	uint8_t heard[MANY];
};

static void crowd_open(struct crowd *crowd, const char *name, unsigned count)
{
	int size = 8 << 20, on = 1;

	memset(crowd, 0, sizeof *crowd);
	crowd->count = count;
	for (unsigned i = 0; i < SOCKETS; i++) {
		struct client *c = &crowd->clients[i];

		c->fd = udp_open("0.0.0.0", &c->port);
		(void)!setsockopt(c->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
		assert_int_equal(setsockopt(c->fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on), 0);
	}
	for (unsigned i = 0; i < count; i++) {
		char ip[32];

		snprintf(ip, sizeof ip, "127.1.%u.%u", i / SOCKETS / 250, i / SOCKETS % 250 + 1);
		struct subscriber_spec spec =
		        subscriber_for(ip, crowd->clients[i % SOCKETS].port, "");

		poll_as(&f.reg, name, &spec);
	}
}

static void crowd_close(struct crowd *crowd)
{
	for (unsigned i = 0; i < SOCKETS; i++)
		close(crowd->clients[i].fd);
}

/* Reads one and answers from the address it was sent to. False: nothing there. */
static bool crowd_read(struct crowd *crowd, unsigned s, bool ack)
{
	static struct push push;
	char control[CMSG_SPACE(sizeof(struct in_pktinfo))] = { 0 }, text[100];
	struct iovec in = { push.raw, sizeof push.raw }, out = { text, 0 };
	struct msghdr header = {
		.msg_name = &push.from,
		.msg_namelen = sizeof push.from,
		.msg_iov = &in,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control,
	};
	ssize_t n = recvmsg(crowd->clients[s].fd, &header, MSG_DONTWAIT);
	struct in_pktinfo *info;
	uint32_t to;

	if (n < 0)
		return false;
	push.raw_len = (size_t)n;
	push_unpack(&push);
	info = (struct in_pktinfo *)CMSG_DATA(CMSG_FIRSTHDR(&header));
	to = ntohl(info->ipi_addr.s_addr);
	crowd->heard[((to >> 8 & 255) * 250 + (to & 255) - 1) * SOCKETS + s]++;
	crowd->got++;
	crowd->last_us = clock_mono_us();
	if (!ack)
		return true;
	out.iov_len =
	        (size_t)snprintf(text, sizeof text,
	                         "{\"type\":\"push-ack\",\"lastRefTime\":\"%llu\",\"data\":\"\"}",
	                         (unsigned long long)push.key);
	info->ipi_ifindex = 0;
	info->ipi_spec_dst = info->ipi_addr;
	header.msg_iov = &out;
	assert_int_equal(sendmsg(crowd->clients[s].fd, &header, 0), out.iov_len);
	return true;
}

/* Until so many were heard, or nothing came for a while. */
static void crowd_hear(struct crowd *crowd, unsigned want, bool ack)
{
	struct pollfd fds[SOCKETS];

	for (unsigned s = 0; s < SOCKETS; s++)
		fds[s] = (struct pollfd){ crowd->clients[s].fd, POLLIN, 0 };
	while (crowd->got < want && poll(fds, SOCKETS, PUSH_WAIT_MS) > 0) {
		for (unsigned s = 0; s < SOCKETS; s++) {
			for (unsigned n = 0; n < 32 && crowd_read(crowd, s, ack); n++)
				;
		}
	}
}

static unsigned crowd_silent(const struct crowd *crowd)
{
	unsigned n = 0;

	for (unsigned i = 0; i < crowd->count; i++)
		n += crowd->heard[i] == 0;
	return n;
}

static void wait_metric(enum metric id, uint64_t want)
{
	for (unsigned ms = 0; metric(id) != want; ms++) {
		if (ms >= PUSH_WAIT_MS)
			fail_msg("metric %d is %llu, not %llu", (int)id,
			         (unsigned long long)metric(id), (unsigned long long)want);
		poll(NULL, 0, 1);
	}
}

static void test_many_subscribers(void **state)
{
	static struct crowd crowd;
	uint64_t changed_us;

	(void)state;
	spawn();
	crowd_open(&crowd, "G@@s", MANY);
	changed_us = clock_mono_us();
	add(&f, "G@@s", "10.0.0.1", 80);
	crowd_hear(&crowd, MANY, true);
	assert_int_equal(crowd_silent(&crowd), 0);
	wait_metric(METRIC_PUSH_OK, MANY);
	assert_int_equal(metric(METRIC_PUSH_TOTAL), MANY);
	assert_int_equal(metric(METRIC_PUSH_RXQ_OVERFLOW), 0);
	assert_int_equal(metric(METRIC_PUSH_RETRIED), 0);
	print_message("%u pushes: the last one came %.1f ms after the merge delay, round %llu us\n",
	              MANY, (double)(crowd.last_us - changed_us) / 1000 - 200,
	              (unsigned long long)metric(METRIC_PUSH_SEND_US_SUM));
	crowd_close(&crowd);
}

/* Killed at a random place of a large round, again and again: everybody hears of the change. */
static void test_kill_loses_nothing(void **state)
{
	static struct crowd crowd;
	unsigned interrupted = 0;

	(void)state;
	spawn();
	crowd_open(&crowd, "G@@s", MANY);
	for (unsigned n = 0; n < 6; n++) {
		memset(crowd.heard, 0, sizeof crowd.heard);
		crowd.got = 0;
		add(&f, "G@@s", "10.0.0.1", (int32_t)n);
		crowd_hear(&crowd, 1 + n * 700, true);
		kill_now();
		/* What was sent before is all there; more will come from the successor only. */
		for (unsigned s = 0; s < SOCKETS; s++) {
			while (crowd_read(&crowd, s, true))
				;
		}
		interrupted += crowd_silent(&crowd) > 0;
		spawn();
		for (unsigned ms = 0; crowd_silent(&crowd) > 0 && ms < PUSH_WAIT_MS; ms++)
			crowd_hear(&crowd, crowd.got + 1, true);
		assert_int_equal(crowd_silent(&crowd), 0);
	}
	/* Else nothing was tried. */
	assert_true(interrupted > 0);
	print_message("killed in the middle of %u rounds of 6\n", interrupted);
	crowd_close(&crowd);
}

static long sleeps_of_child(void)
{
	char path[64], line[256];
	long found = -1;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/status", (int)child);
	file = fopen(path, "r");
	assert_non_null(file);
	while (fgets(line, sizeof line, file) != NULL)
		sscanf(line, "voluntary_ctxt_switches: %ld", &found);
	fclose(file);
	assert_true(found >= 0);
	return found;
}

static uint64_t cpu_ns_of_child(void)
{
	struct timespec used;
	clockid_t clock;

	assert_int_equal(clock_getcpuclockid(child, &clock), 0);
	assert_int_equal(clock_gettime(clock, &used), 0);
	return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}

/* It does not wake, nor is it awake all the time. What it still had to do may be counted once, so
 * the best of three. */
static void expect_idle(void)
{
	uint64_t used_before, used_after;
	long before, after;

	for (unsigned n = 0; n < 3; n++) {
		before = sleeps_of_child();
		used_before = cpu_ns_of_child();
		poll(NULL, 0, 300);
		used_after = cpu_ns_of_child();
		if ((after = sleeps_of_child()) == before && used_after == used_before)
			break;
	}
	assert_int_equal(after, before);
	assert_int_equal(used_after, used_before);
	assert_int_equal(proc.slot->busy_since_ms, 0);
}

/* A socket that takes nothing for a while is tried again: when it says so, or, as nobody says when
 * the kernel has buffers again, after a while. */
static void test_a_socket_that_takes_nothing_is_tried_again(void **state)
{
	static const int errors[] = { EAGAIN, ENOBUFS };
	struct client c = client_open();
	struct subscriber_spec spec = subscriber_for("127.0.0.1", c.port, "");
	static struct push push;

	(void)state;
	spawn();
	poll_as(&f.reg, "G@@s", &spec);
	for (unsigned i = 0; i < 2; i++) {
		refused->error = errors[i];
		refused->times = 3;
		add(&f, "G@@s", "10.0.0.1", (int32_t)i);
		client_read(&c, &push);
		assert_int_equal(refused->times, 0);
		client_ack(&c, &push);
		wait_metric(METRIC_PUSH_OK, i + 1);
		expect_idle();
	}
	assert_int_equal(metric(METRIC_PUSH_SEND_ERRORS), 0);
	assert_int_equal(metric(METRIC_PUSH_RETRIED), 0);
	close(c.fd);
}

static void test_dead_writer_is_found(void **state)
{
	struct client c;

	(void)state;
	spawn();
	c = client_open();
	struct subscriber_spec spec = subscriber_for("127.0.0.1", c.port, "");
	static struct push push;

	poll_as(&f.reg, "G@@s", &spec);
	/* A change whose announcement was lost with its writer: only the master's ring is left. */
	int fd = f.seg->wake_fd[QUEUE_PUSHER];
	f.seg->wake_fd[QUEUE_PUSHER] = -1;
	add(&f, "G@@s", "10.0.0.1", 80);
	f.seg->wake_fd[QUEUE_PUSHER] = fd;
	(void)queue_take_dirty(f.seg, QUEUE_PUSHER);
	process_wake(fd);
	client_read(&c, &push);
	close(c.fd);
}

static void test_idle_does_not_wake(void **state)
{
	(void)state;
	spawn();
	expect_idle();
}

/* Until the pusher has read the eventfd. */
static void wait_heard(void)
{
	struct pollfd ring = { f.seg->wake_fd[QUEUE_PUSHER], POLLIN, 0 };

	for (unsigned ms = 0; poll(&ring, 1, 0) == 1; ms++) {
		if (ms >= PUSH_WAIT_MS)
			fail_msg("the pusher does not hear");
		poll(NULL, 0, 1);
	}
}

/* Microseconds until two rings, the second behind the first, were heard. */
static uint64_t two_rings(void)
{
	uint64_t begin_us = clock_mono_us();

	process_wake(f.seg->wake_fd[QUEUE_PUSHER]);
	wait_heard();
	process_wake(f.seg->wake_fd[QUEUE_PUSHER]);
	wait_heard();
	return clock_mono_us() - begin_us;
}

#define PORTION_US 45000 /* two rings take at least that, if they are heard in portions */

/* A quarter of the 200 ms of push.delay, but no longer than 50. */
static void test_stream_is_heard_in_portions(void **state)
{
	struct subscriber_spec spec;
	static struct push push;
	struct client c;

	(void)state;
	spawn();
	assert_true(two_rings() >= PORTION_US);
	c = client_open();
	spec = subscriber_for("127.0.0.1", c.port, "");
	poll_as(&f.reg, "G@@s", &spec);
	wait_heard();
	/* Not heard yet when it dies; nothing is lost by that. */
	add(&f, "G@@s", "10.0.0.1", 80);
	kill_now();
	spawn();
	client_read(&c, &push);
	assert_non_null(strstr(push.text, "10.0.0.1"));
	close(c.fd);
}

static void test_no_delay_is_exact(void **state)
{
	uint64_t best_us = UINT64_MAX;

	(void)state;
	proc.config.push_delay_ms = 0;
	spawn();
	for (unsigned i = 0; i < 100 && best_us >= PORTION_US; i++) {
		uint64_t us = two_rings();

		best_us = us < best_us ? us : best_us;
	}
	assert_true(best_us < PORTION_US);
}

static void test_stop(void **state)
{
	(void)state;
	spawn();
	assert_int_equal(kill(child, SIGTERM), 0);
	assert_int_equal(reap(), EXIT_SUCCESS);
	assert_int_equal(proc.slot->state, SLOT_STOPPING);
}

static void test_ends_with_the_master(void **state)
{
	(void)state;
	spawn();
	close(alive[1]);
	assert_int_equal(WIFEXITED(reap()), 1);
	assert_int_equal(pipe(alive), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_many_subscribers),
		CASE(test_kill_loses_nothing),
		CASE(test_a_socket_that_takes_nothing_is_tried_again),
		CASE(test_dead_writer_is_found),
		CASE(test_idle_does_not_wake),
		CASE(test_stream_is_heard_in_portions),
		CASE(test_no_delay_is_exact),
		CASE(test_stop),
		CASE(test_ends_with_the_master),
	};

	refused = mmap(NULL, sizeof *refused, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
	               -1, 0);
	if (refused == MAP_FAILED)
		return EXIT_FAILURE;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
