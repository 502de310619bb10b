/* SPDX-License-Identifier: Apache-2.0 */
/* destination.h - may a datagram be sent where a client claims? (design section 6)
 *
 * It may when the claimed literal address equals the observed source; or when both belong to this
 * host (loopback or any interface address); or when push.trusted lists the source with a range that
 * holds the claim. It never may to broadcast, multicast, unspecified and link-local IPv6 addresses,
 * nor to ports below 1024. */
#ifndef NET_DESTINATION_H
#define NET_DESTINATION_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/str.h"
#include "shared/net/address.h"

#define DESTINATION_PORT_MIN 1024U

struct destination_policy {
	uint8_t local[64][16]; /* interface addresses of this host */
	unsigned local_count;
	uint64_t refreshed_ms;
	unsigned trusted_count;
	struct address_claim trusted[ADDRESS_CLAIMS_MAX];
};

/* Copies the claims that are allowed (ADDRESS_CLAIMS_MAX at most), and reads the interface
 * addresses. The two functions below read these again when they are 10 s old. */
void destination_init(struct destination_policy *policy, const struct address_claim *trusted,
                      unsigned count);
/* Finds the address that a client means by its text. Loopback, and no text at all, mean its own
 * host: that is this one, or for a client of another host the observed source. Returns false when
 * the text is not a literal address. */
bool destination_claimed(struct destination_policy *policy, struct str text,
                         const uint8_t source[16], uint8_t claimed_r[16]);
bool destination_allowed(struct destination_policy *policy, const uint8_t claimed[16],
                         uint16_t port, const uint8_t source[16]);

#endif
