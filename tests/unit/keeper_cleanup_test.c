/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper's work on a real registry in a segment of its own. */
#include "keeper/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "keeper/expiry.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/metrics/metrics.h"
#include "shared/registry/registry_audit.h"
#include "shared/shm/health.h"

static struct segment *seg;
static struct registry reg;
static struct cleanup cleanup;
static struct expiry expiry;
static uint64_t mono_ms;

static const struct origin client = { .writer = WRITER_CLIENT, .cause = CAUSE_CLIENT };

static int setup(void **state)
{
	struct config config = { .empty_clean = true,
		                 .empty_delay_ms = 50000,
		                 .empty_period_ms = 30000 };

	(void)state;
	mono_ms = 1000000;
	clock_set_for_test(mono_ms * 1000, mono_ms * 1000);
	if (segment_open_anonymous(64 << 20, &seg) < 0 || registry_format(seg) < 0)
		return -1;
	health_attach(seg, mono_ms);
	metrics_use(&seg->slots[0]);
	registry_init(&reg, seg);
	cleanup_init(&cleanup, &reg, &config, mono_ms);
	expiry_init(&expiry, &reg, &cleanup);
	return 0;
}

static void complain(const char *text, void *arg)
{
	(void)arg;
	print_error("%s\n", text);
}

static int teardown(void **state)
{
	unsigned broken = registry_audit(&reg, complain, NULL);

	(void)state;
	expiry_free(&expiry);
	metrics_use(NULL);
	segment_close_for_test(&seg);
	clock_set_for_test(0, 0);
	return broken == 0 ? 0 : -1;
}

static struct service_key service(unsigned n, char name[64])
{
	snprintf(name, 64, "DEFAULT_GROUP@@service-%u", n);
	return (struct service_key){ .ns = STR("public"), .name = str_of(name) };
}

static struct instance_key instance(unsigned n, bool ephemeral, char ip[32])
{
	snprintf(ip, 32, "10.%u.%u.%u", n >> 16 & 255, n >> 8 & 255, n & 255);
	return (struct instance_key){
		.cluster = STR("DEFAULT"), .ip = str_of(ip), .port = 80, .ephemeral = ephemeral
	};
}

static void add(unsigned s, unsigned i, bool ephemeral)
{
	char name[64], ip[32];
	struct service_key key = service(s, name);
	struct instance_spec spec = {
		.key = instance(i, ephemeral, ip), .weight = 1, .enabled = true, .healthy = true
	};

	assert_int_equal(registry_register(&reg, client, &key, &spec), 0);
}

static void take_away(unsigned s, unsigned i)
{
	char name[64], ip[32];
	struct service_key key = service(s, name);
	struct instance_key at = instance(i, true, ip);

	assert_int_equal(registry_deregister(&reg, client, &key, &at, NULL), 0);
}

static void beat(unsigned s, unsigned i)
{
	char name[64], ip[32];
	struct service_key key = service(s, name);
	struct instance_key at = instance(i, true, ip);
	struct beat_result result;

	assert_int_equal(registry_beat(&reg, client, &key, &at, &result), 0);
}

static struct registry_stats stats(void)
{
	struct registry_stats now;

	registry_stats(&reg, &now);
	return now;
}

static void to_the_end(bool (*step)(struct cleanup *c, struct slice *slice))
{
	struct slice slice;

	do
		slice_begin(&slice, "test");
	while (step(&cleanup, &slice));
}

static void expire(void)
{
	struct slice slice;

	do
		slice_begin(&slice, "test");
	while (expiry_step(&expiry, &slice));
}

/* One second of the keeper's life. */
static void tick(void)
{
	mono_ms += 1000;
	clock_set_for_test(mono_ms * 1000, mono_ms * 1000);
	health_tick(seg, mono_ms, true);
	expiry_begin(&expiry, health_now(seg), true);
	if (cleanup_begin_run(&cleanup, mono_ms))
		expiry_visit_all(&expiry);
	cleanup_begin_drain(&cleanup);
	expire();
	to_the_end(cleanup_drain_step);
}

static void test_silent_instances_expire(void **state)
{
	(void)state;
	add(1, 1, true);
	add(1, 2, true);
	add(1, 3, false);
	for (unsigned i = 0; i < 15; i++) {
		tick();
		beat(1, 2);
	}
	assert_int_equal(stats().healthy, 3);
	tick();
	beat(1, 2);
	assert_int_equal(stats().healthy, 2);
	assert_int_equal(seg->slots[0].counters[METRIC_EXPIRY_FLIPS], 1);
	for (unsigned i = 16; i < 30; i++) {
		tick();
		beat(1, 2);
	}
	assert_int_equal(stats().instances, 3);
	tick();
	assert_int_equal(stats().instances, 2);
	assert_int_equal(stats().ephemeral, 1);
	assert_int_equal(seg->slots[0].counters[METRIC_EXPIRY_REMOVALS], 1);
	/* The persistent one and the one that beats stay. */
	for (unsigned i = 0; i < 60; i++) {
		tick();
		beat(1, 2);
	}
	assert_int_equal(stats().healthy, 2);
}

static void test_many_expire_together(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3000; i++)
		add(1 + i / 1500, i, true);
	for (unsigned i = 0; i < 31; i++)
		tick();
	assert_int_equal(stats().instances, 0);
	assert_int_equal(seg->slots[0].counters[METRIC_EXPIRY_FLIPS], 3000);
	assert_int_equal(seg->slots[0].counters[METRIC_EXPIRY_REMOVALS], 3000);
	assert_int_equal(expiry_count(&expiry), 2);
}

static void test_metadata_shortens_the_timeout(void **state)
{
	char name[64], ip[32];
	struct service_key key = service(1, name);
	struct instance_spec spec = {
		.key = instance(1, true, ip), .weight = 1, .enabled = true, .healthy = true
	};

	(void)state;
	add(1, 2, true);
	tick();
	/* The bound of a known service falls: the hint makes the keeper look. */
	spec.metadata.overrides =
	        (struct overrides){ .has = true, .timeout_ms = 2000, .delete_ms = 4000 };
	assert_int_equal(registry_register(&reg, client, &key, &spec), 0);
	tick();
	tick();
	assert_int_equal(stats().healthy, 2);
	tick();
	assert_int_equal(stats().healthy, 1);
	tick();
	tick();
	assert_int_equal(stats().instances, 1);
}

static void test_empty_service_goes_in_the_fifth_run(void **state)
{
	(void)state;
	add(1, 1, true);
	take_away(1, 1);
	add(2, 2, false);
	assert_int_equal(stats().services, 2);
	for (unsigned i = 0; i < 50 + 4 * 30 - 1; i++)
		tick();
	assert_int_equal(stats().services, 2);
	tick();
	assert_int_equal(stats().services, 1);
	assert_int_equal(stats().draining, 0);
	assert_int_equal(seg->slots[0].counters[METRIC_EMPTY_SERVICES_REMOVED], 1);
	assert_int_equal(expiry_count(&expiry), 1);
}

static void test_cleaning_switched_off_and_on(void **state)
{
	struct config config = { .empty_clean = false,
		                 .empty_delay_ms = 50000,
		                 .empty_period_ms = 30000 };

	(void)state;
	add(1, 1, true);
	take_away(1, 1);
	cleanup_configure(&cleanup, &config, mono_ms);
	for (unsigned i = 0; i < 300; i++)
		tick();
	assert_int_equal(stats().services, 1);
	/* A shorter period is felt at once. */
	config.empty_clean = true;
	config.empty_period_ms = 1000;
	cleanup_configure(&cleanup, &config, mono_ms);
	for (unsigned i = 0; i < 4; i++)
		tick();
	assert_int_equal(stats().services, 1);
	tick();
	assert_int_equal(stats().services, 0);
}

static void test_removed_service_is_drained(void **state)
{
	char name[64];
	struct service_key key = service(1, name);

	(void)state;
	for (unsigned i = 0; i < 2000; i++)
		add(1, i, true);
	assert_int_equal(registry_remove_service(&reg, client, &key, NULL), 0);
	assert_int_equal(stats().services, 0);
	assert_int_equal(stats().draining, 1);
	tick();
	assert_int_equal(stats().draining, 0);
	assert_int_equal(expiry_count(&expiry), 0);
}

static void test_stale_start(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 30000; i++)
		add(i % 20000, i, true);
	add(1, 100000, false);
	seg->header->attach_count++;
	/* Later than every beat; who beats after the start stays. */
	mono_ms += 1000;
	clock_set_for_test(mono_ms * 1000, mono_ms * 1000);
	health_tick(seg, mono_ms, true);
	cleanup_begin_stale(&cleanup);
	clock_set_for_test(0, 0);
	to_the_end(cleanup_stale_step);
	assert_int_equal(stats().ephemeral, 0);
	assert_int_equal(stats().instances, 1);
	assert_int_equal(stats().services, 20000);
	assert_int_equal(seg->slots[0].counters[METRIC_STALE_DROPPED], 30000);

	/* A successor that is told the same drops nothing that came since. */
	mono_ms += 2000;
	clock_set_for_test(mono_ms * 1000, mono_ms * 1000);
	health_tick(seg, mono_ms, true);
	add(2, 2, true);
	cleanup_begin_stale(&cleanup);
	to_the_end(cleanup_stale_step);
	assert_int_equal(stats().ephemeral, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_silent_instances_expire, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_expire_together, setup, teardown),
		cmocka_unit_test_setup_teardown(test_metadata_shortens_the_timeout, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(test_empty_service_goes_in_the_fifth_run, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(test_cleaning_switched_off_and_on, setup, teardown),
		cmocka_unit_test_setup_teardown(test_removed_service_is_drained, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stale_start, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
