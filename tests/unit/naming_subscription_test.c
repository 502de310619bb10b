/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks for a service, and who is subscribed by it. */
#include "tests/unit/naming_fixture.h"

#include "shared/naming/subscription.h"
#include "shared/registry/registry_pusher.h"

#define HERE "192.0.2.1"

static struct naming_wish wish_for(const char *address, int32_t port)
{
	return (struct naming_wish){ .address = str_of(address),
		                     .port = port,
		                     .clusters = STR("a,b"),
		                     .app = STR("app"),
		                     .grouped = true };
}

static struct naming_polled poll_from(struct bed *bed, const char *source, struct naming_wish wish)
{
	const struct naming_caller caller = caller_from(bed, source, NAMING_READS);
	const struct service_key key = key_for("g@@s");
	struct naming_polled polled;

	assert_int_equal(naming_poll(&bed->naming, &caller, &key, &wish, &polled), 0);
	return polled;
}

static int subscribers(struct bed *bed, struct subscriber_view *out, uint32_t max)
{
	const struct service_key key = key_for("g@@s");
	struct audience_cursor cursor = { 0 };

	return registry_subscribers(&bed->f.reg, &key, &cursor, out, max);
}

static void who_wants_no_pushes(void **state)
{
	struct bed *bed = *state;
	struct naming_polled polled;

	polled = poll_from(bed, HERE, wish_for(HERE, 0));
	assert_false(polled.stamp.found);
	add(&bed->f, "g@@s", "1.1.1.1", 80);
	polled = poll_from(bed, HERE, wish_for(HERE, -1));
	assert_true(polled.stamp.found);
	assert_int_equal(polled.stamp.instances, 1);
	assert_int_equal(polled.cache_ms, bed->naming.switches->cache_ms);
	assert_int_equal(polled.unpushed, UNPUSHED_REASONS);
	/* A port is not enough: the agent has to understand pushes. */
	bed->agent = agent_parse(STR("curl/7.1"), STR(""));
	polled = poll_from(bed, HERE, wish_for(HERE, 50000));
	assert_int_equal(polled.cache_ms, bed->naming.switches->cache_ms);
	assert_int_equal(polled.unpushed, UNPUSHED_REASONS);
	assert_int_equal(stats_of(&bed->f).subscribers, 0);
}

static void a_subscription(void **state)
{
	struct bed *bed = *state;
	struct subscriber_view out[2];
	struct naming_polled polled;

	add(&bed->f, "g@@s", "1.1.1.1", 80);
	for (int n = 0; n < 3; n++) {
		polled = poll_from(bed, HERE, wish_for(HERE, 50000));
		assert_int_equal(polled.stamp.instances, 1);
		assert_int_equal(polled.cache_ms, bed->naming.switches->push_cache_ms);
		assert_int_equal(polled.unpushed, UNPUSHED_REASONS);
	}
	assert_int_equal(subscribers(bed, out, 2), 1);
	assert_int_equal(out[0].port, 50000);
	assert_memory_equal(out[0].address, bed->sources[0], 16);
	assert_memory_equal(out[0].source, bed->sources[0], 16);
	assert_int_equal(out[0].agent_kind, AGENT_JAVA);
	assert_int_equal(out[0].agent_version, bed->agent.version);
	assert_int_equal(out[0].flags, SUBSCRIBER_PUSH | SUBSCRIBER_GROUPED);
	assert_true(str_eq(str_make(out[0].clusters, out[0].clusters_len), STR("a,b")));
	assert_true(str_eq(str_make(out[0].app, out[0].app_len), STR("app")));
	assert_true(str_eq(str_make(out[0].address_text, out[0].address_text_len), STR(HERE)));
	/* No text means where it asks from: another subscriber, since the text is another. */
	polled = poll_from(bed, HERE, wish_for("", 50001));
	assert_int_equal(subscribers(bed, out, 2), 2);
	assert_memory_equal(out[1].address, bed->sources[0], 16);
}

/* It waits for a service that is not there yet. */
static void of_an_unknown_service(void **state)
{
	struct bed *bed = *state;
	struct naming_polled polled = poll_from(bed, HERE, wish_for(HERE, 50000));

	assert_false(polled.stamp.found);
	assert_int_equal(polled.cache_ms, bed->naming.switches->push_cache_ms);
	assert_int_equal(stats_of(&bed->f).subscribers, 1);
}

/* What is stored all the same, and what is not, with the reason; each is counted. */
static void claims(void **state)
{
	static const struct {
		const char *address;
		int32_t port;
		enum unpushed reason;
		unsigned stored;
	} rows[] = {
		{ "192.0.2.2", 50000, UNPUSHED_UNTRUSTED, 1 },
		{ HERE, 80, UNPUSHED_LOW_PORT, 1 },
		{ "224.0.0.1", 50000, UNPUSHED_MULTICAST, 1 },
		{ HERE, 65536, UNPUSHED_BAD_PORT, 0 },
		{ "no.address", 50000, UNPUSHED_UNRESOLVABLE, 0 },
	};
	struct bed *bed = *state;
	unsigned stored = 0;

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct naming_polled polled =
		        poll_from(bed, HERE, wish_for(rows[i].address, rows[i].port));

		stored += rows[i].stored;
		assert_int_equal(polled.unpushed, rows[i].reason);
		assert_int_equal(polled.cache_ms, bed->naming.switches->cache_ms);
		assert_int_equal(stats_of(&bed->f).subscribers, stored);
		assert_int_equal(counted(bed, unpushed_metric(rows[i].reason)), 1);
	}
	assert_int_equal(counted(bed, METRIC_LIMIT_REFUSED), 0);
}

/* The question is answered all the same. */
static void limits(void **state)
{
	struct bed *bed = *state;
	struct naming_polled polled;

	add(&bed->f, "g@@s", "1.1.1.1", 80);
	(void)poll_from(bed, HERE, wish_for(HERE, 50000));
	bed->f.reg.limits.subscribers_per_service = 1;
	polled = poll_from(bed, HERE, wish_for(HERE, 50001));
	assert_true(polled.stamp.found);
	assert_int_equal(polled.unpushed, UNPUSHED_SERVICE_LIMIT);
	assert_int_equal(polled.cache_ms, bed->naming.switches->cache_ms);
	assert_int_equal(counted(bed, METRIC_LIMIT_REFUSED), 1);
	assert_int_equal(counted(bed, METRIC_SUBSCRIBE_SERVICE_LIMIT), 1);
	/* The one that is there stays. */
	polled = poll_from(bed, HERE, wish_for(HERE, 50000));
	assert_int_equal(polled.cache_ms, bed->naming.switches->push_cache_ms);
	assert_int_equal(stats_of(&bed->f).subscribers, 1);
}

/* Whose last push could not be sent asks as often as one that gets none. */
static void an_unsent_push(void **state)
{
	struct bed *bed = *state;
	const struct service_key key = key_for("g@@s");
	struct subscriber_view out[1];
	struct delivery delivery;

	add(&bed->f, "g@@s", "1.1.1.1", 80);
	(void)poll_from(bed, HERE, wish_for(HERE, 50000));
	assert_int_equal(subscribers(bed, out, 1), 1);
	delivery = (struct delivery){ .id = out[0].id,
		                      .off = out[0].off,
		                      .tries = REGISTRY_TRIES_OVERSIZE };
	assert_int_equal(registry_mark_sent(&bed->f.reg, registry_shard_of(&bed->f.reg, &key),
	                                    &delivery, 1),
	                 0);
	assert_int_equal(poll_from(bed, HERE, wish_for(HERE, 50000)).cache_ms,
	                 bed->naming.switches->cache_ms);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BED_TEST(who_wants_no_pushes),
		BED_TEST(a_subscription),
		BED_TEST(of_an_unknown_service),
		BED_TEST(claims),
		BED_TEST(limits),
		BED_TEST(an_unsent_push),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
