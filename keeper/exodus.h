/* SPDX-License-Identifier: Apache-2.0 */
/* exodus.h - the alarm when one source deregisters so much that consumers are left without
 * providers.
 *
 * Workers count (shared/shm/departures.h); once a tick the keeper looks whether one source took
 * more than brake.share percent of at least brake.minimum instances within brake.period. There is a
 * log line when that begins, one when it is over, and a metric. Nothing is held here;
 * brake.deregister, when it is set, makes workers refuse. Reported sources are marked in the
 * segment, so that a new keeper does not report them again. */
#ifndef KEEPER_EXODUS_H
#define KEEPER_EXODUS_H

#include <stdint.h>

#include "shared/config/config.h"
#include "shared/shm/segment.h"

/* To be called once a tick. instances: the ephemeral and persistent ones there are now. mono_ms:
 * CLOCK_MONOTONIC. */
void exodus_tick(struct segment *seg, const struct config *config, uint64_t instances,
                 uint64_t mono_ms);

#endif
