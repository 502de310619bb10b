/* SPDX-License-Identifier: Apache-2.0 */
/* departures.h - who takes instances away, and how fast: deregistrations by source address over a
 * sliding period.
 *
 * The table is in the segment, because the connections of one source go to all workers. It has sets
 * of DEPARTURES_WAYS places; a new source takes the place of the one with the fewest in its set. A
 * source is an IPv4 address or the first 64 bits of an IPv6 address. The period slides: what counts
 * is the current one, and of the last one the share that is still in sight.
 *
 * No lock is taken. Every change is one aligned word by compare-and-swap, so a death in the middle
 * leaves a number that is one operation behind, or an empty place. Two workers that give one place
 * to two sources at once may lose some counts: this is for an alarm and a limit, not for
 * accounts. */
#ifndef SHM_DEPARTURES_H
#define SHM_DEPARTURES_H

#include <stdint.h>

#define DEPARTURES_SETS 64U
#define DEPARTURES_WAYS 4U
#define DEPARTURES (DEPARTURES_SETS * DEPARTURES_WAYS)
#define DEPARTURES_TEXT 64U

struct departures_source {
	uint64_t key;       /* departures_key(), 0: free */
	uint64_t counts[2]; /* of even and odd periods: number of the period << 32 | count */
	uint64_t alarm;     /* 1: reported; written by the keeper only (keeper/exodus.h) */
};

struct departures {
	struct departures_source sources[DEPARTURES];
};

/* The source that an address (IPv6 or IPv4 mapped) belongs to; never 0. */
uint64_t departures_key(const uint8_t address[16]);
/* Writes the source as text, "10.0.0.1" or "2001:db8:0:1::/64", and returns out. */
const char *departures_text(uint64_t key, char out[DEPARTURES_TEXT]);
/* Count so many departures of a source, and say how many it has had within the period. now_ms is
 * CLOCK_MONOTONIC, period_ms not 0. */
void departures_add(struct departures *d, uint64_t key, uint64_t now_ms, uint64_t period_ms,
                    uint32_t count);
uint64_t departures_of(const struct departures *d, uint64_t key, uint64_t now_ms,
                       uint64_t period_ms);
uint64_t departures_count(const struct departures_source *source, uint64_t now_ms,
                          uint64_t period_ms);

#endif
