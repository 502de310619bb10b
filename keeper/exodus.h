/* SPDX-License-Identifier: Apache-2.0 */
/* exodus.h - the alarm when one source deregisters so much that consumers are left without providers.
 *
 * Workers count (shared/shm/departures.h); once a tick the keeper looks whether one source took more than brake.share
 * percent of at least brake.minimum instances within brake.period: a log line when it begins, one when it is over, a
 * metric. Nothing is held here; brake.deregister, when set, makes workers refuse. Reported sources are marked in the
 * segment: a new keeper does not report them again. */
#ifndef KEEPER_EXODUS_H
#define KEEPER_EXODUS_H

#include <stdint.h>

#include "shared/config/config.h"
#include "shared/shm/segment.h"

/* instances: ephemeral and persistent ones now. mono_ms: CLOCK_MONOTONIC. */
void exodus_tick(struct segment *seg, const struct config *config, uint64_t instances, uint64_t mono_ms);

#endif
