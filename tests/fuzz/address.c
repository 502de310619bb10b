/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses and ranges of push.trusted and of clients: what was read is written and read again the
 * same. */
#include "shared/net/address.h"
#include "tests/fuzz/fuzz.h"

/* Every bit alone turned over: outside when the range counts it, inside when not. */
static void check_range(const uint8_t address[16], uint8_t bits)
{
	FUZZ_CHECK(bits <= 128);
	FUZZ_CHECK(address_in_range(address, address, bits));
	for (unsigned bit = 0; bit < 128; bit++) {
		uint8_t other[16];

		memcpy(other, address, 16);
		other[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
		FUZZ_CHECK(address_in_range(other, address, bits) == (bit >= bits));
	}
}

static void check_text(const uint8_t address[16])
{
	char text[ADDRESS_TEXT];
	uint8_t again[16], bits;

	FUZZ_CHECK(strlen(address_text(address, text)) >= 2);
	FUZZ_CHECK(address_parse(str_of(text), again) == 0 && memcmp(again, address, 16) == 0);
	FUZZ_CHECK(address_parse_range(str_of(text), again, &bits) == 0 && bits == 128);
}

static void check_sockaddr(const uint8_t address[16], int family)
{
	struct sockaddr_storage sa;
	uint8_t again[16];
	uint16_t port;

	if (address_to_sockaddr(address, 7848, family, &sa) == 0)
		return;
	FUZZ_CHECK(sa.ss_family == family);
	address_of_sockaddr(&sa, again, &port);
	FUZZ_CHECK(port == 7848 && memcmp(again, address, 16) == 0);
}

static void check_address(const uint8_t address[16])
{
	check_text(address);
	check_sockaddr(address, AF_INET);
	check_sockaddr(address, AF_INET6);
	FUZZ_CHECK(!address_is_zero(address) || address_is_unsendable(address));
	FUZZ_CHECK(!address_is_loopback(address) || !address_is_unsendable(address));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_make((const char *)data, size);
	uint8_t address[16], same[16], bits;

	if (address_parse_range(text, address, &bits) == 0) {
		check_range(address, bits);
		check_address(address);
		FUZZ_CHECK(size <= 45 + 4); /* the longest literal, and "/128" */
	}
	if (address_parse(text, address) == 0)
		FUZZ_CHECK(address_parse_range(text, same, &bits) == 0 && bits == 128 &&
		           memcmp(same, address, 16) == 0);
	if (address_parse_client(text, same) == 0) {
		FUZZ_CHECK(size <= 45 + 2 + 16); /* brackets, "%" and a zone */
		check_address(same);
		if (address_parse(text, address) == 0)
			FUZZ_CHECK(memcmp(same, address, 16) == 0);
	} else {
		FUZZ_CHECK(address_parse(text, address) < 0);
	}
	if (size > 16) {
		check_address(data);
		check_range(data, data[16] % 129);
	}
	return 0;
}
