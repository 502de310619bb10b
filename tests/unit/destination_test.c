/* SPDX-License-Identifier: Apache-2.0 */
/* destination: where a datagram may go (design section 6). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "shared/base/clock.h"
#include "shared/net/address.h"
#include "shared/net/destination.h"

static struct address_claim trusted[2];

static void set(const char *text, uint8_t out[16])
{
	assert_int_equal(address_parse(str_of(text), out), 0);
}

static bool allowed(struct destination_policy *policy, const char *claimed_text, uint16_t port,
                    const char *source_text)
{
	uint8_t claimed[16], source[16];

	set(claimed_text, claimed);
	set(source_text, source);
	return destination_allowed(policy, claimed, port, source);
}

/* Addresses of the documentation ranges: no host has them. */
static void rules(void **state)
{
	static const struct {
		const char *claimed;
		uint16_t port;
		const char *source;
		bool allowed;
	} rows[] = {
		{ "192.0.2.1", 50000, "192.0.2.1", true },
		{ "192.0.2.1", 1024, "192.0.2.1", true },
		{ "192.0.2.1", 1023, "192.0.2.1", false },
		{ "192.0.2.1", 0, "192.0.2.1", false },
		{ "192.0.2.1", 50000, "192.0.2.2", false },
		{ "192.0.2.1", 50000, "127.0.0.1", false },
		{ "127.0.0.1", 50000, "192.0.2.1", false },
		{ "127.0.0.1", 50000, "127.0.0.1", true },
		{ "127.0.0.5", 50000, "127.0.0.1", true },
		{ "::1", 50000, "127.0.0.1", true },
		{ "::ffff:127.0.0.1", 50000, "127.0.0.1", true },
		{ "255.255.255.255", 50000, "255.255.255.255", false },
		{ "224.0.0.1", 50000, "224.0.0.1", false },
		{ "fe80::1", 50000, "fe80::1", false },
		{ "0.0.0.0", 50000, "127.0.0.1", false },
		{ "2001:db8::1", 50000, "2001:db8::1", true },
		{ "198.51.100.77", 50000, "203.0.113.9", true }, /* trusted */
		{ "198.51.101.77", 50000, "203.0.113.9", false },
		{ "198.51.100.77", 50000, "203.0.113.10", false },
		{ "198.51.100.77", 80, "203.0.113.9", false },
	};
	struct destination_policy policy;

	(void)state;
	destination_init(&policy, trusted, 2);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (allowed(&policy, rows[i].claimed, rows[i].port, rows[i].source) !=
		    rows[i].allowed)
			fail_msg("%s:%u of %s", rows[i].claimed, rows[i].port, rows[i].source);
	}
}

/* What a client calls itself, by what it is seen as. */
static void claims(void **state)
{
	static const struct {
		const char *text, *source, *claimed; /* NULL: no address */
	} rows[] = {
		{ "", "127.0.0.1", "127.0.0.1" },
		{ "", "127.0.0.9", "127.0.0.1" },
		{ "", "::1", "127.0.0.1" },
		{ "", "192.0.2.7", "192.0.2.7" },
		{ "", "2001:db8::7", "2001:db8::7" },
		{ "127.0.0.1", "192.0.2.7", "192.0.2.7" },
		{ "127.9.9.9", "192.0.2.7", "192.0.2.7" },
		{ "::1", "192.0.2.7", "192.0.2.7" },
		{ "[::1]", "2001:db8::7", "2001:db8::7" },
		{ "::ffff:127.0.0.1", "192.0.2.7", "192.0.2.7" },
		{ "127.0.0.1", "127.0.0.5", "127.0.0.1" },
		{ "::1", "127.0.0.5", "::1" },
		{ "127.0.0.1", "192.0.2.1", "127.0.0.1" }, /* an address of this host */
		{ "127.0.0.1", "203.0.113.9", "203.0.113.9" },
		{ "127.0.0.1", "203.0.113.10", "127.0.0.1" }, /* trusted with just that */
		{ "192.0.2.8", "192.0.2.7", "192.0.2.8" },
		{ "[2001:db8::8%eth0]", "2001:db8::8", "2001:db8::8" },
		{ "127.0.0.1", "::", "127.0.0.1" }, /* no address: a unix socket */
		{ "localhost", "192.0.2.7", NULL },
		{ "127.1", "192.0.2.7", NULL },
	};
	struct destination_policy policy;
	uint8_t source[16], claimed[16], want[16];

	(void)state;
	destination_init(&policy, trusted, 2);
	set("192.0.2.1", policy.local[policy.local_count++]);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		set(rows[i].source, source);
		if (destination_claimed(&policy, str_of(rows[i].text), source, claimed) !=
		    (rows[i].claimed != NULL))
			fail_msg("%s of %s", rows[i].text, rows[i].source);
		if (rows[i].claimed == NULL)
			continue;
		set(rows[i].claimed, want);
		if (memcmp(claimed, want, 16) != 0)
			fail_msg("%s of %s", rows[i].text, rows[i].source);
	}
}

/* A row put in by hand stays until the list is read again. */
static void interfaces_are_read_again(void **state)
{
	struct destination_policy policy;
	uint64_t now = 1000000;

	(void)state;
	clock_set_for_test(now * 1000, now * 1000);
	destination_init(&policy, trusted, 2);
	assert_false(allowed(&policy, "192.0.2.1", 50000, "127.0.0.1"));
	set("192.0.2.1", policy.local[0]);
	policy.local_count = 1;
	clock_set_for_test((now + 9999) * 1000, now * 1000);
	assert_true(allowed(&policy, "192.0.2.1", 50000, "127.0.0.1"));
	assert_true(allowed(&policy, "127.0.0.1", 50000, "192.0.2.1"));
	clock_set_for_test((now + 10000) * 1000, now * 1000);
	assert_false(allowed(&policy, "192.0.2.1", 50000, "127.0.0.1"));
	clock_set_for_test(0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(rules), cmocka_unit_test(claims),
		                            cmocka_unit_test(interfaces_are_read_again) };

	if (address_parse_range(STR("203.0.113.9"), trusted[0].source, &trusted[0].source_bits) <
	            0 ||
	    address_parse_range(STR("198.51.100.0/24"), trusted[0].claimed,
	                        &trusted[0].claimed_bits) < 0 ||
	    address_parse_range(STR("203.0.113.10"), trusted[1].source, &trusted[1].source_bits) <
	            0 ||
	    address_parse_range(STR("127.0.0.1"), trusted[1].claimed, &trusted[1].claimed_bits) < 0)
		return EXIT_FAILURE;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
