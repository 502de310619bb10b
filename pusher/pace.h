/* SPDX-License-Identifier: Apache-2.0 */
/* pace.h - how fast one socket and one address may be sent to.
 *
 * Each destination has a virtual clock: the scheduled time of its next datagram. A datagram may
 * leave up to PACE_BURST_MS ahead of it, so short bursts pass at once and longer ones are spread at
 * the rate. Who asks reserves a place: the answer is how long to wait, and the caller must then
 * send. Destinations at rest are forgotten when the table is full, so it stays as large as one
 * burst. */
#ifndef PUSHER_PACE_H
#define PUSHER_PACE_H

#include <stdint.h>

#include "shared/base/err.h"

#define PACE_BURST_MS 50U
#define PACE_BURST_MIN 32U /* datagrams, also at low rates */
#define PACE_REFUSED UINT32_MAX

struct pace;

struct pace_rates {
	uint64_t socket, address; /* datagrams a second; 0: no limit */
};

int pace_new(uint64_t seed, struct pace **pace_r) MUST_CHECK;
void pace_free(struct pace **pace);
/* Returns how many ms to wait before the datagram is sent; 0: it may leave now. PACE_REFUSED: that
 * would be longer than max_ms, or there is no memory, and nothing is reserved. */
uint32_t pace_reserve(struct pace *pace, const struct pace_rates *rates, const uint8_t address[16],
                      uint16_t port, uint64_t now_us, uint32_t max_ms);
/* Gives the memory of a large burst back once every destination is at rest. */
void pace_trim(struct pace *pace, uint64_t now_us);

#endif
