/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "shared/base/assert.h"

static const uint8_t mapped_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static bool is_mapped(const uint8_t address[16])
{
	return memcmp(address, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

static void map_ipv4(const void *ipv4, uint8_t out[16])
{
	memcpy(out, mapped_prefix, sizeof(mapped_prefix));
	memcpy(out + 12, ipv4, 4);
}

int address_parse(struct str text, uint8_t out[16])
{
	char copy[INET6_ADDRSTRLEN];
	struct in_addr ipv4;

	if (text.n == 0 || text.n >= sizeof(copy) || memchr(text.p, '\0', text.n) != NULL)
		return ERR_SYNTAX;
	memcpy(copy, text.p, text.n);
	copy[text.n] = '\0';
	if (inet_pton(AF_INET, copy, &ipv4) == 1) {
		map_ipv4(&ipv4, out);
		return 0;
	}
	return inet_pton(AF_INET6, copy, out) == 1 ? 0 : ERR_SYNTAX;
}

/* A zone is the name of an interface: it has at most 15 bytes, and neither slashes nor blanks. */
static bool is_zone(struct str zone)
{
	for (size_t i = 0; i < zone.n; i++)
		if (zone.p[i] <= ' ' || zone.p[i] > '~' || strchr("/%[]", zone.p[i]) != NULL)
			return false;
	return zone.n > 0 && zone.n < 16;
}

int address_parse_client(struct str text, uint8_t out[16])
{
	const char *percent;

	if (text.n == 0 || memchr(text.p, ':', text.n) == NULL)
		return address_parse(text, out);
	if (text.n > 2 && text.p[0] == '[' && text.p[text.n - 1] == ']')
		text = str_make(text.p + 1, text.n - 2);
	percent = memchr(text.p, '%', text.n);
	if (percent != NULL) {
		size_t n = (size_t)(percent - text.p);

		if (!is_zone(str_make(percent + 1, text.n - n - 1)))
			return ERR_SYNTAX;
		text.n = n;
	}
	return address_parse(text, out);
}

static int parse_bits(struct str text, unsigned max, unsigned *bits_r)
{
	unsigned bits = 0;

	if (text.n == 0 || text.n > 3)
		return ERR_SYNTAX;
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return ERR_SYNTAX;
		bits = bits * 10 + (unsigned)(text.p[i] - '0');
	}
	*bits_r = bits;
	return bits <= max ? 0 : ERR_RANGE;
}

int address_parse_range(struct str text, uint8_t out[16], uint8_t *bits_r)
{
	const char *slash = text.n > 0 ? memchr(text.p, '/', text.n) : NULL;
	struct str address = str_make(text.p, slash != NULL ? (size_t)(slash - text.p) : text.n);
	bool ipv6 = address.n > 0 && memchr(address.p, ':', address.n) != NULL;
	unsigned max = ipv6 ? 128 : 32, bits = max;
	int ret = address_parse(address, out);

	if (ret == 0 && slash != NULL)
		ret = parse_bits(str_make(slash + 1, text.n - address.n - 1), max, &bits);
	if (ret == 0)
		ROSTER_ASSERT(bits <= max);
	*bits_r = (uint8_t)(bits + 128 - max);
	return ret;
}

bool address_in_range(const uint8_t address[16], const uint8_t range[16], uint8_t bits)
{
	unsigned whole = bits / 8, rest = bits % 8;
	uint8_t mask = (uint8_t)(0xff00 >> rest);

	if (bits >= 128)
		return memcmp(address, range, 16) == 0;
	return memcmp(address, range, whole) == 0 && ((address[whole] ^ range[whole]) & mask) == 0;
}

void address_of_sockaddr(const struct sockaddr_storage *sa, uint8_t out[16], uint16_t *port_r)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)sa;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;

	memset(out, 0, 16);
	*port_r = 0;
	if (sa->ss_family == AF_INET) {
		map_ipv4(&in->sin_addr, out);
		*port_r = ntohs(in->sin_port);
	} else if (sa->ss_family == AF_INET6) {
		memcpy(out, &in6->sin6_addr, 16);
		*port_r = ntohs(in6->sin6_port);
	}
}

/* A link-local IPv6 address means nothing without a zone, which a claimed address has not. */
static bool needs_zone(const uint8_t address[16])
{
	return address[0] == 0xfe && (address[1] & 0xc0) == 0x80;
}

socklen_t address_to_sockaddr(const uint8_t address[16], uint16_t port, int family,
                              struct sockaddr_storage *sa_r)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

	memset(sa_r, 0, sizeof(*sa_r));
	if (family == AF_INET && is_mapped(address)) {
		memcpy(&in.sin_addr, address + 12, 4);
		memcpy(sa_r, &in, sizeof(in));
		return sizeof(in);
	}
	if (family == AF_INET6 && !needs_zone(address)) {
		memcpy(&in6.sin6_addr, address, 16);
		memcpy(sa_r, &in6, sizeof(in6));
		return sizeof(in6);
	}
	return 0;
}

const char *address_text(const uint8_t address[16], char out[ADDRESS_TEXT])
{
	const char *text;

	if (is_mapped(address))
		text = inet_ntop(AF_INET, address + 12, out, ADDRESS_TEXT);
	else
		text = inet_ntop(AF_INET6, address, out, ADDRESS_TEXT);
	if (text == NULL)
		out[0] = '\0';
	return out;
}

bool address_is_zero(const uint8_t address[16])
{
	static const uint8_t zero[16];

	return memcmp(address, zero, 16) == 0;
}

bool address_is_loopback(const uint8_t address[16])
{
	static const uint8_t ipv6_loopback[16] = { [15] = 1 };

	return is_mapped(address) ? address[12] == 127 : memcmp(address, ipv6_loopback, 16) == 0;
}

bool address_is_unsendable(const uint8_t address[16])
{
	static const uint8_t broadcast[4] = { 255, 255, 255, 255 };

	if (!is_mapped(address))
		return address_is_zero(address) || address[0] == 0xff || needs_zone(address);
	return memcmp(address + 12, broadcast, 4) == 0 || (address[12] & 0xf0) == 0xe0 ||
	       address[12] == 0;
}
