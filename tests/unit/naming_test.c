/* SPDX-License-Identifier: Apache-2.0 */
/* What the configuration says of limits and destinations, at the begin and after a reload. */
#include "tests/unit/naming_fixture.h"

#include "shared/config/config_key.h"

static void limits_follow_the_configuration(void **state)
{
	struct bed *bed = *state;
	struct registry_limits *limits = &bed->f.reg.limits;

	assert_int_equal(limits->instances, bed->config.limit_instances);
	assert_int_equal(limits->name_bytes, bed->config.limit_name_bytes);
	bed->config.limit_instances = 7;
	bed->config.limit_service_bytes = 4711;
	naming_reload(&bed->naming);
	assert_int_equal(limits->instances, 7);
	assert_int_equal(limits->service_bytes, 4711);
}

/* Without a number in the configuration these limits are a share of the segment. */
static void shares_of_the_segment(void **state)
{
	struct bed *bed = *state;
	struct registry_limits *limits = &bed->f.reg.limits;
	uint64_t bytes = (uint64_t)bed->f.seg->pages * SEGMENT_PAGE;

	bed->config.limit_subscriber_bytes = bed->config.limit_subscriber_bytes_per_source = 0;
	naming_reload(&bed->naming);
	assert_int_equal(limits->subscriber_bytes, bytes / 2);
	assert_int_equal(limits->subscriber_bytes_per_source, bytes / 4);
	bed->config.limit_subscriber_bytes = 1000;
	bed->config.limit_subscriber_bytes_per_source = 100;
	naming_reload(&bed->naming);
	assert_int_equal(limits->subscriber_bytes, 1000);
	assert_int_equal(limits->subscriber_bytes_per_source, 100);
}

static void destinations_follow_the_configuration(void **state)
{
	struct bed *bed = *state;
	uint8_t source[16], claimed[16];

	assert_int_equal(address_parse(STR("10.0.0.1"), source), 0);
	assert_int_equal(address_parse(STR("10.0.0.2"), claimed), 0);
	assert_false(destination_allowed(&bed->naming.destinations, claimed, 5000, source));
	bed->config.push_trusted[0] =
	        (struct address_claim){ .source_bits = 128, .claimed_bits = 120 };
	memcpy(bed->config.push_trusted[0].source, source, 16);
	memcpy(bed->config.push_trusted[0].claimed, claimed, 16);
	bed->config.push_trusted_count = 1;
	naming_reload(&bed->naming);
	assert_true(destination_allowed(&bed->naming.destinations, claimed, 5000, source));
}

/* What a refusal names can be looked up in the configuration. */
static void each_limit_has_a_key(void **state)
{
	(void)state;
	for (enum registry_limit which = 0; which < REGISTRY_LIMITS; which++) {
		const char *key = registry_limit_key(which);

		assert_non_null(key);
		if (config_key_find(str_of(key)) == NULL)
			fail_msg("%s is no key", key);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BED_TEST(limits_follow_the_configuration),
		BED_TEST(shares_of_the_segment),
		BED_TEST(destinations_follow_the_configuration),
		BED_TEST(each_limit_has_a_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
