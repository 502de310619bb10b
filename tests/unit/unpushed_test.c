/* SPDX-License-Identifier: Apache-2.0 */
/* Why a client gets no pushes. */
#include "tests/unit/naming_fixture.h"

#include "shared/naming/unpushed.h"
#include "shared/net/destination.h"

static void claims(void **state)
{
	static const struct {
		const char *address;
		uint16_t port;
		const char *word;
	} rows[] = {
		{ "192.0.2.1", 50000, "untrusted" },
		{ "2001:db8::1", DESTINATION_PORT_MIN, "untrusted" },
		{ "192.0.2.1", DESTINATION_PORT_MIN - 1, "low_port" },
		{ "255.255.255.255", 1, "low_port" },
		{ "255.255.255.255", 50000, "broadcast" },
		{ "::ffff:255.255.255.255", 50000, "broadcast" },
		{ "224.0.0.1", 50000, "multicast" },
		{ "239.255.255.255", 50000, "multicast" },
		{ "ff02::1", 50000, "multicast" },
		{ "0.0.0.0", 50000, "unspecified" },
		{ "0.1.2.3", 50000, "unspecified" },
		{ "::", 50000, "unspecified" },
		{ "240.0.0.1", 50000, "untrusted" },
	};
	uint8_t address[16];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_int_equal(address_parse(str_of(rows[i].address), address), 0);
		assert_string_equal(unpushed_word(unpushed_of_claim(address, rows[i].port)),
		                    rows[i].word);
	}
}

static void errors(void **state)
{
	(void)state;
	assert_string_equal(unpushed_word(unpushed_of_error(ERR_LIMIT, REGISTRY_LIMIT_SUBSCRIBERS)),
	                    "node_limit");
	assert_string_equal(
	        unpushed_word(unpushed_of_error(ERR_LIMIT, REGISTRY_LIMIT_SUBSCRIBERS_PER_SERVICE)),
	        "service_limit");
	assert_string_equal(unpushed_word(unpushed_of_error(ERR_LIMIT,
	                                                    REGISTRY_LIMIT_SUBSCRIBERS_PER_SOURCE)),
	                    "source_limit");
	assert_string_equal(unpushed_word(
	                            unpushed_of_error(ERR_LIMIT,
	                                              REGISTRY_LIMIT_SUBSCRIBER_BYTES_PER_SOURCE)),
	                    "source_bytes");
	assert_string_equal(unpushed_word(
	                            unpushed_of_error(ERR_LIMIT, REGISTRY_LIMIT_SUBSCRIBER_BYTES)),
	                    "node_bytes");
	assert_string_equal(unpushed_word(unpushed_of_error(ERR_LIMIT, REGISTRY_LIMIT_NAME)),
	                    "name_limit");
	assert_string_equal(unpushed_word(unpushed_of_error(ERR_FULL, 0)), "full");
}

/* Each has a word and a counter of its own. */
static void words_and_counters(void **state)
{
	(void)state;
	for (unsigned i = 0; i < UNPUSHED_REASONS; i++) {
		assert_non_null(unpushed_word(i));
		for (unsigned j = 0; j < i; j++) {
			assert_string_not_equal(unpushed_word(i), unpushed_word(j));
			assert_int_not_equal(unpushed_metric(i), unpushed_metric(j));
		}
	}
}

static void note(struct bed *bed, enum unpushed reason)
{
	const struct naming_caller caller = caller_from(bed, "10.0.0.1", NAMING_READS);

	unpushed_note(&bed->naming, &caller, reason, STR("g@@s"), STR("192.0.2.1"), 50000);
}

/* All are counted, one a second is logged. */
static void one_line_a_second(void **state)
{
	struct bed *bed = *state;
	const struct log_limit *log = bed->naming.unpushed;

	for (int i = 0; i < 5; i++)
		note(bed, UNPUSHED_UNTRUSTED);
	note(bed, UNPUSHED_LOW_PORT);
	assert_int_equal(log[UNPUSHED_UNTRUSTED].skipped, 4);
	assert_int_equal(log[UNPUSHED_LOW_PORT].skipped, 0);
	pass_ms(999);
	note(bed, UNPUSHED_UNTRUSTED);
	assert_int_equal(log[UNPUSHED_UNTRUSTED].skipped, 5);
	pass_ms(1);
	note(bed, UNPUSHED_UNTRUSTED);
	assert_int_equal(log[UNPUSHED_UNTRUSTED].skipped, 0);
	assert_int_equal(counted(bed, METRIC_SUBSCRIBE_UNTRUSTED), 7);
	assert_int_equal(counted(bed, METRIC_SUBSCRIBE_LOW_PORT), 1);
}

/* What those are told who ask for the subscribers. */
static void reasons_of_stored_ones(void **state)
{
	static const struct {
		uint64_t tries;
		bool push;
		const char *source;
		uint16_t port;
		const char *reason;
	} rows[] = {
		{ 0, true, "192.0.2.1", 50000, NULL },
		{ REGISTRY_TRIES_VIEWS, true, "192.0.2.1", 50000, "views" },
		{ REGISTRY_TRIES_OVERSIZE, true, "192.0.2.1", 50000, "oversize" },
		{ 0, false, "192.0.2.2", 50000, "untrusted" },
		{ 0, false, "192.0.2.1", 80, "low_port" },
		{ 0, false, "192.0.2.1", 50000,
		  "next_poll" }, /* the configuration has changed since */
	};
	struct bed *bed = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct subscriber_view sub = { .tries = rows[i].tries, .port = rows[i].port };
		const char *reason;

		sub.flags = rows[i].push ? SUBSCRIBER_PUSH : 0;
		assert_int_equal(address_parse(STR("192.0.2.1"), sub.address), 0);
		assert_int_equal(address_parse(str_of(rows[i].source), sub.source), 0);
		reason = unpushed_reason(&bed->naming, &sub);
		if (reason == NULL || rows[i].reason == NULL)
			assert_ptr_equal(reason, rows[i].reason);
		else
			assert_string_equal(reason, rows[i].reason);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(claims), cmocka_unit_test(errors),
		                            cmocka_unit_test(words_and_counters),
		                            BED_TEST(one_line_a_second),
		                            BED_TEST(reasons_of_stored_ones) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
