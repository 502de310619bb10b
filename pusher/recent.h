/* SPDX-License-Identifier: Apache-2.0 */
/* recent.h - the deliveries that left the in-flight table lately: what does an ACK mean that no
 * push waits for?
 *
 * A client may acknowledge twice (the resend too, or two subscriptions of one socket that get the
 * same bytes), or when a newer push has already taken the place of the one it means. None of that
 * is an ACK from a foreign address.
 *
 * The table has a fixed size (512 KiB), and the newest stand first in each bucket. It remembers
 * about the last RECENT_SLOTS deliveries, which is more than a client stays behind except in the
 * largest rounds. A delivery is known by a fingerprint of 62 bits under a secret seed. The table is
 * private to the process: a successor knows none of them. */
#ifndef PUSHER_RECENT_H
#define PUSHER_RECENT_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/err.h"

#define RECENT_SLOTS 65536U

struct recent;

enum recent_fate {
	RECENT_NONE,  /* not of this address, or long ago */
	RECENT_LEFT,  /* replaced by a newer push, or given up */
	RECENT_ACKED, /* acknowledged */
};

int recent_new(uint64_t seed, struct recent **recent_r) MUST_CHECK;
void recent_free(struct recent **recent);
/* key: lastRefTime. A delivery that was acknowledged once stays so. */
void recent_add(struct recent *recent, const uint8_t address[16], uint16_t port, uint64_t key,
                bool acked);
enum recent_fate recent_find(const struct recent *recent, const uint8_t address[16], uint16_t port,
                             uint64_t key);

#endif
