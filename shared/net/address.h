/* SPDX-License-Identifier: Apache-2.0 */
/* address.h - literal IP addresses as 16 bytes (IPv4 mapped into IPv6). No name resolution,
 * ever. */
#ifndef NET_ADDRESS_H
#define NET_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "shared/base/err.h"
#include "shared/base/str.h"

#define ADDRESS_TEXT 64
#define ADDRESS_CLAIMS_MAX 32 /* rows of push.trusted */

/* The source may claim those addresses (push.trusted). */
struct address_claim {
	uint8_t source[16], claimed[16];   /* IPv6 or IPv4 mapped */
	uint8_t source_bits, claimed_bits; /* of 128 */
};

/* Reads a literal IPv4 or IPv6 address, without brackets and zone. ERR_SYNTAX. */
int address_parse(struct str text, uint8_t out[16]) MUST_CHECK;
/* Reads an address as clients write it: IPv6 also in brackets, and with a zone ("[fd00::1]",
 * "fd00::1%eth0"). The zone is left out, because it means something to its own host only. IPv4 is
 * four decimal numbers and has no other form: some read 010.0.0.1 as 8.0.0.1. ERR_SYNTAX. */
int address_parse_client(struct str text, uint8_t out[16]) MUST_CHECK;
/* Reads "10.0.0.0/8", or an address without bits, which is a range of one. *bits_r counts from the
 * first of 128. ERR_SYNTAX, ERR_RANGE. */
int address_parse_range(struct str text, uint8_t out[16], uint8_t *bits_r) MUST_CHECK;
bool address_in_range(const uint8_t address[16], const uint8_t range[16], uint8_t bits);
void address_of_sockaddr(const struct sockaddr_storage *sa, uint8_t out[16], uint16_t *port_r);
/* Writes the address for a socket of that family. Returns the length, 0 when it cannot be
 * expressed. */
socklen_t address_to_sockaddr(const uint8_t address[16], uint16_t port, int family,
                              struct sockaddr_storage *sa_r);
const char *address_text(const uint8_t address[16], char out[ADDRESS_TEXT]);
bool address_is_zero(const uint8_t address[16]);
bool address_is_loopback(const uint8_t address[16]);
/* Is the address one that nothing is sent to: broadcast (255.255.255.255), multicast, unspecified,
 * or link-local IPv6, which needs a zone? */
bool address_is_unsendable(const uint8_t address[16]);

#endif
