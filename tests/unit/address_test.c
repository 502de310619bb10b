/* SPDX-License-Identifier: Apache-2.0 */
/* address: literal addresses and ranges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <netinet/in.h>

#include "shared/net/address.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void texts(void **state)
{
	static const struct {
		const char *text, *shown;
	} good[] = {
		{ "10.0.0.1", "10.0.0.1" },        { "::1", "::1" },
		{ "::ffff:10.0.0.1", "10.0.0.1" }, { "2001:DB8:0:0::1", "2001:db8::1" },
		{ "0.0.0.0", "0.0.0.0" },
	};
	static const char *const bad[] = {
		"",
		"10.0.0",
		"10.0.0.256",
		"10.0.0.1 ",
		"[::1]",
		"fe80::1%eth0",
		"localhost",
		"1.2.3.4.5",
		"::ffff:10.0.0.1:99999999999999999999999999999999999999999"
	};
	char shown[ADDRESS_TEXT];
	uint8_t address[16];

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		assert_int_equal(address_parse(str_of(good[i].text), address), 0);
		assert_string_equal(address_text(address, shown), good[i].shown);
	}
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(address_parse(str_of(bad[i]), address), ERR_SYNTAX);
	assert_int_equal(address_parse(str_make("10.0.0.1\0x", 10), address), ERR_SYNTAX);
}

static void client_texts(void **state)
{
	static const struct {
		const char *text, *shown; /* NULL: none */
	} rows[] = {
		{ "10.0.0.1", "10.0.0.1" },
		{ "::1", "::1" },
		{ "[::1]", "::1" },
		{ "[FD00:0:0::01]", "fd00::1" },
		{ "fd00:0:0:0:0:0:0:1%eth0", "fd00::1" },
		{ "[fd00::1%eth0.100]", "fd00::1" },
		{ "fe80::1%2", "fe80::1" },
		{ "::ffff:10.0.0.1", "10.0.0.1" },
		{ "[::ffff:a00:1]", "10.0.0.1" },
		{ "", NULL },
		{ "[", NULL },
		{ "[]", NULL },
		{ "[:]", NULL },
		{ "[::1", NULL },
		{ "::1]", NULL },
		{ "[[::1]]", NULL },
		{ "[::1]:80", NULL },
		{ "[10.0.0.1]", NULL },
		{ "10.0.0.1%eth0", NULL },
		{ "fd00::1%", NULL },
		{ "[fd00::1]%eth0", NULL },
		{ "fd00::1%a%b", NULL },
		{ "fd00::1%a/b", NULL },
		{ "fd00::1%a b", NULL },
		{ "fd00::1%0123456789abcdef", NULL },
		{ "%eth0", NULL },
		{ ":%eth0", NULL },
		{ "127.1", NULL },
		{ "010.0.0.1", NULL },
		{ "0x7f.0.0.1", NULL },
		{ "2130706433", NULL },
		{ "localhost", NULL },
		{ " ::1", NULL },
	};
	char shown[ADDRESS_TEXT];
	uint8_t address[16];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		int ret = address_parse_client(str_of(rows[i].text), address);

		if (ret != (rows[i].shown != NULL ? 0 : ERR_SYNTAX) ||
		    (ret == 0 && strcmp(address_text(address, shown), rows[i].shown) != 0))
			fail_msg("%s: %d", rows[i].text, ret);
	}
	assert_int_equal(address_parse_client(str_make("::1\0", 4), address), ERR_SYNTAX);
	assert_int_equal(address_parse_client(str_make("::1%a\0", 6), address), ERR_SYNTAX);
}

static void ranges(void **state)
{
	static const struct {
		const char *range, *address;
		bool in;
	} rows[] = {
		{ "10.0.0.0/8", "10.255.1.1", true },
		{ "10.0.0.0/8", "11.0.0.1", false },
		{ "10.1.2.3", "10.1.2.3", true },
		{ "10.1.2.3", "10.1.2.4", false },
		{ "10.1.2.0/23", "10.1.3.9", true },
		{ "10.1.2.0/23", "10.1.4.0", false },
		{ "0.0.0.0/0", "1.2.3.4", true },
		{ "0.0.0.0/0", "2001:db8::1", false },
		{ "::/0", "2001:db8::1", true },
		{ "2001:db8::/33", "2001:db8:7fff::1", true },
		{ "2001:db8::/33", "2001:db8:8000::1", false },
		{ "2001:db8::1/128", "2001:db8::1", true },
	};
	static const struct {
		const char *text;
		int ret;
	} bad[] = {
		{ "10.0.0.0/33", ERR_RANGE },   { "::/129", ERR_RANGE },
		{ "10.0.0.0/", ERR_SYNTAX },    { "/8", ERR_SYNTAX },
		{ "10.0.0.0/x", ERR_SYNTAX },   { "10.0.0.0/-1", ERR_SYNTAX },
		{ "10.0.0.0/8/8", ERR_SYNTAX }, { "10.0.0.0/0008", ERR_SYNTAX },
	};
	uint8_t range[16], address[16], bits;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_int_equal(address_parse_range(str_of(rows[i].range), range, &bits), 0);
		assert_int_equal(address_parse(str_of(rows[i].address), address), 0);
		assert_int_equal(address_in_range(address, range, bits), rows[i].in);
	}
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(address_parse_range(str_of(bad[i].text), range, &bits),
		                 bad[i].ret);
}

static void sockets(void **state)
{
	struct sockaddr_storage sa;
	uint8_t address[16], back[16];
	uint16_t port;

	(void)state;
	assert_int_equal(address_parse(STR("10.1.2.3"), address), 0);
	assert_int_equal(address_to_sockaddr(address, 8848, AF_INET, &sa),
	                 sizeof(struct sockaddr_in));
	address_of_sockaddr(&sa, back, &port);
	assert_memory_equal(address, back, 16);
	assert_int_equal(port, 8848);
	assert_int_equal(address_to_sockaddr(address, 8848, AF_INET6, &sa),
	                 sizeof(struct sockaddr_in6));
	address_of_sockaddr(&sa, back, &port);
	assert_memory_equal(address, back, 16);

	assert_int_equal(address_parse(STR("2001:db8::1"), address), 0);
	assert_int_equal(address_to_sockaddr(address, 1, AF_INET, &sa), 0);
	assert_int_equal(address_to_sockaddr(address, 1, AF_UNIX, &sa), 0);
	assert_int_equal(address_parse(STR("fe80::1"), address), 0);
	assert_int_equal(address_to_sockaddr(address, 1, AF_INET6, &sa), 0);
	sa = (struct sockaddr_storage){ .ss_family = AF_UNIX };
	address_of_sockaddr(&sa, back, &port);
	assert_true(address_is_zero(back));
}

static void classes(void **state)
{
	static const struct {
		const char *text;
		bool loopback, unsendable;
	} rows[] = {
		{ "127.0.0.1", true, false },
		{ "127.9.9.9", true, false },
		{ "::1", true, false },
		{ "10.0.0.1", false, false },
		{ "255.255.255.255", false, true },
		{ "224.0.0.1", false, true },
		{ "239.1.1.1", false, true },
		{ "0.0.0.0", false, true },
		{ "::", false, true },
		{ "ff02::1", false, true },
		{ "fe80::1", false, true },
		{ "2001:db8::1", false, false },
		{ "::ffff:255.255.255.255", false, true },
	};
	uint8_t address[16];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_int_equal(address_parse(str_of(rows[i].text), address), 0);
		assert_int_equal(address_is_loopback(address), rows[i].loopback);
		assert_int_equal(address_is_unsendable(address), rows[i].unsendable);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts),   cmocka_unit_test(client_texts), cmocka_unit_test(ranges),
		cmocka_unit_test(sockets), cmocka_unit_test(classes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
