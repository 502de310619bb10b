/* SPDX-License-Identifier: Apache-2.0 */
/* deliver: the batch of datagrams about to leave, on a real registry and real sockets. */
#include "push_fixture.h"

#include "pusher/deliver.h"
#include "shared/config/config.h"
#include "shared/registry/subscribers.h"
#include "shared/shm/shard.h"

#define SUBSCRIBERS (UDP_BATCH + 3)

static struct fixture f;
static struct config config;
static struct deliver deliver;
static struct client receiver;
static struct subscriber_view subs[SUBSCRIBERS];
static uint8_t shard;
static int udp_fd;

/* All of them at one socket; they differ in the text of their clusters. */
static void subscribe_all(void)
{
	struct service_key key = key_for("G@@s");
	struct audience_cursor cursor = { 0 };
	char clusters[32];

	for (unsigned i = 0; i < SUBSCRIBERS; i++) {
		snprintf(clusters, sizeof(clusters), "c%u", i);
		struct subscriber_spec spec = subscriber_for("127.0.0.1", receiver.port, clusters);

		poll_as(&f.reg, "G@@s", &spec);
	}
	assert_int_equal(registry_subscribers(&f.reg, &key, &cursor, subs, SUBSCRIBERS),
	                 SUBSCRIBERS);
	shard = (uint8_t)registry_shard_of(&f.reg, &key);
}

static int setup(void **state)
{
	uint16_t port;

	(void)state;
	fixture_open(&f, FIXTURE_BYTES);
	config_defaults(&config);
	config.push_rate = config.push_rate_address = 0;
	metrics_use(&f.seg->slots[0]);
	memset(f.seg->slots[0].counters, 0, sizeof(f.seg->slots[0].counters));
	udp_fd = udp_open("127.0.0.1", &port);
	receiver = client_open();
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
	static char text[32768];

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

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_a_full_batch_takes_no_more),
		CASE(test_end_with_a_full_batch),
		CASE(test_a_batch_leaves_when_it_is_full),
		CASE(test_a_batch_leaves_when_it_is_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
