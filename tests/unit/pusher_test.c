/* SPDX-License-Identifier: Apache-2.0 */
/* The pusher without its process: schedule, round, tour and deliver on a real registry and real
 * sockets, on a clock that the test sets. */
#include "push_fixture.h"

#include "pusher/schedule.h"
#include "shared/config/config.h"
#include "shared/registry/registry_pusher.h"

static struct fixture f;
static struct config config;
static struct schedule schedule;
static int udp_fd;
static uint16_t udp_port;
static uint64_t mono_us;
static struct push push;

static void pass_ms(uint64_t ms)
{
	mono_us += ms * 1000;
	clock_set_for_test(mono_us, FIXTURE_WALL_US + mono_us - FIXTURE_MONO_US);
	f.seg->header->health_ms += ms;
	f.seg->header->health_mono_ms = mono_us / 1000;
}

static void run(void)
{
	schedule_wake(&schedule, 1);
	schedule_receive(&schedule);
	while (schedule_run(&schedule))
		;
}

static void start(void)
{
	memset(&schedule, 0, sizeof(schedule));
	assert_int_equal(schedule_init(&schedule, &f.reg, &config, udp_fd, 0), 0);
	assert_int_equal(schedule_wait(&schedule), 0);
	/* What a predecessor left is taken over, and nothing is sent yet. */
	schedule.stopping = true;
	while (schedule_run(&schedule))
		;
	schedule.stopping = false;
	assert_false(schedule.recovering);
}

static void restart(void)
{
	schedule_free(&schedule);
	start();
}

static uint64_t metric(enum metric id)
{
	return metric_sum(f.seg, id);
}

static int setup(void **state)
{
	(void)state;
	fixture_open(&f, FIXTURE_BYTES);
	mono_us = FIXTURE_MONO_US;
	config_defaults(&config);
	metrics_use(&f.seg->slots[0]);
	memset(f.seg->slots[0].counters, 0, sizeof f.seg->slots[0].counters);
	udp_fd = udp_open("127.0.0.1", &udp_port);
	start();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_clean(&f);
	schedule_free(&schedule);
	assert_int_equal(schedule.deliver.datagrams.count, 0);
	close(udp_fd);
	fixture_close(&f);
	return 0;
}

static struct client subscribe(const char *name)
{
	struct client c = client_open();
	struct subscriber_spec spec = subscriber_for("127.0.0.1", c.port, "");

	poll_as(&f.reg, name, &spec);
	return c;
}

static void expect_silence(const struct client *c)
{
	assert_false(client_readable(c, 0));
}

static unsigned hosts_in(const struct push *p)
{
	unsigned n = 0;

	for (const char *at = p->text; (at = strstr(at, "\\\"ip\\\":")) != NULL; at++)
		n++;
	return n;
}

static void test_merge_then_ack(void **state)
{
	struct client c = subscribe("G@@s");
	char read_at[64];
	uint64_t key;

	(void)state;
	add(&f, "G@@s", "10.0.0.1", 80);
	run();
	pass_ms(900);
	add(&f, "G@@s", "10.0.0.2", 80);
	run();
	expect_silence(&c);
	/* The delay runs from the first change. */
	assert_int_equal(schedule_wait(&schedule), 100);
	pass_ms(100);
	run();
	client_read(&c, &push);
	assert_int_equal(hosts_in(&push), 2);
	assert_non_null(strstr(push.text, "\\\"cacheMillis\\\":10000"));
	snprintf(read_at, sizeof read_at, "\\\"lastRefTime\\\":%llu,",
	         (unsigned long long)clock_wall_ms());
	assert_non_null(strstr(push.text, read_at));
	assert_true(push.key < 1ULL << 53 && push.key > FIXTURE_WALL_US);
	key = push.key;
	client_ack(&c, &push);
	run();
	assert_int_equal(metric(METRIC_PUSH_TOTAL), 1);
	assert_int_equal(metric(METRIC_PUSH_OK), 1);
	assert_int_equal(metric(METRIC_PUSH_SEND_BUCKET_0), 1);
	/* A later change is a push of its own, with a later time. */
	add(&f, "G@@s", "10.0.0.3", 80);
	pass_ms(1000);
	run();
	client_read(&c, &push);
	assert_true(push.key > key);
	expect_silence(&c);
	close(c.fd);
}

/* The state was read with the first change; the second must not be taken for sent. */
static void test_change_during_round(void **state)
{
	struct client c = subscribe("G@@s");
	struct changed_service changed;
	struct round_start begin = { .name = &changed.name };

	(void)state;
	add(&f, "G@@s", "10.0.0.1", 80);
	pass_ms(1000);
	schedule_wake(&schedule, 1);
	assert_true(drain_next(&schedule.drain, &changed, &begin.shard));
	begin.changed = changed.changed;
	rounds_begin(&schedule.rounds, &begin);
	schedule.rounds.slice_us = 0;
	assert_true(rounds_step(&schedule.rounds));
	assert_int_equal(schedule.rounds.count, 1);
	add(&f, "G@@s", "10.0.0.2", 80);
	run();
	client_read(&c, &push);
	assert_int_equal(hosts_in(&push), 1);
	client_ack(&c, &push);
	pass_ms(999);
	run();
	expect_silence(&c);
	pass_ms(1);
	run();
	client_read(&c, &push);
	assert_int_equal(hosts_in(&push), 2);
	close(c.fd);
}

static void test_resend_once_then_fail(void **state)
{
	struct client c = subscribe("G@@s");
	static struct push again;

	(void)state;
	add(&f, "G@@s", "10.0.0.1", 80);
	pass_ms(1000);
	run();
	client_read(&c, &push);
	pass_ms(config.push_ack_wait_ms - 1);
	run();
	expect_silence(&c);
	assert_int_equal(schedule_wait(&schedule), 1);
	pass_ms(1);
	run();
	client_read(&c, &again);
	assert_int_equal(again.raw_len, push.raw_len);
	assert_memory_equal(again.raw, push.raw, push.raw_len);
	assert_int_equal(metric(METRIC_PUSH_RETRIED), 1);
	assert_int_equal(metric(METRIC_PUSH_FAILED), 0);
	pass_ms(config.push_ack_wait_ms);
	run();
	expect_silence(&c);
	assert_int_equal(metric(METRIC_PUSH_FAILED), 1);
	assert_int_equal(metric(METRIC_PUSH_TOTAL), 1);
	/* Too late now. */
	client_ack(&c, &push);
	run();
	assert_int_equal(metric(METRIC_PUSH_ACK_UNKNOWN), 1);
	assert_int_equal(metric(METRIC_PUSH_OK), 0);
	close(c.fd);
}

/* The pusher was stopped for longer than it waits; the ACK was there in time. */
static void test_stopped_while_the_ack_came(void **state)
{
	struct client c = subscribe("G@@s");

	(void)state;
	add(&f, "G@@s", "10.0.0.1", 80);
	pass_ms(1000);
	run();
	client_read(&c, &push);
	client_ack(&c, &push);
	pass_ms(2 * config.push_ack_wait_ms);
	while (schedule_run(&schedule))
		;
	expect_silence(&c);
	assert_int_equal(metric(METRIC_PUSH_OK), 1);
	assert_int_equal(metric(METRIC_PUSH_RETRIED), 0);
	close(c.fd);
}

static void test_newer_replaces_older(void **state)
{
	struct client c = subscribe("G@@s");
	struct subscriber_spec spec = subscriber_for("127.0.0.1", c.port, "");

	(void)state;
	add(&f, "G@@s", "10.0.0.1", 80);
	pass_ms(1000);
	run();
	client_read(&c, &push);
	pass_ms(5000);
	poll_as(&f.reg, "G@@s", &spec);
	add(&f, "G@@s", "10.0.0.2", 80);
	pass_ms(1000);
	run();
	client_read(&c, &push);
	client_ack(&c, &push);
	run();
	pass_ms(4000);
	run();
	expect_silence(&c);
	assert_int_equal(metric(METRIC_PUSH_OK), 1);
	assert_int_equal(metric(METRIC_PUSH_RETRIED), 0);
	close(c.fd);
}

static void test_zombie(void **state)
{
	struct client c = subscribe("G@@s");

	(void)state;
	pass_ms(config.push_subscriber_life_ms);
	add(&f, "G@@s", "10.0.0.1", 80);
	pass_ms(1000);
	run();
	expect_silence(&c);
	assert_int_equal(stats_of(&f).subscribers, 0);
	assert_int_equal(metric(METRIC_PUSH_ZOMBIES), 1);
	close(c.fd);
}

/* What was sent while it lived is sent again; then it goes, without a change of the service. */
static void test_zombie_keeps_its_resend(void **state)
{
	struct client c = subscribe("G@@s");

	(void)state;
	pass_ms(9500);
	add(&f, "G@@s", "10.0.0.1", 80);
	config.push_delay_ms = 100;
	pass_ms(100);
	run();
	client_read(&c, &push);
	pass_ms(5000);
	add(&f, "G@@s", "10.0.0.2", 80);
	pass_ms(100);
	run();
	expect_silence(&c);
	assert_int_equal(stats_of(&f).subscribers, 1);
	pass_ms(4900);
	run();
	client_read(&c, &push);
	assert_int_equal(hosts_in(&push), 1);
	/* And its ACK is still waited for. */
	add(&f, "G@@s", "10.0.0.3", 80);
	pass_ms(100);
	run();
	expect_silence(&c);
	assert_int_equal(stats_of(&f).subscribers, 1);
	pass_ms(10000);
	run();
	assert_int_equal(stats_of(&f).subscribers, 0);
	close(c.fd);
}

static void test_sweep_without_changes(void **state)
{
	struct client c = subscribe("G@@never");

	(void)state;
	run();
	assert_int_equal(schedule_wait(&schedule), SCHEDULE_SWEEP_MS);
	pass_ms(SCHEDULE_SWEEP_MS);
	while (schedule_run(&schedule))
		;
	assert_int_equal(stats_of(&f).subscribers, 0);
	/* Nobody left: no reason to wake up. */
	assert_int_equal(schedule_wait(&schedule), UINT64_MAX);
	close(c.fd);
}

/* An ACK counts like a poll. */
static void test_ack_renews(void **state)
{
	struct client c = subscribe("G@@s");

	(void)state;
	add(&f, "G@@s", "10.0.0.1", 80);
	for (unsigned i = 0; i < 4; i++) {
		pass_ms(6000);
		run();
		client_read(&c, &push);
		client_ack(&c, &push);
		run();
		add(&f, "G@@s", "10.0.0.1", (int32_t)(81 + i));
	}
	assert_int_equal(metric(METRIC_PUSH_OK), 4);
	close(c.fd);
}

static void test_foreign_and_unknown_acks(void **state)
{
	struct client c = subscribe("G@@s"), other = client_open();

	(void)state;
	add(&f, "G@@s", "10.0.0.1", 80);
	pass_ms(1000);
	run();
	client_read(&c, &push);
	client_ack(&other, &push);
	client_send(&c, &push, "{\"lastRefTime\":\"12\"}");
	client_send(&c, &push, "not json");
	run();
	assert_int_equal(metric(METRIC_PUSH_ACK_FOREIGN), 1);
	assert_int_equal(metric(METRIC_PUSH_ACK_UNKNOWN), 2);
	assert_int_equal(metric(METRIC_PUSH_OK), 0);
	client_ack(&c, &push);
	run();
	assert_int_equal(metric(METRIC_PUSH_OK), 1);
	close(c.fd);
	close(other.fd);
}

/* Same socket, two views: two datagrams, one push in the counters, one ACK for both. */
/* With other clusters it is another push, with an ACK of its own. */
static void test_shared_socket(void **state)
{
	struct client c = subscribe("G@@s");
	struct subscriber_spec spec = subscriber_for("127.0.0.1", c.port, "other");
	uint64_t key;

	(void)state;
	poll_as(&f.reg, "G@@s", &spec);
	add(&f, "G@@s", "10.0.0.1", 80);
	pass_ms(1000);
	run();
	client_read(&c, &push);
	assert_int_equal(hosts_in(&push), 1);
	key = push.key;
	client_ack(&c, &push);
	client_read(&c, &push);
	assert_int_equal(hosts_in(&push), 0);
	assert_non_null(strstr(push.text, "\\\"clusters\\\":\\\"other\\\""));
	assert_true(push.key > key);
	assert_int_equal(metric(METRIC_PUSH_TOTAL), 2);
	run();
	assert_int_equal(metric(METRIC_PUSH_OK), 1);
	pass_ms(config.push_ack_wait_ms);
	run();
	/* The resend of the one that was not acknowledged, and nothing else. */
	key = push.key;
	client_read(&c, &push);
	assert_int_equal(push.key, key);
	client_ack(&c, &push);
	run();
	expect_silence(&c);
	assert_int_equal(metric(METRIC_PUSH_OK), 2);
	assert_int_equal(metric(METRIC_PUSH_ACK_FOREIGN) + metric(METRIC_PUSH_ACK_UNKNOWN) +
	                         metric(METRIC_PUSH_ACK_REPEATED),
	                 0);
	close(c.fd);
}

/* They differ in the text of the agent only: the same bytes twice, one push, and the second ACK is
 * a repeat. */
static void test_shared_socket_same_bytes(void **state)
{
	struct client c = subscribe("G@@s"), silent = subscribe("G@@s");
	struct subscriber_spec spec = subscriber_for("127.0.0.1", c.port, "");
	uint64_t key;

	(void)state;
	spec.agent = STR("Nacos-Java-Client:v1.4.3");
	poll_as(&f.reg, "G@@s", &spec);
	add(&f, "G@@s", "10.0.0.1", 80);
	pass_ms(1000);
	run();
	client_read(&c, &push);
	key = push.key;
	client_read(&c, &push);
	assert_int_equal(push.key, key);
	client_ack(&c, &push);
	client_ack(&c, &push);
	run();
	assert_int_equal(metric(METRIC_PUSH_TOTAL), 2);
	assert_int_equal(metric(METRIC_PUSH_OK), 1);
	assert_int_equal(metric(METRIC_PUSH_ACK_REPEATED), 1);
	assert_int_equal(metric(METRIC_PUSH_ACK_FOREIGN) + metric(METRIC_PUSH_ACK_UNKNOWN), 0);
	close(c.fd);
	close(silent.fd);
}

/* One ACK for all subscriptions of a socket: in shares, and everything is read in the end. */
static void test_one_ack_for_many(void **state)
{
	enum { MANY = DELIVER_ACK_SHARE * 2 + 100 };
	struct client c = client_open(), d = subscribe("G@@s");
	char agent[64];
	unsigned got = 0;

	(void)state;
	config.push_rate = 1000000;
	for (unsigned i = 0; i < MANY; i++) {
		struct subscriber_spec spec = subscriber_for("127.0.0.1", c.port, "");

		snprintf(agent, sizeof agent, "Nacos-Java-Client:v1.4.2.%u", i);
		spec.agent = str_of(agent);
		poll_as(&f.reg, "G@@s", &spec);
	}
	add(&f, "G@@s", "10.0.0.1", 80);
	pass_ms(1000);
	run();
	for (; client_readable(&c, 0); got++)
		client_read(&c, &push);
	assert_true(got > 0);
	assert_int_equal(inflight_count(schedule.deliver.inflight), MANY + 1);
	client_ack(&c, &push);
	client_ack(&c, &push);
	client_read(&d, &push);
	client_ack(&d, &push);
	assert_int_equal(deliver_receive(&schedule.deliver), UDP_BATCH);
	assert_int_equal(inflight_count(schedule.deliver.inflight), MANY + 1 - DELIVER_ACK_SHARE);
	assert_int_equal(deliver_receive(&schedule.deliver), UDP_BATCH);
	run();
	assert_int_equal(inflight_count(schedule.deliver.inflight), 0);
	assert_int_equal(metric(METRIC_PUSH_OK), 2);
	assert_int_equal(metric(METRIC_PUSH_ACK_REPEATED), 1);
	assert_int_equal(metric(METRIC_PUSH_ACK_UNKNOWN) + metric(METRIC_PUSH_ACK_FOREIGN), 0);
	close(c.fd);
	close(d.fd);
}

/* The datagram of an older push is still out to somebody: an ACK of it from one that got a newer
 * one is late, not foreign. */
static void test_late_acks_are_not_foreign(void **state)
{
	struct client c = subscribe("G@@s"), silent = subscribe("G@@s"), slow = subscribe("G@@s");
	static struct push older, newer;
	struct subscriber_spec spec;

	(void)state;
	add(&f, "G@@s", "10.0.0.1", 80);
	pass_ms(1000);
	run();
	client_read(&c, &older);
	client_read(&silent, &older);
	client_read(&slow, &older);
	/* Acknowledged by one, given another push by nobody yet: sent again to the others, and
	 * acknowledged twice. */
	client_ack(&c, &older);
	pass_ms(config.push_ack_wait_ms);
	run();
	client_ack(&slow, &older);
	run();
	client_ack(&slow, &older);
	run();
	assert_int_equal(metric(METRIC_PUSH_ACK_REPEATED), 1);
	spec = subscriber_for("127.0.0.1", silent.port, "");
	poll_as(&f.reg, "G@@s", &spec);
	add(&f, "G@@s", "10.0.0.2", 80);
	pass_ms(1000);
	run();
	client_read(&c, &newer);
	assert_true(newer.key > older.key);
	client_ack(&c, &older);
	client_ack(&silent, &older);
	run();
	assert_int_equal(metric(METRIC_PUSH_ACK_REPEATED), 2);
	assert_int_equal(metric(METRIC_PUSH_ACK_UNKNOWN), 1);
	assert_int_equal(metric(METRIC_PUSH_ACK_FOREIGN), 0);
	close(c.fd);
	close(silent.fd);
	close(slow.fd);
}

static struct subscriber_spec go_client(const struct client *c)
{
	struct subscriber_spec spec = subscriber_for("127.0.0.1", c->port, "");

	spec.agent = STR("Nacos-Go-Client:v1.1.6");
	spec.agent_kind = AGENT_GO;
	spec.grouped = false;
	return spec;
}

/* More than 4,024 bytes, packed. */
#define LONG_LIST 400U

static void change_long_list(const char *name, bool present)
{
	struct service_key key = key_for(name);
	char ip[32];

	srandom(7);
	for (unsigned i = 0; i < LONG_LIST; i++) {
		struct instance_spec spec;

		snprintf(ip, sizeof ip, "10.%u.%u.%u", i / 250, i % 250, (unsigned)random() % 250);
		spec = spec_for(ip, (int32_t)(1000 + random() % 60000));
		if (present)
			assert_int_equal(registry_register(&f.reg, client, &key, &spec), 0);
		else
			assert_int_equal(registry_deregister(&f.reg, client, &key, &spec.key, NULL),
			                 0);
	}
}

static void test_go_reads_4024(void **state)
{
	struct client c = client_open();
	struct subscriber_spec spec = go_client(&c);

	(void)state;
	poll_as(&f.reg, "G@@s", &spec);
	change_long_list("G@@s", true);
	pass_ms(1000);
	run();
	expect_silence(&c);
	assert_int_equal(metric(METRIC_PUSH_OVERSIZE), 1);
	assert_int_equal(metric(METRIC_PUSH_TOTAL), 0);
	/* Nothing is owed for it after a restart either. */
	restart();
	run();
	expect_silence(&c);
	assert_int_equal(metric(METRIC_PUSH_OVERSIZE), 1);
	close(c.fd);
}

static bool is_oversize(const char *name, const struct subscriber_spec *spec)
{
	struct service_key key = key_for(name);
	struct service_stamp stamp;

	assert_int_equal(registry_poll(&f.reg, &key, spec, &stamp), 0);
	return stamp.unsent;
}

/* The worker gives such a subscriber the short poll interval, until it fits again. */
static void test_poll_knows_oversize(void **state)
{
	struct client c = client_open(), java = subscribe("G@@s");
	struct subscriber_spec spec = go_client(&c),
	                       other = subscriber_for("127.0.0.1", java.port, "");

	(void)state;
	assert_false(is_oversize("G@@s", &spec));
	change_long_list("G@@s", true);
	pass_ms(1000);
	run();
	assert_true(is_oversize("G@@s", &spec));
	assert_false(is_oversize("G@@s", &other));
	client_read(&java, &push);
	restart();
	assert_true(is_oversize("G@@s", &spec));
	change_long_list("G@@s", false);
	add(&f, "G@@s", "10.9.0.1", 80);
	pass_ms(1000);
	run();
	client_read(&c, &push);
	assert_int_equal(hosts_in(&push), 1);
	assert_false(is_oversize("G@@s", &spec));
	close(c.fd);
	close(java.fd);
}

/* A change that nobody asked to hear of costs no copy of the service. */
static void test_no_audience(void **state)
{
	struct client c = client_open();

	(void)state;
	add(&f, "G@@s", "10.0.0.1", 80);
	pass_ms(1000);
	run();
	assert_int_equal(metric(METRIC_PUSH_ROUNDS), 1);
	/* No round was made for it. */
	assert_null(schedule.rounds.spare);
	/* And the next one, with an audience, is pushed. */
	struct subscriber_spec spec = subscriber_for("127.0.0.1", c.port, "");
	poll_as(&f.reg, "G@@s", &spec);
	add(&f, "G@@s", "10.0.0.2", 80);
	pass_ms(1000);
	run();
	client_read(&c, &push);
	assert_int_equal(hosts_in(&push), 2);
	close(c.fd);
}

static void test_not_allowed(void **state)
{
	struct client c = client_open();
	struct subscriber_spec spec = subscriber_for("127.0.0.1", c.port, "");

	(void)state;
	spec.push = false;
	poll_as(&f.reg, "G@@s", &spec);
	add(&f, "G@@s", "10.0.0.1", 80);
	pass_ms(1000);
	run();
	restart();
	run();
	expect_silence(&c);
	close(c.fd);
}

/* Bare names for old agents: another view of the same round. */
static void test_views_by_agent(void **state)
{
	struct client c = subscribe("G@@s"), bare = client_open();
	struct subscriber_spec spec = subscriber_for("127.0.0.1", bare.port, "");

	(void)state;
	spec.grouped = false;
	poll_as(&f.reg, "G@@s", &spec);
	add(&f, "G@@s", "10.0.0.1", 80);
	pass_ms(1000);
	run();
	client_read(&c, &push);
	assert_non_null(strstr(push.text, "\\\"dom\\\":\\\"G@@s\\\""));
	client_read(&bare, &push);
	assert_non_null(strstr(push.text, "\\\"dom\\\":\\\"s\\\""));
	close(c.fd);
	close(bare.fd);
}

static void test_pace(void **state)
{
	struct client c = client_open();
	char clusters[32];
	unsigned got = 0;

	(void)state;
	config.push_rate = 100;
	config.push_views = config.push_views_source = 1000;
	for (unsigned i = 0; i < 60; i++) {
		snprintf(clusters, sizeof clusters, "c%u", i);
		struct subscriber_spec spec = subscriber_for("127.0.0.1", c.port, clusters);

		poll_as(&f.reg, "G@@s", &spec);
	}
	add(&f, "G@@s", "10.0.0.1", 80);
	pass_ms(1000);
	run();
	for (; client_readable(&c, 0); got++)
		client_read(&c, &push);
	assert_in_range(got, 32, 33);
	for (unsigned ms = 0; ms < 400; ms += 10) {
		pass_ms(10);
		while (schedule_run(&schedule))
			;
		for (; client_readable(&c, 0); got++)
			client_read(&c, &push);
		assert_in_range(got, 32 + ms / 10, 35 + ms / 10);
		if (got == 60)
			break;
	}
	assert_int_equal(got, 60);
	assert_true(metric(METRIC_PUSH_PACED) > 0);
	close(c.fd);
}

/* More than a second's worth on one socket: the rest is found by a tour, nobody is forgotten. */
static void test_pace_refused_is_owed(void **state)
{
	enum { MANY = 400 };
	struct client c = client_open();
	char clusters[32], seen[MANY] = { 0 };
	unsigned got = 0;

	(void)state;
	config.push_rate = 100;
	config.push_views = config.push_views_source = 1000;
	config.push_ack_wait_ms = 60000;
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(clusters, sizeof clusters, "c%03u", i);
		struct subscriber_spec spec = subscriber_for("127.0.0.1", c.port, clusters);

		poll_as(&f.reg, "G@@s", &spec);
	}
	add(&f, "G@@s", "10.0.0.1", 80);
	pass_ms(1000);
	run();
	for (unsigned ms = 0; ms < 8000 && got < MANY; ms += 10) {
		pass_ms(10);
		while (schedule_run(&schedule))
			;
		while (client_readable(&c, 0)) {
			client_read(&c, &push);
			const char *at = strstr(push.text, "\\\"clusters\\\":\\\"c");
			unsigned i = (unsigned)atoi(at + strlen("\\\"clusters\\\":\\\"c"));

			assert_true(i < MANY);
			got += seen[i]++ == 0;
		}
	}
	assert_int_equal(got, MANY);
	close(c.fd);
}

static void test_socket_full(void **state)
{
	struct client c = subscribe("G@@s");

	(void)state;
	add(&f, "G@@s", "10.0.0.1", 80);
	pass_ms(1000);
	schedule.deliver.blocked = UDP_FULL;
	run();
	expect_silence(&c);
	deliver_unblock(&schedule.deliver);
	run();
	client_read(&c, &push);
	close(c.fd);
}

/* ---- death: a new schedule on the same segment and socket ------------------------------------ */

static void test_death_after_take(void **state)
{
	struct client c = subscribe("G@@s");
	struct changed_service changed;
	uint8_t shard;

	(void)state;
	add(&f, "G@@s", "10.0.0.1", 80);
	pass_ms(1000);
	schedule_wake(&schedule, 1);
	assert_true(drain_next(&schedule.drain, &changed, &shard));
	restart();
	run();
	client_read(&c, &push);
	assert_int_equal(hosts_in(&push), 1);
	client_ack(&c, &push);
	run();
	restart();
	run();
	expect_silence(&c);
	close(c.fd);
}

static void test_death_before_the_take_keeps_the_delay(void **state)
{
	struct client c = subscribe("G@@s");

	(void)state;
	add(&f, "G@@s", "10.0.0.1", 80);
	schedule_wake(&schedule, 1);
	pass_ms(600);
	restart();
	while (schedule_run(&schedule))
		;
	expect_silence(&c);
	pass_ms(400);
	while (schedule_run(&schedule))
		;
	client_read(&c, &push);
	pass_ms(2000);
	run();
	expect_silence(&c);
	close(c.fd);
}

static void test_death_in_flight(void **state)
{
	struct client c = subscribe("G@@s"), d = subscribe("G@@s");
	uint64_t key;

	(void)state;
	add(&f, "G@@s", "10.0.0.1", 80);
	pass_ms(1000);
	run();
	client_read(&c, &push);
	key = push.key;
	client_read(&d, &push);
	/* d's ACK waits in the socket while there is no pusher; c's was lost. */
	client_ack(&d, &push);
	restart();
	assert_int_equal(metric(METRIC_PUSH_OK), 1);
	run();
	expect_silence(&d);
	client_read(&c, &push);
	assert_true(push.key > key);
	assert_int_equal(metric(METRIC_PUSH_RETRIED), 1);
	/* That was its second: no third, whoever dies. */
	restart();
	run();
	expect_silence(&c);
	client_ack(&c, &push);
	run();
	assert_int_equal(metric(METRIC_PUSH_OK), 2);
	close(c.fd);
	close(d.fd);
}

static void test_death_gives_up_once(void **state)
{
	struct client c = subscribe("G@@s");

	(void)state;
	add(&f, "G@@s", "10.0.0.1", 80);
	pass_ms(1000);
	run();
	client_read(&c, &push);
	pass_ms(config.push_ack_wait_ms);
	run();
	client_read(&c, &push);
	restart();
	run();
	pass_ms(config.push_ack_wait_ms);
	run();
	assert_int_equal(metric(METRIC_PUSH_FAILED), 1);
	expect_silence(&c);
	pass_ms(10 * config.push_ack_wait_ms);
	restart();
	run();
	pass_ms(config.push_ack_wait_ms);
	run();
	assert_int_equal(metric(METRIC_PUSH_FAILED), 1);
	expect_silence(&c);
	close(c.fd);
}

/* Bytes that were not kept for want of room: the resend carries the state of now. */
static void test_resend_without_bytes(void **state)
{
	struct client c = subscribe("G@@s");

	(void)state;
	schedule.deliver.datagrams.bytes_max = 0;
	add(&f, "G@@s", "10.0.0.1", 80);
	pass_ms(1000);
	run();
	client_read(&c, &push);
	pass_ms(config.push_ack_wait_ms);
	run();
	pass_ms(1000);
	run();
	client_read(&c, &push);
	assert_int_equal(hosts_in(&push), 1);
	assert_int_equal(metric(METRIC_PUSH_RETRIED), 1);
	client_ack(&c, &push);
	run();
	assert_int_equal(metric(METRIC_PUSH_OK), 1);
	close(c.fd);
}

static void test_deleted_service_is_silent(void **state)
{
	struct client c = subscribe("G@@s");
	struct service_key key = key_for("G@@s");

	(void)state;
	add(&f, "G@@s", "10.0.0.1", 80);
	pass_ms(1000);
	run();
	client_read(&c, &push);
	client_ack(&c, &push);
	run();
	assert_int_equal(registry_remove_service(&f.reg, client, &key, NULL), 0);
	pass_ms(2000);
	run();
	restart();
	run();
	expect_silence(&c);
	/* Back again: the waiting subscriber hears of it. */
	add(&f, "G@@s", "10.0.0.2", 80);
	pass_ms(1000);
	run();
	client_read(&c, &push);
	assert_int_equal(hosts_in(&push), 1);
	close(c.fd);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_merge_then_ack),
		CASE(test_change_during_round),
		CASE(test_resend_once_then_fail),
		CASE(test_stopped_while_the_ack_came),
		CASE(test_newer_replaces_older),
		CASE(test_zombie),
		CASE(test_zombie_keeps_its_resend),
		CASE(test_sweep_without_changes),
		CASE(test_ack_renews),
		CASE(test_foreign_and_unknown_acks),
		CASE(test_shared_socket),
		CASE(test_shared_socket_same_bytes),
		CASE(test_one_ack_for_many),
		CASE(test_late_acks_are_not_foreign),
		CASE(test_go_reads_4024),
		CASE(test_poll_knows_oversize),
		CASE(test_no_audience),
		CASE(test_not_allowed),
		CASE(test_views_by_agent),
		CASE(test_pace),
		CASE(test_pace_refused_is_owed),
		CASE(test_socket_full),
		CASE(test_death_after_take),
		CASE(test_death_before_the_take_keeps_the_delay),
		CASE(test_death_in_flight),
		CASE(test_death_gives_up_once),
		CASE(test_resend_without_bytes),
		CASE(test_deleted_service_is_silent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
