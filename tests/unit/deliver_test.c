/* SPDX-License-Identifier: Apache-2.0 */
/* deliver: the batch of datagrams about to leave, on a real registry and real sockets. */
#include "push_fixture.h"

#include <errno.h>
#include <sys/syscall.h>

#include "pusher/deliver.h"
#include "shared/config/config.h"
#include "shared/registry/subscribers.h"
#include "shared/shm/shard.h"

#define SUBSCRIBERS (UDP_BATCH + 3)
#define TOO_LONG 65508U /* bytes of a datagram over IPv4 */

static struct fixture f;
static struct config config;
static struct deliver deliver;
static struct client receiver;
static struct subscriber_view subs[SUBSCRIBERS];
static uint8_t shard;
static int udp_fd;
static uint16_t port;
static int send_error; /* of each sendmmsg(); 0: the kernel is asked */

/* Stands before the one of the C library. */
int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
	if (send_error == 0)
		return (int)syscall(SYS_sendmmsg, fd, messages, count, flags);
	errno = send_error;
	return -1;
}

/* What the segment says now. */
static void read_subscribers(void)
{
	struct service_key key = key_for("G@@s");
	struct audience_cursor cursor = { 0 };

	assert_int_equal(registry_subscribers(&f.reg, &key, &cursor, subs, SUBSCRIBERS),
	                 SUBSCRIBERS);
}

/* All of them at one socket; they differ in the text of their clusters. */
static void subscribe_all(void)
{
	struct service_key key = key_for("G@@s");
	char clusters[32];

	for (unsigned i = 0; i < SUBSCRIBERS; i++) {
		snprintf(clusters, sizeof(clusters), "c%u", i);
		struct subscriber_spec spec = subscriber_for("127.0.0.1", receiver.port, clusters);

		poll_as(&f.reg, "G@@s", &spec);
	}
	read_subscribers();
	shard = (uint8_t)registry_shard_of(&f.reg, &key);
}

static int setup(void **state)
{
	(void)state;
	fixture_open(&f, FIXTURE_BYTES);
	config_defaults(&config);
	config.push_rate = config.push_rate_address = 0;
	metrics_use(&f.seg->slots[0]);
	memset(f.seg->slots[0].counters, 0, sizeof(f.seg->slots[0].counters));
	udp_fd = udp_open("127.0.0.1", &port);
	receiver = client_open();
	send_error = 0;
	deliver = (struct deliver){ 0 };
	assert_int_equal(deliver_init(&deliver, &f.reg, &config, udp_fd, 0), 0);
	subscribe_all();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	deliver_free(&deliver);
	assert_int_equal(deliver.datagrams.count, 0);
	assert_clean(&f);
	close(receiver.fd);
	close(udp_fd);
	fixture_close(&f);
	return 0;
}

static void push_to(unsigned first, unsigned count, size_t bytes)
{
	static char text[TOO_LONG];

	memset(text, 'x', sizeof(text));
	for (unsigned i = first; i < first + count; i++) {
		struct datagram *datagram =
		        datagram_new(&deliver.datagrams, i + 1, str_make(text, bytes));

		assert_non_null(datagram);
		deliver_push(&deliver, shard, &subs[i], datagram, f.seg->shards[shard].revision, 1);
		datagram_release(&deliver.datagrams, &datagram);
	}
}

static unsigned received(void)
{
	char text[65536];
	unsigned n = 0;

	for (; client_readable(&receiver, 0); n++)
		assert_true(recv(receiver.fd, text, sizeof(text), 0) > 0);
	return n;
}

static uint64_t metric(enum metric id)
{
	return metric_sum(f.seg, id);
}

/* The socket takes nothing, so the batch stays full: whoever comes then is left to a tour and
 * displaces nobody. */
static void test_a_full_batch_takes_no_more(void **state)
{
	(void)state;
	deliver.blocked = UDP_FULL;
	push_to(0, UDP_BATCH, 10);
	assert_int_equal(deliver.out_count, UDP_BATCH);
	assert_int_equal(deliver.owed, 0);
	push_to(UDP_BATCH, SUBSCRIBERS - UDP_BATCH, 10);
	assert_int_equal(deliver.out_count, UDP_BATCH);
	assert_int_equal(deliver.out_bytes, UDP_BATCH * 10);
	assert_int_equal(deliver.owed, 1ULL << shard);
	for (unsigned i = 0; i < UDP_BATCH; i++)
		assert_int_equal(deliver.out[i].sub_id, subs[i].id);
	assert_false(deliver_flush(&deliver));
	deliver_unblock(&deliver);
	assert_true(deliver_flush(&deliver));
	assert_int_equal(received(), UDP_BATCH);
	assert_int_equal(deliver.out_count, 0);
	assert_int_equal(deliver.out_bytes, 0);
	assert_int_equal(inflight_count(deliver.inflight), UDP_BATCH);
}

/* The process ends while the socket takes nothing: teardown() looks for what is left, and the
 * sanitizers for what is read behind the batch. */
static void test_end_with_a_full_batch(void **state)
{
	(void)state;
	deliver.blocked = UDP_FULL;
	push_to(0, UDP_BATCH, 10);
	assert_int_equal(deliver.out_count, UDP_BATCH);
}

static void test_a_batch_leaves_when_it_is_full(void **state)
{
	(void)state;
	push_to(0, UDP_BATCH - 1, 10);
	assert_int_equal(deliver.out_count, UDP_BATCH - 1);
	assert_int_equal(received(), 0);
	push_to(UDP_BATCH - 1, 1, 10);
	assert_int_equal(deliver.out_count, 0);
	assert_int_equal(received(), UDP_BATCH);
	/* A rest leaves with deliver_flush(). */
	push_to(UDP_BATCH, 2, 10);
	assert_int_equal(received(), 0);
	assert_true(deliver_flush(&deliver));
	assert_int_equal(received(), 2);
	assert_int_equal(metric_sum(f.seg, METRIC_PUSH_TOTAL), UDP_BATCH + 2);
}

static void test_a_batch_leaves_when_it_is_long(void **state)
{
	enum { BYTES = 32768, MANY = DELIVER_OUT_BYTES / BYTES };

	(void)state;
	deliver.blocked = UDP_FULL;
	push_to(0, MANY - 1, BYTES);
	deliver_unblock(&deliver);
	assert_int_equal(deliver.out_count, MANY - 1);
	push_to(MANY - 1, 1, BYTES);
	assert_int_equal(deliver.out_count, 0);
	assert_int_equal(deliver.out_bytes, 0);
}

/* An address that this socket has no way to, and a text that no datagram holds: they count as sent
 * and failed, nothing more is owed for that state, and the others have theirs. */
static void test_what_cannot_be_sent_stops_nobody(void **state)
{
	(void)state;
	assert_int_equal(address_parse(STR("fd00::1"), subs[1].address), 0);
	push_to(0, 3, 10);
	push_to(3, 1, TOO_LONG);
	push_to(4, 1, 10);
	assert_true(deliver_flush(&deliver));
	assert_int_equal(received(), 3);
	assert_int_equal(inflight_count(deliver.inflight), 3);
	assert_int_equal(metric(METRIC_PUSH_TOTAL), 5);
	assert_int_equal(metric(METRIC_PUSH_FAILED), 2);
	assert_int_equal(metric(METRIC_PUSH_SEND_ERRORS), 1);
	assert_int_equal(metric(METRIC_PUSH_OVERSIZE), 1);
	read_subscribers();
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(subs[i].sent_revision, f.seg->shards[shard].revision);
		assert_int_equal(subs[i].tries, i == 1 || i == 3 ? 2 : 1);
	}
}

/* A resend stands in the batch that has to wait for the socket. */
static void wait_with_a_resend(void)
{
	push_to(0, 1, 10);
	assert_true(deliver_flush(&deliver));
	clock_set_for_test(FIXTURE_MONO_US + config.push_ack_wait_ms * 1000, FIXTURE_WALL_US);
	send_error = EAGAIN;
	assert_false(deliver_due(&deliver));
	assert_int_equal(deliver.blocked, UDP_FULL);
	assert_int_equal(deliver.out_count, 1);
}

/* What was counted as sent the first time only fails. */
static void test_a_resend_that_cannot_be_sent(void **state)
{
	(void)state;
	wait_with_a_resend();
	send_error = ENETUNREACH;
	deliver_unblock(&deliver);
	assert_true(deliver_flush(&deliver));
	assert_int_equal(inflight_count(deliver.inflight), 0);
	assert_int_equal(metric(METRIC_PUSH_TOTAL), 1);
	assert_int_equal(metric(METRIC_PUSH_FAILED), 1);
	assert_int_equal(metric(METRIC_PUSH_SEND_ERRORS), 1);
	assert_int_equal(metric(METRIC_PUSH_RETRIED), 0);
}

/* And not even that when its ACK came while it waited. */
static void test_a_needless_resend_that_cannot_be_sent(void **state)
{
	static struct push push;

	(void)state;
	wait_with_a_resend();
	push.key = 1;
	push.from = (struct sockaddr_in){ .sin_family = AF_INET,
		                          .sin_port = htons(port),
		                          .sin_addr = { htonl(INADDR_LOOPBACK) } };
	client_ack(&receiver, &push);
	assert_int_equal(deliver_receive(&deliver), 1);
	assert_int_equal(inflight_count(deliver.inflight), 0);
	send_error = ENETUNREACH;
	deliver_unblock(&deliver);
	assert_true(deliver_flush(&deliver));
	assert_int_equal(metric(METRIC_PUSH_TOTAL), 1);
	assert_int_equal(metric(METRIC_PUSH_OK), 1);
	assert_int_equal(metric(METRIC_PUSH_FAILED), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_a_full_batch_takes_no_more),
		CASE(test_end_with_a_full_batch),
		CASE(test_a_batch_leaves_when_it_is_full),
		CASE(test_a_batch_leaves_when_it_is_long),
		CASE(test_what_cannot_be_sent_stops_nobody),
		CASE(test_a_resend_that_cannot_be_sent),
		CASE(test_a_needless_resend_that_cannot_be_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
